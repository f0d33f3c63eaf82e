"""Several workers as one runner: what they count is added up, and what one counted before it ended stays."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flowrunner.cli.status_lines import draw_status
from flowrunner.clock import VirtualClock
from flowrunner.errors import StepError
from flowrunner.run.overview import Meter, overview
from flowrunner.workers import looking as looking_module
from flowrunner.workers.fleet_flow import add_states
from tests.mosquitto import Mosquitto, mosquitto
from tests.run.fakes import Hand, until
from tests.workers.company import Company, company

__all__ = ["mosquitto"]

WARM = """
    subscribe: sensors/+room
    steps:
      - json
      - filter: payload.t > 25
      - set: {level: warm}
      - publish: alerts/${room}
"""
KEEPS = """
    subscribe: sensors/+room
    steps:
      - json
      - changed: {value: payload.t, by: room}
      - state: {increment: met, key: room}
      - delay: 5s
      - stop: late
"""


def shown(found: Company, meter: Meter | None = None) -> dict[str, Any]:
    meter = meter or Meter(found.looking.clock.time() - 1)
    return overview(found.looking, found.library.contents, meter, folder=found.folder, since=0.0)


async def flow(found: Company, name: str = "f") -> dict[str, Any]:
    await found.looking.refresh(states=None)
    return next(one for one in shown(found)["flows"] if one["name"] == name)


async def test_what_workers_count_is_added_up(tmp_path: Path) -> None:
    async with company(tmp_path, {"f.yaml": WARM}) as found:
        one, two = found.hands.values()
        one.deliver("f", b'{"t": 30}', b'{"t": 1}', b"{}")
        two.deliver("f", b'{"t": 30}', b"{}", b"{")
        told = await flow(found)
        assert (told["received"], told["dropped"]) == (6, 3)
        assert {(error["code"], error["step"], error["line"], error["count"]) for error in told["errors"]} == {
            ("missing-field", "filter 1", 4, 2),
            ("not-json", "json 1", 3, 1),
        }
        (connection,) = shown(found)["connections"]
        assert connection["clients"] == {"there": 0, "all": 2}
        assert not connection["is_there"]
        assert connection["dropped"] == 2


async def test_states_and_stores_are_added_up(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with company(tmp_path, {"f.yaml": KEEPS}, clock=clock) as found:
        one, two = found.hands.values()
        one.deliver("f", b'{"t": 1}', b'{"t": 2}')
        clock.advance(2)
        two.deliver("f", b'{"t": 1}', topic="sensors/hall")
        told = await flow(found)
        assert told["waiting"] == 3
        assert told["states"]["changed 1"] == {"keys": 2}
        assert [due["in"] for due in told["states"]["delay 1"]["due"]] == [3.0, 3.0, 5.0]
        assert told["keys"] == 2 + sum(told["stores"].values())
        clock.advance(5)
        assert (await flow(found))["stopped"] == {"late": 3}


async def test_a_worker_that_ends_takes_nothing_away(tmp_path: Path) -> None:
    async with company(tmp_path, {"f.yaml": WARM}) as found:
        one, two = found.hands.values()
        one.deliver("f", b"{}", b"{}")
        two.deliver("f", b"{}")
        await found.looking.refresh()
        await found.kill(1)
        assert found.looking.flows["f"].received == 3
        assert [(worker.number, worker.process) for worker in found.looking.workers] == [(1, 0), (2, two.process)]
        (connection,) = shown(found)["connections"]
        assert connection["clients"] == {"there": 0, "all": 2}
        again = await found.hire(1)
        assert (await flow(found))["received"] == 3
        again.deliver("f", b"{}")
        told = await flow(found)
        assert (told["received"], told["dropped"], told["errors"][0]["count"]) == (4, 4, 4)
        worker = found.looking.workers[0]
        assert (worker.process, worker.restarts) == (again.process, 1)
        assert worker.seconds > 0
        assert worker.memory > 1_000_000


async def test_what_is_told_late_of_a_worker_that_was_replaced_counts_nowhere(tmp_path: Path) -> None:
    async with company(tmp_path, {"f.yaml": WARM}) as found:
        hand = found.hands[1]
        hand.is_slow = asyncio.Event()
        hand.deliver("f", b"{}")
        asking = asyncio.ensure_future(found.looking.refresh())
        await asyncio.sleep(0)
        del found.hands[1]
        found.looking.ended(1)
        await found.hire(1)
        hand.is_slow.set()
        await asking
        assert found.looking.flows["f"].received == 0
        await hand.runner.close()


async def test_a_flow_that_moves_from_worker_to_worker_and_back_keeps_its_count(tmp_path: Path) -> None:
    async with company(tmp_path, {"f.yaml": WARM}, owners={"f": 1}) as found:
        found.hands[1].deliver("f", b"{}", b"{}")
        await found.looking.refresh()
        found.hands[1].deliver("f", b"{}")
        found.owners["f"] = 2
        await found.reload()
        found.hands[2].deliver("f", b"{}")
        assert (await flow(found))["received"] == 4
        found.owners["f"] = 1
        await found.reload()
        found.hands[1].deliver("f", b"{}", b"{}", b"{}", b"{}")
        told = await flow(found)
        assert (told["received"], told["dropped"], told["worker"]) == (8, 8, 1)
        (error,) = told["errors"]
        assert error["count"] == 8


async def test_a_flow_that_is_gone_begins_anew_when_it_comes_back(tmp_path: Path) -> None:
    async with company(tmp_path, {"f.yaml": WARM, "g.yaml": WARM}) as found:
        found.hands[1].deliver("f", b"{}")
        await found.looking.refresh()
        found.hands[2].deliver("f", b"{}")
        (tmp_path / "f.yaml").unlink()
        await found.reload()
        assert set(found.looking.flows) == {"g"}
        found.save("f.yaml", WARM)
        await found.reload()
        found.hands[2].deliver("f", b"{}")
        assert (await flow(found))["received"] == 1


async def test_an_edit_keeps_counts_and_says_since_when_the_version_runs(tmp_path: Path) -> None:
    async with company(tmp_path, {"f.yaml": WARM, "g.yaml": WARM}) as found:
        before = found.looking.flows["f"].since, found.looking.flows["g"].since
        found.hands[1].deliver("f", b"{}")
        await asyncio.sleep(0.002)
        found.save("f.yaml", WARM.replace("25", "20"))
        await found.reload()
        assert (await flow(found))["received"] == 1
        assert found.looking.flows["f"].since > before[0]
        assert found.looking.flows["g"].since == before[1]


async def test_who_is_slow_is_waited_for_a_moment_and_understood_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking_module, "PATIENCE", 0.05)
    async with company(tmp_path, {"f.yaml": WARM}) as found:
        one, two = found.hands.values()
        one.deliver("f", b"{}")
        two.deliver("f", b"{}")
        two.is_slow = asyncio.Event()
        await found.looking.refresh()
        assert found.looking.flows["f"].received == 1
        for _ in range(10):
            await found.looking.refresh()
        assert len(two.asked) < 10
        two.is_slow.set()
        await until(lambda: found.looking.flows["f"].received == 2)
        two.is_slow = None
        two.deliver("f", b"{}")
        await found.looking.refresh()
        assert found.looking.flows["f"].received == 3


async def test_only_what_changed_is_told_again(tmp_path: Path) -> None:
    async with company(tmp_path, {f"{name}.yaml": WARM for name in "abc"}) as found:
        onlooker = found.hands[1].onlooker
        found.hands[1].deliver("b", b"{}")
        glance = onlooker._glancer.glance()
        assert [told.name for told in glance.flows] == ["b"]
        assert [tally.diagnostic is not None for tally in glance.tallies] == [True]
        assert glance.running is None
        found.hands[1].deliver("b", b"{}")
        (tally,) = onlooker._glancer.glance().tallies
        assert (tally.count, tally.diagnostic) == (2, None)
        assert not onlooker._glancer.glance().flows


async def test_the_table_of_several_workers(tmp_path: Path) -> None:
    files = {"f.yaml": WARM, "keeps.yaml": KEEPS}
    async with company(tmp_path, files, owners={"keeps": 2}) as found:
        await found.looking.refresh(states=None)
        lines = list(draw_status([shown(found)], color=False))
        assert "workers: 2 (pids 1001, 1002)" in lines
        assert [line.split()[-1] for line in lines if line.startswith(("f ", "keeps "))] == ["all", "2"]
        await found.kill(2)
        text = "\n".join(draw_status([shown(found)], color=False))
        assert "workers: 1 of 2 (pid 1001)" in text
        await found.hire(2)
        found.own()
        await found.looking.refresh(states=None)
        text = "\n".join(draw_status([shown(found)], color=False))
        assert "worker 2 was started again once" in text
        assert shown(found)["workers"][1]["flows"] == ["keeps"]


async def test_the_last_messages_are_those_of_all_workers_in_their_order(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with company(tmp_path, {"f.yaml": WARM}, clock=clock) as found:
        memory = found.looking.remember()
        await until(lambda: all(hand.onlooker._recent for hand in found.hands.values()))
        for number in range(30):
            found.hands[1 + number % 2].deliver("f", b"%d" % number)
            clock.advance(1)
        assert [arrived.payload for arrived in await memory.last("f")] == [b"%d" % number for number in range(10, 30)]
        await found.kill(1)
        again = await found.hire(1)
        await found.looking.refresh()
        again.deliver("f", b"new")
        assert [arrived.payload for arrived in (await memory.last("f"))[-2:]] == [b"29", b"new"]
        assert await memory.last("nobody") == ()


async def test_how_long_flows_take_is_measured_in_all_workers(tmp_path: Path) -> None:
    async with company(tmp_path, {"f.yaml": WARM}) as found:
        memory = found.looking.remember()
        memory.measure()
        await found.looking.refresh()
        for hand in found.hands.values():
            hand.deliver("f", b"{}", b"{}")
        await found.looking.refresh()
        await found.kill(1)
        seconds, counts = memory.timings["f"]
        assert sum(counts) == 4
        assert seconds > 0


@pytest.mark.broker
async def test_one_worker_publishes_what_somebody_asks_for(mosquitto: Mosquitto, tmp_path: Path) -> None:
    settings = mosquitto.settings()
    async with Hand(settings, "typed") as hand, company(tmp_path, {"f.yaml": WARM}, settings=settings) as found:
        for one in found.hands.values():
            await one.runner.heard()
        await found.looking.refresh()
        assert found.looking.connections["default"].clients == (2, 2)
        await found.looking.publish("default", "typed", b"once", 1)
        await until(lambda: hand.payloads == [b"once"])
        await found.looking.refresh()
        assert found.looking.connections["default"].published == 1
        await found.kill(1)
        await found.looking.publish("default", "typed", b"twice", 1)
        await until(lambda: hand.payloads == [b"once", b"twice"])


async def test_what_cannot_be_published_is_said(tmp_path: Path) -> None:
    async with company(tmp_path, {"f.yaml": WARM}) as found:
        with pytest.raises(StepError, match="no connection"):
            await found.looking.publish("other", "typed", b"")
        await found.kill(1)
        await found.kill(2)
        with pytest.raises(StepError, match="no worker is there"):
            await found.looking.publish("default", "typed", b"")


def test_what_lies_in_redis_is_the_same_in_every_worker() -> None:
    one = {"changed 1": {"keys": 5, "is_common": True}, "window 1": {"waiting": 2}}
    other = {"changed 1": {"waiting": 1, "keys": 5, "evicted": 2, "is_common": True}, "window 1": {"waiting": 1}}
    assert add_states([one, other]) == {
        "changed 1": {"waiting": 1, "keys": 5, "evicted": 2, "is_common": True},
        "window 1": {"waiting": 3},
    }
