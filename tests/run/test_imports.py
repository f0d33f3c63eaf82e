"""What `flowrunner run` imports until it is subscribed: a start is mostly imports."""

import asyncio
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.run.fake_broker import fake_broker, version_of

FLOW = """
subscribe: a/+b
steps:
  - json
  - publish: c/${b}
tests:
  - given: {topic: a/b, payload: 1}
    expect: {topic: c/b, payload: 1}
"""

NEVER = {
    "jsonschema": "a correct flow is read without its schema",
    "jsonschema_rs": "of the step `validate`",
    "httpx": "of the step `http`",
    "cbor2": "of a codec",
    "msgpack": "of a codec",
    "rich": "a runner prints lines",
    "watchfiles": "edits are followed when the flows hear",
    "anyio": "of watchfiles",
    "flowrunner.run.reload": "edits are followed when the flows hear",
    "flowrunner.run.local": "`status` and `tap` are answered when the flows hear",
    "sqlite3": "no flow keeps anything",
    "redis": "the settings name none",
    "flowrunner.remote.step": "the settings name no Redis",
    "flowrunner.remote.worker": "the settings name no Redis",
    "importlib.metadata": "no package has steps",
    "flowrunner.web.server": "the page is served when the flows hear",
    "starlette": "of the page",
    "uvicorn": "of the page",
    "pytest": "of tests",
    "flowrunner.testing": "of tests",
    "flowrunner.broker": "one listens already",
    "flowrunner.steps.http": "a step that no flow has",
    "flowrunner.steps.python": "a step that no flow has",
}


#: Files whose dataclasses are made by `dataclasses` all the same: what they cache needs instances with a `__dict__`.
USUAL = {"flowrunner.records", "flowrunner.schedules", "flowrunner.text"}


async def imported_until_subscribed(folder: Path, *options: str) -> set[str]:
    (folder / "flow.yaml").write_text(FLOW)
    is_subscribed = asyncio.Event()

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        if version_of(packet):
            writer.write(bytes.fromhex("2003000000"))
        elif packet[0] == 0x82:
            is_subscribed.set()  # and no SUBACK: so it waits

    async with fake_broker(answer) as settings:
        url = f"mqtt://{settings.host}:{settings.port}"
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-v", "-m", "flowrunner", "run", str(folder), "--broker", url, *options),
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        told = bytearray()
        assert child.stderr is not None
        reading = asyncio.create_task(_read(child.stderr, told))
        try:
            ends = [asyncio.create_task(one) for one in (is_subscribed.wait(), child.wait())]
            await asyncio.wait(ends, timeout=60, return_when=asyncio.FIRST_COMPLETED)  # saying all of it takes its time
        finally:
            if child.returncode is None:
                child.kill()
            await reading
            ends[0].cancel()
            await ends[1]
    assert is_subscribed.is_set(), told.decode()
    return set(re.findall(r"^import '(.*?)'", told.decode(), re.MULTILINE))


async def _read(stream: asyncio.StreamReader, told: bytearray) -> None:
    while data := await stream.read(65_536):
        told += data


@pytest.mark.parametrize("options", [("--no-web",), ("--web", "127.0.0.1:0")], ids=" ".join)
async def test_a_start_imports_nothing_that_it_does_not_need(options: tuple[str, ...], tmp_path: Path) -> None:
    found = await imported_until_subscribed(tmp_path, *options)
    assert {"paho.mqtt.client", "flowrunner.run.wire", "flowrunner.steps.json"} <= found
    assert not {name: reason for name, reason in NEVER.items() if name in found}


async def test_a_start_makes_no_class_that_is_costly_to_make(tmp_path: Path) -> None:
    found = await imported_until_subscribed(tmp_path, "--no-web")
    own = {name for name in found if name.startswith("flowrunner.") and not name.startswith("flowrunner.steps.")}
    assert len(own) > 100
    usual = re.compile(r"^from dataclasses import .*\bdataclass\b", re.MULTILINE)
    costly = {name for name in own - USUAL if usual.search(text_of(name))}
    assert not costly, "take `dataclass` from flowrunner.records"


def text_of(module: str) -> str:
    """The source of a module."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text()
