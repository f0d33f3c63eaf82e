"""Turns the JavaScript of function nodes, and what else must be written by hand, into functions in a Python file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from flowrunner.nodered.export import Node
from flowrunner.nodered.names import Names, identifier

_HIDDEN = {"id", "type", "z", "x", "y", "wires", "g", "w", "h", "func", "name", "l"}
_HEAD = '''"""{title}

A function gets a message: `message.payload`, `.topic`, `.qos`, `.retain`, `.properties` and `.names`. What it returns
is the new payload; `message.copy(payload=..., topic=...)` is a new message, a list gives several, None ends it.
"""
'''


@dataclass(slots=True)
class Stubs:
    """The functions of the Python file of one tab."""

    file: str
    title: str
    taken: Names = field(default_factory=lambda: Names(frozenset({"message", "Path"}), mark="_"))
    known: dict[tuple[str, str], str] = field(default_factory=dict)
    bodies: list[str] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)

    @property
    def text(self) -> str:
        """The file."""
        title = self.title.replace("\\", "").replace('"', "'")
        imports = "\n".join(sorted(self.imports, key=lambda line: (line.startswith("from"), line)))
        head = _HEAD.format(title=title) + (f"\n{imports}\n" if imports else "")
        return "\n\n".join([head, *self.bodies])

    def add(self, node: Node, lines: Sequence[str], *, key: str = "", imports: Sequence[str] = ()) -> str:
        """A function of these lines; returns `file.py:name`, the same for the same node."""
        known = self.known.get((node.id, key))
        if known is None:
            known = self.taken.take(identifier(node.name.lower() or node.type.lower(), "function").lower())
            self.known[node.id, key] = known
            body = "\n".join(f"    {line}".rstrip() for line in lines)
            self.bodies.append(f"def {known}(message):\n{body}\n")
            self.imports.update(imports)
        return f"{self.file}:{known}"

    def add_to_do(self, node: Node, why: str, outputs: int) -> str:
        """A function that fails until somebody has written it, with what it did in Node-RED above."""
        title = f"{node.type} {node.name}".strip()
        lines = [f"# to do: {one_line(title)}: {one_line(why)}"]
        for part, word in (("initialize", "at the start"), ("func", "for every message"), ("finalize", "at the end")):
            if code := node.text(part).strip():
                lines += ["#", f"# JavaScript, {word}:", *(f"#   {line}".rstrip() for line in code.splitlines())]
        if node.type != "function":
            shown = {key: value for key, value in node.fields.items() if key not in _HIDDEN and value not in ("", [])}
            lines += ["#", *(f"#   {line}" for line in _json(shown).splitlines())]
        if outputs > 1:
            text = '# return {"output": 0, "payload": ...}: the number of the output, from 0, and what goes out there'
            lines += ["#", text]
        lines += [f'raise NotImplementedError("to do: translate {quoted(title)}")']
        return self.add(node, lines)


def one_line(text: str) -> str:
    """A text in one line."""
    return " ".join(text.split())


def quoted(text: str) -> str:
    """A text as it stands between double quotes."""
    return json.dumps(one_line(text), ensure_ascii=False)[1:-1]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)[:4000].replace("\u2028", " ").replace("\u2029", " ")
