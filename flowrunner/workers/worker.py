"""Turns a process into a part of a fleet: it does what its supervisor asks for, and ends when that does."""

import asyncio
import socket
from typing import Any

from flowrunner.workers.asking import Ask, Publish, Recall, Tap
from flowrunner.workers.channel import Channel, open_channel
from flowrunner.workers.crew import Crew
from flowrunner.workers.forwarding import Forwarding
from flowrunner.workers.orders import Apply, Begin, End, Heard, Reconnect, Running, Tell, Tried


def work(number: int, end: socket.socket) -> None:
    """Do what the supervisor at the other end of the channel asks for, until it ends us or is gone."""
    asyncio.run(Worker(number).run(end))


class Worker:
    """What one process of a fleet does. `number` is its place, which it has in common with those before it."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._channel: Channel | None = None
        self._crew: Crew | None = None
        self._ended: asyncio.Task[None] | None = None

    async def run(self, end: socket.socket) -> None:
        """Answer until the channel ends, then finish what is in work."""
        channel = self._channel = await open_channel(end, answer=self._answer, hear=lambda _: None)
        try:
            await channel.run()
        finally:
            await self._end()

    async def _answer(self, order: Any) -> Any:
        if isinstance(order, Begin):
            return await self._begin(order)
        crew = self._crew
        if crew is None:
            raise RuntimeError("nothing runs yet")
        runner = crew.runner
        match order:
            case Ask() | Tap() | Recall() | Publish():
                return await crew.onlooker.answer(order)
            case Apply(delta=delta, part=part, tap=tap):
                return await crew.apply(delta, part, tap)
            case Reconnect(connections=connections, names=names):
                return await runner.reconnect(connections, names)
            case Tell(name=name, payload=payload):
                runner.tell(name, payload)
            case Heard():
                await runner.heard()
            case Tried():
                await runner.tried()
            case End():
                await self._end()
                return crew.onlooker.look(Ask())
            case _:
                raise TypeError(type(order).__name__)
        return None

    async def _begin(self, order: Begin) -> Running:
        assert self._channel is not None
        channel = self._channel
        report = Forwarding(channel.tell, lambda: channel.behind)
        self._crew = Crew(self._number, order, report)
        return await self._crew.begin(order.past, order.tap)

    async def _end(self) -> None:
        """Finish, once."""
        if self._ended is None:
            self._ended = asyncio.ensure_future(self._finish())
        await self._ended

    async def _finish(self) -> None:
        if self._crew is not None:
            await self._crew.close()
