"""Gives pytest an MQTT broker (the fixture `mqtt_broker`) and, where it is asked to, the tests in flow files.

Flow files are collected with `--flowrunner`, or below the folders of `flowrunner_paths` in the settings of pytest; an
ordinary run collects none.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # every pytest run on this machine loads this file: what it needs is imported when it is needed
    from flowrunner.broker import BrokerThread
    from flowrunner.read.load import Loaded
    from flowrunner.trial.case import Result
    from flowrunner.trial.suite import FlowTest, Suite

_ENDINGS = {".yaml", ".yml"}


@pytest.fixture
def mqtt_broker() -> "Iterator[BrokerThread]":
    """An empty MQTT broker on a free port of this machine: `mqtt_broker.host`, `.port`, `.url`, `.publish(...)`.

    It runs on a thread of its own, speaks MQTT 3.1.1 and 5, and ends with the test. For users, access lists or
    TLS start one yourself: `with flowrunner.broker.BrokerThread(passwords=...) as broker`.
    """
    from flowrunner.broker import BrokerThread

    with BrokerThread() as broker:
        yield broker


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare `--flowrunner` and `flowrunner_paths`."""
    group = parser.getgroup("flowrunner")
    group.addoption("--flowrunner", action="store_true", help="collect the tests in flow files, too")
    parser.addini("flowrunner_paths", "folders (or files) of flows whose tests are collected", type="paths", default=[])


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "FlowFile | None":
    """Collect a flow file or a file of tests, if that is wanted and it holds tests."""
    config = parent.config
    if file_path.suffix not in _ENDINGS:
        return None
    wanted = [Path(path) for path in config.getini("flowrunner_paths")]
    is_wanted = config.getoption("--flowrunner") or any(file_path.is_relative_to(path) for path in wanted)
    if not is_wanted or not _holds_tests(file_path):
        return None
    collector: FlowFile = FlowFile.from_parent(parent, path=file_path)
    return collector


def _holds_tests(path: Path) -> bool:
    """Whether a file looks like one with tests of flows: YAML files there are many."""
    from flowrunner.read.load import SETTINGS_FILE

    if path.name == SETTINGS_FILE:
        return False
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    keys = {line.strip().partition(":")[0] for line in lines}
    return "tests" in keys and ("steps" in keys or "flow" in keys)


class FlowFile(pytest.File):
    """A file with tests of flows."""

    def collect(self) -> "Iterable[FlowItem]":
        """One item for each test. Raises CollectError for mistakes in the file."""
        from flowrunner.diagnostics import render
        from flowrunner.trial.suite import Suite, all_tests

        loaded = self.load()
        mistakes = [found for found in loaded.diagnostics if found.severity == "error"]
        if mistakes:
            raise self.CollectError(render(mistakes))
        suite = Suite()
        names: dict[str, int] = {}
        for test in all_tests(loaded):
            name = f"{test.flow.name}: {test.case.title}"
            names[name] = names.get(name, 0) + 1
            name = name if names[name] == 1 else f"{name} ({names[name]})"
            yield FlowItem.from_parent(self, name=name, test=test, suite=suite)

    def load(self) -> "Loaded":
        """The flows and tests of this file; others that they call are looked for beside it, and below its settings."""
        from flowrunner.read.load import SETTINGS_FILE, load

        root = self.config.rootpath
        above = [folder for folder in self.path.parents if folder == root or folder.is_relative_to(root)]
        beside = next((folder for folder in above if (folder / SETTINGS_FILE).is_file()), self.path.parent)
        return load([self.path], allow=frozenset({"exec"}), beside=beside)


class FlowTestFailed(Exception):
    """A test of a flow failed."""

    def __init__(self, result: "Result") -> None:
        super().__init__(result.case.title)
        self.result = result


class FlowItem(pytest.Item):
    """One test of a flow."""

    def __init__(self, *, test: "FlowTest", suite: "Suite", **rest: object) -> None:
        super().__init__(**rest)  # type: ignore[arg-type]  # pytest's own
        self.test = test
        self.suite = suite

    def runtest(self) -> None:
        """Run it. Raises FlowTestFailed."""
        from flowrunner.trial.beside import Beside

        with Beside() as beside:
            result = self.suite.run_one(self.test, beside)
        if not result.is_passed:
            raise FlowTestFailed(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """What `flowrunner test` shows; the traceback where it is a mistake of ours."""
        if isinstance(excinfo.value, FlowTestFailed):
            from flowrunner.trial.show import show

            return show(excinfo.value.result).rstrip("\n")
        return str(super().repr_failure(excinfo, style))  # type: ignore[arg-type]

    def reportinfo(self) -> tuple[Path, int, str]:
        """File, line from 0, and name."""
        return self.path, self.test.case.span.line - 1, self.name
