"""Turns one machine into several hosts with a way to one broker that can be cut: namespaces, else a proxy each."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from tests.mosquitto import free_port

BROKER_PORT = 1883
_CHUNK = 1 << 16
_PATIENCE = 20.0
_T = TypeVar("_T")


class Hosts(Protocol):
    """Some hosts, numbered from 1, and one for the broker, which listens there on `bind` and `port`."""

    bind: str
    port: int
    user: str

    def at_broker(self, words: Sequence[str]) -> list[str]:
        """The command that runs another one where the broker is."""

    def at(self, host: int, words: Sequence[str]) -> list[str]:
        """The command that runs another one on a host."""

    def address(self, host: int) -> str:
        """The URL under which a host finds the broker."""

    def cut(self, host: int) -> None:
        """Let nothing through any more, in neither direction; no side is told."""

    def heal(self, host: int) -> None:
        """Let everything through again."""

    def close(self) -> None:
        """Clear up."""


class Namespaces:
    """Hosts with network stacks of their own: each has a cable (veth) to the broker's, which can be pulled.

    All of them live in a user namespace, so nobody needs to be root, and the network of the machine stays as it is.
    """

    def __init__(self, count: int) -> None:
        self.bind, self.port, self.user = "0.0.0.0", BROKER_PORT, "root"
        self._holders: list[subprocess.Popen[bytes]] = []
        try:
            self._broker = self._hold(["unshare", "--user", "--map-root-user", "--net"])
            run(self.at_broker(["ip", "link", "set", "lo", "up"]))
            self._hosts = [self._connect(number) for number in range(1, count + 1)]
        except BaseException:
            self.close()
            raise

    def at_broker(self, words: Sequence[str]) -> list[str]:
        return [*enter(self._broker), *words]

    def at(self, host: int, words: Sequence[str]) -> list[str]:
        return [*enter(self._hosts[host - 1]), *words]

    def address(self, host: int) -> str:
        return f"mqtt://10.77.{host}.1:{self.port}"

    def cut(self, host: int) -> None:
        run(self.at_broker(["ip", "link", "set", f"to{host}", "down"]))

    def heal(self, host: int) -> None:
        run(self.at_broker(["ip", "link", "set", f"to{host}", "up"]))

    def close(self) -> None:
        for holder in reversed(self._holders):
            holder.kill()
            holder.communicate()

    def _connect(self, number: int) -> int:
        host = self._hold(self.at_broker(["unshare", "--net"]))
        here, there = self.at_broker(["ip"]), [*enter(host), "ip"]
        run([*here, "link", "add", f"to{number}", "type", "veth", "peer", "name", "cable", "netns", str(host)])
        run([*here, "address", "add", f"10.77.{number}.1/24", "dev", f"to{number}"])
        run([*here, "link", "set", f"to{number}", "up"])
        run([*there, "link", "set", "lo", "up"])
        run([*there, "address", "add", f"10.77.{number}.2/24", "dev", "cable"])
        run([*there, "link", "set", "cable", "up"])
        return host

    def _hold(self, words: Sequence[str]) -> int:
        """The process that keeps a namespace alive: it ends with us, whatever becomes of us."""
        keep = ["sh", "-c", "echo here; exec cat"]
        holder = subprocess.Popen(
            [*words, *keep], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._holders.append(holder)
        assert holder.stdout is not None
        if holder.stdout.readline() != b"here\n":
            raise OSError(holder.communicate()[1].decode().strip() or "no namespace")
        return holder.pid


class Proxies:
    """Hosts that are processes of this machine; each goes through a proxy that can stop forwarding without a word."""

    def __init__(self, count: int) -> None:
        self.bind, self.port, self.user = "127.0.0.1", free_port(), _own_user()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        self._ways = [self._do(_open_way(self.port)) for _ in range(count)]

    def at_broker(self, words: Sequence[str]) -> list[str]:
        return list(words)

    def at(self, host: int, words: Sequence[str]) -> list[str]:  # noqa: ARG002 - they differ in their ways only
        return list(words)

    def address(self, host: int) -> str:
        return f"mqtt://127.0.0.1:{self._ways[host - 1].port}"

    def cut(self, host: int) -> None:
        self._loop.call_soon_threadsafe(self._ways[host - 1].gate.clear)

    def heal(self, host: int) -> None:
        self._loop.call_soon_threadsafe(self._ways[host - 1].gate.set)

    def close(self) -> None:
        for way in self._ways:
            self._do(way.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)


class Way:
    """The way of one host to the broker."""

    def __init__(self, to: int) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.port = 0
        self._to = to
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def aclose(self) -> None:
        assert self._server is not None
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self.gate.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
            await asyncio.gather(self._forward(reader, back), self._forward(there, writer))
        except OSError:
            writer.close()
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_CHUNK):
                await self.gate.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            with suppress(asyncio.CancelledError):
                await self.gate.wait()  # that a side has gone is not heard while the way is cut
            writer.close()


async def _open_way(to: int) -> Way:
    return await Way(to).open()


def _own_user() -> str:
    from getpass import getuser

    return getuser()


def enter(process: int) -> list[str]:
    """The beginning of a command that runs in the namespaces of a process."""
    return ["nsenter", "--target", str(process), "--user", "--net", "--preserve-credentials"]


def run(words: Sequence[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip() or f"{words[0]} failed")


@cache
def why_no_namespaces() -> str:
    """Why hosts cannot be network namespaces here; empty if they can."""
    if sys.platform != "linux" or not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        return "unshare, nsenter or ip is missing"
    try:
        Namespaces(1).close()
    except OSError as error:
        return str(error)
    return ""


def short_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder with a short path, for a socket: its path may have a hundred letters (sun_path in unix(7))."""
    return tempfile.TemporaryDirectory(prefix="fr-")


class Log:
    """What mosquitto has said, read once: what is not about messages, and how many messages it sent a second time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = ""
        self._said: list[str] = []
        self.repeated: dict[str, int] = {}

    def count(self, words: str) -> int:
        """How many lines hold these words, as yet."""
        self._read()
        return sum(words in line for line in self._said)

    def _read(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        *lines, self._rest = (self._rest + data.decode(errors="replace")).split("\n")
        for line in lines:
            if " PUB" not in line:
                self._said.append(line)
            elif "(d1" in line:
                way = line.partition(": ")[2].partition(" (d1")[0]
                self.repeated[way] = self.repeated.get(way, 0) + 1
