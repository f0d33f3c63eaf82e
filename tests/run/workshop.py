"""A folder of flows that a real runner follows, against a real broker."""

import textwrap
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from flowrunner.clock import Clock
from flowrunner.compile import Program, compile_flow
from flowrunner.connections import ConnectionSettings
from flowrunner.read.library import Library
from flowrunner.run.following import Edits, Following
from flowrunner.run.live import LiveFlow
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from tests.run.fakes import Told, quick_backoff, ready, until


def plain(text: str) -> str:
    """A text of a test without its indentation."""
    return textwrap.dedent(text).lstrip("\n")


def copy(stamp: str, source: str = "in", *, out_qos: int = 1) -> str:
    """A flow that says which version of it a message has met."""
    return plain(f"""
        subscribe: {{topic: {source}, qos: 1}}
        steps:
          - decode: utf-8
          - publish: {{topic: out/{stamp}, qos: {out_qos}}}
    """)


@dataclass
class Workshop:
    """Flow files, and what runs of them."""

    folder: Path
    library: Library[Program]
    runner: Runner
    following: Following
    told: Told

    def save(self, name: str, text: str) -> None:
        """Write a file as an editor does that takes no care."""
        (self.folder / name).write_text(plain(text))

    async def runs(self, name: str, text: str) -> LiveFlow:
        """Wait until a flow runs that comes from this text."""
        text = plain(text)
        await until(lambda: name in self.runner.flows and self._text(name) == text, what=self.told)
        return self.runner.flows[name]

    async def edit(self, file: str, text: str, *, by: Callable[[Path, str], None] | None = None) -> LiveFlow:
        """Save a flow file, and wait until the flow of its name runs so."""
        if by is None:
            self.save(file, text)
        else:
            by(self.folder / file, plain(text))
        return await self.runs(Path(file).stem, text)

    async def says(self, words: str, count: int = 1) -> None:
        """Wait for a line."""
        await until(lambda: self.told.count(words) >= count, what=f"{words!r} never came:\n{self.told.text}")

    def _text(self, name: str) -> str:
        program = self.runner.flows[name].program
        assert isinstance(program, Program)
        return program.flow.source.text


@asynccontextmanager
async def workshop(
    folder: Path,
    settings: ConnectionSettings,
    files: Mapping[str, str],
    *,
    is_watched: bool = True,
    clock: Clock | None = None,
    session: str = "",
    is_ready: bool = True,
) -> AsyncIterator[Workshop]:
    """What `flowrunner run` does with a folder that holds these files."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(plain(text))
    (folder / "flowrunner.yaml").write_text(settings_file(settings, session))
    library: Library[Program] = Library([folder], compile_flow, environment={})
    contents = library.refresh()
    told = Told()
    report = Report(told.lines.append)
    runner = Runner(contents.settings.connections, report, folder=folder, clock=clock, backoff=quick_backoff)
    following: Following | None = None
    try:
        runner.regroup(contents.settings.group)
        await runner.apply(version.program for version in contents.versions.values() if version.flow.is_enabled)
        if is_ready:
            await ready(runner, told)
        following = Following(Edits(library, [folder], folder, is_watched=is_watched), runner, report)
        yield Workshop(folder, library, runner, following, told)
    finally:
        if following is not None:
            await following.aclose()
        await runner.close()


def settings_file(settings: ConnectionSettings, more: str = "") -> str:
    """The text of a `flowrunner.yaml` for a connection."""
    head = f"connections:\n  default:\n    url: mqtt://{settings.host}:{settings.port}\n"
    return f"{head}    protocol: '{settings.protocol}'\n{more}"
