"""Ten minutes at half the rate that this machine bears: the memory stays where it was.

`FLOWRUNNER_SOAK_SECONDS` makes it shorter.
"""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.run.fake_broker import version_of
from tests.run.peer import publish

SECONDS = float(os.environ.get("FLOWRUNNER_SOAK_SECONDS", "600"))

#: Seconds in which the rate is found, messages in a batch, and bytes that may come on top.
TRIAL, BATCH, MOST_MORE = 3.0, 500, 6_000_000

FLOWS = {
    "rooms": """
        subscribe: {topic: in/+room, qos: 1}
        steps:
          - json
          - changed: {value: payload.t, by: room}
          - let: {twice: "${payload.t * 2}"}
          - publish: {topic: "rooms/${room}", payload: {t: "${payload.t}", twice: "${twice}"}}
    """,
    "window": """
        subscribe: in/#
        steps:
          - json
          - window: {every: 200ms, by: topic, max_keys: 500}
          - map: mean([item.t for item in payload])
          - publish: means/${topic}
    """,
    "broken": """
        subscribe: in/7
        steps:
          - json
          - map: payload.missing
    """,
}


class Sender:
    """Stands at the other end of the runner's connection, and sends as told."""

    def __init__(self) -> None:
        self.writer: asyncio.StreamWriter | None = None
        self.returned = 0
        self.sent = 0
        self.subscribed = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 20):
                if version_of(data):
                    writer.write(bytes.fromhex("2003000000"))
                elif data[0] == 0x82:
                    self.grant(data, writer)
                self.returned += data.count(b"rooms/") + data.count(b"means/")
        except ConnectionError:
            pass
        finally:
            writer.close()

    def grant(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        while data and data[0] == 0x82:
            writer.write(b"\x90\x04" + data[2:4] + b"\x00\x01")
            data = data[data[1] + 2 :]
            self.subscribed += 1
        self.writer = writer

    async def send(self, seconds: float, rate: float | None = None) -> float:
        """Send for so long, as fast as it goes or at a rate; returns the messages in a second."""
        assert self.writer is not None
        loop = asyncio.get_running_loop()
        began = loop.time()
        count = 0
        while (passed := loop.time() - began) < seconds:
            if rate is not None and count > passed * rate:
                await asyncio.sleep((count - passed * rate) / rate)
                continue
            self.writer.write(b"".join(self.message(self.sent + number) for number in range(BATCH)))
            count += BATCH
            self.sent += BATCH
            await self.writer.drain()
        return count / (loop.time() - began)

    def message(self, number: int) -> bytes:
        first = 0x32 if number % 2 else 0x30
        return publish(f"in/{number % 997}", b'{"t": %d}' % (number % 89), first, number % 65_535 + 1)


def resident(process: int) -> int:
    """Bytes of memory that a process uses."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.soak
async def test_memory_is_flat_at_half_the_maximum_rate(tmp_path: Path) -> None:
    for name, text in FLOWS.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    sender = Sender()
    server = await asyncio.start_server(sender.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = f"connections: {{default: {{url: 'mqtt://127.0.0.1:{port}', keepalive: 0s}}}}\n"
    (tmp_path / "flowrunner.yaml").write_text(settings)
    words = ["-m", "flowrunner", "run", str(tmp_path), "--log-format", "json"]
    with (tmp_path / "log").open("wb") as log:
        child = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=log, stderr=log)
    try:
        async with asyncio.timeout(20):
            while sender.writer is None or sender.subscribed < 3:
                await asyncio.sleep(0.01)
        rate = await sender.send(TRIAL) / 2
        await sender.send(min(SECONDS / 10, 10.0), rate)
        samples: list[int] = []
        steps = 30
        for _ in range(steps):
            await sender.send(SECONDS / steps, rate)
            samples.append(resident(child.pid))
        first, last = max(samples[: steps // 3]), max(samples[-steps // 3 :])
        print(f"{rate:.0f} messages/s for {SECONDS:.0f} s: {first / 1e6:.1f} MB at first, {last / 1e6:.1f} MB at last")
        assert sender.returned > 0
        assert last - first < MOST_MORE, [f"{sample / 1e6:.1f}" for sample in samples]
        assert child.returncode is None
    finally:
        if child.returncode is None:
            child.terminate()
            try:
                async with asyncio.timeout(20):
                    await child.wait()
            except TimeoutError:
                child.kill()
                await child.wait()
        server.close()
