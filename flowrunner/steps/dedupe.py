"""Turns repetitions into one message: the step `dedupe`."""

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowrunner.code import Block, Host
from flowrunner.expressions import Expression
from flowrunner.memory import Memory, as_key, has_passed
from flowrunner.options import DynamicDuration, ExpressionKind, option
from flowrunner.options.numbers import check_duration
from flowrunner.remembering import RememberingStep, Worker

if TYPE_CHECKING:
    from flowrunner.remote.place import Place
    from flowrunner.remote.worker import RemoteWorker


@dataclass(frozen=True, slots=True, kw_only=True)
class Dedupe(RememberingStep):
    """Drop a message whose key was seen within a duration.

    The time counts from the message that passed, not from the ones that were dropped since.
    """

    KEY = "dedupe"
    CAN_BE_SHARED = True
    EXAMPLES = (
        """
        subscribe: gateway/+gateway/up
        steps:
          - json
          - dedupe: {key: payload.id, within: 1m}
          - publish: devices/${payload.device}
        tests:
          - name: two gateways heard the same packet
            given:
              - {topic: gateway/a/up, payload: {id: 7, device: d1}}
              - {topic: gateway/b/up, payload: {id: 7, device: d1}}
              - {after: 1m}
              - {topic: gateway/a/up, payload: {id: 7, device: d1}}
            expect: [{topic: devices/d1}, {topic: devices/d1}]
        """,
    )

    key_of: Expression = option(ExpressionKind(), "what makes two messages the same", name="key", main=True)
    within: float | Expression = option(DynamicDuration(), "for how long a repetition is dropped", default=3600.0)

    def lasting(self) -> tuple[tuple[str, Any], ...]:
        return (("within", self.within),)

    def worker(self, host: Host, state: Memory[float]) -> "_Seen":
        return _Seen(host, state, self.within if isinstance(self.within, float) else None)

    def emit(self, to: Block) -> None:
        own = to.expression("AS_KEY(VALUE)", AS_KEY=to.helper(as_key), VALUE=to.value(self.key_of))
        holes = {"WORKER": to.name(self.worker_name(to)), "BY": self.key(to), "OWN": own}
        holes["WITHIN"] = to.dynamic(self.within, check_duration)
        to.run("if not WORKER.passes((BY, OWN), WITHIN):\n    return", **holes)

    def remote_job(self, to: Block) -> ast.expr:
        from flowrunner.remote.jobs import dedupe_job

        holes = {"JOB": to.helper(dedupe_job), "BY": self.plain_key(to), "OWN": to.value(self.key_of)}
        return to.expression("JOB(BY, OWN, WITHIN)", WITHIN=to.dynamic(self.within, check_duration), **holes)

    def remote_worker(self, host: Host, place: "Place") -> "RemoteWorker":
        from flowrunner.remote.gate_scripts import DEDUPE
        from flowrunner.remote.gate_worker import GateWorker
        from flowrunner.remote.place import Limits, microseconds

        longest = self.within if isinstance(self.within, float) else None
        return GateWorker(host, DEDUPE, place.path, Limits(self.max_keys, self.ttl, longest), microseconds(longest))


class _Seen(Worker):
    """Remembers when a message of each key passed last."""

    def __init__(self, host: Host, memory: Memory[float], longest: float | None) -> None:
        super().__init__(host, memory)
        self.memory = memory
        self.longest = longest  # None if it is computed: then nobody knows for how long a key is needed

    def passes(self, key: object, within: float) -> bool:
        """Whether a message passes."""
        now = self.clock.time()
        known = self.memory.get(key)
        if known is not None and not has_passed(within, known, now):
            return False
        if self.longest is not None:
            self.memory.forget_old(self.longest)
        self.memory.set(key, now)
        return True
