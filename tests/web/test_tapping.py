"""Flows that somebody looks into: they do the same, on the same state, and tell what passes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from flowrunner.clock import VirtualClock
from flowrunner.connections import ConnectionSettings
from flowrunner.message import NO_PROPERTIES, Message
from flowrunner.read.flow import Flow
from flowrunner.run.live import LiveFlow
from flowrunner.run.states import show_states
from flowrunner.web.sight import MOST, Sight
from tests.mosquitto import Mosquitto, mosquitto
from tests.run.fakes import Hand, until
from tests.run.workshop import Workshop, workshop
from tests.web.served import WARM

__all__ = ["mosquitto"]

NOWHERE = ConnectionSettings(host="127.0.0.1", port=1)


@asynccontextmanager
async def running(folder: Path, text: str, clock: VirtualClock | None = None) -> AsyncIterator[Workshop]:
    async with workshop(folder, NOWHERE, {"f.yaml": text}, is_ready=False, is_watched=False, clock=clock) as shop:
        yield shop


def live_of(shop: Workshop) -> LiveFlow:
    return shop.runner.flows["f"]


async def tap(shop: Workshop) -> Sight:
    flow = live_of(shop).program.flow
    assert isinstance(flow, Flow)
    sight = Sight(flow)
    await shop.runner.tap({"f": sight})
    shop.following.watch()
    return sight


def deliver(shop: Workshop, *payloads: bytes, topic: str = "sensors/attic") -> None:
    live = live_of(shop)
    for payload in payloads:
        live.received += 1
        try:
            live.handler(topic, payload, 0, False, NO_PROPERTIES, 0)
        except Exception as error:  # noqa: BLE001 - as a router does
            shop.runner.failures.failed(live, error, Message(topic, payload))


async def test_each_step_tells_what_comes_in_and_goes_out(tmp_path: Path) -> None:
    async with running(tmp_path, WARM) as shop:
        sight = await tap(shop)
        deliver(shop, b'{"t": 30}', b'{"t": 20}', b'{"t": 26}')
        seen = {name: counts.seen for name, counts in sight.counts.items()}
        assert seen == {"json 1": [3, 3, 0], "filter 1": [3, 2, 0], "set 1": [2, 2, 0], "publish 1": [2, 2, 0]}


async def test_messages_are_shown_in_full_only_of_steps_that_somebody_wants(tmp_path: Path) -> None:
    async with running(tmp_path, WARM) as shop:
        sight = await tap(shop)
        deliver(shop, b'{"t": 30}')
        assert sight.take() == ([], 0)
        sight.want({"set 1"})
        deliver(shop, b'{"t": 31}')
        records, missed = sight.take()
        assert missed == 0
        assert [(one["where"], one["payload"]["text"]) for one in records] == [
            ("in", '{"t":31}'),
            ("out", '{"t":31,"level":"warm"}'),
        ]
        assert {one["message"] for one in records} == {1}
        assert records[0]["names"] == {"room": '"attic"'}
        origin = sight.origin(1)
        assert origin is not None
        assert (origin.topic, origin.payload) == ("sensors/attic", b'{"t": 31}')
        sight.want(())
        deliver(shop, b'{"t": 31}')
        assert (sight.take(), sight.origin(1)) == (([], 0), None)


async def test_more_messages_than_a_tick_looks_at_take_the_plain_way(tmp_path: Path) -> None:
    async with running(tmp_path, WARM) as shop:
        sight = await tap(shop)
        deliver(shop, *[b'{"t": 1}'] * (MOST + 50))
        assert (sight.entered, sight.left) == (MOST, 0)
        assert live_of(shop).received == MOST + 50
        sight.tick()
        deliver(shop, b'{"t": 1}')
        assert sight.entered == MOST + 1


async def test_state_timers_and_counts_go_on_through_taps_and_back(tmp_path: Path) -> None:
    clock = VirtualClock()
    text = """
        subscribe: sensors/+room
        steps:
          - json
          - changed: payload.t
          - debounce: 10s
          - publish: out
    """
    async with running(tmp_path, text, clock) as shop:
        deliver(shop, b'{"t": 1}')
        clock.advance(4)
        before = live_of(shop)
        sight = await tap(shop)
        live = live_of(shop)
        assert live is not before
        assert (live.since, live.received) == (before.since, 1)
        assert show_states(live, clock)["debounce 1"] == {"keys": 1, "due": [{"key": "", "in": 6.0}]}
        deliver(shop, b'{"t": 1}')  # not changed: the timer runs on
        assert sight.counts["debounce 1"].seen == [0, 0, 0]
        clock.advance(6)
        assert sight.counts["debounce 1"].seen == [0, 1, 0]
        deliver(shop, b'{"t": 2}')
        await shop.runner.tap({})
        assert live_of(shop).tapped is None
        assert show_states(live_of(shop), clock)["debounce 1"]["due"][0]["in"] == 10.0
        clock.advance(10)
        assert show_states(live_of(shop), clock) == {"changed 1": {"keys": 1}}


async def test_both_ways_share_one_state(tmp_path: Path) -> None:
    clock = VirtualClock()
    text = "{subscribe: a, steps: [json, {sample: 2}, {delay: 5s}, {publish: out}]}"
    async with running(tmp_path, text, clock) as shop:
        sight = await tap(shop)
        deliver(shop, b"1")
        sight.left = 0
        deliver(shop, b"2")  # on the plain way, and the second of two
        assert show_states(live_of(shop), clock)["delay 1"]["waiting"] == 1
        clock.advance(5)
        assert sight.counts["delay 1"].seen == [0, 1, 0]  # behind a step that holds messages, all are seen
        assert sight.counts["publish 1"].is_exact
        assert not sight.counts["delay 1"].is_exact


async def test_errors_point_at_the_file_on_both_ways(tmp_path: Path) -> None:
    async with running(tmp_path, WARM) as shop:
        sight = await tap(shop)
        deliver(shop, b"{}")
        sight.left = 0
        deliver(shop, b"{}", b"{}")
        (tally,) = shop.runner.failures.tallies.values()
        assert (tally.flow, tally.count, tally.diagnostic.code, tally.diagnostic.span.line) == (
            "f", 3, "missing-field", 4,
        )  # fmt: skip
        assert live_of(shop).dropped == 3


async def test_an_edit_replaces_the_taps_with_the_flow(tmp_path: Path) -> None:
    async with running(tmp_path, WARM) as shop:
        await tap(shop)
        assert live_of(shop).tapped is not None
        shop.save("f.yaml", WARM.replace("25", "20"))
        await shop.following.reload()
        assert live_of(shop).tapped is None
        deliver(shop, b'{"t": 21}')
        assert live_of(shop).dropped == 0


async def test_a_comment_more_moves_the_places_of_a_flow_that_is_tapped(tmp_path: Path) -> None:
    async with running(tmp_path, WARM) as shop:
        await tap(shop)
        since = live_of(shop).since
        shop.save("f.yaml", f"# a comment\n{WARM.lstrip()}")
        await shop.following.reload()
        await tap(shop)
        deliver(shop, b"{}")
        (tally,) = shop.runner.failures.tallies.values()
        assert tally.diagnostic.span.line == 5
        assert live_of(shop).since == since


async def test_looking_does_not_start_a_flow_anew(tmp_path: Path) -> None:
    text = "{at_start: go, every: 1h, steps: [{log: begun}]}"
    async with running(tmp_path, text) as shop:
        await until(lambda: live_of(shop).received == 1)
        await tap(shop)
        await shop.runner.tap({})
        await asyncio.sleep(0)
        await tap(shop)
        await until(lambda: not shop.runner._departures.flows)
        assert live_of(shop).received == 1


@pytest.mark.parametrize(
    "step", ["{retry: {attempts: 2, steps: [{publish: out}]}}", "{call: g}", "{fork: [[{publish: a}]]}"]
)
async def test_steps_with_steps_inside_can_be_looked_into(tmp_path: Path, step: str) -> None:
    text = f"""
        flows:
          f: {{subscribe: a, steps: [json, {step}, {{log: hi}}]}}
          g: {{steps: [{{set: {{x: 1}}}}]}}
    """
    async with running(tmp_path, text) as shop:
        sight = await tap(shop)
        deliver(shop, b"{}")
        await until(lambda: sight.counts["log 1"].seen == [1, 1, 0])
        assert all(counts.seen[0] == 1 for counts in sight.counts.values())


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_looking_brings_no_retained_message_again(mosquitto: Mosquitto, tmp_path: Path, protocol: str) -> None:
    settings = mosquitto.settings(protocol=protocol)
    async with Hand(settings, "out") as hand:
        hand.client.publish("kept/a", b"1", 1, retain=True)
        text = "{subscribe: kept/#, steps: [{publish: out}]}"
        async with workshop(tmp_path, settings, {"f.yaml": text}, is_watched=False) as shop:
            await until(lambda: hand.payloads == [b"1"])
            await tap(shop)
            await shop.runner.tap({})
            await hand.publish("kept/b", b"2")
            await until(lambda: b"2" in hand.payloads)
    assert hand.payloads == [b"1", b"2"]
