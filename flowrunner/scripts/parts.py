"""Gathers what a script needs besides its functions: imports, helpers, constants, and dicts that remember."""

from collections.abc import Sequence
from typing import Any

from flowrunner.expressions import Expression
from flowrunner.expressions.model import Hole
from flowrunner.read.flow import Flow
from flowrunner.scripts.helpers import HELPERS
from flowrunner.scripts.python_words import Words, literal
from flowrunner.scripts.refusals import CannotEject, cannot_eject
from flowrunner.step import Step, walk

_MODULES = frozenset({
    "base64", "cbor2", "csv", "gzip", "hashlib", "io", "json", "jsonschema", "math", "msgpack", "mqtt", "os", "random",
    "re", "statistics", "subprocess", "sys", "time", "zlib",
})  # fmt: skip
_OWN = frozenset({"arrived", "attempt_number", "items", "key", "known", "now", "number", "recent", "url", "value"})


class Parts:
    """The parts of the script of one flow; its `words` write expressions."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.imports: set[str] = set()
        self.packages: dict[str, None] = {}
        self.helpers: dict[str, None] = {}
        self.globals: list[str] = []
        self.functions: list[str] = []
        self.is_mqtt5 = False
        self.uses_dropped = False
        self.names: dict[str, int] = {}
        self.constants: dict[int, str] = {}
        self.taken = _MODULES | _OWN | HELPERS.keys() | {"attempt", "handle", "DROPPED"}
        self.words = Words(flow.name, self.need, self.needs_import, self.taken)
        steps = [*walk(flow.steps), *walk(flow.on_error.steps)]
        if any(step.KEY == "split" for step in steps) and not any(step.KEY in {"let", "state"} for step in steps):
            self.words.numbers |= {"index", "count"}

    def need(self, helper: str) -> str:
        """Have a helper in the script; returns its name."""
        if helper not in self.helpers:
            for other in HELPERS[helper].needs:
                self.need(other)
            self.helpers[helper] = None
            for module in HELPERS[helper].imports:
                self.needs_import(module)
        return helper

    def needs_import(self, module: str) -> str:
        """Have a module imported; returns it."""
        self.imports.add(module)
        return module

    def pip(self, module: str) -> None:
        """Have a package imported that does not come with Python."""
        self.imports.add(module)
        self.packages[module] = None

    def refuse(self, step: Step, what: str, why: str) -> CannotEject:
        """The error for a step that is not written."""
        return cannot_eject(what, why, step.at.key_span)

    def free_name(self, name: str) -> str:
        """A name for something of the script itself: numbered from the second on."""
        self.names[name] = number = self.names.get(name, 0) + 1
        return name if number == 1 else f"{name}_{number}"

    def constant(self, name: str, value: Any) -> str:
        """A constant at the beginning of the script."""
        if id(value) not in self.constants:
            self.constants[id(value)] = own = self.free_name(name)
            self.globals.append(f"{own} = {literal(value)}")
        return self.constants[id(value)]

    def memory(self, step: Any, about: str) -> str:
        """A dict in which a step remembers, at the beginning of the script."""
        if step.ttl is not None:
            raise self.refuse(step, f"`ttl` of `{step.KEY}`", "a dict forgets nothing by itself")
        name = self.free_name(f"memory_of_{step.KEY}")
        self.globals.append(f"{name} = {{}}  # {about}")
        return name

    def named_memory(self, name: str) -> str:
        """The dict of a named value."""
        own = f"values_of_{name}"
        line = f"{own} = {{}}  # by key; it is empty again when the script starts anew"
        if line not in self.globals:
            self.globals.append(line)
        return own

    def dynamic(self, value: Any) -> str:
        """An option of a fixed type, which may be computed."""
        return self.words.expression(value) if isinstance(value, Expression) else literal(value)

    def hole_text(self, hole: Hole) -> str:
        """What is inserted somewhere, as a text."""
        return f"{self.need('text')}({self.words.expression(hole.expression)})"

    def get_field(self, path: Sequence[str]) -> str:
        """A field of the payload, or the payload itself."""
        return "payload" + "".join(f"[{literal(name)}]" for name in path)

    def set_field(self, payload: str, path: Sequence[str], value: str) -> str:
        """The payload with a field set; without a field, the value."""
        if not path:
            return value
        if len(path) == 1 and payload == "payload":
            return f"{{**payload, {literal(path[0])}: {value}}}"
        return f"{self.need('set_field')}({payload}, {literal(list(path))}, {value})"
