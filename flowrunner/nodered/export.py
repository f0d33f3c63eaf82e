"""Turns the JSON of a Node-RED export into nodes with wires."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

LARGEST = 50_000_000
"""Characters of an export; the largest that people share have a few million."""

_DEEPEST = 60
_MOST_NODES = 20_000
_MOST_EXACT = 2**53
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")


class BadExport(ValueError):
    """A file is no export of Node-RED; `help` is what to do instead, or empty."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.help = help


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A node as Node-RED has it: `tab` is the tab or subflow it stands in, `wires` go from each output to ids."""

    id: str
    type: str
    tab: str
    fields: Mapping[str, Any]
    wires: tuple[tuple[str, ...], ...]

    @property
    def name(self) -> str:
        """What its author called it, or nothing."""
        return (self.text("name") or self.text("label")).strip()

    @property
    def is_disabled(self) -> bool:
        """Whether it was switched off."""
        return self.fields.get("d") is True or self.flag("disabled")

    def text(self, key: str, default: str = "") -> str:
        """A field as a text; numbers and bools as JavaScript writes them."""
        return as_text(self.fields.get(key), default)

    def number(self, key: str, default: float) -> float:
        """A field as a number."""
        return as_number(self.fields.get(key), default)

    def flag(self, key: str) -> bool:
        """Whether a field is true, also as a text."""
        return self.fields.get(key) in (True, "true")

    def maps(self, key: str) -> list[Mapping[str, Any]]:
        """The maps of a list."""
        return [item for item in self.list(key) if isinstance(item, dict)]

    def texts(self, key: str) -> list[str]:
        """The texts of a list."""
        return [item for item in self.list(key) if isinstance(item, str)]

    def list(self, key: str) -> list[Any]:
        """A field that is a list, else an empty one."""
        found = self.fields.get(key)
        return found if isinstance(found, list) else []


@dataclass(frozen=True, slots=True, eq=False)
class Export:
    """All nodes by id, in the order of the file; `children` are those of a tab or subflow."""

    nodes: Mapping[str, Node]
    tabs: tuple[Node, ...]
    subflows: Mapping[str, Node]
    children: Mapping[str, tuple[Node, ...]] = field(repr=False)

    def of_type(self, type: str) -> Iterator[Node]:
        """All nodes of a type."""
        return (node for node in self.nodes.values() if node.type == type)


def read_export(text: str) -> Export:
    """The nodes of an export. Raises BadExport for what is none."""
    if len(text) > LARGEST:
        raise BadExport("the file is too large for an export of Node-RED")
    try:
        text = text.removeprefix("\ufeff")
        found = json.loads(text, parse_constant=_no_number, parse_int=_whole, parse_float=_finite)
    except json.JSONDecodeError as error:
        message = f"the file is not JSON: line {error.lineno}, column {error.colno}: {error.msg.lower()}"
        raise BadExport(message, "in Node-RED: menu, Export, all flows, Download") from None
    except (ValueError, RecursionError):
        raise BadExport("the file is not JSON that Node-RED could read") from None
    if isinstance(found, dict) and isinstance(found.get("flows"), list):
        found = found["flows"]
    if isinstance(found, dict) and isinstance(found.get("type"), str):
        found = [found]
    if not isinstance(found, list):
        what = "a map" if isinstance(found, dict) else "a single value"
        raise BadExport(f"an export of Node-RED is a list of nodes, this is {what}", _HELP)
    entries = [_clean(item, _DEEPEST) for item in found if isinstance(item, dict) and isinstance(item.get("type"), str)]
    if not entries:
        raise BadExport("the file holds no node of Node-RED", _HELP)
    if len(entries) > _MOST_NODES:
        raise BadExport(f"the file holds more than {_MOST_NODES} nodes")
    return _arrange([_node(entry, place) for place, entry in enumerate(entries)])


_HELP = "in Node-RED: menu, Export, all flows, Download"


def _arrange(nodes: list[Node]) -> Export:
    by_id: dict[str, Node] = {}
    for node in nodes:
        by_id.setdefault(node.id, node)
    tabs = [node for node in by_id.values() if node.type == "tab"]
    subflows = {node.id: node for node in by_id.values() if node.type == "subflow"}
    known = {tab.id for tab in tabs} | set(subflows)
    for node in list(by_id.values()):
        if node.tab and node.tab not in known and node.type not in ("group", "tab", "subflow"):
            known.add(node.tab)
            tabs.append(Node(node.tab, "tab", "", {"label": "flows"}, ()))
    children: dict[str, list[Node]] = {}
    for node in by_id.values():
        children.setdefault(node.tab, []).append(node)
    arranged = {tab: tuple(found) for tab, found in children.items()}
    return Export(by_id, tuple(tabs), subflows, arranged)


def _node(entry: dict[str, Any], place: int) -> Node:
    wires = entry.get("wires")
    ways = [port if isinstance(port, list) else [] for port in wires] if isinstance(wires, list) else []
    cleaned = tuple(tuple(target for target in port if isinstance(target, str)) for port in ways)
    return Node(as_text(entry.get("id")) or f"#{place}", entry["type"], as_text(entry.get("z")), entry, cleaned)


def _clean(value: Any, depth: int) -> Any:
    """Without what no file can hold, and not endlessly deep."""
    if depth == 0:
        raise BadExport("the file is nested too deep for an export of Node-RED")
    if isinstance(value, str):
        return _UNSEEN.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_clean(key, depth): _clean(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, depth - 1) for item in value]
    return value


def _no_number(word: str) -> Any:
    raise ValueError(word)


def _whole(digits: str) -> int | float:
    if len(digits) > 20 or abs(int(digits)) > _MOST_EXACT:
        return _finite(digits)
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else 0.0


def as_text(value: Any, default: str = "") -> str:
    """A value as a text; maps and lists are none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return plain_number(value) if isinstance(value, int | float) else default


def as_number(value: Any, default: float) -> float:
    """A value as a finite number, also from a text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return default
    try:
        found = float(value)
    except ValueError:
        return default
    return tidy(found) if math.isfinite(found) and abs(found) < 1e15 else default


def tidy(number: float) -> float:
    """The number, whole where it has no fraction."""
    return int(number) if number == int(number) else number


def plain_number(number: float) -> str:
    """A number as JavaScript writes it: without `.0`."""
    return str(tidy(number))
