"""What a runner does while flows, settings and certificates change: swap, timers, ticks, counts, status, reports."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from flowrunner.clock import VirtualClock
from flowrunner.code import Host
from flowrunner.connections import ConnectionSettings, Notice
from flowrunner.errors import FlowrunnerError
from flowrunner.run.kept_filters import KeptFilters
from flowrunner.run.live import LiveFlow
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from flowrunner.run.triggers import Triggers
from flowrunner.schedules import read_schedule
from flowrunner.sources import AtStart, Cron, Every, Source
from tests.mosquitto import OPEN, Mosquitto, free_port, require_mosquitto
from tests.run.fake_broker import fake_broker, version_of
from tests.run.fakes import FakeProgram, Hand, Told, quick_backoff, ready, running, until
from tests.run.workshop import copy, plain, settings_file, workshop

BROKER = pytest.mark.broker
PROTOCOLS = pytest.mark.parametrize("protocol", ["5", "3.1.1"])


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    return tmp_path / "flows"


# The swap


class Broken(FakeProgram):
    """A version that cannot begin, and has asked for something before it found out."""

    def __init__(self, name: str, *sources: str) -> None:
        super().__init__(name, *sources)
        self.events: list[str] = []

    def bind(self, host: Host) -> Any:
        host.on_turn(lambda: self.events.append("start"), lambda: self.events.append("stop"))
        host.publisher("default")
        raise FlowrunnerError("the table is not there")


@BROKER
async def test_a_version_that_cannot_begin_leaves_the_old_one_running(mosquitto: Mosquitto) -> None:
    told, settings = Told(), mosquitto.settings()
    old, broken = FakeProgram("flow", "in"), Broken("flow", "in")
    async with running(settings, old, told=told) as runner, Hand(settings) as hand:
        await runner.apply([broken])
        assert runner.flows["flow"].program is old
        await hand.publish("in")
        await until(lambda: old.got)
    assert broken.events == ["stop"]
    assert "error: flow: the table is not there\n" in told.text
    assert "warning: the running version of `flow` is from " in told.text


@BROKER
async def test_a_version_with_a_mistake_of_ours_leaves_the_old_one_running(
    mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    class Bug(FakeProgram):
        def bind(self, host: Host) -> Any:  # noqa: ARG002
            raise ZeroDivisionError

    told, old = Told(), FakeProgram("flow", "in")
    async with running(mosquitto.settings(), old, told=told) as runner:
        await runner.apply([Bug("flow", "in"), FakeProgram("other", "in")])
        assert runner.flows["flow"].program is old
        assert list(runner.flows) == ["flow", "other"]
    assert "it could not begin, which is a mistake of flowrunner" in told.text
    assert "ZeroDivisionError" in caplog.text


class Ringing(FakeProgram):
    """A version that says when it takes over, hands over and gets messages."""

    def __init__(self, name: str, events: list[str], stamp: str, *sources: str) -> None:
        super().__init__(name, *sources)
        self.events, self.stamp = events, stamp
        self.work = lambda *_: events.append(f"message {stamp}")

    def bind(self, host: Host) -> Any:
        loop = asyncio.get_running_loop()

        def start() -> None:
            self.events.append(f"start {self.stamp}")
            loop.call_soon(self.events.append, f"turn after {self.stamp}")

        host.on_turn(start, lambda: self.events.append(f"stop {self.stamp}"))
        return super().bind(host)


@BROKER
async def test_all_flows_and_timers_change_hands_in_one_turn(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Also where one of two brokers answers later: nothing that belongs to the old versions rings after the swap."""
    events: list[str] = []
    connections = {"default": mosquitto.settings()}
    runner = Runner(connections, Report(lambda _: None), backoff=quick_backoff)
    try:
        await runner.apply([Ringing("a", events, "a1", "in/a"), Ringing("b", events, "b1", "in/b")])
        await ready(runner)
        events.clear()
        await runner.apply([Ringing("a", events, "a2", "other/a"), Ringing("b", events, "b2", "other/b")])
        assert events[:4] == ["stop a1", "stop b1", "start a2", "start b2"]
    finally:
        await runner.close()


def test_a_step_that_cannot_take_over_keeps_no_other_from_it(caplog: pytest.LogCaptureFixture) -> None:
    events: list[str] = []
    live = LiveFlow(FakeProgram("flow"))
    live.turns += [(lambda: 1 / 0, lambda: 1 / 0), (lambda: events.append("start"), lambda: events.append("stop"))]
    live.begin()
    live.end()
    assert events == ["start", "stop"]
    assert caplog.text.count("ZeroDivisionError") == 2


