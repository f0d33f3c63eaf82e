"""Turns a message that somebody sees into a test of its flow: what came is given, what it does now is expected."""

from flowrunner.compile import Program
from flowrunner.errors import FlowrunnerError
from flowrunner.run.recording import Recorded
from flowrunner.trial.recorded import make_case
from flowrunner.web.board import Board


class NoSuchMessage(FlowrunnerError):
    """A message is not known any more."""


def case_of(board: Board, flow: str, number: int) -> str:
    """The YAML of a test case, an entry of `tests:`. Raises FlowrunnerError where none can be made."""
    sight, live = board.looks.sights.get(flow), board.runs.flows.get(flow)
    message = sight.origin(number) if sight is not None else None
    if message is None or live is None or not isinstance(live.program, Program):
        raise NoSuchMessage("this message is not known any more: take a younger one")
    case = make_case(live.program, [Recorded(board.runs.clock.now(), message)], f"a message on {message.topic}")
    return "".join(f"{line}\n" for line in case.lines)
