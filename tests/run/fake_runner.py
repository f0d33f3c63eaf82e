"""Stands in for a runner whose flows are exchanged: real ones, without a broker."""

import asyncio
from collections.abc import Collection, Iterable

from flowrunner.clock import VirtualClock
from flowrunner.compile import Program
from flowrunner.message import NO_PROPERTIES, Message
from flowrunner.run.dry_host import DryHost
from flowrunner.run.live import LiveFlow
from flowrunner.run.recent import Recent


class FakeRunner:
    """Exchanges flows as a runner does, without a broker."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.flows: dict[str, LiveFlow] = {}
        self.recent = Recent(self.clock, lambda: self.flows.values())  # noqa: PLW0108 - it is replaced
        self.hosts: dict[LiveFlow, DryHost] = {}
        self.refused: set[str] = set()
        self.turns: list[Collection[str]] = []
        self.failure: Exception | None = None

    async def apply(self, programs: Iterable[Program]) -> None:
        if self.failure is not None:
            raise self.failure
        before, self.flows = self.flows, {}
        for program in programs:
            name = program.flow.name
            old = before.get(name)
            if old is not None and (old.program is program or name in self.refused):
                self.flows[name] = old
            elif name not in self.refused:
                live = self.flows[name] = LiveFlow(program, old, since=self.clock.now())
                live.bind(self.hosts.setdefault(live, DryHost(program, self.clock)))
        await asyncio.sleep(0)
        self.turns.append({name for name, live in self.flows.items() if before.get(name) is not live})

    def deliver(self, flow: str, payload: bytes, topic: str = "in") -> list[str]:
        live = self.flows[flow]
        host = self.hosts[live]
        try:
            live.handler(topic, payload, 0, False, NO_PROPERTIES, 0)
        except Exception as error:  # noqa: BLE001 - as the runner does
            found = live.program.explain(error, Message(topic, payload))
            return [f"{found.code} {found.span.line}"]
        return [effect.text for effect in host.taken()]
