"""Turns what a library holds and what runs into cards: one a flow, with its picture, its state, and what is wrong."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flowrunner.compile import Program
from flowrunner.diagnostics import Diagnostic, as_json
from flowrunner.frame import draw as draw_frame
from flowrunner.read.contents import Contents, Version
from flowrunner.read.flow import Flow
from flowrunner.read.load import SETTINGS_FILE, shown_name
from flowrunner.run.shown import ShownFlow
from flowrunner.web.joins import find_joins
from flowrunner.web.picture import draw

#: Diagnostics of one file that are shown, frames and all.
_MOST_FRAMES = 10

Card = dict[str, Any]


class Cards:
    """Makes the cards, and remembers the pictures of flows that are the same as before."""

    def __init__(self) -> None:
        self._pictures: dict[int, tuple[Flow, Card]] = {}

    def make(self, contents: Contents[Program], running: Mapping[str, ShownFlow]) -> dict[str, Any]:
        """All cards, what joins them, and the mistakes that belong to no flow (`settings`)."""
        errors = _by_file(contents.diagnostics)
        cards = [self.card(version, running.get(name), errors) for name, version in contents.versions.items()]
        shown = {card["file"] for card in cards}
        broken = {file: found for file, found in errors.items() if file not in shown and not _is_settings(file)}
        cards += [_broken(file, found) for file, found in broken.items()]
        cards.sort(key=lambda card: (card["file"], card["line"]))
        flows = [flow for live in running.values() if isinstance(flow := live.program.flow, Flow)]
        self._forget(flows + [version.flow for version in contents.versions.values()])
        return {
            "cards": cards,
            "joins": [asdict(join) for join in find_joins(flows)],
            "settings": [frame for file, found in errors.items() if _is_settings(file) for frame in found],
        }

    def card(self, version: Version[Program], live: ShownFlow | None, errors: Mapping[str, list[Card]]) -> Card:
        """The card of one flow."""
        flow = version.flow
        if live is not None and isinstance(live.program.flow, Flow):
            flow = live.program.flow
        file = shown_name(version.file)
        status = "stale" if version.is_stale else "running" if live is not None else "off"
        return {
            "name": flow.name,
            "file": file,
            "line": flow.span.line,
            "description": flow.description,
            "status": status,
            "since": version.since,
            "tests": len(flow.tests),
            "picture": self.picture(flow),
            "frames": errors.get(file, []) if version.is_stale else [],
        }

    def picture(self, flow: Flow) -> Card:
        """The picture of a flow."""
        if id(flow) not in self._pictures:
            self._pictures[id(flow)] = (flow, draw(flow))  # with the flow, so that no other one gets its id
        return self._pictures[id(flow)][1]

    def _forget(self, flows: Iterable[Flow]) -> None:
        known = {id(flow) for flow in flows}
        self._pictures = {key: value for key, value in self._pictures.items() if key in known}


def show_diagnostic(diagnostic: Diagnostic) -> Card:
    """A diagnostic with its frame as text, for a page that puts it in as text.

    Lines of the settings are not shown: a password may stand there, and many may look at a page.
    """
    is_secret = _is_settings(diagnostic.span.source.name)
    return {**as_json(diagnostic), "frame": _without_lines(diagnostic) if is_secret else draw_frame(diagnostic)}


def _without_lines(diagnostic: Diagnostic) -> str:
    span = diagnostic.span
    head = f"{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}"
    helps = [f"help: {text}" for text in diagnostic.helps]
    return "\n".join([head, f" --> {span.source.name}:{span.line}:{span.column}", *helps, ""])


def _by_file(diagnostics: Iterable[Diagnostic]) -> dict[str, list[Card]]:
    found: dict[str, list[Card]] = {}
    for diagnostic in sorted(diagnostics, key=lambda one: one.sort_key):
        if diagnostic.severity == "error":
            shown = found.setdefault(diagnostic.span.source.name, [])
            if len(shown) < _MOST_FRAMES:
                shown.append(show_diagnostic(diagnostic))
    return found


def _broken(file: str, frames: list[Card]) -> Card:
    """The card of a file of which nothing runs."""
    return {
        "name": Path(file).stem,
        "file": file,
        "line": 1,
        "description": "",
        "status": "broken",
        "since": None,
        "tests": 0,
        "picture": None,
        "frames": frames,
    }


def _is_settings(file: str) -> bool:
    return Path(file).name == SETTINGS_FILE
