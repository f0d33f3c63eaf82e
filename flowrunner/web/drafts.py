"""Turns the text of an editor into what is wrong with it, and what the last messages would become with it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowrunner.compile import Program, compile_flow
from flowrunner.diagnostics import Diagnostic, as_json
from flowrunner.errors import FlowError
from flowrunner.read.calls import FileIndex
from flowrunner.read.contents import Contents
from flowrunner.read.flow import Flow, read_flow_file
from flowrunner.read.load import shown_name
from flowrunner.run.previews import Pair, compare, text_of
from flowrunner.run.recent import Arrived
from flowrunner.run.shown import Remembers, Shows
from flowrunner.steps import all_steps
from flowrunner.text import Source
from flowrunner.web.payloads import show

#: Bytes of a text that is looked at as somebody types, diagnostics that are told, messages and effects that are shown.
MOST = 262_144
_MOST_DIAGNOSTICS = 50
_MOST_MESSAGES = 20
_MOST_EFFECTS = 6


@dataclass(frozen=True, slots=True)
class _Checked:
    diagnostics: Sequence[Diagnostic]
    programs: Sequence[Program]


async def check_draft(
    text: str, path: Path, *, contents: Contents[Program], files: Sequence[Path], runs: Shows, recent: Remembers | None
) -> dict[str, Any]:
    """The diagnostics of a text that is not saved, and what the last messages of its flows would become.

    Reading it is done beside the loop: somebody types, and messages go on.
    """
    if len(text) > MOST:
        return {"diagnostics": [], "previews": [], "note": "the text is too large to be looked at as you type"}
    checked = await asyncio.to_thread(_check, text, path, contents, files)
    found = sorted(set(checked.diagnostics), key=lambda one: one.sort_key)[:_MOST_DIAGNOSTICS]
    previews = [preview for program in checked.programs if (preview := await _preview(program, contents, runs, recent))]
    return {"diagnostics": [as_json(one) for one in found], "previews": previews}


def _check(text: str, path: Path, contents: Contents[Program], files: Sequence[Path]) -> _Checked:
    steps = all_steps()
    file = read_flow_file(
        Source(shown_name(path), text),
        name=path.stem,
        folder=path.parent,
        settings=contents.settings,
        steps=steps,
        index=FileIndex(lambda: files, shown_name),
    )
    diagnostics = list(file.diagnostics)
    programs: list[Program] = []
    for flow in file.flows:
        try:
            programs.append(_compiled(flow))
        except FlowError as error:
            diagnostics += error.diagnostics
    return _Checked(diagnostics, programs)


def _compiled(flow: Flow) -> Program:
    return compile_flow(flow)


async def _preview(
    program: Program, contents: Contents[Program], runs: Shows, recent: Remembers | None
) -> dict[str, Any] | None:
    """What the last messages of a flow would become, beside what they became; None where there are none."""
    name = program.flow.name
    known = contents.versions.get(name)
    arrived = (await recent.last(name))[-_MOST_MESSAGES:] if recent is not None else ()
    if not arrived:
        return None
    clock = runs.clock
    old = known.program if known is not None else program
    preview = compare(old, program, arrived, until=clock.time(), now=clock.now())
    return {
        "flow": name,
        "messages": preview.messages,
        "differing": sum(not pair.is_same for pair in preview.pairs),
        "pairs": [_show_pair(pair) for pair in preview.pairs],
    }


def _show_pair(pair: Pair) -> dict[str, Any]:
    return {
        "given": _show_given(pair.arrived) if pair.arrived is not None else None,
        "before": [text_of(effect) for effect in pair.old[:_MOST_EFFECTS]],
        "after": [text_of(effect) for effect in pair.new[:_MOST_EFFECTS]],
        "is_same": pair.is_same,
    }


def _show_given(arrived: Arrived) -> dict[str, Any]:
    return {"topic": arrived.topic, "payload": show(arrived.payload)["text"][:400]}
