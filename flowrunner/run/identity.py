"""Gives every connection a client id that stays the same from one start to the next."""

import json
import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from flowrunner.run.file_locks import alone_in

FOLDER = ".flowrunner"
_FILE = "client-ids.json"


def client_id(connection: str, folder: Path | None) -> str:
    """The client id kept for a connection in `.flowrunner/` inside `folder`, made and kept if there is none.

    Where nothing can be written (or `folder` is None) it is a new one each time.
    """
    if folder is None:
        return _make()
    path = folder / FOLDER / _FILE
    if found := _read(path).get(connection):
        return found
    with alone_in(path.parent):  # workers of one folder begin at the same time
        known = _read(path)
        found = known.get(connection) or _make()
        if known.get(connection) != found:
            replace_file(path, json.dumps({**known, connection: found}, indent=2, sort_keys=True).encode())
        return found


def known_client_id(connection: str, folder: Path | None) -> str:
    """The client id that is kept for a connection, empty if there is none yet."""
    return "" if folder is None else _read(folder / FOLDER / _FILE).get(connection, "")


def _make() -> str:
    return f"flowrunner-{token_hex(4)}"


def _read(path: Path) -> dict[str, str]:
    try:
        known = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {name: value for name, value in known.items() if isinstance(value, str)}


def replace_file(path: Path, data: bytes) -> None:
    """Write a file in one step, readable for its owner only. Where nothing can be written, nothing is."""
    temporary = path.with_name(f"{path.name}.{token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
