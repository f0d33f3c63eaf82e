// Prints name, version and licence of every package of which a bundle holds a part.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const { inputs } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const folders = Object.keys(inputs).map((path) => /^node_modules\/(@[^/]+\/[^/]+|[^/]+)/.exec(path)?.[0]);
for (const folder of [...new Set(folders)].filter(Boolean).sort()) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? readFileSync(join(folder, file), "utf8").trim() : "";
  console.log(`${"=".repeat(78)}\n${name} ${version} (${license})\n${"=".repeat(78)}\n\n${text}\n`);
}
