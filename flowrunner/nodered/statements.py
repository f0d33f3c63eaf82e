"""Turns single statements of JavaScript into steps and into what is known of the message behind them."""

import ast
from collections.abc import Mapping
from dataclasses import replace

from flowrunner.nodered.javascript import Reader
from flowrunner.nodered.known import Known, Path
from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.names import identifier, slug
from flowrunner.nodered.nodes.change import assign, named_value
from flowrunner.nodered.operators import added, arithmetic, is_number, method
from flowrunner.nodered.properties import state_of, stored
from flowrunner.nodered.tokens import Word
from flowrunner.nodered.values import Built, Computed, Constant, Uncertain, Value, kind_of, name, option, rich, tree_of
from flowrunner.nodered.walk import Way

_LEVELS = {"log": "info", "warn": "warning", "error": "error", "debug": "debug", "trace": "debug"}
CONTEXTS = {"flow", "global", "context"}
STORED = "stored"
"""The kind of what comes out of the context: that of its default, if `||` gives it one."""

Outputs = list["Known | None"]


class Statements(Reader):
    """Reads the statements of a function that have no branches, and gathers the steps that do the same."""

    def __init__(self, words: list[Word], way: Way, known: Known, variables: dict[str, Value] | None = None) -> None:
        super().__init__(words, self.value_of)
        self.way = way
        self.known = known
        self.variables = dict(variables or {})
        self.steps: Steps = []
        self.outputs: Outputs | None = None
        self.is_parsed = False
        self.changes = 0
        self.marks: dict[str, int] = {}

    def value_of(self, path: Path) -> Value:
        """A variable, or a property of the message."""
        first, *rest = path
        if first == "msg" and rest:
            if rest[0] == "payload":
                self.need_payload()
                more, self.known = self.known.readable()
                self.steps += more
            return self.known.value(tuple(rest))
        if first in self.variables:
            self.need_fresh(str(first))
            return replace(self.known, payload=self.variables[str(first)]).value(("payload", *rest))
        raise Uncertain(f"`{first}`")

    def need_payload(self) -> None:
        """Raise Uncertain where the payload is still a text in JavaScript, and a value here."""
        if self.is_parsed:
            raise Uncertain("a payload that was parsed into a variable")

    def need_fresh(self, word: str) -> None:
        """Raise Uncertain for a map in a variable, where what it was made of has changed since."""
        value = self.variables[word]
        if isinstance(value, Built) and self.marks.get(word, 0) != self.changes:
            raise Uncertain(f"`{word}`, after what it was made of has changed")

    def named(self) -> Value:
        """`flow.get("x")` reads a value of the context."""
        word = self.words[self.place].text
        following = [one.text for one in self.words[self.place + 1 : self.place + 4]]
        if word in CONTEXTS and word not in self.variables and following == [".", "get", "("]:
            self.place += 4
            given = self.listed(")")
            if len(given) != 1 or not isinstance(given[0], Constant) or not isinstance(given[0].value, str):
                raise Uncertain(f"`{word}.get(...)`")
            more, value = stored(*self.context(word, given[0].value), self.way)
            self.steps += more
            return replace(value, kind=STORED) if isinstance(value, Computed) else value
        return super().named()

    def context(self, word: str, key: str) -> tuple[str, str]:
        """The name of a value, and whose it is; the context of a function is its own."""
        if word != "context":
            return key, word
        return f"{identifier(slug(self.way.node.name) or 'function')}_{key}", "flow"

    def either(self) -> Value:
        """`flow.get("x") || 0` is of the kind of its default."""
        found = super().either()
        tree = tree_of(found) if isinstance(found, Computed) and not found.spec else None
        if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.Or) and isinstance(found, Computed):
            values = [value for value in tree.values if isinstance(value, ast.Constant)]
            if isinstance(tree.values[0], ast.Name) and values and self.is_stored(tree.values[0].id):
                return replace(found, kind="number")
        return found

    def is_stored(self, word: str) -> bool:
        """Whether a name stands for a value of the context."""
        return any(step.key == "state" and step.value.get("get") == word for step in self.steps)

    def declaration(self) -> None:
        """`var x = ...`, perhaps several."""
        while True:
            word = self.next
            self.place += 1
            if not word.isidentifier() or word in ("msg", "node", "flow", "global", "context", "RED"):
                self.give_up()
            self.need("=")
            if self.parses_payload():
                self.parse()
                self.variable(word, self.known.value(("payload",)))
                self.is_parsed = True
            else:
                self.variable(word, self.expression())
            if not self.take(","):
                break

    def variable(self, word: str, value: Value) -> None:
        """Give a variable a value: constants need no step."""
        if isinstance(value, Constant) and isinstance(value.value, dict):
            value = Built({key: Constant(inner) for key, inner in value.value.items()})
        if isinstance(value, Built):
            self.marks[word] = self.changes
        if isinstance(value, Built) or (isinstance(value, Constant) and not isinstance(value.value, list)):
            self.variables[word] = value
            return
        if word in self.variables:
            self.changes += 1
            if not isinstance(self.known.payload, Constant | None):
                more, self.known = self.known.settled()
                self.steps += more
        ours = identifier(word)
        ours = f"{ours}_" if ours in self.known.names or ours == "text" else ours
        self.steps.append(Step("let", {ours: rich(value)}))
        self.variables[word] = name(ours, kind_of(value))

    def reassignment(self) -> None:
        """`x = ...`, `x += 1`, `x++`."""
        word = self.next
        self.place += 1
        before = self.variables[word]
        if isinstance(before, Built) and self.take("."):
            self.field(word, before)
        elif self.take("++"):
            self.variable(word, self.sum_of(before, Constant(1)))
        elif self.take("+="):
            self.variable(word, self.sum_of(before, self.expression()))
        else:
            self.need("=")
            self.variable(word, self.expression())

    def field(self, word: str, before: Built) -> None:
        """`x.payload = ...`, of a map in a variable."""
        key = self.next
        self.place += 1
        self.need("=")
        value = self.expression()
        self.need_fresh(word)
        self.variable(word, Built({**before.fields, key: value}))

    def sum_of(self, left: Value, right: Value) -> Value:
        """A sum of numbers, or a text with something behind it."""
        return arithmetic(left, "+", right) if is_number(left, right) else added(left, right)

    def message_path(self) -> Path:
        """`msg.a.b` as what it names."""
        self.need("msg")
        path: list[str | int] = []
        while self.take("."):
            path.append(self.next)
            self.place += 1
        if not path or "" in path or self.next == "[":
            self.give_up()
        return tuple(path)

    def assignment(self) -> None:
        """`msg.payload = ...`."""
        path = self.message_path()
        self.need("=")
        if self.parses_payload():
            if path != ("payload",):
                raise Uncertain("`JSON.parse`")
            self.parse()
            return
        value = self.expression()
        if path[0] == "payload":
            if len(path) > 1:
                self.need_payload()
            self.is_parsed = False
        self.changes += 1
        more, self.known = assign(path, value, self.known)
        self.steps += more

    def parse(self) -> None:
        """The payload as JSON."""
        self.need_payload()
        if self.known.kind in ("map", "list", "data", "number"):
            raise Uncertain("`JSON.parse`")
        is_raw = self.known.raw in ("auto", "utf8", "buffer")
        more, settled = ([], self.known) if is_raw else self.known.settled()
        self.steps += [*more, Step("json")]
        self.known = settled.replaced("data")
        self.changes += 1

    def parses_payload(self) -> bool:
        """Go over `JSON.parse(msg.payload)` if it comes."""
        wanted = ["JSON", ".", "parse", "(", "msg", ".", "payload", ")"]
        if [word.text for word in self.words[self.place : self.place + len(wanted)]] != wanted:
            return False
        self.place += len(wanted)
        return True

    def store(self) -> None:
        """`flow.set("x", ...)`."""
        word = self.next
        self.place += 1
        self.need(".")
        self.need("set")
        self.need("(")
        given = self.listed(")")
        if len(given) != 2 or not isinstance(given[0], Constant) or not isinstance(given[0].value, str):
            raise Uncertain(f"`{word}.set(...)`")
        if not isinstance(self.known.payload, Constant | None):
            more, self.known = self.known.settled()
            self.steps += more
        about = state_of(*self.context(word, given[0].value), self.way)
        ours = about.pop("name")
        value = rich(given[1])
        taken = {option(one) for one in self.variables.values() if isinstance(one, Computed)}
        if f"${{{ours}}}" in taken and value != f"${{{ours}}}":
            about["as"] = f"new_{ours}"
        self.steps.append(Step("state", {"set": ours, "value": value, **about}))

    def message_of_node(self) -> None:
        """`node.warn("...")` becomes a line in the log; `node.status(...)` nothing."""
        self.place += 1
        self.need(".")
        word = self.next
        self.place += 1
        self.need("(")
        given = self.listed(")")
        if word in ("status", "done"):
            return
        if word not in _LEVELS or not given:
            raise Uncertain(f"`node.{word}(...)`")
        value = given[0]
        is_ready = kind_of(value) == "text" or isinstance(value, Computed)
        text = str(option(value if is_ready else method(value, "toString", [])))
        level = _LEVELS[word]
        self.steps.append(Step("log", text if level == "info" else {"text": text, "level": level}))

    def returned(self) -> Outputs:
        """`return msg`, `return null`, `return {payload: ...}`, `return [msg, null]`."""
        if self.is_at_end or self.next in (";", "}"):
            return []
        if self.next == "[":
            self.place += 1
            found: Outputs = []
            while not self.take("]"):
                found.append(self.sent())
                if not self.take(","):
                    self.need("]")
                    break
            self.end_of_return()
            return found
        found = [self.sent()]
        self.end_of_return()
        return found

    def end_of_return(self) -> None:
        """What follows a `return` can never run."""
        self.take(";")

    def sent(self) -> Known | None:
        """A message that is sent: the one that came, none, or a new one."""
        if self.next == "msg" and self.words[self.place + 1 : self.place + 2] != [Word("sign", ".")]:
            self.place += 1
            self.need_payload()
            return self.known
        if self.take("null", "undefined"):
            return None
        if isinstance(self.variables.get(self.next), Built):
            value = self.expression()
            return self.message_of(value.fields if isinstance(value, Built) else {})
        if self.next != "{":
            self.give_up()
        value = self.expression()
        if isinstance(value, Constant) and isinstance(value.value, dict):
            return self.message_of({key: Constant(inner) for key, inner in value.value.items()})
        return self.message_of(value.fields) if isinstance(value, Built) else self.give_up()

    def message_of(self, fields: Mapping[str, Value]) -> Known:
        """A new message with these properties."""
        made = Known(topic=Constant(""), kind="any", payload=Constant(None))
        for word, value in fields.items():
            made = self.with_field(made, word, value)
        return made

    def with_field(self, made: Known, word: str, value: Value) -> Known:
        """A property of a new message."""
        if word == "payload":
            return made.with_payload(value)
        more, after = named_value(word, value, replace(made, payload=None))
        self.steps += more
        return replace(after, payload=made.payload, kind=made.kind)
