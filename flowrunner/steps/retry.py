"""Turns steps that fail now and then into ones that are tried again: the step `retry`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import random

from flowrunner.clock import Timer
from flowrunner.code import Block, Host
from flowrunner.expressions import Scope
from flowrunner.lines import Turn
from flowrunner.memory import Held
from flowrunner.options import Duration, Integer, Number, Steps, option
from flowrunner.remembering import KeepingStep, RememberingStep
from flowrunner.step import Check, Step, walk
from flowrunner.waiting import WaitingStep, WaitingWorker


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry(WaitingStep):
    """Run steps; when one of them fails, wait and run them again, from the message as it was.

    The first wait is `backoff`, and each one twice as long as the one before, up to `max_delay`. Each is up to a fifth
    (`jitter`) shorter by chance, so that many flows do not come back at the same moment. Where a server says when to
    come back (`Retry-After`), that is waited for; if it is longer than `max_delay`, there is no further attempt.

    What comes out of the steps goes on behind the `retry`, once all of them have succeeded. After the last attempt the
    message fails with the last error, and the `on_error` of the `retry` says what happens. Meanwhile later messages
    wait: their order stays. What the steps have published in an attempt that failed later stays published.
    """

    KEY = "retry"
    IS_OUTSIDE = False
    IS_ON_THE_WAY = True
    EXAMPLES = (
        """
        subscribe: orders/+id
        steps:
          - retry:
              attempts: 4
              backoff: 2s
              steps:
                - http: {url: "https://erp.example.com/orders/${id}", method: POST}
            on_error:
              publish: failed/orders/${id}
        tests:
          - name: the server is away
            given: [{topic: orders/7, payload: {pieces: 3}}, {after: 15s}]
            mocks: {http: {error: connection refused}}
            expect: {topic: failed/orders/7, payload: {pieces: 3}}
        """,
        """
        subscribe: in
        steps:
          - retry:
              steps: [json]
              attempts: 2
              backoff: 5s
            on_error:
              publish: {topic: broken, payload: "${error.message}"}
          - publish: out
        tests:
          - given: {topic: in, payload: {x: 1}}
            expect: {topic: out, payload: {x: 1}}
          - given: [{topic: in, payload: "{"}, {after: 5s}]
            expect: {topic: broken, payload: "the payload is not JSON: it ends too early (attempt 2 of 2)"}
        """,
    )

    steps: tuple[Step, ...] = option(Steps(), "the steps that are run")
    attempts: int = option(Integer(1), "how often they are run at most", default=3)
    backoff: float = option(Duration(), "the wait behind the first attempt; it doubles each time", default=1.0)
    max_delay: float = option(Duration(), "the longest wait", default=60.0)
    jitter: float = option(Number(0, 1), "the part by which a wait may be shorter, by chance", default=0.2)

    def inner(self) -> Iterator[Sequence[Step]]:
        yield self.steps

    def tried(self) -> Sequence[Step]:
        return self.steps

    def check(self, scope: Scope, check: Check) -> Scope | None:
        for step in walk(self.steps):
            if isinstance(step, RememberingStep) or (isinstance(step, KeepingStep) and step.is_cut()):
                message = f"`{step.KEY}` cannot stand inside `retry`"
                helps = ("it would take the second attempt for a second message; put it before or behind",)
                check.report.say("wrong-value", message, step.at.key_span, helps=helps)
        return replace(check, continues=False).steps(self.steps, scope)

    def worker(self, host: Host) -> "_Attempts":
        return _Attempts(host, self)

    def emit(self, to: Block) -> None:
        self.job(to, to.constant(None))


class _Attempts(WaitingWorker):
    """Runs the steps on one message, again and again."""

    attempt: Callable[[Held], None]  # put in place when the flow is bound

    def __init__(self, host: Host, step: Retry) -> None:
        super().__init__(host)
        self.step = step
        self.number = 0
        self.count = 0
        self.errors: list[Exception] = []
        self.results: list[Held] = []
        self.timer: Timer | None = None

    def start(self, turns: Sequence[Turn]) -> None:
        self.number = 0
        self.run()

    def run(self) -> None:
        """Run the steps once more; it is over when nothing of it waits any more."""
        self.timer = None
        self.number += 1
        self.count = 1
        self.errors, self.results = [], []
        turn = self.turns[0]
        try:
            self.waits.promises.keep(turn.promise, lambda: self.attempt(turn.held))
        finally:
            self.leave()

    def note(self, error: Exception) -> None:
        """A step has failed."""
        self.errors.append(error)

    def succeed(self, held: Held) -> None:
        """A message has come out of the steps."""
        self.results.append(held)

    def enter(self) -> None:
        """See `flowrunner.lines.Outside`: a step inside waits."""
        self.count += 1

    def leave(self) -> None:
        """See `flowrunner.lines.Outside`."""
        self.count -= 1
        if self.count == 0 and self.turns:
            self.decide()

    def decide(self) -> None:
        """Go on with what came out, or wait for another attempt, or let the message fail."""
        if not self.errors:
            self.finish(self.turns, [self.results])
            return
        error = self.errors[0]
        asked: float = getattr(error, "retry_after", None) or 0.0
        if self.number < self.step.attempts and asked <= self.step.max_delay and not self.waits.is_given_up:
            clock = self.host.clock
            self.timer = clock.call_at(clock.time() + max(self.delay(), asked), self.run)
            return
        error.add_note(f"attempt {self.number} of {self.step.attempts}")
        if asked > self.step.max_delay:
            error.add_note(f"the server wants {asked:.0f} s of rest")
        self.finish(self.turns, [error])

    def delay(self) -> float:
        """Seconds until the next attempt."""
        longest = min(self.step.backoff * 2.0 ** min(self.number - 1, 64), self.step.max_delay)
        return longest * (1 - self.step.jitter * random())  # noqa: S311 - nothing is kept secret by it

    def give_up(self) -> None:
        """See `flowrunner.lines.Worker`."""
        if self.timer is not None:
            self.timer.cancel()
        super().give_up()
