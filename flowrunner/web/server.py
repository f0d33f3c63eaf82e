"""Serves the page in the loop of the runner: finds a port, says where it is, and ends with it."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowrunner.web.access import Access, kept_token
from flowrunner.web.place import NotServed, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowrunner.web.board import Board
    from flowrunner.web.routes import Pages

#: Seconds that answers which are on their way get at the end.
_LAST_WORDS = 1

_PARTS = {"starlette": "starlette", "uvicorn": "uvicorn", "prometheus_client": "prometheus-client"}


class Server:
    """The page while it is served. `url` is the address with the token."""

    def __init__(self, pages: "Pages", listening: socket.socket) -> None:
        from uvicorn import Config
        from uvicorn import Server as Uvicorn

        class Quiet(Uvicorn):
            """Leaves signals to the runner."""

            @contextmanager
            def capture_signals(self) -> "Iterator[None]":
                yield

        config = Config(
            pages.app(),
            http="h11",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_LAST_WORDS,
        )
        self.pages = pages
        self.access = pages.access
        self._socket = listening
        self._server = Quiet(config)
        self._task = asyncio.get_running_loop().create_task(self._serve(), name="page")

    @property
    def url(self) -> str:
        """Where the page is, with the token."""
        return f"{self.plain_url}?token={self.access.token}"

    @property
    def plain_url(self) -> str:
        """Where the page is, for looking."""
        host = self.access.host if self.access.host not in {"0.0.0.0", "::", ""} else _own_address()  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.access.port}/"

    async def aclose(self) -> None:
        """Serve no longer."""
        self._server.should_exit = True
        with suppress(asyncio.CancelledError):
            await self._task

    async def _serve(self) -> None:
        await self._server.serve(sockets=[self._socket])


def _own_address() -> str:
    """The address under which others reach this machine, as far as it knows."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent: the system only chooses a way
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


@asynccontextmanager
async def serve(board: "Board", place: Place, *, paths: Sequence[Path], folder: Path | None) -> AsyncIterator[Server]:
    """Serve a board. Raises NotServed where a part is missing, or where the address cannot be had."""
    pages_type = await asyncio.to_thread(_load)  # takes some 100 ms, in which messages go on
    gc.freeze()  # what was loaded stays: looking through it again and again would cost messages
    listening = place.bind()
    access = Access(place.host, listening.getsockname()[1], kept_token(folder))
    server = Server(pages_type(board, access, list(paths), is_read_only=place.is_read_only), listening)
    try:
        yield server
    finally:
        await board.aclose()
        await server.aclose()


def _load() -> Any:
    try:
        import uvicorn  # noqa: F401

        from flowrunner.web.routes import Pages
    except ImportError as error:
        part = _PARTS.get((error.name or "").partition(".")[0])
        if part is None:
            raise
        raise NotServed(f"the page needs {part}: `pip install {part}`, or `--no-web`") from None
    return Pages