@BROKER
async def test_counts_go_on_after_an_edit(mosquitto: Mosquitto) -> None:
    def fail(_host: Host, message: Any, _entry: int) -> None:
        if message.payload == b"bad":
            raise FlowrunnerError("no")

    settings = mosquitto.settings()
    one, two = (FakeProgram("flow", "in", work=fail) for _ in range(2))
    async with running(settings, one) as runner, Hand(settings) as hand:
        old = runner.flows["flow"]
        for payload in (b"bad", b"good"):
            await hand.publish("in", payload)
        await until(lambda: old.received == 2)
        old.stopped["quota"] = 3
        await runner.apply([two])
        new = runner.flows["flow"]
        await hand.publish("in", b"bad")
        await until(lambda: new.received == 3)
        assert (new.dropped, new.stopped) == (2, {"quota": 3})
        assert old.counting is new


async def test_a_runner_whose_broker_is_away_exchanges_flows_at_once() -> None:
    settings = ConnectionSettings(host="127.0.0.1", port=free_port())
    runner = Runner({"default": settings}, Report(lambda _: None), backoff=quick_backoff)
    try:
        await runner.apply([FakeProgram("flow", "a")])
        second = FakeProgram("flow", "b")
        async with asyncio.timeout(5):
            await runner.apply([second])
        assert runner.flows["flow"].program is second
    finally:
        await runner.close()


async def test_a_broker_that_goes_away_while_it_is_asked_holds_nothing_up() -> None:
    is_deaf = False
    writers: list[asyncio.StreamWriter] = []

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        if version_of(packet):
            writers.append(writer)
            writer.write(bytes.fromhex("2003000000"))
        while packet:
            length = packet[1]
            if packet[0] == 0x82 and not is_deaf:
                writer.write(b"\x90\x04" + packet[2:4] + b"\0\1")
            elif packet[0] == 0x82:
                writer.close()
            packet = packet[2 + length :]

    async with fake_broker(answer) as settings:
        runner = Runner({"default": settings}, Report(lambda _: None), backoff=quick_backoff)
        try:
            await runner.apply([FakeProgram("flow", "a")])
            await ready(runner)
            is_deaf = True
            second = FakeProgram("flow", "b")
            async with asyncio.timeout(5):
                await runner.apply([second])
            assert runner.flows["flow"].program is second
            is_deaf = False
            await ready(runner)
            assert runner.connections["default"].subscriptions.filters == {"b"}
        finally:
            await runner.close()


# Ticks


