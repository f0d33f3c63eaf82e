"""Turns the keys of `flowrunner.yaml` into a page."""

from collections.abc import Iterator

from flowrunner.read import settings as read
from flowrunner.read.settings_kinds import Kind
from flowrunner.read.settings_maps import MapOf, Record

from .markdown import code, table

_WORDS = """
Settings for all flows of a folder stand in `flowrunner.yaml` beside them. All of it is optional, and all of it is read
again when it is saved. `NAME` is a name of your own. Texts may hold `${env.NAME}`, a variable of the environment, and
`${file("PATH")}`, the content of a file; what they insert is never shown.
"""


def pages() -> Iterator[tuple[str, str]]:
    """The page of the settings."""
    rows = ([code(key), prose, phrase] for key, prose, phrase in keys_of(read._FILE))  # noqa: SLF001 - the top of the file
    yield "settings.md", "\n".join(["# Settings\n", _WORDS, table(("key", "what it is for", "value"), rows)])


def keys_of(kind: Kind, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Every key below a kind of setting, with dots before it; its prose; and what may stand there."""
    kind = getattr(kind, "record", kind)
    if isinstance(kind, MapOf):
        yield from keys_of(kind.kind, f"{prefix}NAME.")
    elif isinstance(kind, Record):
        for key, setting in kind.settings.items():
            required = " (required)" if setting.is_required else ""
            yield f"{prefix}{key}", setting.prose + required, setting.kind.phrase
            yield from keys_of(setting.kind, f"{prefix}{key}.")
