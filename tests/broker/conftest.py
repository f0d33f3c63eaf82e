"""A broker for each test, and clients that are closed after it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flowrunner.broker import BrokerThread
from tests.broker.wire import Wire

Client = Callable[..., Wire]


@pytest.fixture
def broker() -> Iterator[BrokerThread]:
    """A broker with its defaults, on a free port."""
    with BrokerThread(status_interval=0) as running:
        yield running


@pytest.fixture
def client(broker: BrokerThread) -> Iterator[Client]:
    """Make clients that are connected to the broker: `client("a", version=5, ...)`."""
    opened: list[Wire] = []

    def connect(client_id: str = "", *, version: int = 4, port: int = 0, **options: Any) -> Wire:
        wire = Wire(port or broker.port, version)
        opened.append(wire)
        answer = wire.connect(client_id, **options)
        assert answer.body[1] == 0, f"refused: {answer}"
        return wire

    yield connect
    for wire in opened:
        wire.close()


@pytest.fixture
def bare(broker: BrokerThread) -> Iterator[Callable[[int], Wire]]:
    """Open connections on which nothing was said yet: `bare(version)`."""
    opened: list[Wire] = []

    def connect(version: int = 4) -> Wire:
        opened.append(Wire(broker.port, version))
        return opened[-1]

    yield connect
    for wire in opened:
        wire.close()
