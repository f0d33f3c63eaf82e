"""Several runners as one: who gets what, and that nothing is lost when one of them comes or goes."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from flowrunner.broker import Broker
from flowrunner.compile import compile_flow
from flowrunner.connections import ConnectionSettings, Notice
from flowrunner.run import connection as connection_module
from flowrunner.run import runner as runner_module
from flowrunner.run.live import Flow
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from flowrunner.run.sharing import Sharing, group_of
from tests.flow_host import read
from tests.mosquitto import OPEN, Mosquitto, require_mosquitto
from tests.run.fakes import FakeProgram, Hand, Told, quick_backoff, ready, subscribe, until
from tests.run.workshop import settings_file, workshop

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
        assert all(runner.connections["default"].is_subscribed for runner in group.runners)
        async with Hand(settings, client_id="hand") as hand:
            for number in range(30):
                await hand.publish(f"in/{number}")
                await hand.publish(f"in/{number}/deep")
            await settled(hand, (*two, *one), 90)
        assert all(runner.connections["default"].is_subscribed for runner in group.runners)
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


FLOWS = {
    "copy.yaml": "subscribe: {topic: in/+n, qos: 1}\nsteps:\n  - publish: {topic: 'out/${n}', qos: 1}\n",
    "tick.yaml": "every: 1h\nsteps:\n  - publish: ticked\n",
    "heat.yaml": "subscribe: in/+\nsteps:\n  - changed: topic\n  - publish: {topic: heat, qos: 1}\n",
}


async def test_machines_of_a_group_share_what_they_may(mosquitto: Mosquitto, tmp_path: Path) -> None:
    settings = mosquitto.settings()
    async with (
        Hand(settings, "out/+", "heat", client_id="hand") as hand,
        workshop(tmp_path / "a", settings, FLOWS, session="group: hall\n") as one,
        workshop(tmp_path / "b", settings, FLOWS, session="group: hall\n") as two,
    ):
        for number in range(20):
            await hand.publish(f"in/{number}")
        await until(lambda: sum(message.topic == "heat" for message in hand.got) == 40)
        await until(lambda: sum(message.topic != "heat" for message in hand.got) == 20)
        assert all(shop.runner.flows["copy"].received > 0 for shop in (one, two))
        words = "in the group `hall` every machine runs `heat` (`changed` remembers), `tick` (`every` ticks) by itself"
        assert one.told.count(words) == two.told.count(words) == 1
        one.save("heat.yaml", FLOWS["heat.yaml"] + "  - publish: more\n")
        await one.says("1 changed (heat)")
        assert one.told.count(words) == 1


async def test_the_group_changes_while_flows_run(mosquitto: Mosquitto, tmp_path: Path) -> None:
    settings = mosquitto.settings()
    async with (
        Hand(settings, "out/+", client_id="hand") as hand,
        workshop(tmp_path / "a", settings, FLOWS) as shop,
    ):

        def filters() -> dict[str, set[str]]:
            return {name: set(one.subscriptions.filters) for name, one in shop.runner.connections.items()}

        assert filters() == {"default": {"in/+"}}
        for count, group in enumerate(["hall", "yard"], 1):
            shop.save("flowrunner.yaml", settings_file(settings, f"group: {group}\n"))
            await shop.says(f"messages are shared in the group `{group}` now")
            expected = {"default": {f"$share/{group}/in/+"}, "default (own)": {"in/+"}}
            await until(lambda expected=expected: filters() == expected, what=filters())  # type: ignore[misc]
            await hand.publish(f"in/{group}")
            await until(lambda count=count: len(hand.got) == count)  # type: ignore[misc]
        shop.save("flowrunner.yaml", settings_file(settings, "group: a/b\n"))
        await shop.says("the settings stay as they were")
        shop.save("flowrunner.yaml", settings_file(settings))
        await shop.says("messages are shared with no other machine now")
        await until(lambda: filters() == {"default": {"in/+"}}, what=filters())


async def test_a_runner_that_only_looks_takes_nothing_away_from_a_group(mosquitto: Mosquitto) -> None:
    settings = mosquitto.settings()
    runner = Runner({"default": settings}, Report(Told().lines.append), is_read_only=True, backoff=quick_backoff)
    runner.regroup("hall")
    await runner.apply([FakeProgram("copy", "in/+")])
    await ready(runner)
    assert runner.connections["default"].subscriptions.filters == {"in/+"}
    await runner.close()


class Stream:
    """Messages at QoS 1 with numbers, as fast as the broker takes them, until told to stop."""

    def __init__(self, hand: Hand, topic: str = "in/%d") -> None:
        self._hand = hand
        self._topic = topic
        self._is_wanted = True
        self.count = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def more(self, count: int) -> None:
        """Wait until so many more are on their way."""
        until_then = self.count + count
        await until(lambda: self.count >= until_then)

    async def stop(self) -> None:
        """Send no more, and wait until the broker has them all."""
        self._is_wanted = False
        await self._task

    async def _run(self) -> None:
        infos = []
        while self._is_wanted:
            for _ in range(10):
                infos.append(self._hand.client.publish(self._topic % self.count, b"", 1))
                self.count += 1
            await asyncio.sleep(0.001)
        await until(lambda: all(info.is_published() for info in infos))


def numbers(*programs: FakeProgram) -> list[int]:
    return sorted(int(topic.partition("/")[2]) for program in programs for topic in program.topics)


QUEUE = OPEN + "max_queued_messages 0\n"


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Mosquitto]:
    """A mosquitto that drops nothing because a client is slow."""
    require_mosquitto()
    with Mosquitto(tmp_path / "mosquitto", QUEUE) as broker:
        yield broker


@PROTOCOLS
@pytest.mark.parametrize("keep", [None, 60.0], ids=["clean", "kept"])
@pytest.mark.usefixtures("each_link")
async def test_nothing_is_lost_when_a_member_leaves_under_load(
    patient: Mosquitto, protocol: str, keep: float | None
) -> None:
    """The broker has chosen it for messages that it has not read yet, and would give them to nobody else."""
    settings = patient.settings(protocol=protocol, client_id="me", keep=keep)
    programs = both("copy", subscribe("in/+", qos=1))
    async with Hand(settings, client_id="hand") as hand, pair(settings) as group:
        await group.apply(programs)
        async with Stream(hand) as stream:
            await stream.more(500)
            await group.runners[1].close()
            left = len(programs[1].got)
            await stream.more(500)
            await stream.stop()
        await until(lambda: len(set(numbers(*programs))) >= stream.count)
    assert len(programs[1].got) == left > 0
    assert numbers(*programs) == list(range(stream.count))


@PROTOCOLS
@pytest.mark.parametrize("keep", [None, 60.0], ids=["clean", "kept"])
@pytest.mark.usefixtures("each_link")
async def test_who_leaves_finishes_and_acknowledges_what_waits_for_the_world_outside(
    tmp_path: Path, patient: Mosquitto, protocol: str, keep: float | None
) -> None:
    """Every message takes a while, so that the broker holds back most of what it has for this member."""
    (tmp_path / "own.py").write_text(
        "import time\n\ndef f(message):\n    time.sleep(0.01)\n    return message.payload\n"
    )
    text = "subscribe: {topic: in/+number, qos: 1}\nsteps:\n  - python: own.py:f\n  - publish: {topic: 'out/${number}', qos: 1}\n"
    programs = [compile_flow(read(text, name="slow", folder=tmp_path)) for _ in range(2)]
    settings = patient.settings(protocol=protocol, client_id="me", keep=keep, receive_maximum=20)
    async with Hand(settings, "out/+", client_id="hand") as hand, pair(settings) as group:
        for runner, program in zip(group.runners, programs, strict=True):
            await runner.apply([program])
            await ready(runner, group.told)
        async with Stream(hand) as stream:
            await stream.more(120)
            await stream.stop()
        await group.runners[1].close()
        assert group.runners[1].flows["slow"].received > 20
        await until(lambda: len(hand.got) >= stream.count)
        await hand.publish("out/end")
        await until(lambda: hand.got[-1].topic == "out/end")
        said = sorted(int(message.topic.partition("/")[2]) for message in hand.got[:-1])
    assert said == list(range(stream.count))


async def test_what_a_group_was_given_is_still_done_when_an_edit_gives_it_up(patient: Mosquitto) -> None:
    """Of another filter, and of a flow that is gone: what is on its way to a member goes to nobody else."""
    settings = patient.settings(client_id="me")
    async with Hand(settings, client_id="hand") as hand, pair(settings) as group:
        old, new = both("copy", subscribe("in/+", qos=1)), both("copy", subscribe("in/#", qos=1))
        await group.apply(old)
        async with Stream(hand) as stream:
            await stream.more(300)
            for runner, program in zip(group.runners, new, strict=True):
                await runner.apply([program])
            await stream.more(300)
            await group.runners[1].apply([])
            await stream.more(300)
            await stream.stop()
        await until(lambda: len(set(numbers(*old, *new))) >= stream.count)
        await until(lambda: not group.runners[1].connections)
        filters = {"$share/team/in/#"}
        assert group.runners[0].connections["default"].subscriptions.filters == filters
    assert set(numbers(*old, *new)) == set(range(stream.count))


@PROTOCOLS
@pytest.mark.usefixtures("each_link")
async def test_every_message_meets_one_version_while_all_members_take_up_an_edit(
    patient: Mosquitto, protocol: str
) -> None:
    settings = patient.settings(protocol=protocol, client_id="me")
    versions = [both("copy", subscribe("in/+", qos=1)) for _ in range(5)]
    async with Hand(settings, client_id="hand") as hand, pair(settings) as group:
        await group.apply(versions[0])
        async with Stream(hand) as stream:
            for version in versions[1:]:
                await stream.more(100)
                await asyncio.gather(*(one.apply([own]) for one, own in zip(group.runners, version, strict=True)))
            await stream.more(100)
            await stream.stop()
        everything = [program for version in versions for program in version]
        await until(lambda: len(numbers(*everything)) >= stream.count)
        assert sum(runner.flows["copy"].received for runner in group.runners) == stream.count
    assert numbers(*everything) == list(range(stream.count))
    assert all(program.got for program in everything)


@PROTOCOLS
async def test_nothing_is_lost_when_a_flow_gets_an_owner_and_when_it_loses_it(
    patient: Mosquitto, protocol: str
) -> None:
    settings = patient.settings(protocol=protocol, client_id="me")
    programs = both("copy", subscribe("in/+", qos=1))
    async with Hand(settings, client_id="hand") as hand, pair(settings) as group:
        await group.apply(programs)
        one, two = group.runners
        async with Stream(hand) as stream:
            await stream.more(300)
            one.share(Sharing("team", all_but("copy"), member="1"))
            await one.apply([programs[0]])
            await two.apply([])
            assert one.flows["copy"].connections == {"default (own)"}
            await stream.more(300)
            await two.apply([programs[1]])
            one.share(Sharing("team", all_but(), member="1"))
            await one.apply([programs[0]])
            assert one.flows["copy"].connections == {"default"}
            await stream.more(300)
            await stream.stop()
        await until(lambda: len(set(numbers(*programs))) >= stream.count)
        await until(lambda: "default (own)" not in one.connections)
        assert one.connections["default"].subscriptions.filters == {"$share/team/in/+"}
        assert one.flows["copy"].received == len(programs[0].got)
    assert set(numbers(*programs)) == set(range(stream.count))


async def test_nothing_is_lost_when_a_group_gets_another_name(patient: Mosquitto) -> None:
    settings = patient.settings(client_id="me")
    programs = both("copy", subscribe("in/+", qos=1))
    async with Hand(settings, client_id="hand") as hand, pair(settings) as group:
        await group.apply(programs)
        async with Stream(hand) as stream:
            await stream.more(300)
            for number, runner in enumerate(group.runners, 1):
                runner.share(Sharing("crew", all_but(), takes_retained=number == 1, member=str(number)))
                await runner.apply([programs[number - 1]])
            await stream.more(300)
            await stream.stop()
        await until(lambda: len(set(numbers(*programs))) >= stream.count)
        assert group.runners[0].connections["default"].subscriptions.filters == {"$share/crew/in/+"}
    assert set(numbers(*programs)) == set(range(stream.count))


async def test_nothing_is_lost_when_a_member_connects_anew(patient: Mosquitto) -> None:
    settings = patient.settings(client_id="me")
    programs = both("copy", subscribe("in/+", qos=1))
    async with Hand(settings, client_id="hand") as hand, pair(settings) as group:
        await group.apply(programs)
        async with Stream(hand) as stream:
            await stream.more(300)
            changed = replace(settings, keepalive=30)
            assert await group.runners[1].reconnect({"default": changed}, ["default"]) == ("default",)
            await stream.more(300)
            await stream.stop()
        await ready(group.runners[1])
        await until(lambda: len(set(numbers(*programs))) >= stream.count)
    assert numbers(*programs) == list(range(stream.count))


async def test_who_leaves_waits_for_no_broker_that_is_away(patient: Mosquitto) -> None:
    settings = patient.settings(client_id="me", keep=60.0)
    runner = member(settings, 1)
    await runner.apply([FakeProgram("copy", "in/+")])
    await ready(runner)
    patient.kill()
    await until(lambda: runner.connections["default"].terms is None)
    async with asyncio.timeout(5):
        await runner.close()


@pytest.mark.usefixtures("each_link")
async def test_who_leaves_does_not_wait_for_ever(patient: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a message that is never done: the broker keeps it, where it keeps the session."""
    monkeypatch.setattr(connection_module, "PARTING", 0.2)
    monkeypatch.setattr(runner_module, "LAST_WORK", 0.1)
    held: list[Any] = []

    def hold(host: Any, _message: Any, _entry: int) -> None:
        held.append(runner.connections["default"].link.hold())

    settings = patient.settings(client_id="me", keep=60.0)
    runner = member(settings, 1)
    await runner.apply([FakeProgram("copy", subscribe("in/+", qos=1), work=hold)])
    await ready(runner)
    async with Hand(settings, client_id="hand") as hand:
        await hand.publish("in/a")
        await until(lambda: held)
        async with asyncio.timeout(5):
            await runner.close()
        again = FakeProgram("copy", subscribe("in/+", qos=1))
        back = member(settings, 1)
        await back.apply([again])
        await until(lambda: again.topics == ["in/a"])
        await back.close()


