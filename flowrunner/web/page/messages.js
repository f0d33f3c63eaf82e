// Shows what goes in and out of a step, and what it changed.

import { post } from "./api.js";
import { byId, clockText, h } from "./dom.js";

const MOST = 100;

/** JSON with two spaces, as far as it is JSON; numbers stay as they were written. */
export function pretty(payload, isPretty) {
  if (!isPretty || payload.kind !== "json" || payload.cut) return payload.text;
  const text = payload.text;
  let out = "";
  let depth = 0;
  let inText = false;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (inText) {
      out += char;
      if (char === "\\") { at += 1; out += text[at] ?? ""; }
      else if (char === '"') inText = false;
      continue;
    }
    if (char === '"') { inText = true; out += char; }
    else if (char === "{" || char === "[") {
      const close = char === "{" ? "}" : "]";
      const rest = text.slice(at + 1).match(/^\s*/)[0].length;
      if (text[at + 1 + rest] === close) { out += char + close; at += rest + 1; }
      else { depth += 1; out += `${char}\n${"  ".repeat(depth)}`; }
    } else if (char === "}" || char === "]") { depth -= 1; out += `\n${"  ".repeat(Math.max(depth, 0))}${char}`; }
    else if (char === ",") out += `,\n${"  ".repeat(depth)}`;
    else if (char === ":") out += ": ";
    else if (!/\s/.test(char)) out += char;
  }
  return out;
}

/** Lines of two texts: `=` in both, `-` only before, `+` only behind. */
export function compare(before, after) {
  const a = before.split("\n");
  const b = after.split("\n");
  if (a.length * b.length > 90_000) return [...a.map((line) => ["-", line]), ...b.map((line) => ["+", line])];
  const same = (left, right) => left.replace(/,$/, "") === right.replace(/,$/, "");
  const table = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) table[i][j] = same(a[i], b[j]) ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
  }
  const found = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && same(a[i], b[j])) { found.push(["=", b[j]]); i += 1; j += 1; }
    else if (j >= b.length || (i < a.length && table[i + 1][j] >= table[i][j + 1])) { found.push(["-", a[i]]); i += 1; }
    else { found.push(["+", b[j]]); j += 1; }
  }
  return found;
}

