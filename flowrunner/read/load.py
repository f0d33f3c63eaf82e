"""Turns paths into flows: finds the files, reads them all, and reports all that is wrong with any of them."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.plugins import as_diagnostic
from flowrunner.read.calls import FileIndex
from flowrunner.read.document import read_bytes
from flowrunner.read.flow import Flow, FlowFile, never_called, read_flow_file
from flowrunner.read.settings import Settings, read_settings
from flowrunner.read.test_files import Tested, TestFiles, is_test_file
from flowrunner.records import dataclass
from flowrunner.step import Step
from flowrunner.text import Source, Span

SETTINGS_FILE = "flowrunner.yaml"
ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Loaded:
    """All flows that can run, the settings, and what is wrong with the others.

    `tests` are the cases of `*.test.yaml` files, `test_files` the paths of these; the flows have cases of their own.
    """

    flows: tuple[Flow, ...]
    settings: Settings
    diagnostics: tuple[Diagnostic, ...]
    files: tuple[Path, ...] = ()
    tests: tuple[Tested, ...] = ()
    test_files: tuple[Path, ...] = ()


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
    allow: frozenset[str] | None = frozenset(),
    beside: Path | None = None,
) -> Loaded:
    """Read flow files and folders of them. Raises FileNotFoundError where a path does not exist.

    Settings come from the first `flowrunner.yaml`; `url` (of `--broker`) replaces that of the default connection.
    `allow` is what flows may do that is dangerous (`exec`); None is for reading them only, and warns. In the folder
    `beside` are settings that hold for the paths, and flows that they may call.
    """
    broken: list[Diagnostic] = []
    if steps is None:
        from flowrunner.steps import all_steps, plugin_errors

        steps = all_steps()
        broken = [as_diagnostic(error) for error in plugin_errors()]
    settings, mistakes = read_settings(
        find_settings([*paths, *([beside] if beside else [])]),
        environment=os.environ if environment is None else environment,
        url=url,
    )
    settings = replace(settings, allow=allow)
    gathered = _Gathered(diagnostics=[*broken, *mistakes])
    files = tuple(dict.fromkeys(file for path in paths for file in find_files(path)))
    index = FileIndex(lambda: (*files, *(find_files(beside) if beside else ())), shown_name)
    read = {file: load_file(file, settings, steps, gathered, index) for file in files}
    if beside is None:  # else there are callers that nobody looks at
        gathered.diagnostics += never_called(file for file in read.values() if file is not None)
    flows, test_files = tuple(gathered.flows.values()), tuple(dict.fromkeys(find_tests(paths)))

    def open_file(path: Path) -> FlowFile | None:
        known = next((file for file in read if file.resolve() == path.resolve()), path)
        if known not in read:
            read[known] = load_file(known, settings, steps, gathered, index)
        return read[known]

    tests = load_tests(test_files, read, gathered, open_file) if test_files else ()
    return Loaded(flows, settings, tuple(gathered.diagnostics), files, tests, test_files)


def load_tests(
    files: Sequence[Path],
    read: Mapping[Path, FlowFile | None],
    gathered: _Gathered,
    open_file: Callable[[Path], FlowFile | None],
) -> tuple[Tested, ...]:
    """Read the files of tests; `open_file` reads a flow file that was not among the others."""
    known = [file for file in read.values() if file is not None]
    broken = {name for file in known for name in file.names or ()} - {*gathered.flows}
    silent = {name for file in known for name in file.without_source}
    reader = TestFiles(dict(gathered.flows), open_file, broken=broken, silent=silent)
    found = [tested for path in files for tested in [load_test(path, reader, gathered)] if tested is not None]
    gathered.diagnostics += reader.report.diagnostics
    return tuple(found)


def load_test(path: Path, reader: TestFiles, gathered: _Gathered) -> Tested | None:
    """Read one file of tests."""
    name = shown_name(path)
    try:
        source, mistakes = read_bytes(name, path.read_bytes())
    except OSError as error:
        gathered.diagnostics.append(unreadable(name, error))
        return None
    gathered.diagnostics += mistakes
    return None if source is None else reader.read(source, path)


def load_file(
    file: Path, settings: Settings, steps: Mapping[str, type[Step]], gathered: _Gathered, index: FileIndex
) -> FlowFile | None:
    """Read one file; a flow whose name is taken is reported and left out."""
    name = shown_name(file)
    try:
        source, mistakes = read_bytes(name, file.read_bytes())
    except OSError as error:
        gathered.diagnostics.append(unreadable(name, error))
        return None
    gathered.diagnostics += mistakes
    if source is None:
        return None
    found = read_flow_file(source, name=file.stem, folder=file.parent, settings=settings, steps=steps, index=index)
    gathered.diagnostics += found.diagnostics
    for flow in found.flows:
        if (known := gathered.flows.setdefault(flow.name, flow)) is not flow:
            gathered.diagnostics.append(same_name(flow, known))
    return found


def unreadable(name: str, error: OSError) -> Diagnostic:
    """The mistake in a file that the system does not let us read."""
    message = f"the file cannot be read: {(error.strerror or 'unknown reason').lower()}"
    return Diagnostic("unreadable-file", message, Source(name, "").span(0, 0))


def same_name(flow: Flow, known: Flow) -> Diagnostic:
    """The mistake in a flow whose name another one has."""
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
    here = Path.cwd()
    for path in (Path(os.path.abspath(file)), file.resolve()):  # noqa: PTH100 - a link is shown as it is written
        if path.is_relative_to(here):
            return path.relative_to(here).as_posix()
    return file.as_posix()


def find_settings(paths: Sequence[Path]) -> Path | None:
    """The settings file of the first folder (or of the first file's folder) that has one."""
    for path in paths:
        folder = path if path.is_dir() else path.parent
        if (found := folder / SETTINGS_FILE).is_file():
            return found
    return None


def _identity(folder: str) -> set[tuple[int, int]]:
    try:
        status = os.stat(folder)  # noqa: PTH116 - for each of perhaps thousands
    except OSError:
        return set()
    return {(status.st_dev, status.st_ino)}


def find_files(path: Path) -> Iterator[Path]:
    """The flow files of a path, sorted: itself, or those in a folder and below, without hidden ones and settings."""
    if not path.exists():
        raise FileNotFoundError(path)
    yield from map(Path, find_names(path))


def find_names(path: Path) -> Iterator[str]:
    """The same as texts, of which there may be thousands."""
    if not path.is_dir():
        if not is_test_file(path):
            yield str(path)
        return
    for folder, names in walk_folders(path):
        for name in sorted(names):
            if name.endswith(ENDINGS) and not name.startswith(".") and name != SETTINGS_FILE and not is_test_file(name):
                yield os.path.join(folder, name)  # noqa: PTH118 - ten times as fast


def find_tests(paths: Sequence[Path]) -> Iterator[Path]:
    """The files of tests of some paths, sorted within each."""
    for path in paths:
        if path.is_dir():
            for folder, names in walk_folders(path):
                yield from (Path(folder, name) for name in sorted(names) if is_test_file(name) and name[0] != ".")
        elif is_test_file(path):
            yield path


def walk_folders(path: Path) -> Iterator[tuple[str, list[str]]]:
    """A folder and those below it that may hold flows, each once and with the names in it; links are followed."""
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(path, followlinks=True):
        known = len(seen)
        seen |= _identity(folder)
        if len(seen) == known:  # gone already, or a link to a folder that was here before, perhaps around it
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield folder, names


def is_hidden(name: str) -> bool:
    """Whether nothing is looked for in a folder of this name."""
    return name.startswith(".") or name == "__pycache__"
