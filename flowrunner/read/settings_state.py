"""Turns the setting `state` into the address of a Redis, or into diagnostics."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flowrunner.address import BadAddress
from flowrunner.diagnostics import Diagnostic
from flowrunner.read.nodes import Node
from flowrunner.read.settings_kinds import Kind, Place, bad_address
from flowrunner.records import dataclass
from flowrunner.remote.address import FILES, StateSettings, parse_state


@dataclass(frozen=True, slots=True)
class StateAddress(Kind):
    """The address of a Redis."""

    phrase: str = "an address such as `redis://localhost:6379/0`"

    def schema(self) -> dict[str, Any]:
        """A text."""
        return {"type": "string", "examples": ["redis://localhost:6379/0", "unix:///run/redis/redis.sock"]}

    def read(self, node: Node, place: Place) -> StateSettings:
        """Where the Redis is."""
        filled = place.fill(node, self.phrase)
        try:
            found = parse_state(filled.text)
        except BadAddress as bad:
            raise place.report.refuse(bad_address(bad, filled.passage.span(bad.start, bad.end))) from None
        if find_spec("redis") is None:
            message = f"`{place.key}` needs a package that is not installed"
            helps = ("install it: `pip install 'flowrunner[redis]'`",)
            raise place.report.refuse(Diagnostic("missing-extra", message, node.span.first_line(), helps=helps))
        return self.with_files(found, node, place)

    def with_files(self, found: StateSettings, node: Node, place: Place) -> StateSettings:
        """The same with the paths of its certificates from where flowrunner runs."""
        files = {name: str(place.folder / given) for name in FILES if (given := getattr(found, name))}
        for name, path in files.items():
            place.files.append(Path(path))
            if not Path(path).is_file():
                message = f"the file of `{name}` in `{place.key}` is not there"
                helps = ("a relative path begins at the folder of this file",)
                raise place.report.refuse(Diagnostic("unreadable-file", message, node.span.first_line(), helps=helps))
        return replace(found, **files)  # type: ignore[arg-type]