export class Messages {
  constructor(rights) {
    this.rights = rights;
    this.entries = new Map();
    this.isPaused = false;
    this.isPretty = true;
    this.held = [];
    this.title = h("h3", {});
    this.yaml = h("pre", { class: "yaml" });
    this.pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => this.setPaused(!this.isPaused) }, "Pause");
    this.prettify = h("button", { type: "button", "aria-pressed": "true", onclick: () => this.setPretty(!this.isPretty) }, "Pretty");
    this.find = h("input", { type: "search", placeholder: "Only messages with …", "aria-label": "Only messages with", oninput: () => this.render() });
    this.list = h("ol", { class: "messages", "aria-label": "Messages, the latest first" });
    this.note = h("p", { class: "note", role: "status" });
    byId("messages").replaceChildren(this.title, this.yaml, h("div", { class: "bar" }, this.pause, this.prettify, this.find), this.note, this.list);
  }

  /** Looks at another step. */
  open(flow, step, yaml) {
    if (flow !== this.flow || step !== this.step) {
      this.entries.clear();
      this.held = [];
    }
    [this.flow, this.step] = [flow, step];
    this.title.replaceChildren(h("span", { class: "mild" }, `${flow} › `), step || "no step");
    this.yaml.textContent = dedent(yaml);
    this.yaml.hidden = !yaml;
    this.render();
  }

  take({ flow, step, records, missed }) {
    if (flow !== this.flow || step !== this.step) return;
    if (missed) this.missed = (this.missed ?? 0) + missed;
    if (this.isPaused) {
      this.held.push(...records);
      this.held.splice(0, Math.max(0, this.held.length - 4 * MOST));
      this.say();
      return;
    }
    this.add(records);
  }

  add(records) {
    for (const record of records) {
      const entry = this.entries.get(record.message) ?? { message: record.message, outs: [], time: record.time };
      if (record.where === "in") entry.in = record;
      else if (record.where === "skipped") entry.isSkipped = true;
      else entry.outs.push(record);
      this.entries.set(record.message, entry);
    }
    while (this.entries.size > MOST) this.entries.delete(this.entries.keys().next().value);
    this.render();
  }

  setPaused(isPaused) {
    this.isPaused = isPaused;
    this.pause.setAttribute("aria-pressed", String(isPaused));
    this.pause.textContent = isPaused ? "Go on" : "Pause";
    if (!isPaused) this.add(this.held.splice(0));
    this.say();
  }

  setPretty(isPretty) {
    this.isPretty = isPretty;
    this.prettify.setAttribute("aria-pressed", String(isPretty));
    this.render();
  }

  say() {
    if (this.isPaused) this.note.textContent = `paused; ${this.held.filter((record) => record.where === "in").length} more came`;
    else if (!this.entries.size) this.note.textContent = this.step ? "Nothing has come here since you look." : "This flow has no steps.";
    else this.note.textContent = this.missed ? "More messages pass than can be shown: these are some of them." : "";
  }

  render() {
    this.say();
    const wanted = this.find.value.trim().toLowerCase();
    const all = [...this.entries.values()].reverse().filter((entry) => !wanted || textOf(entry).includes(wanted));
    this.list.replaceChildren(...all.slice(0, MOST).map((entry) => this.row(entry)));
  }

  row(entry) {
    const shown = entry.in ?? entry.outs[0];
    const copy = shown.can_repeat
      ? h("button", { type: "button", class: "quiet small", onclick: (event) => this.copy(entry.message, event.currentTarget) }, "Copy as test")
      : "";
    return h("li", { class: "message" },
      h("div", { class: "message-head" },
        h("time", {}, clockText(shown.time)), h("code", { class: "topic" }, shown.topic),
        shown.qos ? h("span", { class: "tag" }, `QoS ${shown.qos}`) : "", shown.retain ? h("span", { class: "tag" }, "retained") : "", copy),
      this.names(shown),
      ...this.body(entry));
  }

  names(record) {
    const names = { ...record.names };
    for (const [name, value] of Object.entries(record.properties)) names[`properties.${name}`] = value;
    const pairs = Object.entries(names);
    return pairs.length ? h("p", { class: "names" }, pairs.map(([name, value]) => h("span", {}, h("b", {}, name), ` ${value}  `))) : "";
  }

  body(entry) {
    const before = entry.in ? pretty(entry.in.payload, this.isPretty) : null;
    const intro = before === null ? [] : [this.payload("in", entry.in.payload, before)];
    if (entry.isSkipped) return [...intro, h("p", { class: "note" }, "not for this step: its `when` was false; the message went on")];
    if (!entry.outs.length) return [...intro, h("p", { class: "note" }, "nothing came out (yet)")];
    if (entry.outs.length === 1 && before !== null) {
      const after = pretty(entry.outs[0].payload, this.isPretty);
      const isSame = before === after && entry.in.payload.kind === entry.outs[0].payload.kind;
      const names = this.newNames(entry);
      if (isSame) return [...intro, names, h("p", { class: "note" }, "went on unchanged")];
      return [this.change(before, after, entry), names];
    }
    return [...intro, ...entry.outs.slice(0, 10).map((out) => this.payload("out", out.payload, pretty(out.payload, this.isPretty)))];
  }

  newNames(entry) {
    const [before, after] = [entry.in.names, entry.outs[0].names];
    const found = Object.entries(after).filter(([name, value]) => before[name] !== value);
    return found.length ? h("p", { class: "names" }, h("span", { class: "mild" }, "now "), found.map(([name, value]) => h("span", { class: "plus" }, h("b", {}, name), ` ${value}  `))) : "";
  }

  payload(word, payload, text) {
    const size = payload.kind === "bytes" ? `${payload.size} bytes` : payload.cut ? `${payload.size} bytes, cut` : "";
    return h("div", { class: "payload" }, h("span", { class: "way" }, word), h("pre", {}, payload.kind === "empty" ? "(empty)" : text), size ? h("span", { class: "mild" }, size) : "");
  }

  change(before, after, entry) {
    const kinds = entry.in.payload.kind === entry.outs[0].payload.kind ? "" : `${entry.in.payload.kind} → ${entry.outs[0].payload.kind}`;
    const lines = compare(before, after).map(([sign, line]) => h("span", { class: sign === "-" ? "minus" : sign === "+" ? "plus" : "" }, `${sign === "=" ? " " : sign} ${line}\n`));
    return h("div", { class: "payload" }, h("span", { class: "way" }, "in → out"), h("pre", { class: "change" }, lines), kinds ? h("span", { class: "mild" }, kinds) : "");
  }

  async copy(message, button) {
    try {
      const { yaml } = await post("/api/case", { flow: this.flow, message });
      await copyText(yaml);
      button.textContent = "Copied";
    } catch (error) {
      this.note.textContent = error.message;
      button.textContent = "Not copied";
    }
    setTimeout(() => { button.textContent = "Copy as test"; }, 2000);
  }
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "hidden", value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** YAML that stood deep in a file, moved to the left. */
function dedent(yaml) {
  const [first, ...rest] = yaml.split("\n");
  const indents = rest.filter((line) => line.trim()).map((line) => line.match(/^ */)[0].length);
  const less = Math.max(0, Math.min(...indents) - 2);
  return [first, ...rest.map((line) => line.slice(Math.min(less, line.match(/^ */)[0].length)))].join("\n");
}

function textOf(entry) {
  return [entry.in, ...entry.outs].filter(Boolean).map((record) => `${record.topic} ${record.payload.text}`).join(" ").toLowerCase();
}
