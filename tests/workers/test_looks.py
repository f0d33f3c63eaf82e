"""Looking into the flows of several workers: whoever looks sees what all of them see, once, and in its order."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from flowrunner.clock import VirtualClock
from flowrunner.frame import draw
from flowrunner.read.flow import Flow
from flowrunner.run.tapping import Tapped
from flowrunner.run.viewing import Viewing
from flowrunner.web.sight import MOST, Sight
from flowrunner.workers import sheet
from tests.run.fakes import until
from tests.workers.company import Company, Hand, company
from tests.workers.test_looking import WARM


@asynccontextmanager
async def warm(folder: Path, text: str = WARM, **given: Any) -> AsyncIterator[Company]:
    async with company(folder, {"f.yaml": text}, **given) as found:
        yield found


def flow_of(found: Company, name: str = "f") -> Flow:
    flow = found.looking.flows[name].program.flow
    assert isinstance(flow, Flow)
    return flow


async def see(found: Company, *wanted: str) -> Sight:
    """Look as the page does."""
    sight = Sight(flow_of(found))
    sight.want(wanted)
    assert await found.looking.tap({"f": sight}) == {"f"}
    return sight


async def view(found: Company, by: str = "tap 1", step: str = "") -> Viewing:
    """Look as `tap` does."""
    viewing = Viewing(flow_of(found), found.looking.clock, draw, step=step)
    assert await found.looking.tap({"f": viewing}, by) == {"f"}
    return viewing


async def told(found: Company, viewing: Viewing, count: int) -> list[dict[str, Any]]:
    """What a viewer is told, as soon as it is so much."""
    seen: list[dict[str, Any]] = []

    def is_enough() -> bool:
        seen.extend(one for one in viewing.take() if one is not None)
        return len(seen) >= count

    await until(is_enough)
    return seen


def is_tapped(hand: Hand) -> bool:
    return hand.runner.flows["f"].tapped is not None


async def test_the_numbers_of_steps_are_those_of_all_workers(tmp_path: Path) -> None:
    async with warm(tmp_path) as found:
        sight = await see(found)
        one, two = found.hands.values()
        one.deliver("f", b'{"t": 30}', b'{"t": 20}')
        two.deliver("f", b'{"t": 26}')
        await found.looking.refresh()
        seen = {name: counts.seen for name, counts in sight.counts.items()}
        assert seen == {"json 1": [3, 3, 0], "filter 1": [3, 2, 0], "set 1": [2, 2, 0], "publish 1": [2, 2, 0]}
        assert sight.entered == 3
        assert found.looking.flows["f"].received == 3
        assert await found.looking.tap({}) == frozenset()
        assert not any(map(is_tapped, found.hands.values()))


async def test_messages_are_shown_in_full_of_steps_that_somebody_wants(tmp_path: Path) -> None:
    async with warm(tmp_path) as found:
        sight = await see(found)
        sight.want({"set 1"})
        one, two = found.hands.values()
        await found.looking.refresh()
        one.deliver("f", b'{"t": 30}')
        await asyncio.sleep(0.001)
        two.deliver("f", b'{"t": 31}', topic="sensors/hall")
        await until(lambda: len(sight.records) == 4)
        records, missed = sight.take()
        assert missed == 0
        assert [(one["where"], one["payload"]["text"], one["message"]) for one in records] == [
            ("in", '{"t":30}', 1),
            ("out", '{"t":30,"level":"warm"}', 1),
            ("in", '{"t":31}', 2),
            ("out", '{"t":31,"level":"warm"}', 2),
        ]
        assert records[0]["time"] < records[2]["time"]
        assert records[2]["names"] == {"room": '"hall"'}
        origin = sight.origin(2)
        assert origin is not None
        assert (origin.topic, origin.payload) == ("sensors/hall", b'{"t": 31}')


async def test_what_a_tick_may_look_at_is_shared_by_the_workers(tmp_path: Path) -> None:
    async with warm(tmp_path) as found:
        sight = await see(found)
        for hand in found.hands.values():
            hand.deliver("f", *[b'{"t": 1}'] * (MOST + 50))
        await found.looking.refresh()
        assert sight.entered == MOST
        assert sight.passed == MOST + 100
        assert sight.left == 0
        await found.looking.refresh()
        found.hands[1].deliver("f", b'{"t": 1}')
        await found.looking.refresh()
        assert sight.entered == MOST
        sight.tick()
        await found.looking.refresh()
        found.hands[1].deliver("f", b'{"t": 1}')
        await found.looking.refresh()
        assert sight.entered == MOST + 1


async def test_messages_are_told_in_the_order_of_their_time(tmp_path: Path) -> None:
    async with warm(tmp_path) as found:
        viewing = await view(found)
        for number in range(20):
            found.hands[1 + number * 7 % 3 % 2].deliver("f", b'{"t": %d}' % number)
            await asyncio.sleep(0.001)
        seen = await told(found, viewing, 20)
        assert [one["given"]["payload"] for one in seen] == [f'{{"t": {number}}}' for number in range(20)]
        assert [one["message"] for one in seen] == list(range(1, 21))
        assert all(len(one["steps"]) == 2 for one in seen)


async def test_what_happens_besides_belongs_to_its_message(tmp_path: Path) -> None:
    text = """
        subscribe: sensors/+room
        steps:
          - json
          - log: "${payload.t}"
          - python: later.py:check
          - publish: alerts/${room}
    """
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "later.py").write_text(
        "import asyncio\n\nasync def check(message):\n    await asyncio.sleep(0.01)\n    return 1 / message.payload['t']\n"
    )
    async with warm(tmp_path, text) as found:
        viewing = await view(found)
        one, two = found.hands.values()
        one.deliver("f", b'{"t": 0}')
        two.deliver("f", b'{"t": 1}', topic="sensors/hall")
        one.deliver("f", b'{"t": 2}')
        ends: dict[str, str] = {}
        while len(ends) < 3:
            for message in filter(None, viewing.take()):
                kinds = {kind for step in message["steps"] for effect in step["effects"] for kind in effect}
                for kind in kinds - {"logged"}:
                    ends[message["given"]["payload"]] = kind
            await asyncio.sleep(0.002)
        assert ends == {'{"t": 0}': "failed", '{"t": 1}': "published", '{"t": 2}': "published"}


async def test_a_failure_is_explained_where_it_happened(tmp_path: Path) -> None:
    async with warm(tmp_path) as found:
        viewing = await view(found)
        found.hands[2].deliver("f", b"{}")
        (message,) = await told(found, viewing, 1)
        step = message["steps"][-1]
        assert (step["step"], step["result"]) == ("filter 1", "failed")
        assert "^^^^^^^^^" in step["effects"][0]["failed"]["frame"]


async def test_what_is_held_is_told_of_the_same_message(tmp_path: Path) -> None:
    text = "{subscribe: a, steps: [json, {delay: 5s}, {set: {late: true}}]}"
    clock = VirtualClock()
    async with warm(tmp_path, text, clock=clock) as found:
        viewing = await view(found)
        for hand in found.hands.values():
            hand.deliver("f", b"{}", topic="a")
        await told(found, viewing, 2)
        clock.advance(5)
        await asyncio.sleep(0)
        seen = await told(found, viewing, 2)
        assert [(one["message"], one["is_continued"]) for one in seen] == [(1, True), (2, True)]
        assert [(step["step"], step["result"], step["at"]) for step in seen[1]["steps"]] == [
            ("delay 1", "later", 5.0),
            ("set 1", "passed", 5.0),
        ]


async def test_an_edit_is_followed_by_taps_and_left_by_the_page(tmp_path: Path) -> None:
    async with warm(tmp_path) as found:
        viewing, sight = await view(found), await see(found)
        found.save("f.yaml", WARM.replace("25", "20"))
        await found.reload()
        assert viewing.next is not None
        assert all(map(is_tapped, found.hands.values()))
        found.hands[2].deliver("f", b'{"t": 21}')
        (message,) = await told(found, viewing.next, 1)
        assert message["steps"][1]["read"] == {"payload.t": 21}
        assert not [one for one in viewing.take() if one]
        assert sight.entered == 0
        newer = await see(found)
        found.hands[1].deliver("f", b'{"t": 21}')
        await found.looking.refresh()
        assert newer.entered == 1
        assert await found.looking.tap({}, "tap 1") == frozenset()
        assert all(map(is_tapped, found.hands.values()))


async def test_a_worker_that_starts_is_looked_into_as_well(tmp_path: Path) -> None:
    async with warm(tmp_path) as found:
        viewing, sight = await view(found), await see(found, "json 1")
        await found.kill(2)
        again = await found.hire(2)
        assert is_tapped(again)
        await found.looking.refresh()
        again.deliver("f", b'{"t": 30}')
        found.hands[1].deliver("f", b'{"t": 30}')
        assert len(await told(found, viewing, 2)) == 2
        await until(lambda: len(sight.records) == 4)


async def test_what_a_worker_saw_is_shown_although_it_has_ended(tmp_path: Path) -> None:
    async with warm(tmp_path) as found:
        viewing = await view(found)
        hand = found.hands[1]
        hand.deliver("f", b'{"t": 30}')
        asked = found.looking.question(1)
        found.looking.take(1, await hand.ask(asked))
        await found.kill(1)
        assert len([one for one in viewing.take() if one]) == 1


async def test_a_flow_with_one_owner_is_looked_into_there(tmp_path: Path) -> None:
    async with warm(tmp_path, owners={"f": 2}) as found:
        sight = await see(found)
        await found.looking.refresh()
        await found.looking.refresh()
        found.hands[2].deliver("f", *[b'{"t": 1}'] * (MOST + 10))
        await found.looking.refresh()
        assert sight.entered == MOST
        found.owners["f"] = 1
        await found.reload()
        assert is_tapped(found.hands[1])
        await found.looking.refresh()
        sight.tick()
        await found.looking.refresh()
        found.hands[1].deliver("f", b'{"t": 1}')
        await found.looking.refresh()
        assert sight.entered == MOST + 1


class Odd:
    """What only a step of somebody else's package can bring into a flow."""

    def __repr__(self) -> str:
        return "<odd>"