@PROTOCOLS
async def test_of_two_machines_one_ends_under_load(patient: Mosquitto, tmp_path: Path, protocol: str) -> None:
    """As people do it: two folders with one group, and SIGTERM."""
    settings = patient.settings(protocol=protocol)
    machines = []
    async with Hand(settings, "out/+", client_id="hand") as hand:
        for name in ("a", "b"):
            folder = tmp_path / name
            folder.mkdir()
            (folder / "copy.yaml").write_text(FLOWS["copy.yaml"])
            (folder / "flowrunner.yaml").write_text(settings_file(settings, "group: hall\n"))
            command = [sys.executable, "-m", "flowrunner", "run", str(folder), "--no-web"]
            machines.append(await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, stderr=DEVNULL))
        try:
            async with asyncio.timeout(60):  # two programs begin, maybe on a busy machine
                while patient.log.count("\t$share/hall/in/+ (QoS 1)") < 2:
                    await asyncio.sleep(0.02)
            async with Stream(hand) as stream:
                await stream.more(500)
                machines[1].terminate()
                assert await machines[1].wait() == 0
                await stream.more(500)
                await stream.stop()
            await until(lambda: len(hand.got) >= stream.count)
            machines[0].terminate()
            assert await machines[0].wait() == 0
        finally:
            for machine in machines:
                with suppress(ProcessLookupError):
                    machine.kill()
    assert sorted(int(message.topic.partition("/")[2]) for message in hand.got) == list(range(stream.count))


