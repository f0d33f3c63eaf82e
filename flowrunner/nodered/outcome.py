"""Turns what became of each node of an export into rows that tell: done, approximated, not done."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flowrunner.nodered.export import Export, Node

DONE, APPROXIMATED, NOT_DONE = "done", "approximated", "not done"
_RANK = {DONE: 0, APPROXIMATED: 1, NOT_DONE: 2}


@dataclass(slots=True)
class Outcome:
    """What became of a node: `notes` say how it differs, or what is left to do; `flows` are where it is now."""

    result: str = DONE
    notes: list[str] = field(default_factory=list)
    flows: list[str] = field(default_factory=list)

    def as_json(self, node: Node, tab: str) -> dict[str, Any]:
        """For programs."""
        about = {"id": node.id, "type": node.type, "name": node.name, "tab": tab}
        return {**about, "result": self.result, "notes": self.notes, "flows": self.flows}


class Outcomes:
    """Gathers what became of each node; the worst counts where a node was translated several times."""

    def __init__(self) -> None:
        self.found: dict[str, Outcome] = {}

    def has(self, node: Node) -> bool:
        """Whether anything was said of a node."""
        return node.id in self.found

    def done(self, node: Node, flow: str = "", *, note: str = "") -> None:
        """It does what it did."""
        self._add(node, DONE, note, flow)

    def approximated(self, node: Node, how: str, flow: str = "") -> None:
        """It does nearly what it did."""
        self._add(node, APPROXIMATED, how, flow)

    def not_done(self, node: Node, why: str, flow: str = "") -> None:
        """It is left to do."""
        self._add(node, NOT_DONE, why, flow)

    def _add(self, node: Node, result: str, note: str, flow: str) -> None:
        outcome = self.found.setdefault(node.id, Outcome())
        if _RANK[result] > _RANK[outcome.result]:
            outcome.result = result
        if note and note not in outcome.notes:
            outcome.notes.append(note)
        if flow and flow not in outcome.flows:
            outcome.flows.append(flow)

    def rows(self, export: Export) -> Iterator[tuple[Node, str, Outcome]]:
        """Every node in the order of the export, with the name of its tab and what became of it."""
        for node in export.nodes.values():
            home = export.nodes.get(node.tab)
            tab = home.name if home is not None else ""
            yield node, tab, self.found.get(node.id) or Outcome(NOT_DONE, ["nothing leads to it"])
