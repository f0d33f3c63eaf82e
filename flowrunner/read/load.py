"""Turns paths into flows: finds the files, reads them all, and reports all that is wrong with any of them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.read.document import read_bytes
from flowrunner.read.flow import Flow, read_flows
from flowrunner.read.settings import Settings, read_settings
from flowrunner.step import Step
from flowrunner.text import Source, Span

SETTINGS_FILE = "flowrunner.yaml"
ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Loaded:
    """All flows that can run, the settings, and what is wrong with the others."""

    flows: tuple[Flow, ...]
    settings: Settings
    diagnostics: tuple[Diagnostic, ...]
    files: tuple[Path, ...] = ()


@dataclass(slots=True)
class _Gathered:
    flows: dict[str, Flow] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def load(
    paths: Sequence[Path],
    *,
    steps: Mapping[str, type[Step]] | None = None,
    environment: Mapping[str, str] | None = None,
    url: str | None = None,
) -> Loaded:
    """Read flow files and folders of them. Raises FileNotFoundError where a path does not exist.

    Settings come from the first `flowrunner.yaml`; `url` (of `--broker`) replaces that of the default connection.
    """
    if steps is None:
        from flowrunner.steps import all_steps

        steps = all_steps()
    settings, mistakes = read_settings(
        find_settings(paths), environment=os.environ if environment is None else environment, url=url
    )
    gathered = _Gathered(diagnostics=list(mistakes))
    files = tuple(dict.fromkeys(file for path in paths for file in find_files(path)))
    for file in files:
        load_file(file, settings, steps, gathered)
    return Loaded(tuple(gathered.flows.values()), settings, tuple(gathered.diagnostics), files)


def load_file(file: Path, settings: Settings, steps: Mapping[str, type[Step]], gathered: _Gathered) -> None:
    """Read one file; a flow whose name is taken is reported and left out."""
    name = shown_name(file)
    try:
        source, mistakes = read_bytes(name, file.read_bytes())
    except OSError as error:
        empty = Source(name, "")
        message = f"the file cannot be read: {(error.strerror or 'unknown reason').lower()}"
        gathered.diagnostics.append(Diagnostic("unreadable-file", message, empty.span(0, 0)))
        return
    gathered.diagnostics += mistakes
    if source is None:
        return
    flows, found = read_flows(source, name=file.stem, folder=file.parent, settings=settings, steps=steps)
    gathered.diagnostics += found
    for flow in flows:
        if (known := gathered.flows.setdefault(flow.name, flow)) is not flow:
            gathered.diagnostics.append(_same_name(flow, known))


def _same_name(flow: Flow, known: Flow) -> Diagnostic:
    message = f"there are two flows with the name `{flow.name}`"
    helps = (
        f"the other one is in {known.source.name}:{known.span.line}",
        "rename the file, or the entry below `flows:`",
    )
    labels = (Label(_head(known), "the first one"),) if known.source is flow.source else ()
    return Diagnostic("duplicate-flow", message, _head(flow), labels=labels, helps=helps)


def _head(flow: Flow) -> Span:
    return flow.span.first_line()


def shown_name(file: Path) -> str:
    """The path as people would write it: relative to where they stand, if it lies below."""
    try:
        return file.resolve().relative_to(Path.cwd().resolve()).as_posix()
    except ValueError:
        return file.as_posix()


def find_settings(paths: Sequence[Path]) -> Path | None:
    """The settings file of the first folder (or of the first file's folder) that has one."""
    for path in paths:
        folder = path if path.is_dir() else path.parent
        if (found := folder / SETTINGS_FILE).is_file():
            return found
    return None


def find_files(path: Path) -> Iterator[Path]:
    """The flow files of a path, sorted: itself, or those in a folder and below, without hidden ones and settings."""
    if not path.exists():
        raise FileNotFoundError(path)
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        for name in sorted(names):
            if name.endswith(ENDINGS) and not name.startswith(".") and name != SETTINGS_FILE:
                yield Path(folder) / name
