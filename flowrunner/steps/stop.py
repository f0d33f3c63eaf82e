"""Turns a message into nothing: the step `stop`."""

from dataclasses import dataclass

from flowrunner.code import Block
from flowrunner.expressions import Scope
from flowrunner.options import Text, option
from flowrunner.step import Check, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(Step):
    """End this message here. With a reason (`stop: too old`) it is counted under that reason."""

    KEY = "stop"
    EXAMPLES = (
        """
        subscribe: in
        steps:
          - json
          - stop: not for us
            when: payload.to != "us"
          - publish: out
        tests:
          - given: [{topic: in, payload: {to: them}}, {topic: in, payload: {to: us}}]
            expect: {topic: out, payload: {to: us}}
        """,
    )

    reason: str = option(Text(), "why, for the counters", main=True, default="")

    def check(self, scope: Scope, check: Check) -> Scope | None:
        return None

    def emit(self, to: Block) -> None:
        if self.reason:
            stopped = to.bound("stopped", lambda host: host.stopped)
            to.run("STOPPED(flow, REASON)", STOPPED=stopped, REASON=to.constant(self.reason))
        to.drop()
