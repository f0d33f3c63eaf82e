"""Turns values that steps keep into rows of a SQLite file, written by a thread of its own."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from flowrunner.clock import Clock
from flowrunner.errors import FlowrunnerError
from flowrunner.jsons import loads
from flowrunner.stores import Journal, Row, Store, Stores

if TYPE_CHECKING:
    from flowrunner.run.state_writer import Found, Kept, Place, StateWriter, Tell


class StateFile:
    """Keeps values in a file, which is made when the first is kept.

    Only one program can use it at a time, or those of one `family`, of which each value is written by one.

    What is put in one turn of the loop is one transaction. Raises FlowrunnerError where the file cannot be used; one
    that is broken is moved aside, which `tell` hears, as it does of transactions that fail later.
    """

    def __init__(self, path: Path, tell: "Tell", *, family: str = "") -> None:
        self.path = path
        self._family = family
        self._tell_in_loop = tell
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fresh: dict[Place, Kept] = {}
        self._pending: dict[Place, Kept] = {}
        self._reads: list[tuple[str, str, Future[Found]]] = []
        self._flushed: list[Future[None]] = []
        self._lock = Lock()
        self._wake = Event()
        self._hurry = Event()
        self._is_closing = False
        self._thread: Thread | None = None

    def journal(self, flow: str, name: str) -> Journal:
        """The part of the file that belongs to a name of a flow."""
        if self._thread is None:
            self._start()
        return _Part(self, flow, name)

    def put(self, place: "Place", kept: "Kept") -> None:
        """Keep a value, or forget it; in the loop only."""
        if not self._fresh:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._fresh[place] = kept

    def read(self, flow: str, name: str) -> "Future[Found]":
        """All that is kept under a name, once what was put before is written."""
        future: Future[Found] = Future()
        self._hand_over()
        with self._lock:
            self._reads.append((flow, name, future))
        self._hurry.set()
        self._wake.set()
        return future

    async def flush(self) -> None:
        """Return when what was put until now is in the file, and survives the end of the program."""
        if self._thread is None:
            return
        future: Future[None] = Future()
        self._hand_over()
        with self._lock:
            self._flushed.append(future)
        self._hurry.set()
        self._wake.set()
        await asyncio.wrap_future(future)

    async def close(self) -> None:
        """Write what is still to be written, force it to the disk, and let go of the file."""
        if self._thread is None:
            return
        self._hand_over()
        self._is_closing = True
        self._hurry.set()
        self._wake.set()
        await asyncio.to_thread(self._thread.join)
        self._thread = None

    def _hand_over(self) -> None:
        if self._fresh:
            fresh, self._fresh = self._fresh, {}
            with self._lock:
                self._pending |= fresh
            self._wake.set()

    def tell(self, event: str, text: str) -> None:
        """Tell something from within the thread."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._tell_in_loop, event, text)
        except RuntimeError:  # the loop is closed
            self._tell_in_loop(event, text)

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        opened: Future[None] = Future()
        self._thread = Thread(target=self._work, args=(opened,), name="flowrunner-state", daemon=True)
        self._thread.start()
        try:
            opened.result()
        except BaseException:
            self._thread = None
            raise

    def _work(self, opened: "Future[None]") -> None:
        try:
            # SQLite is for flows that keep something
            from flowrunner.run.state_writer import open_writer

            writer = open_writer(self.path, self.tell, self._family)
        except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
            opened.set_exception(error)
            return
        opened.set_result(None)
        while not self._is_closing:
            self._wake.wait(writer.patience())
            self._turn(writer)
            self._hurry.wait(writer.pause())
            self._hurry.clear()
        self._turn(writer)
        with self._lock:
            if self._pending:
                words = f"{len(self._pending)} values could not be kept in {self.path}"
                self.tell("state-lost", words)
        writer.close()

    def _turn(self, writer: "StateWriter") -> None:
        with self._lock:
            self._wake.clear()
            batch, self._pending = self._pending, {}
            reads, self._reads = self._reads, []
            flushed, self._flushed = self._flushed, []
        is_written = not batch or writer.write(batch)
        with self._lock:
            if not is_written:
                self._pending = batch | self._pending  # what came since is newer
                self._flushed = flushed + self._flushed
        for flow, name, future in reads:
            try:
                future.set_result(writer.read(flow, name))
            except FlowrunnerError as error:
                future.set_exception(error)
        if is_written:
            for waiting in flushed:
                waiting.set_result(None)
        writer.checkpoint_if_due()


class _Part:
    """The part of a file that belongs to one name of one flow: a `flowrunner.stores.Journal`."""

    def __init__(self, file: StateFile, flow: str, name: str) -> None:
        self.file = file
        self.flow = flow
        self.name = name

    def rows(self) -> Iterable[Row]:
        """What was kept."""
        for key, value, since, until in self.file.read(self.flow, self.name).result():
            with suppress(ValueError):  # somebody else wrote something into the file
                yield Row(key, loads(value), since, until)

    def put(self, key: bytes, value: bytes, since: float, until: float | None) -> None:
        """Keep a value."""
        self.file.put((self.flow, self.name, key), (value, since, until))

    def forget(self, key: bytes) -> None:
        """Forget a value."""
        self.file.put((self.flow, self.name, key), None)


class KeptStores(Stores):
    """The stores of a runner, which can be kept in a file; without one they are lost at the end."""

    def __init__(self, clock: Clock, file: StateFile | None) -> None:
        super().__init__(clock)
        self.file = file

    def use(self, flow: str, name: str, *, user: object, is_kept: bool, max_keys: int | None) -> Store:
        """The store of a name of a flow (empty for those that are shared). Raises FlowrunnerError."""
        store = self.open(flow, name)
        if is_kept and store.journal is None and self.file is not None:
            store.keep_in(self.file.journal(flow, name))
        store.claim(user, max_keys)
        return store

    def forget_unused(self) -> None:
        """Let go of the stores that no flow uses any more; what is kept in the file stays there."""
        self.known = {place: store for place, store in self.known.items() if store.claims}

    async def flush(self) -> None:
        """Write what is still to be written, for others who may need it."""
        if self.file is not None:
            await self.file.flush()

    async def close(self) -> None:
        """Write what is still to be written."""
        if self.file is not None:
            await self.file.close()
