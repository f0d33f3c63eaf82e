"""Turns files that are saved into the tests that depend on them."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from pathlib import Path

from flowrunner.read.contents import Places
from flowrunner.read.load import SETTINGS_FILE, Loaded
from flowrunner.trial.suite import FlowTest, all_tests, files_of, flows_in


class Watching:
    """Reads the files anew at each change, and finds the tests that it touches.

    `load` reads the paths; it raises FileNotFoundError where one is gone, which is then waited for. `places` says what
    is to be watched for the next change.
    """

    def __init__(self, paths: Sequence[Path], load: Callable[[], Loaded]) -> None:
        self._folders = tuple(path for path in paths if path.is_dir())
        self._files = tuple(path for path in paths if not path.is_dir())
        self._load = load
        self.places = self._places(())

    async def turns(self, changes: AsyncIterator[Collection[Path]]) -> AsyncIterator[tuple[Loaded, list[FlowTest]]]:
        """What was read, and the tests to be run: all where anything may have changed, else those that are touched."""
        async for touched in changes:
            try:
                loaded = self._load()
            except FileNotFoundError:
                continue
            self.places = self._places(_files(loaded))
            changed = {path.resolve() for path in touched}
            is_all = not touched or any(path.name == SETTINGS_FILE for path in touched)
            yield loaded, [test for test in all_tests(loaded) if is_all or _depends(test, changed)]

    def _places(self, files: Collection[Path]) -> Places:
        beside = {*self._folders, *(path.parent for path in self._files)}
        settings = {folder / SETTINGS_FILE for folder in beside}
        return Places(self._folders, frozenset({*files, *self._files, *settings}))


def _files(loaded: Loaded) -> set[Path]:
    """All files that were read."""
    flows = [path for flow in flows_in(loaded) for path in files_of(flow)]
    return {*loaded.files, *loaded.test_files, *loaded.settings.files, *flows}


def _depends(test: FlowTest, changed: Collection[Path]) -> bool:
    return any(path.resolve() in changed for path in test.files)