@PROTOCOLS
async def test_nothing_is_lost_on_the_embedded_broker_either(protocol: str) -> None:
    programs = both("copy", subscribe("in/+", qos=1))
    async with embedded(protocol) as settings, Hand(settings, client_id="hand") as hand, pair(settings) as group:
        await group.apply(programs)
        async with Stream(hand) as stream:
            await stream.more(300)
            await group.runners[1].close()
            await stream.more(300)
            await stream.stop()
        await until(lambda: len(set(numbers(*programs))) >= stream.count)
    assert numbers(*programs) == list(range(stream.count))


@pytest.mark.parametrize("keep", [None, 60.0], ids=["clean", "kept"])
async def test_what_only_one_member_hears_waits_for_it_where_the_session_is_kept(
    mosquitto: Mosquitto, tmp_path: Path, keep: float | None
) -> None:
    """It leaves the group, and not what nobody else does."""
    settings = mosquitto.settings(client_id="me", keep=keep)
    sources = subscribe("mine/+", qos=1), subscribe("ours/+", qos=1)
    async with Hand(settings, client_id="hand") as hand:
        for number in range(2):
            runner = member(settings, 1, "mine", folder=tmp_path)
            mine, ours = FakeProgram("mine", sources[0]), FakeProgram("ours", sources[1])
            await runner.apply([mine, ours])
            await ready(runner)
            await hand.publish(f"mine/now{number}")
            await until(lambda mine=mine, number=number: f"mine/now{number}" in mine.topics)  # type: ignore[misc]
            await runner.close()
            await hand.publish("mine/later")
            await hand.publish("ours/later")
    assert mine.topics == (["mine/now1"] if keep is None else ["mine/later", "mine/now1"])
    assert ours.topics == []
