"""Turns flows into the files of a folder: one for each tab, its Python beside it, and `flowrunner.yaml`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flowrunner.nodered.export import Export, Node
from flowrunner.nodered.layout import Steps, comment, entry, scalar
from flowrunner.nodered.stubs import Stubs
from flowrunner.nodered.values import escaped

_LONGEST_DESCRIPTION = 100


@dataclass(slots=True)
class Made:
    """A flow that is written: its sources, its steps, what happens on errors, and remarks above it."""

    name: str
    sources: Mapping[str, Any]
    steps: Steps
    on_error: Steps = field(default_factory=list)
    is_enabled: bool = True
    remarks: list[str] = field(default_factory=list)
    constants: Mapping[str, Any] = field(default_factory=dict)

    def lines(self, indent: int = 0, *, description: str = "") -> list[str]:
        """The flow in YAML."""
        found: list[str] = []
        for remark in self.remarks:
            found += comment(remark, indent)
        if description:
            found += entry("description", description, indent)
        if not self.is_enabled:
            found += entry("enabled", False, indent)
        for key, value in self.sources.items():
            found += entry(key, value, indent)
        if self.constants:
            found += entry("vars", escaped(dict(self.constants)), indent)
        found += entry("steps", self.steps, indent)
        if self.on_error:
            found += entry("on_error", self.on_error, indent)
        return found

    def text(self, others: Sequence["Made"] = ()) -> str:
        """The flow alone in a file, or with others that it calls."""
        if not others:
            return "\n".join(self.lines()) + "\n"
        found = [line for flow in [self, *others] for line in [f"  {scalar(flow.name)}:", *flow.lines(4)]]
        return "\n".join(["flows:", *found]) + "\n"


@dataclass(slots=True)
class TabFile:
    """What is written for a tab."""

    tab: Node
    stem: str
    stubs: Stubs
    flows: list[Made] = field(default_factory=list)

    def text(self, export: Export) -> str:
        """The flow file; one flow stands alone in it, several below `flows:`."""
        info = self.tab.text("info").strip()
        description = info if "\n" not in info and len(info) <= _LONGEST_DESCRIPTION else ""
        lines = list(comment(f"Imported from Node-RED, tab {self.tab.name or 'without a name'}."))
        if info and not description:
            lines += ["#", *comment(info)]
        for node in export.children.get(self.tab.id, ()):
            if node.type == "comment" and (node.name or node.text("info")):
                lines += ["#", *comment(node.name), *comment(node.text("info"))]
        if len(self.flows) == 1 and self.flows[0].name == self.stem:
            return "\n".join([*lines, *self.flows[0].lines(description=description)]) + "\n"
        lines += entry("description", description) if description else []
        lines.append("flows:")
        for place, flow in enumerate(self.flows):
            lines += [""] if place else []
            lines += [f"  {scalar(flow.name)}:", *flow.lines(4)]
        return "\n".join(lines) + "\n"