async def test_what_cannot_be_told_another_process_is_told_in_words(tmp_path: Path) -> None:
    async with warm(tmp_path) as found:
        viewing = await view(found)
        tapped = found.hands[1].runner.flows["f"].tapped
        assert isinstance(tapped, Tapped)
        origin: tuple[Any, ...] = ("sensors/a", b"", 0, False, {})
        tapped.see("in", "json 1", origin, {"topic": "sensors/a", "payload": b"", "lock": threading.Lock()})
        tapped.see("out", "json 1", origin, {"topic": "sensors/a", "payload": {"odd": [Odd()], "n": 1}})
        (message,) = await told(found, viewing, 1)
        (change,) = message["steps"][0]["changes"]
        assert change["new"] == {"odd": ["<odd>"], "n": 1}
        assert message["names"]["lock"].startswith("<unlocked")


async def test_there_is_room_for_so_much_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "MOST_ROWS", 40)
    monkeypatch.setattr(sheet, "MOST_BYTES", 1_000)
    async with warm(tmp_path) as found:
        sight = await see(found, "json 1", "filter 1", "set 1", "publish 1")
        hand = found.hands[1]
        hand.deliver("f", *[b'{"t": 30}'] * 100)
        assert len(hand.onlooker.sheet._rows) <= 41
        await until(lambda: sight.records)
        assert len(sight.take()[0]) < 41
        sight.tick()
        await found.looking.refresh()
        hand.deliver("f", b'{"t": 30, "more": "%b"}' % (b"x" * 2_000))
        await found.looking.refresh()
        assert not sight.take()[0]
        assert sight.counts["publish 1"].seen[0] >= 6