class Bench:
    """Versions of a flow with ticks, on a clock that a test moves."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.triggers: Triggers | None = None
        self.got: list[tuple[str, float, Any]] = []
        self.stamp = ""

    async def run(self, stamp: str, *sources: Source, is_ready: bool = True) -> None:
        program = FakeProgram("flow", *sources)
        live = LiveFlow(program)
        host: Any = None
        live.bind(host)
        program.work = lambda _host, message, _entry: self.got.append((stamp, self.clock.time(), message.payload))
        is_there = asyncio.Event()
        if is_ready:
            is_there.set()
        self.triggers = Triggers(live, self.clock, lambda *_: None, [is_there], before=self.triggers)
        for _ in range(5):
            await asyncio.sleep(0)


async def test_an_equal_every_goes_on_with_its_number_and_its_time() -> None:
    bench = Bench()
    await bench.run("v1", Every(10.0))
    bench.clock.advance(14)
    await bench.run("v2", AtStart(), Every(10.0))
    bench.clock.advance(10)
    await bench.run("v3", Every(4.0))
    bench.clock.advance(5)
    assert bench.got == [("v1", 10.0, 1), ("v2", 14.0, True), ("v2", 20.0, 2), ("v3", 28.0, 1)]


async def test_an_immediate_tick_comes_once() -> None:
    bench = Bench()
    await bench.run("v1", Every(10.0, immediately=True))
    bench.clock.advance(0)
    await bench.run("v2", Every(10.0, immediately=True))
    bench.clock.advance(10)
    assert bench.got == [("v1", 0.0, 1), ("v2", 10.0, 2)]


async def test_an_equal_cron_is_neither_missed_nor_due_twice() -> None:
    bench = Bench()
    hourly = Cron(read_schedule("0 * * * *"))
    await bench.run("v1", hourly)
    bench.clock.advance(1800)
    await bench.run("v2", hourly)
    bench.clock.advance(3600)
    await bench.run("v3", Cron(read_schedule("30 * * * *")))
    bench.clock.advance(60)
    assert bench.got == [("v2", 3600.0, 1)]


async def test_a_cron_that_waits_for_its_broker_forgets_no_time_because_of_an_edit() -> None:
    bench = Bench()
    hourly = Cron(read_schedule("0 * * * *"))
    await bench.run("v1", hourly, is_ready=False)
    bench.clock.advance(3601)
    await bench.run("v2", hourly)
    bench.clock.advance(0)
    assert bench.got == [("v2", 3601.0, 1)]


async def test_ticks_that_are_gone_end() -> None:
    bench = Bench()
    await bench.run("v1", Every(10.0), Every(3.0))
    await bench.run("v2", Every(3.0))
    bench.clock.advance(10)
    assert [when for _, when, _ in bench.got] == [3.0, 6.0, 9.0]
    assert bench.triggers is not None
    bench.triggers.stop()
    bench.clock.advance(10)
    assert len(bench.got) == 3


# Settings


@BROKER
@PROTOCOLS
async def test_other_settings_connect_anew_and_lose_nothing_of_what_flows_publish(
    mosquitto: Mosquitto, tmp_path: Path, protocol: str
) -> None:
    """The flow ticks while its connection moves to another broker: at QoS 1 every number arrives at one of them."""
    flow = "every: 5ms\nsteps:\n  - publish: {topic: out, qos: 1}\n"
    with Mosquitto(tmp_path / "other") as other:
        here, there = mosquitto.settings(protocol=protocol), other.settings(protocol=protocol)
        async with (
            workshop(tmp_path / "flows", here, {"a.yaml": flow}) as bench,
            Hand(here, "out") as near,
            Hand(there, "out") as far,
        ):
            await until(lambda: len(near.got) > 5)
            live = bench.runner.flows["a"]
            bench.save("flowrunner.yaml", settings_file(there))
            await until(lambda: len(far.got) > 5, what=bench.told)
            assert bench.runner.flows["a"] is live

            def is_whole() -> bool:  # the first ones came before anybody listened; two brokers tell one after the other
                seen = sorted(int(payload) for payload in {*near.payloads, *far.payloads})
                return seen == list(range(seen[0], seen[0] + len(seen)))

            await until(is_whole, what=bench.told)
            assert f"connected to mqtt://127.0.0.1:{other.port}" in bench.told.text
            assert "lost" not in bench.told.text


@BROKER
async def test_a_new_connection_can_be_used_by_a_flow_of_the_same_edit_and_goes_with_it(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    settings = mosquitto.settings()
    bridge = "subscribe: in\nsteps:\n  - publish: {topic: across, connection: cloud, qos: 1}\n"
    with Mosquitto(tmp_path / "other") as other:
        more = f"  cloud: mqtt://127.0.0.1:{other.port}\n"
        async with (
            workshop(tmp_path / "flows", settings, {"a.yaml": copy("1")}) as bench,
            Hand(other.settings(), "across") as far,
            Hand(settings) as near,
        ):
            bench.save("a.yaml", bridge)
            await bench.says("error[unknown-connection]")
            bench.save("flowrunner.yaml", settings_file(settings, more))
            await bench.runs("a", bridge)
            await until(lambda: set(bench.runner.connections) == {"default", "cloud"})
            await near.publish("in", b"x")
            await until(lambda: far.payloads == [b"x"])
            bench.save("flowrunner.yaml", settings_file(settings))
            await bench.says("the running version of `a` is from ")
            await near.publish("in", b"y")
            await until(lambda: far.payloads == [b"x", b"y"])
            await bench.edit("a.yaml", copy("2"))
            await until(lambda: set(bench.runner.connections) == {"default"})


# What is said on the broker


@BROKER
@PROTOCOLS
async def test_the_status_is_retained_and_a_will(mosquitto: Mosquitto, flows: Path, protocol: str) -> None:
    settings = mosquitto.settings(protocol=protocol)
    async with Hand(settings, "flowrunner/+/status") as hand:
        async with workshop(flows, settings, {"a.yaml": copy("1")}) as bench:
            await until(lambda: hand.payloads == [b"online"])
            topic = hand.got[0].topic
            assert topic == f"flowrunner/{bench.runner.connections['default'].client_id}/status"
            network = bench.runner.connections["default"]._network
            assert network is not None
            network.abort()  # without DISCONNECT, as if the machine were gone
            await until(lambda: hand.payloads == [b"online", b"offline", b"online"])
        await until(lambda: hand.payloads[3:] == [b"offline"])
        async with Hand(settings, "flowrunner/+/status") as late:
            await until(lambda: late.payloads == [b"offline"])
            assert late.got[0].retain


@BROKER
async def test_a_reload_is_reported_on_the_broker(mosquitto: Mosquitto, flows: Path) -> None:
    settings = mosquitto.settings()
    everything = "subscribe: '#'\nsteps:\n  - log: ${topic}\n"
    async with (
        workshop(flows, settings, {"a.yaml": copy("1"), "all.yaml": everything}) as bench,
        Hand(settings, "flowrunner/+/reload") as hand,
    ):
        await bench.edit("a.yaml", copy("2", "other"))
        await until(lambda: hand.got)
        found = json.loads(hand.payloads[0])
        assert (found["changed"], found["kept"], found["errors"]) == (["a"], 1, [])
        assert found["subscriptions"]["added"] == [{"connection": "default", "filter": "other"}]
        bench.save("a.yaml", copy("3").replace("publish", "pbulish"))
        await until(lambda: len(hand.got) == 2)
        (error,) = json.loads(hand.payloads[1])["errors"]
        assert (error["code"], error["line"], error["column"]) == ("unknown-step", 4, 5)
        async with Hand(settings, "flowrunner/+/reload") as late:
            await until(lambda: late.got)
            assert late.got[0].retain
        assert bench.told.count("reloaded in") == 1  # a flow that hears everything hears of this, too, and no more


@BROKER
@PROTOCOLS
async def test_a_broker_that_does_not_allow_what_we_say_is_no_trouble(tmp_path: Path, protocol: str) -> None:
    require_mosquitto()
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite in\ntopic readwrite out/#\n")
    with Mosquitto(tmp_path / "broker", f"{OPEN}acl_file {rules}\n") as mosquitto:
        settings = mosquitto.settings(protocol=protocol)
        async with workshop(tmp_path / "flows", settings, {"a.yaml": copy("1")}) as bench:
            async with Hand(settings, "out/#") as hand:
                await bench.edit("a.yaml", copy("2"))
                await hand.publish("in", b"x")
                await until(lambda: hand.payloads == [b"x"])
            assert bench.told.count("connected to") == 1
            assert "error" not in bench.told.text
            assert "lost" not in bench.told.text


def refuses_a_will(packet: bytes) -> bool:
    """Whether a CONNECT has the flag of a will (MQTT 5.0 section 3.1.2.5)."""
    return bool(version_of(packet) and packet[9] & 0x04)


async def test_a_broker_that_refuses_a_will_is_asked_without_one() -> None:
    connects: list[bool] = []

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        if version_of(packet):
            connects.append(refuses_a_will(packet))
            writer.write(bytes.fromhex("2003008700" if connects[-1] else "2003000000"))

    told = Told()
    async with (
        fake_broker(answer) as settings,
        running(settings, FakeProgram("flow", "a"), told=told, is_ready=False) as runner,
    ):
        await until(lambda: "connected to" in told.text)
        assert not runner.connections["default"].presence.is_wanted
    assert connects == [True, False]
    assert "wants a user name" not in told.text


async def test_a_broker_that_closes_whenever_we_say_something_is_not_bothered_for_ever() -> None:
    said: list[bool] = []

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        if version_of(packet):
            writer.write(bytes.fromhex("2003000000"))
            said.append(False)
        if b"/status" in packet and packet[0] != 0x10:
            said[-1] = True
            writer.close()

    async with (
        fake_broker(answer) as settings,
        running(settings, FakeProgram("flow"), is_ready=False) as runner,
    ):
        runner.publisher("default")
        await until(lambda: len(said) >= 3)
        await until(lambda: runner.connections["default"].terms is not None)
    assert said == [True, True, False]


@BROKER
async def test_where_the_user_has_a_will_the_status_is_not_ours_to_tell(mosquitto: Mosquitto) -> None:
    settings = mosquitto.settings(will=Notice("my/will", b"gone"))
    async with Hand(settings, "flowrunner/#", "my/will", "end") as hand:
        async with running(settings, FakeProgram("flow", "a")) as runner:
            runner.publisher("default")("end", b"", 1)
            await until(lambda: hand.got)
        assert {message.topic for message in hand.got} == {"end"}


@BROKER
async def test_a_client_id_that_makes_no_topic_is_no_trouble(mosquitto: Mosquitto) -> None:
    settings, told = mosquitto.settings(client_id="a+b/#"), Told()
    async with running(settings, FakeProgram("flow", "a"), told=told) as runner:
        runner.tell("reload", b"{}")
        assert not runner.connections["default"].presence.is_wanted
    assert told.count("connected to") == 1


# What the session holds


def test_filters_are_known_to_the_next_start_of_the_same_session(tmp_path: Path) -> None:
    ledger = KeptFilters(tmp_path, "default", "me", "mqtt://a")
    assert ledger.read() == frozenset()
    ledger.note(frozenset({"a/#", "b"}))
    KeptFilters(tmp_path, "cloud", "me", "mqtt://b").note(frozenset({"c"}))
    assert KeptFilters(tmp_path, "default", "me", "mqtt://a").read() == {"a/#", "b"}
    assert KeptFilters(tmp_path, "default", "other", "mqtt://a").read() == frozenset()
    assert KeptFilters(tmp_path, "default", "me", "mqtt://b").read() == frozenset()
    KeptFilters(tmp_path, "default", "me-2", "mqtt://a", member="2").note(frozenset({"d"}))
    assert KeptFilters(tmp_path, "default", "me", "mqtt://a").read() == {"a/#", "b"}
    assert KeptFilters(tmp_path, "default", "me-2", "mqtt://a", member="2").read() == {"d"}
    assert (tmp_path / ".flowrunner" / "subscriptions.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "[]", '{"default": 1}', '{"default": {"client_id": "me", "url": "u"}}'])
def test_a_file_that_is_none_of_ours_holds_no_filters(tmp_path: Path, text: str) -> None:
    (tmp_path / ".flowrunner").mkdir()
    (tmp_path / ".flowrunner" / "subscriptions.json").write_text(text)
    ledger = KeptFilters(tmp_path, "default", "me", "u")
    assert ledger.read() == frozenset()
    ledger.note(frozenset({"a"}))
    assert ledger.read() == {"a"}


# The command


@BROKER
@pytest.mark.parametrize("words", [(), ("--no-reload",)])
async def test_sighup_reloads_at_once(mosquitto: Mosquitto, flows: Path, words: tuple[str, ...]) -> None:
    from tests.run.test_command import PATIENCE, read_until, started

    flows.mkdir()
    (flows / "a.yaml").write_text(copy("1"))
    settings = mosquitto.settings()
    with started(str(flows), "--broker", f"127.0.0.1:{mosquitto.port}", *words) as child:
        await asyncio.to_thread(read_until, child, "connected to")
        async with Hand(settings, "out/#") as hand:
            deadline = asyncio.get_running_loop().time() + PATIENCE
            while not hand.got and asyncio.get_running_loop().time() < deadline:
                await hand.publish("in", b"x")  # now it has its handlers of signals, too
            (flows / "a.yaml").write_text(copy("2"))
            os.kill(child.pid, signal.SIGHUP)
            await asyncio.to_thread(read_until, child, "1 changed (a), 0 kept")
            await hand.publish("in", b"y")
            await until(lambda: hand.got[-1].topic == "out/2")
            os.kill(child.pid, signal.SIGHUP)
            await asyncio.to_thread(read_until, child, "nothing changed in the files")
        child.send_signal(signal.SIGTERM)
        _, complaints = await asyncio.to_thread(child.communicate, timeout=PATIENCE)
    assert complaints == ""
    assert child.returncode == 0


@BROKER
async def test_where_files_cannot_be_watched_that_is_said(
    mosquitto: Mosquitto, flows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no more watches")

    monkeypatch.setattr("watchfiles.awatch", refuse)
    settings = mosquitto.settings()
    async with workshop(flows, settings, {"a.yaml": copy("1")}) as bench, Hand(settings, "out/#") as hand:
        await bench.says("files are not watched any more (no more watches): send SIGHUP to reload")
        bench.save("a.yaml", copy("2"))
        bench.following.look()
        await bench.runs("a", copy("2"))
        await hand.publish("in", b"x")
        await until(lambda: hand.got)


@BROKER
async def test_a_preview_shows_what_the_last_messages_would_become(mosquitto: Mosquitto, flows: Path) -> None:
    settings = mosquitto.settings()
    text = plain("subscribe: in\nsteps:\n  - json\n  - publish: out/${payload.room}\n")
    async with workshop(flows, settings, {"a.yaml": text}) as bench, Hand(settings, "out/#", "flat/#") as hand:
        await hand.publish("in", b'{"room": "kitchen"}')
        await until(lambda: hand.got)
        await bench.edit("a.yaml", text.replace("out", "flat"))
        await bench.says('-   → out/kitchen  {"room":"kitchen"}\n+   → flat/kitchen  {"room":"kitchen"}')
        await hand.publish("in", b'{"room": "attic"}')
        await until(lambda: len(hand.got) == 2)
        assert [message.topic for message in hand.got] == ["out/kitchen", "flat/attic"]
