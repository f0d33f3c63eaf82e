"""Several runners as one: who gets what, and that nothing is lost when one of them comes or goes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from flowrunner.broker import Broker
from flowrunner.connections import ConnectionSettings, Notice
from flowrunner.run.live import Flow
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from flowrunner.run.sharing import Sharing, group_of
from tests.mosquitto import Mosquitto
from tests.run.fakes import FakeProgram, Hand, Told, quick_backoff, ready, subscribe, until

PROTOCOLS = pytest.mark.parametrize("protocol", ["5", "3.1.1"])


def all_but(*owned: str) -> Callable[[Flow], bool]:
    return lambda flow: flow.name not in owned


def member(
    settings: ConnectionSettings, number: int, *owned: str, folder: Path | None = None, told: Told | None = None
) -> Runner:
    """A worker of a group."""
    sharing = Sharing("team", all_but(*owned), takes_retained=number == 1, member=str(number))
    report = Report((told or Told()).lines.append)
    return Runner({"default": settings}, report, folder=folder, backoff=quick_backoff, sharing=sharing)


class Pair:
    """Two members with programs of the same names."""

    def __init__(self, settings: ConnectionSettings, *owned: str, folder: Path | None = None) -> None:
        self.settings = settings
        self.told = Told()
        self.runners = [member(settings, number, *owned, folder=folder, told=self.told) for number in (1, 2)]

    async def apply(self, *programs: tuple[FakeProgram, FakeProgram]) -> None:
        for index, runner in enumerate(self.runners):
            await runner.apply([both[index] for both in programs])
            await ready(runner, self.told)

    async def close(self) -> None:
        for runner in self.runners:
            await runner.close()


@asynccontextmanager
async def pair(settings: ConnectionSettings, *owned: str, folder: Path | None = None) -> AsyncIterator[Pair]:
    made = Pair(settings, *owned, folder=folder)
    try:
        yield made
    finally:
        await made.close()


def both(name: str, *sources: Any, work: Any = None) -> tuple[FakeProgram, FakeProgram]:
    return FakeProgram(name, *sources, work=work), FakeProgram(name, *sources, work=work)


@asynccontextmanager
async def embedded(protocol: str = "5") -> AsyncIterator[ConnectionSettings]:
    async with Broker(port=0) as broker:
        yield ConnectionSettings(host="127.0.0.1", port=broker.port, protocol=protocol, client_id="me")  # type: ignore[arg-type]


async def settled(hand: Hand, programs: tuple[FakeProgram, ...], count: int) -> None:
    """Wait until as many messages have come, and what comes behind them too."""
    await until(lambda: sum(len(one.got) for one in programs) >= count, what=[one.topics for one in programs])
    await hand.publish("nobody/wants/this")


@PROTOCOLS
async def test_each_message_comes_to_one_member_of_the_group(protocol: str) -> None:
    async with embedded(protocol) as settings, pair(settings) as group:
        programs = both("copy", subscribe("in/+room", qos=1))
        await group.apply(programs)
        async with Hand(settings, client_id="hand") as hand:
            for number in range(40):
                await hand.publish(f"in/{number}")
            await settled(hand, programs, 40)
    assert sorted(programs[0].topics + programs[1].topics) == sorted(f"in/{number}" for number in range(40))
    assert programs[0].topics
    assert programs[1].topics


@PROTOCOLS
async def test_filters_that_overlap_bring_a_message_once(mosquitto: Mosquitto, protocol: str) -> None:
    """Within one flow, and with another flow; mosquitto chooses a member for every subscription that matches."""
    settings = mosquitto.settings(protocol=protocol, client_id="me")
    async with pair(settings) as group:
        two = both("two", subscribe("in/+room", qos=1), subscribe("in/#", qos=1))
        one = both("one", subscribe("in/+", qos=1))
        await group.apply(two, one)
        async with Hand(settings, client_id="hand") as hand:
            for number in range(30):
                await hand.publish(f"in/{number}")
                await hand.publish(f"in/{number}/deep")
            await settled(hand, (*two, *one), 90)
    expected = [f"in/{number}" for number in range(30)]
    assert sorted(two[0].topics + two[1].topics) == sorted([*expected, *(f"{topic}/deep" for topic in expected)])
    assert sorted(one[0].topics + one[1].topics) == sorted(expected)
    entries = dict(zip(two[0].topics + two[1].topics, two[0].entries + two[1].entries, strict=True))
    assert all(entry == topic.count("/") - 1 for topic, entry in entries.items())


async def test_filters_that_overlap_in_part_are_named_where_nobody_can_tell_their_messages_apart() -> None:
    async with embedded("3.1.1") as settings, pair(settings) as group:
        await group.apply(both("one", "+/a"), both("two", "in/+"))
    assert "`one`, `two` on `$share/team/+/a`: what `in/+` matches too may come twice" in group.told.text


@PROTOCOLS
async def test_one_member_takes_what_the_broker_kept(mosquitto: Mosquitto, protocol: str) -> None:
    """mosquitto 2.0 sends it to each member that asks, which MQTT 5.0 section 4.8.2 does not want."""
    settings = mosquitto.settings(protocol=protocol, client_id="me")
    async with Hand(settings, client_id="hand") as hand, pair(settings) as group:
        await hand.publish("in/kept", retain=True)
        programs = both("copy", "in/+")
        await group.apply(programs)
        await until(lambda: programs[0].got)
        for _ in range(4):
            await hand.publish("in/live", retain=True)
        await settled(hand, programs, 5)
    assert [message.retain for message in programs[0].got].count(True) == 1
    assert not any(message.retain for message in programs[1].got)
    assert len(programs[0].got) + len(programs[1].got) == 5


async def test_clients_are_named_after_their_member() -> None:
    async with embedded() as settings, pair(settings, "mine") as group:
        await group.apply(both("copy", "in"), both("mine", "in"))
        names = [{name: one.client_id for name, one in runner.connections.items()} for runner in group.runners]
        assert names == [{"default": f"me-{number}", "default (own)": f"me-{number}-own"} for number in (1, 2)]


async def test_generated_client_ids_are_kept_for_all_members(tmp_path: Path) -> None:
    async with Broker(port=0) as broker:
        settings = ConnectionSettings(host="127.0.0.1", port=broker.port)
        found = []
        for _ in range(2):
            async with pair(settings, folder=tmp_path) as group:
                await group.apply(both("copy", "in"))
                found.append([runner.connections["default"].client_id for runner in group.runners])
    (first, second), again = found
    assert first == second.removesuffix("2") + "1"
    assert again == [first, second]


async def test_a_flow_with_an_owner_is_on_a_client_of_its_own() -> None:
    """For what it hears and for what it says; there is none where no flow needs it."""

    def answer(host: Any, message: Any, _entry: int) -> None:
        host.publisher("default")(f"out/{message.topic}", b"", 1)

    async with embedded() as settings, Hand(settings, "#", client_id="hand") as hand:
        runner = member(settings, 1, "mine")
        shared, mine = FakeProgram("copy", "in/#"), FakeProgram("mine", "in/#", work=answer)
        await runner.apply([shared])
        assert list(runner.connections) == ["default"]
        await runner.apply([shared, mine])
        await ready(runner)
        assert runner.connections["default"].subscriptions.filters == {"$share/team/in/#"}
        assert runner.connections["default (own)"].subscriptions.filters == {"in/#"}
        assert runner.flows["mine"].connections == {"default (own)"}
        await hand.publish("in/a")
        await until(lambda: "out/in/a" in [message.topic for message in hand.got])
        assert shared.topics == mine.topics == ["in/a"]
        await runner.apply([shared])
        assert list(runner.connections) == ["default"]
        await runner.close()
        said = [message.topic for message in hand.got if message.topic.startswith("flowrunner/")]
        assert set(said) == {"flowrunner/me-1/status"}


async def test_birth_and_will_are_those_of_one_client() -> None:
    async with embedded() as settings, Hand(settings, "hello", client_id="hand") as hand:
        greeting = ConnectionSettings(
            host=settings.host, port=settings.port, birth=Notice("hello", b"here"), close=Notice("hello", b"gone")
        )
        runner = member(greeting, 1, "mine")
        await runner.apply([FakeProgram("mine", "in")])
        await ready(runner)
        await runner.close()
        await until(lambda: b"gone" in hand.payloads)
        assert hand.payloads == [b"here", b"gone"]


async def test_a_group_of_the_user_stays_as_it_is() -> None:
    async with embedded() as settings:
        runner = member(settings, 2)
        await runner.apply([FakeProgram("theirs", "$share/theirs/in"), FakeProgram("ours", "in")])
        await ready(runner)
        assert runner.connections["default"].subscriptions.filters == {"$share/theirs/in", "$share/team/in"}
        await runner.close()


@pytest.mark.parametrize(
    ("text", "group"), [("me", "me"), ("a/b+c#d", "a-b-c-d"), ("", "flowrunner"), ("hall 7", "hall 7")]
)
def test_a_client_id_becomes_the_name_of_a_group(text: str, group: str) -> None:
    assert group_of(text) == group