async def test_messages_are_known_for_a_while_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "MOST_KNOWN", 3)
    async with warm(tmp_path) as found:
        viewing = await view(found)
        found.hands[1].deliver("f", *[b'{"t": %d}' % number for number in range(10)])
        seen = await told(found, viewing, 10)
        assert [one["given"]["payload"] for one in seen] == [f'{{"t": {number}}}' for number in range(10)]
        assert len(found.looking._relay._told[1].origins) == 3


async def test_a_slow_worker_holds_up_what_others_saw_for_a_moment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowrunner.workers.looking.PATIENCE", 0.02)
    monkeypatch.setattr("flowrunner.workers.relay.PATIENCE", 0.05)
    async with warm(tmp_path) as found:
        viewing = await view(found)
        one, two = found.hands.values()
        two.is_slow = asyncio.Event()
        one.deliver("f", b'{"t": 1}')
        two.deliver("f", b'{"t": 2}')
        assert [message["given"]["payload"] for message in await told(found, viewing, 1)] == ['{"t": 1}']
        two.is_slow.set()
        assert [message["given"]["payload"] for message in await told(found, viewing, 1)] == ['{"t": 2}']


async def test_flows_that_taps_are_too_much_for_are_left_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flowrunner.errors import FlowError
    from flowrunner.run import tapping

    def refuse(*_: Any, **__: Any) -> Any:
        raise FlowError([])

    async with warm(tmp_path) as found:
        monkeypatch.setattr(tapping, "compile_flow", refuse)
        assert await found.looking.tap({"f": Sight(flow_of(found))}) == frozenset()
        found.hands[1].deliver("f", b'{"t": 30}')
        await found.looking.refresh()
        assert found.looking.flows["f"].received == 1


async def test_one_who_looks_and_fails_spoils_nothing_for_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Sight):
        @property
        def closely(self) -> frozenset[str]:
            return frozenset({"json 1"})

        def look(self, *_: Any) -> None:
            raise ValueError("broken")

    async with warm(tmp_path) as found:
        await found.looking.tap({"f": Broken(flow_of(found))}, "broken")
        sight = await see(found, "json 1")
        found.hands[1].deliver("f", b'{"t": 30}')
        await until(lambda: len(sight.records) == 2)
    assert "could not be shown" in caplog.text
