"""Processes that share the messages of one run, as they start, change, die and end."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from flowrunner.broker import Broker
from flowrunner.connections import ConnectionSettings
from tests.mosquitto import OPEN, Mosquitto, require_mosquitto
from tests.run.fakes import Hand
from tests.workers.yard import eventually, is_alive, yard

COPY = """
    subscribe: {topic: in/+n, qos: 1}
    steps:
      - publish: {topic: "out/${n}", qos: 1}
"""
WHO = """
    import os
    VERSION = %d

    def who(message):
        return {"process": os.getpid(), "version": VERSION}
"""
VERSIONED = """
    subscribe: {topic: in/+n, qos: 1}
    steps:
      - let: {first: %d}
      - python: who.py:who
      - publish: {topic: "out/${n}", payload: "${payload.process} ${first} ${payload.version} %d", qos: 1}
"""
CHANGED = """
    subscribe: {topic: in/+n, qos: 1}
    steps:
      - json
      - changed: {value: payload, by: n}
      - publish: {topic: "changed/${n}", qos: 1}
"""


def versioned(version: int) -> dict[str, str]:
    return {"copy": VERSIONED % (version, version), "who.py": WHO % version}


async def test_workers_share_messages_and_one_owns_what_remembers(tmp_path: Path) -> None:
    async with (
        Broker(port=0) as broker,
        yard(tmp_path, ConnectionSettings(host="127.0.0.1", port=broker.port), {**versioned(1), "changed": CHANGED}) as yard_,
        Hand(ConnectionSettings(host="127.0.0.1", port=broker.port), "out/#", "changed/#") as hand,
    ):  # fmt: skip
        for number in range(40):
            await hand.publish(f"in/{number % 4}", b"1")
        await eventually(lambda: len(hand.got) == 44, lambda: Counter(one.topic for one in hand.got))
        workers = Counter(one.payload.split()[0] for one in hand.got if one.topic.startswith("out/"))
        assert sorted(map(int, workers)) == sorted(yard_.processes.values())
        assert sorted(one.topic for one in hand.got if one.topic.startswith("changed/")) == [
            f"changed/{n}" for n in range(4)
        ]
        (how,) = yard_.said("workers")
        assert how["text"] == "2 workers; shared: copy; one owner each: changed (`changed` remembers) on 1"
        (connected,) = yard_.said("connected")
        assert connected["text"].endswith("(2 workers)")
        processes = list(yard_.processes.values())
    assert not any(map(is_alive, processes))
    assert yard_.fleet.flows["copy"].received == 40
    assert yard_.fleet.flows["changed"].received == 40


async def send(hand: Hand, first: int, end: int, *, batch: int = 20) -> None:
    """Publish numbers, some at a time."""
    for begin in range(first, end, batch):
        await asyncio.gather(*(hand.publish(f"in/{number}", b"1") for number in range(begin, min(begin + batch, end))))


@pytest.mark.broker
async def test_a_reload_under_load_swaps_all_workers_and_mixes_nothing(mosquitto: Mosquitto, tmp_path: Path) -> None:
    folder = tmp_path / "flows"
    async with (
        yard(folder, mosquitto.settings(), versioned(1)) as yard_,
        Hand(mosquitto.settings(), "out/#") as hand,
    ):
        after: dict[int, int] = {}
        number = 0
        for version in (2, 3, 4):
            sending = asyncio.ensure_future(send(hand, number, number + 200))
            await asyncio.sleep(0)
            yard_.write(versioned(version))
            await yard_.reload()
            await sending
            number += 200
            await send(hand, number, number + 40)
            after |= dict.fromkeys(range(number, number + 40), version)
            number += 40
        await eventually(lambda: len({one.topic for one in hand.got}) == number, lambda: len(hand.got))
        versions: dict[str, list[int]] = {}
        for one in hand.got:
            process, first, python, last = one.payload.decode().split()
            assert first == python == last, one
            versions.setdefault(process, []).append(int(first))
            assert int(first) >= after.get(int(one.topic.removeprefix("out/")), 1)
        assert len(versions) == 2
        assert all(seen == sorted(seen) for seen in versions.values())
        assert len(hand.got) == number
        assert len(yard_.said("reloaded")) == 3
        assert not yard_.said("not-alike")


@pytest.mark.broker
async def test_a_flow_that_gets_and_loses_an_owner_under_load_misses_nothing(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    owned = COPY.replace("steps:", "steps:\n      - dedupe: {key: n, within: 1h}")
    async with (
        yard(tmp_path / "flows", mosquitto.settings(), {"copy": COPY}, count=3) as yard_,
        Hand(mosquitto.settings(), "out/#") as hand,
    ):
        number = 0
        for text in (owned, COPY):
            sending = asyncio.ensure_future(send(hand, number, number + 300))
            await asyncio.sleep(0)
            yard_.write({"copy": text})
            await yard_.reload()
            await sending
            number += 300
        await eventually(lambda: len({one.topic for one in hand.got}) == number, lambda: len(hand.got))


async def test_an_edit_with_a_mistake_keeps_the_old_version_also_in_a_worker_that_starts_later(tmp_path: Path) -> None:
    async with Broker(port=0) as broker:
        settings = ConnectionSettings(host="127.0.0.1", port=broker.port)
        async with yard(tmp_path, settings, versioned(1)) as yard_, Hand(settings, "out/#") as hand:
            yard_.write(versioned(2))
            await yard_.reload()
            yard_.write({"copy": "subscribe: in/+n\nsteps:\n  - pubish: out/${n}\n", "who.py": WHO % 3})
            await yard_.reload()
            assert yard_.library.contents.versions["copy"].is_stale
            for number in (1, 2):
                await yard_.replaced(number, yard_.kill(number))
            await send(hand, 0, 10)
            await eventually(lambda: len(hand.got) == 10)
            assert {one.payload.decode().split(" ", 1)[1] for one in hand.got} == {"2 2 2"}
            assert {int(one.payload.split()[0]) for one in hand.got} <= set(yard_.processes.values())
            yard_.write(versioned(4))
            await yard_.reload()
            await send(hand, 10, 20)
            await eventually(lambda: len(hand.got) == 20)
            assert {one.payload.decode().split(" ", 1)[1] for one in hand.got[10:]} == {"4 4 4"}
            assert not yard_.said("not-alike")


async def test_flows_with_memory_go_on_elsewhere_when_their_owner_is_killed(tmp_path: Path) -> None:
    async with Broker(port=0) as broker:
        settings = ConnectionSettings(host="127.0.0.1", port=broker.port)
        flows = {"one": CHANGED, "two": CHANGED.replace("changed/", "again/")}
        async with yard(tmp_path, settings, flows) as yard_, Hand(settings, "changed/#", "again/#") as hand:
            assert yard_.fleet.owners == {"one": 1, "two": 2}
            killed = yard_.kill(1)
            await eventually(lambda: yard_.said("moved"), lambda: yard_.told)
            assert yard_.fleet.owners == {"one": 2, "two": 2}
            await hand.publish("in/a", b"1")
            await eventually(lambda: len(hand.got) == 2, lambda: yard_.told)
            await yard_.replaced(1, killed)
            assert yard_.fleet.owners == {"one": 2, "two": 2}  # nothing moves without need
            (ended,) = yard_.said("worker-ended")
            assert ended["text"] == "worker 1 was killed (SIGKILL): started again"
            yard_.write({"three": CHANGED.replace("changed/", "new/")})
            await yard_.reload()
            assert yard_.fleet.owners == {"one": 2, "two": 2, "three": 1}


@pytest.mark.broker
async def test_nothing_is_lost_when_a_worker_with_a_session_is_killed(tmp_path: Path) -> None:
    most = 2000
    require_mosquitto()
    with Mosquitto(tmp_path / "mosquitto", f"{OPEN}max_queued_messages 0\n") as mosquitto:
        await kill_workers_with_sessions(mosquitto, tmp_path, most)


def missing(hand: Hand, wanted: set[str]) -> object:
    left = sorted(wanted - {one.topic for one in hand.got})
    return len(hand.got), len(left), left[:5]


async def kill_workers_with_sessions(mosquitto: Mosquitto, tmp_path: Path, most: int) -> None:
    settings = mosquitto.settings(keep=60.0, client_id="team")
    async with (
        yard(tmp_path / "flows", settings, {"copy": COPY, "changed": CHANGED}) as yard_,
        Hand(mosquitto.settings(), "out/#", "changed/#") as hand,
    ):
        assert yard_.fleet.owners == {"changed": 1}
        sending = asyncio.ensure_future(send(hand, 0, most))
        for number in (1, 2):
            await eventually(lambda number=number: len(hand.got) > number * most // 2)  # type: ignore[misc]
            await yard_.replaced(number, yard_.kill(number))
        await sending
        wanted = {f"{kind}/{number}" for number in range(most) for kind in ("out", "changed")}
        await eventually(lambda: {one.topic for one in hand.got} == wanted, lambda: missing(hand, wanted))
        assert yard_.fleet.owners == {"changed": 1}
        assert not yard_.said("moved")
