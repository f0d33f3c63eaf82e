"""Turns the functions and workers of a flow that waits into one handler, which keeps the order of messages."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flowrunner.code import Host
from flowrunner.compile.waits import WaitPlan
from flowrunner.lines import Line, Turn, Waits, Worker
from flowrunner.memory import Held, Resume
from flowrunner.message import Properties
from flowrunner.read.flow import Flow

if TYPE_CHECKING:
    from flowrunner.compile.program import Handler

Failed = Callable[[str, Exception, tuple[Any, ...]], object]


class Entrance(Worker):
    """Lets messages into a flow one by one: the next one when nothing of the one before waits inside any more."""

    def __init__(self, flow: str, failed: Failed) -> None:
        self.flow = flow
        self.failed = failed
        self.count = 0
        self.turns: Sequence[Turn] = ()
        self.done: Callable[[], object] = _nothing

    def let_in(self, origin: tuple[Any, ...], run: Callable[[], object]) -> None:
        """Run the flow on a message when it is its turn: at once if nobody is inside."""
        self.line.put(Turn(self, {"_origin": origin}, run))

    def begin(self, turns: Sequence[Turn], done: Callable[[], object]) -> None:
        """See `Worker`."""
        self.turns, self.done, self.count = turns, done, 1
        try:
            turns[0].job()
        except Exception as error:  # noqa: BLE001 - whatever a step raises costs this message only
            self.failed(self.flow, error, turns[0].held["_origin"])
        finally:
            self.leave()

    def enter(self) -> None:
        """See `flowrunner.lines.Outside`: a step inside waits."""
        self.count += 1

    def leave(self) -> None:
        """See `flowrunner.lines.Outside`."""
        self.count -= 1
        if self.count == 0:
            turns, self.turns = self.turns, ()
            self.end(turns[0], _nothing)
            self.done()

    def refuse(self, turn: Turn, error: Exception) -> None:
        """See `Worker`."""
        self.end(turn, lambda: self.failed(self.flow, error, turn.held["_origin"]))


def connect(
    plan: WaitPlan, flow: Flow, namespace: Mapping[str, Any], resumes: Mapping[str, str], name: str, host: Host
) -> "Handler":
    """Give the workers their functions and their place, and return what handles a message."""
    handler: Handler = namespace[name]
    waits = Waits(host, flow.name, flow.queue)
    entrance = _entrance(flow, waits, host, namespace["_failed"]) if plan.is_serial else None
    for worker_name, hooks in plan.hooks.items():
        worker = namespace[worker_name]
        for attribute, function in hooks.items():
            setattr(worker, attribute, namespace[function])
        around = plan.outside[worker_name]
        worker.waits, worker.outside = waits, namespace[around] if around else entrance or waits
        if entrance is not None and "emit" in hooks:
            worker.emit = _one_by_one(entrance, worker.emit)
        waits.workers.append(worker)
    host.waiting(waits)
    if entrance is None:
        return handler
    waits.workers.append(entrance)
    for holder in resumes:
        namespace[holder].resume = _one_by_one(entrance, namespace[holder].resume)
    return _gated(entrance, handler)


def _entrance(flow: Flow, waits: Waits, host: Host, failed: Failed) -> Entrance:
    entrance = Entrance(flow.name, failed)
    entrance.waits = entrance.outside = waits
    entrance.line = host.keep("(entrance)", "line", Line)
    return entrance


def _one_by_one(entrance: Entrance, resume: Resume) -> Resume:
    """Let messages that a step has held (`delay`, `window`) go on one by one, as those that arrive."""

    def resume_in_turn(held: Held, /) -> None:
        entrance.let_in(held["_origin"], lambda: resume(held))

    return resume_in_turn


def _gated(entrance: Entrance, handler: "Handler") -> "Handler":
    def handle(topic: str, payload: Any, qos: int, retain: bool, properties: Properties, entry: int, /) -> None:  # noqa: FBT001
        origin = (topic, payload, qos, retain, properties)
        entrance.let_in(origin, lambda: handler(topic, payload, qos, retain, properties, entry))

    handle.__wrapped__ = handler  # type: ignore[attr-defined]  # as `functools.wraps` does: see `inspect.unwrap`
    return handle


def _nothing() -> None:
    """Do nothing."""
