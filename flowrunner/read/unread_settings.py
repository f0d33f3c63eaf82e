"""Turns settings that lie where nobody reads them into a warning that says where they belong."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from flowrunner.diagnostics import Diagnostic
from flowrunner.read.load import ENDINGS, SETTINGS_FILE, find_settings, is_hidden, shown_name
from flowrunner.read.test_files import is_test_file
from flowrunner.text import Source

#: What is looked at of a file, and how many folders beside the one that is read.
_MOST_BYTES = 65_536
_MOST_FOLDERS = 100

_OURS = re.compile(rb"^(?:\xef\xbb\xbf)?(connections|env|vars|publish_only|group|state)[ \t]*:(?=\s)", re.MULTILINE)
_OF_A_FLOW = re.compile(rb"^(?:\xef\xbb\xbf)?(subscribe|every|cron|at_start|flows)[ \t]*:(?=\s)", re.MULTILINE)


def unread_settings(paths: Sequence[Path]) -> list[Diagnostic]:
    """A warning for each `flowrunner.yaml` that lies beside the folder of the flows instead of in it. Raises nothing.

    None where settings were found, and none where the folder above holds flows of its own or in another folder: then
    the file is for whoever runs all of these.
    """
    if find_settings(paths) is not None:
        return []
    folders = dict.fromkeys(Path(os.path.realpath(path if path.is_dir() else path.parent)) for path in paths)
    found: list[Diagnostic] = []
    for folder in folders:
        beside = folder.parent / SETTINGS_FILE
        key = _first_of(_OURS, beside) if folder.parent not in folders else None
        if key is not None and not _is_home_of_others(folder.parent, folders):
            found.append(_warning(beside, folder, *key))
    return found


def _warning(beside: Path, folder: Path, line: int, key: str) -> Diagnostic:
    # nothing but the key is shown of the file: a password may stand behind it
    source = Source(shown_name(beside), "\n" * (line - 1) + f"{key}:")
    helps = [f"settings lie in the folder that is read: move the file to `{shown_name(folder / SETTINGS_FILE)}`"]
    if beside.parent.is_relative_to(here := Path.cwd()) and beside.parent != here:
        helps.append(f"or have the whole folder read: `{shown_name(beside.parent)}`")
    message = "these settings are not read: they lie beside the folder of the flows"
    span = source.span(line - 1, line - 1 + len(key))
    return Diagnostic("unread-settings", message, span, helps=tuple(helps), severity="warning")


def _is_home_of_others(parent: Path, folders: Iterable[Path]) -> bool:
    """Whether flows lie in a folder, or right below it in another one than these."""
    for place in (parent, *_folders_below(parent, set(folders))):
        if any(_first_of(_OF_A_FLOW, file) for file in _flow_files(place)):
            return True
    return False


def _folders_below(parent: Path, known: set[Path]) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            names = sorted(entry.name for entry in entries if not is_hidden(entry.name) and entry.is_dir())
    except OSError:
        return []
    return [parent / name for name in names[:_MOST_FOLDERS] if parent / name not in known]


def _flow_files(folder: Path) -> Iterator[Path]:
    try:
        names = sorted(file.name for file in folder.iterdir())
    except OSError:
        return
    for name in names[:_MOST_FOLDERS]:
        if name.endswith(ENDINGS) and name[0] != "." and name != SETTINGS_FILE and not is_test_file(name):
            yield folder / name


def _first_of(keys: re.Pattern[bytes], file: Path) -> tuple[int, str] | None:
    """The line of the first of these keys in a file, and the key; None where there is none, or it cannot be read."""
    try:
        if not file.is_file():  # one would wait for a pipe
            return None
        with file.open("rb") as opened:
            text = opened.read(_MOST_BYTES)
    except OSError:
        return None
    match = keys.search(text)
    return (text.count(b"\n", 0, match.start()) + 1, match[1].decode()) if match else None
