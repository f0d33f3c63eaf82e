"""Turns a step that remembers into one whose memory is bounded, kept by key, and survives an edit of the flow."""

import ast
from abc import abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block, Host, Segment
from flowrunner.expressions import Expression
from flowrunner.memory import MOST_KEYS, Held, Memory, Resume, as_key
from flowrunner.options import Duration, ExpressionKind, Integer, option
from flowrunner.step import Step


class Worker:
    """Works on the state of a step for one version of its flow."""

    resume: Resume  # put in place when the flow is bound

    def __init__(self, host: Host) -> None:
        self.clock = host.clock

    def start(self) -> None:
        """Take over: from now on this version's timers run."""

    def stop(self) -> None:
        """Hand over, or end: none of this version's timers rings any more."""

    def take(self, key: Any, held: Held) -> None:
        """Get a message; what becomes of it is the step's business."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepingStep(Step):
    """A step with a state that survives an edit."""

    def shape(self) -> Hashable:
        """What must stay equal in an edit for the state to be kept; limits such as a duration may change."""
        return self.KEY

    @abstractmethod
    def state(self, host: Host) -> Any:
        """A new state."""

    @abstractmethod
    def worker(self, host: Host, state: Any) -> Worker:
        """The object that works on the state for this version of the flow."""

    def worker_name(self, to: Block) -> str:
        """The name of this step's worker in compiled code."""

        def make(host: Host, state: Any) -> Worker:
            worker = self.worker(host, state)
            host.on_turn(worker.start, worker.stop)
            return worker

        return to.kept(self, self.shape(), self.state, make)

    def emit_take(self, to: Block, then: Segment, key: ast.expr) -> None:
        """Give the worker the message, which it lets go on later."""
        name = self.worker_name(to)
        to.run("WORKER.take(KEY, HELD)", WORKER=to.name(name), KEY=key, HELD=to.writer.resume(name, to, then))


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberingStep(KeepingStep):
    """A step with a memory by key; its options `by`, `max_keys` and `ttl` mean the same everywhere."""

    by: Expression | None = option(ExpressionKind(), "remember for each value of this separately", default=None)
    max_keys: int = option(Integer(1), "the most keys that are remembered; the oldest goes", default=MOST_KEYS)
    ttl: float | None = option(Duration(), "forget a key that was not touched for so long", default=None)

    def shape(self) -> Hashable:
        return (self.KEY, self.by and self.by.passage.text)

    def state(self, host: Host) -> Memory[Any]:
        return Memory(host.clock)

    def worker_name(self, to: Block) -> str:
        def make(host: Host, memory: Memory[Any]) -> Worker:
            memory.max_keys, memory.ttl = self.max_keys, self.ttl
            worker = self.worker(host, memory)
            host.on_turn(worker.start, worker.stop)
            return worker

        return to.kept(self, self.shape(), self.state, make)

    def key(self, to: Block) -> ast.expr:
        """The key of the message."""
        if self.by is None:
            return to.constant("")
        return to.expression("AS_KEY(VALUE)", AS_KEY=to.helper(as_key), VALUE=to.value(self.by))


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingStep(RememberingStep):
    """A step that holds messages by key, and lets them go on later."""

    def is_cut(self) -> bool:
        return True

    def emit(self, to: Block) -> None:
        to.run("_key = KEY", KEY=self.key(to))

    def emit_then(self, to: Block, then: Segment | None) -> None:
        if then is not None:
            self.emit_take(to, then, to.name("_key"))
