// Turns the schema of flow files into what may be typed at a place.

/** Where a place is: the keys that lead there, with `[]` for list items; and whether a key or a value is typed. */
export function placeAt(text, at) {
  const lines = text.slice(0, at).split("\n");
  const typed = /^(\s*(?:- +)*)(?:([\w-]+):\s+(.*)|([\w-]*))$/.exec(lines.pop());
  if (!typed) return null;
  const stack = [];
  for (const line of lines) {
    const found = /^(\s*(?:- +)*)(?:([^\s#:'"{[-][^:#]*):(?:\s.*)?|[^#].*)?$/.exec(line);
    if (!found || !line.trim()) continue;
    putDashes(stack, found[1]);
    if (found[2]) put(stack, found[1].length, found[2].trim());
    else if (/^\s*-\s*$/.test(line)) putDashes(stack, line);
  }
  putDashes(stack, typed[1]);
  leave(stack, typed[1].length);
  const path = stack.map((entry) => entry.key);
  if (typed[2]) return { path: [...path, typed[2]], isValue: true, typed: typed[3] };
  return { path, isValue: false, typed: typed[4] };
}

/** Takes the dashes of a line; a list may stand right below its key. */
function putDashes(stack, text) {
  for (const [column, char] of [...text].entries()) if (char === "-") put(stack, column, "[]");
}

function put(stack, column, key) {
  leave(stack, column, key === "[]");
  stack.push({ column, key });
}

function leave(stack, column, isDash = false) {
  while (stack.length) {
    const last = stack.at(-1);
    if (last.column < column || (last.column === column && isDash && last.key !== "[]")) return;
    stack.pop();
  }
}

/** The parts of the schema that a path leads to. */
export function schemasAt(schema, path, root = schema, depth = 0) {
  let found = expand(schema, root);
  for (const key of path) {
    found = found.flatMap((part) => {
      if (key === "[]") return part.items ? expand(part.items, root) : [];
      if (part.properties?.[key]) return expand(part.properties[key], root);
      return typeof part.additionalProperties === "object" ? expand(part.additionalProperties, root) : [];
    });
    if (depth > 40 || !found.length) return found;
  }
  return found;
}

function expand(part, root, depth = 0) {
  if (!part || typeof part !== "object" || depth > 12) return [];
  const all = [part];
  const more = [...(part.anyOf ?? []), ...(part.oneOf ?? []), ...(part.allOf ?? []), part.then, part.else].filter(Boolean);
  if (part.$ref) more.push(part.$ref.replace("#/", "").split("/").reduce((at, name) => at?.[name], root));
  return [...all, ...more.flatMap((inner) => expand(inner, root, depth + 1))];
}

/** What may stand at a place: keys with their explanation, or values. */
export function optionsAt(schema, text, at) {
  const place = placeAt(text, at);
  if (!place) return null;
  const parts = schemasAt(schema, place.path);
  const options = new Map();
  for (const part of parts) {
    const values = [...(part.enum ?? []), ...(part.const !== undefined ? [part.const] : []), ...(part.type === "boolean" ? [true, false] : [])];
    for (const value of values) if (value !== null && !options.has(String(value))) options.set(String(value), { label: String(value), type: "constant", info: part.description });
    if (place.isValue) continue;
    for (const [name, inner] of Object.entries(part.properties ?? {})) {
      options.set(name, { label: name, type: "property", detail: inner.default !== undefined ? `[${inner.default}]` : "", info: inner.description, apply: `${name}: ` });
    }
  }
  return { from: at - place.typed.length, options: [...options.values()] };
}
