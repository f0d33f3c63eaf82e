"""Turns messages into looks at, and changes of, named values in Redis."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flowrunner.code import Host
from flowrunner.errors import StepError
from flowrunner.fields import name_kind
from flowrunner.jsons import loads
from flowrunner.lines import Turn
from flowrunner.remote.place import Limits
from flowrunner.remote.script import Script
from flowrunner.remote.value_scripts import GET, INCREMENT, SET
from flowrunner.remote.worker import RemoteWorker, Result

_SCRIPTS: Mapping[str, Script] = {"get": GET, "set": SET, "increment": INCREMENT}


class NamedValues(RemoteWorker):
    """Gets, sets or counts up a named value; `name` is what later steps call it.

    The last part of a job is the value where there is none.
    """

    def __init__(self, host: Host, verb: str, path: str, limits: Limits, name: str) -> None:
        super().__init__(host, _SCRIPTS[verb], path, limits)
        self.name = name

    async def ask(self, turns: Sequence[Turn]) -> Sequence[Result | None]:
        """See `RemoteWorker`."""
        answer = await self.call(self.script, [text for turn in turns for text in turn.job[:-1]])
        return [self.read(result, turn) for result, turn in zip(answer.results, turns, strict=True)]

    def read(self, result: Any, turn: Turn) -> Result | None:
        """See `RemoteWorker`."""
        kind, *found = result
        if kind == _FOUND:
            return ({self.name: loads(found[0])},)
        default = turn.job[-1]
        return ({self.name: default},) if kind == _NOTHING else _FAILURES[kind](found, default)


def _no_number(value: Any) -> StepError:
    message = f"only a number can be counted up, the value is {name_kind(value)}"
    return StepError(message, code="not-a-number")


def _too_large(_found: Sequence[bytes], _default: Any) -> StepError:
    help = "whole numbers in Redis are exact up to 2 to the power of 53"
    return StepError("the number has become too large to be counted up", code="too-large", help=help)


_NOTHING, _FOUND = 0, 1

#: What an answer means that is none: see the script.
_FAILURES: Mapping[int, Callable[[Sequence[bytes], Any], StepError]] = {
    2: lambda found, _default: _no_number(loads(found[0])),
    3: lambda _found, default: _no_number(default),
    4: _too_large,
}
