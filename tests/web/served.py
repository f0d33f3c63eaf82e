"""A page of flows that really run, asked without a network: what a browser would be told."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from flowrunner.broker import AccessList, Broker
from flowrunner.connections import ConnectionSettings
from flowrunner.message import NO_PROPERTIES
from flowrunner.run.report import Report
from flowrunner.web.access import Access
from flowrunner.web.board import Board
from flowrunner.web.routes import Pages
from tests.run.fakes import until
from tests.run.workshop import Workshop, workshop

TOKEN = "t0ken-" + "x" * 30
HOST = "127.0.0.1:1880"
WARM = """
subscribe: sensors/+room
steps:
  - json
  - filter: payload.t > 25
  - set: {level: warm}
  - publish: alerts/${room}
"""


@dataclass
class Site:
    """What runs, and a client of its page."""

    shop: Workshop
    board: Board
    pages: Pages
    client: httpx.AsyncClient
    broker: Broker
    told: list[tuple[str, Any]] = field(default_factory=list)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    async def post(self, path: str, body: Any, *, token: str = TOKEN, **headers: str) -> httpx.Response:
        given = {"authorization": f"Bearer {token}"} if token else {}
        return await self.client.post(path, json=body, headers={**given, **headers})

    async def put(self, name: str, text: str, mark: str, *, token: str = TOKEN) -> httpx.Response:
        headers = {"if-match": f'"{mark}"', **({"authorization": f"Bearer {token}"} if token else {})}
        return await self.client.put(f"/api/files/{name}", content=text.encode(), headers=headers)

    def deliver(self, flow: str, payload: bytes, topic: str = "sensors/attic") -> None:
        """Give a flow a message as its connection would."""
        live = self.shop.runner.flows[flow]
        live.received += 1
        try:
            live.handler(topic, payload, 0, False, NO_PROPERTIES, 0)
        except Exception as error:  # noqa: BLE001 - as a router does
            from flowrunner.message import Message

            self.shop.runner.failures.failed(live, error, Message(topic, payload))

    async def look(self, *flows: str, flow: str = "", step: str = "", viewer: str = "me") -> None:
        """Look at flows, and wait until they are tapped."""
        answer = await self.post(
            "/api/look", {"viewer": viewer, "flows": list(flows), "flow": flow, "step": step}, token=""
        )
        assert answer.status_code == 200, answer.text
        await until(lambda: {*flows, *([flow] if flow else [])} <= set(self.board.looks.sights))


@asynccontextmanager
async def site(
    folder: Path, files: Mapping[str, str], *, is_read_only: bool = False, access: AccessList | None = None
) -> AsyncIterator[Site]:
    """The page of a folder that holds these files."""
    broker = Broker("127.0.0.1", 0, access=access)
    await broker.start()
    settings = ConnectionSettings(host="127.0.0.1", port=broker.port)
    try:
        async with workshop(folder, settings, files) as shop:
            report: Report = shop.runner.report
            board = Board(
                shop.runner,
                shop.library,
                report,
                recent=shop.following.recent,
                exchanged=shop.following.watch,
            )
            pages = Pages(board, Access("127.0.0.1", 1880, TOKEN), [folder], is_read_only=is_read_only)
            transport = httpx.ASGITransport(pages.app())
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
                yield Site(shop, board, pages, client, broker)
            await board.aclose()
    finally:
        await broker.stop()


def parse_event(raw: bytes) -> tuple[str, Any]:
    """Name and data of a server-sent event."""
    head, data = raw.decode().strip().split("\n", 1)
    return head.removeprefix("event: "), json.loads(data.removeprefix("data: "))
