"""Finds out whether a broker listens where nobody named one, and starts the embedded broker if not."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from flowrunner.connections import ConnectionSettings

if TYPE_CHECKING:
    from flowrunner.broker import Broker

#: Seconds that something on this machine has to take a connection.
PATIENCE = 1.0

_LOOPBACK = "127.0.0.1"


async def start_embedded(settings: ConnectionSettings) -> "Broker | None":
    """Start the embedded broker on the address of a connection, None if something listens there already."""
    if await _is_listening(settings):
        return None
    from flowrunner.broker import Broker

    broker = Broker(host=_LOOPBACK, port=settings.port)
    try:
        await broker.start()
    except OSError:  # somebody was faster: then that one is used
        return None
    return broker


async def _is_listening(settings: ConnectionSettings) -> bool:
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(settings.host, settings.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True
