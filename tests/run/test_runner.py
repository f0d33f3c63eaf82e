import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowrunner.code import Host
from flowrunner.connections import ConnectionSettings
from flowrunner.errors import FlowrunnerError, StepError
from flowrunner.lines import Queue, Waits
from flowrunner.message import Message
from flowrunner.run import runner as runner_module
from flowrunner.run.live import Handler
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from flowrunner.sources import AtStart, Every
from tests.mosquitto import OPEN, Mosquitto, require_mosquitto
from tests.run.fakes import FakeProgram, Hand, Told, Work, quick_backoff, ready, running, subscribe, until

pytestmark = [pytest.mark.broker, pytest.mark.usefixtures("each_link")]

PROTOCOLS = pytest.mark.parametrize("protocol", ["5", "3.1.1"])


def send(topic: str, qos: int = 0, *, retain: bool = False, connection: str = "default") -> Work:
    """Work that publishes what arrived."""

    def work(host: Host, message: Message, _entry: int) -> None:
        payload = message.payload if isinstance(message.payload, bytes) else str(message.payload).encode()
        host.publisher(connection)(topic, payload, qos, retain, message.properties)

    return work


@PROTOCOLS
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_message_goes_in_and_another_comes_out(mosquitto: Mosquitto, protocol: str, qos: int) -> None:
    flow = FakeProgram("copy", subscribe("in/+room", qos=qos), work=send("out", qos))
    settings = mosquitto.settings(protocol=protocol)
    async with running(settings, flow) as runner, Hand(settings, "out") as hand:
        for number in range(50):
            await hand.publish("in/a", b"%d" % number, qos)
        await until(lambda: len(hand.got) == 50)
        assert hand.payloads == [b"%d" % number for number in range(50)]
        assert {message.qos for message in flow.got} == {qos}
        await until(lambda: runner.connections["default"].link.pending == 0)


@PROTOCOLS
async def test_overlapping_filters_run_a_flow_once(mosquitto: Mosquitto, protocol: str) -> None:
    all_three = FakeProgram("all", "o/#", "o/+", "o/a")
    other_order = FakeProgram("other", "o/a", "o/#")
    single = FakeProgram("single", "o/+")
    settings = mosquitto.settings(protocol=protocol)
    async with running(settings, all_three, other_order, single), Hand(settings) as hand:
        for topic in ("o/a", "o/b", "o/b/c", "o/a"):
            await hand.publish(topic)
        await hand.publish("o/z/end")
        await until(lambda: "o/z/end" in all_three.topics and "o/z/end" in other_order.topics)
    assert all_three.topics == ["o/a", "o/b", "o/b/c", "o/a", "o/z/end"]
    assert all_three.entries == [0] * 5
    assert other_order.topics == ["o/a", "o/b", "o/b/c", "o/a", "o/z/end"]
    assert other_order.entries == [0, 1, 1, 0, 1]
    assert single.topics == ["o/a", "o/b", "o/a"]


async def test_two_flows_share_a_subscription_and_the_last_one_gives_it_up(mosquitto: Mosquitto) -> None:
    one, two = FakeProgram("one", subscribe("s/#", qos=1)), FakeProgram("two", "s/#")
    settings = mosquitto.settings()
    async with running(settings, one, two) as runner, Hand(settings) as hand:
        subscriptions = runner.connections["default"].subscriptions
        await hand.publish("s/1")
        await until(lambda: one.got and two.got)
        await runner.apply([two])
        assert subscriptions.filters == {"s/#"}
        await hand.publish("s/2")
        await until(lambda: two.topics == ["s/1", "s/2"])
        keeper = FakeProgram("keeper", "other")
        await runner.apply([keeper])
        assert subscriptions.filters == {"other"}
        await until(lambda: "UNSUBSCRIBE" in mosquitto.log)
        await hand.publish("s/3")
        await hand.publish("other")
        await until(lambda: keeper.got)
    assert one.topics == ["s/1"]
    assert two.topics == ["s/1", "s/2"]
    assert mosquitto.log.count("Received SUBSCRIBE from flowrunner") == 2


async def test_the_highest_qos_that_a_flow_wants_is_asked_for(mosquitto: Mosquitto) -> None:
    low, high = FakeProgram("low", subscribe("s", qos=0)), FakeProgram("high", subscribe("s", qos=2))
    settings = mosquitto.settings()
    async with running(settings, low) as runner, Hand(settings) as hand:
        await hand.publish("s", qos=2)
        await until(lambda: len(low.got) == 1)
        await runner.apply([low, high])
        await hand.publish("s", qos=2)
        await until(lambda: len(low.got) == 2 and len(high.got) == 1)
    assert [message.qos for message in low.got] == [0, 2]


@PROTOCOLS
async def test_retained_messages_reach_the_newcomer_only(mosquitto: Mosquitto, protocol: str) -> None:
    old, new = FakeProgram("old", "r/#"), FakeProgram("new", "r/#")
    settings = mosquitto.settings(protocol=protocol)
    async with Hand(settings) as hand:
        for number in range(20):
            await hand.publish(f"r/{number}", retain=True)
        async with running(settings, old) as runner:
            await until(lambda: len(old.got) == 20)
            await runner.apply([old, new])
            await until(lambda: len(new.got) == 20)
            await hand.publish("r/end")
            await until(lambda: "r/end" in old.topics and "r/end" in new.topics)
    assert len(old.got) == len(new.got) == 21
    assert sum(message.retain for message in old.got) == 20


@PROTOCOLS
async def test_a_flow_says_whether_it_wants_what_was_retained(mosquitto: Mosquitto, protocol: str) -> None:
    new = FakeProgram("new", subscribe("r/#", retained="new"))
    only = FakeProgram("only", subscribe("r/#", retained="only"))
    settings = mosquitto.settings(protocol=protocol)
    async with Hand(settings) as hand:
        await hand.publish("r/kept", retain=True)
        async with running(settings, new, only):
            await until(lambda: only.got)
            await hand.publish("r/live")
            await until(lambda: new.got)
    assert new.topics == ["r/live"]
    assert only.topics == ["r/kept"]


async def test_a_flow_without_no_local_hears_itself_and_with_it_does_not(mosquitto: Mosquitto) -> None:
    deaf = FakeProgram("deaf", subscribe("l/deaf", no_local=True), work=send("l/deaf"))
    settings = mosquitto.settings()
    other = FakeProgram("other", "l/end")
    async with running(settings, deaf, other), Hand(settings) as hand:
        await hand.publish("l/deaf")
        await hand.publish("l/end")
        await until(lambda: other.got)
    assert len(deaf.got) == 1


async def test_no_local_that_cannot_be_had_is_refused_with_the_reason(mosquitto: Mosquitto) -> None:
    told = Told()
    deaf = FakeProgram("deaf", subscribe("l/#", no_local=True), "fine")
    open_ = FakeProgram("open", "l/#")
    settings = mosquitto.settings()
    async with running(settings, deaf, open_, told=told), Hand(settings) as hand:
        await hand.publish("l/a")
        await until(lambda: open_.got)
        await hand.publish("fine")
        await until(lambda: deaf.got)
    assert deaf.topics == ["fine"]
    assert told.count("`deaf` cannot hear `l/#`: another flow subscribes to the same filter without `no_local`") == 1
    async with running(mosquitto.settings(protocol="3.1.1"), deaf, told=told):
        assert "`no_local` needs MQTT 5" in told.text


async def test_properties_go_in_and_out(mosquitto: Mosquitto) -> None:
    sent = {
        "user": {"a": "1"},
        "content_type": "text/plain",
        "response_topic": "back",
        "correlation_data": b"\0\1",
        "message_expiry": 60,
    }
    ping = FakeProgram("ping", AtStart(), work=lambda host, *_: host.publisher("default")("p", b"x", 1, False, sent))
    pong = FakeProgram("pong", subscribe("p", qos=1))
    async with running(mosquitto.settings(), pong, ping):
        await until(lambda: pong.got)
    assert pong.got[0].properties == sent


async def test_one_flow_that_fails_does_not_stop_the_others(mosquitto: Mosquitto) -> None:
    def fail(_host: Host, message: Message, _entry: int) -> None:
        raise StepError("no good")

    told, bad, good = Told(), FakeProgram("bad", "m/#", work=fail), FakeProgram("good", "m/#")
    settings = mosquitto.settings()
    async with running(settings, bad, good, told=told) as runner, Hand(settings) as hand:
        for number in range(30):
            await hand.publish(f"m/{number}")
        await until(lambda: len(good.got) == 30)
        assert runner.flows["bad"].dropped == 30
        assert runner.flows["good"].dropped == 0
    assert told.count("error[step-failed]: no good") == 1
    assert "and 29 more like this in `bad`" in told.text


@pytest.mark.parametrize(
    ("topic", "properties"),
    [
        ("a/+", {}),
        ("a/#/b", {}),
        ("", {}),
        ("a\0b", {}),
        ("\ud800", {}),
        ("x" * 70_000, {}),
        ("fine", {"content_type": "\0"}),
    ],
)
async def test_a_poison_publish_is_an_error_of_the_step(
    mosquitto: Mosquitto, topic: str, properties: dict[str, str]
) -> None:
    told = Told()
    bad = FakeProgram("bad", "in", work=lambda host, *_: host.publisher("default")(topic, b"", 1, False, properties))
    settings = mosquitto.settings()
    async with running(settings, bad, told=told) as runner, Hand(settings) as hand:
        await hand.publish("in")
        await until(lambda: runner.flows["bad"].dropped == 1)
        await hand.publish("in")
        await until(lambda: runner.flows["bad"].dropped == 2)
    assert told.count("connected to") == 1
    assert "lost" not in told.text


async def test_a_message_that_the_broker_finds_too_large_is_an_error_of_the_step(tmp_path: Path) -> None:
    require_mosquitto()
    told = Told()
    bad = FakeProgram("bad", "in", work=lambda host, *_: host.publisher("default")("out", b"x" * 3000, 1, False, {}))
    with Mosquitto(tmp_path, OPEN + "max_packet_size 2000\n") as mosquitto:
        settings = mosquitto.settings()
        async with running(settings, bad, told=told) as runner, Hand(settings) as hand:
            await hand.publish("in")
            await until(lambda: runner.flows["bad"].dropped == 1)
            assert runner.connections["default"].link.pending == 0
    assert "larger (3011 bytes) than the broker accepts (2000 bytes)" in told.text
    assert "lost" not in told.text


async def test_a_message_that_breaks_every_connection_is_given_up_and_the_next_ones_go_out(tmp_path: Path) -> None:
    """MQTT 3.1.1 brokers do not say how much they take: they close the connection."""
    require_mosquitto()
    told = Told()

    def work(host: Host, *_: object) -> None:
        publish = host.publisher("default")
        publish("big", b"x" * 3000, 1, False, {})
        publish("small", b"y", 1, False, {})

    with Mosquitto(tmp_path, OPEN + "max_packet_size 2000\n") as mosquitto:
        settings = mosquitto.settings(protocol="3.1.1")
        flow = FakeProgram("big", "in", work=work)
        async with Hand(settings, "small") as hand, running(settings, flow, told=told):
            await hand.publish("in")
            await until(lambda: hand.payloads == [b"y"], what=told.text)
    assert "`big` on `default` was dropped: the broker closes the connection whenever it is sent" in told.text


async def test_a_flow_starts_when_it_hears_what_it_wants(mosquitto: Mosquitto) -> None:
    echo = FakeProgram("echo", subscribe("self"), AtStart({"a": 1}), work=None)
    echo.work = lambda host, message, entry: send("self")(host, message, entry) if entry == 1 else None
    async with running(mosquitto.settings(), echo):
        await until(lambda: len(echo.got) == 2)
    assert echo.topics == ["at_start/echo", "self"]
    assert echo.payloads[0] == {"a": 1}
    assert echo.entries == [1, 0]


async def test_ticks_run_a_flow(mosquitto: Mosquitto) -> None:
    beat = FakeProgram("beat", Every(0.02, immediately=True, count=3), work=send("beat", 1))
    settings = mosquitto.settings()
    async with Hand(settings, "beat") as hand, running(settings, beat):
        await until(lambda: len(hand.got) == 3)
    assert hand.payloads == [b"1", b"2", b"3"]
    assert beat.topics == ["every/beat"] * 3


async def test_a_flow_that_is_switched_off_does_not_run(mosquitto: Mosquitto) -> None:
    off, on = FakeProgram("off", "m", is_enabled=False), FakeProgram("on", "m")
    settings = mosquitto.settings()
    async with running(settings, off, on) as runner, Hand(settings) as hand:
        await hand.publish("m")
        await until(lambda: on.got)
        assert list(runner.flows) == ["on"]
    assert not off.got


async def test_a_flow_that_cannot_be_bound_is_told_and_the_others_run(mosquitto: Mosquitto) -> None:
    class Broken(FakeProgram):
        def bind(self, host: Host) -> Callable[..., None]:  # noqa: ARG002
            raise FlowrunnerError("the table is not there")

    told, good = Told(), FakeProgram("good", "m")
    async with running(mosquitto.settings(), Broken("broken", "m"), good, told=told) as runner:
        assert list(runner.flows) == ["good"]
    assert "broken: the table is not there" in told.text


class Remembering(FakeProgram):
    """A flow with a step that keeps a list and has a timer."""

    def __init__(self, shape: str, events: list[str], *sources: str) -> None:
        super().__init__("flow", *sources)
        self.shape = shape
        self.events = events
        self.state: list[str] = []

    def bind(self, host: Host) -> Handler:
        self.state = host.keep("debounce", self.shape, list)
        host.on_turn(
            lambda: self.events.append(f"start {self.shape}"), lambda: self.events.append(f"stop {self.shape}")
        )
        handle = super().bind(host)

        def remember(topic: str, *rest: Any) -> None:
            self.state.append(topic)
            handle(topic, *rest)
            host.clock.call_at(host.clock.time(), lambda: host.publisher("default")("later", b"", 1))

        return remember


async def test_an_edited_flow_takes_over_what_its_steps_keep(mosquitto: Mosquitto) -> None:
    told, events = Told(), list[str]()
    settings = mosquitto.settings()
    old, new, other = (Remembering(shape, events, "k/#") for shape in ("a", "a", "b"))
    async with running(settings, old, told=told) as runner, Hand(settings, "later") as hand:
        await hand.publish("k/1")
        await until(lambda: hand.got)
        await runner.apply([new])
        await hand.publish("k/2")
        await until(lambda: new.got)
        assert new.state == ["k/1", "k/2"]
        await runner.apply([other])
        await hand.publish("k/3")
        await until(lambda: other.got)
        assert other.state == ["k/3"]
    assert events == ["start a", "stop a", "start a", "stop a", "start b", "stop b"]
    assert "flow → later" in told.text


class Waiting(FakeProgram):
    """A flow that works on each message outside, until `may_go` is set."""

    def __init__(self, *sources: str) -> None:
        super().__init__("slow", *sources)
        self.may_go = asyncio.Event()
        self.results: list[object] = []

    def bind(self, host: Host) -> Handler:
        waits = Waits(host, "slow", Queue())
        host.waiting(waits)
        publish = host.publisher("default")

        def done(result: object) -> None:
            self.results.append(result)
            publish("done", b"", 1)
            waits.leave()

        def handle(topic: str, payload: Any, qos: int, retain: bool, properties: Any, entry: int, /) -> None:
            waits.enter()
            host.run(self.may_go.wait(), done)

        return handle


async def test_what_is_in_work_is_finished_at_the_end_and_in_an_old_version(mosquitto: Mosquitto) -> None:
    told, old, new = Told(), Waiting("w"), Waiting("w")
    settings = mosquitto.settings()
    async with Hand(settings, "done") as hand:
        async with running(settings, old, told=told) as runner:
            await hand.publish("w")
            await until(lambda: runner.flows["slow"].received == 1)
            await runner.apply([new])
            await hand.publish("w")
            await until(lambda: runner.flows["slow"].received == 2)
            old.may_go.set()
            await until(lambda: old.results == [True])
            asyncio.get_running_loop().call_later(0.05, new.may_go.set)
        await until(lambda: len(hand.got) == 2)
    assert new.results == [True]
    assert "slow → done" in told.text


async def test_work_that_does_not_end_is_given_up(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "LAST_WORK", 0.05)
    told, flow, settings = Told(), Waiting("w"), mosquitto.settings()
    async with running(settings, flow, told=told) as runner, Hand(settings) as hand:
        await hand.publish("w")
        await until(lambda: runner.flows["slow"].received == 1)
    assert "`slow` did not finish within 0.05 s; messages given up: 1" in told.text
    assert isinstance(flow.results[0], asyncio.CancelledError)


async def test_an_edit_neither_loses_nor_repeats_a_message(mosquitto: Mosquitto) -> None:
    """Twenty versions, which differ in their filters, while messages run; each message meets exactly one of them."""
    settings = mosquitto.settings()
    filters = [("e/#",), ("e/+", "e/#"), ("e/a",), ("e/#", "e/a")]
    versions = [FakeProgram("flow", *filters[number % 4]) for number in range(20)]
    async with running(settings, versions[0]) as runner, Hand(settings) as hand:
        is_over = False

        async def publish() -> int:
            number = 0
            while not is_over:
                number += 1
                await hand.publish("e/a", b"%d" % number)
            return number

        task = asyncio.create_task(publish())
        for version in versions[1:]:
            count = sum(len(each.got) for each in versions)
            await until(lambda count=count: sum(len(each.got) for each in versions) > count + 2)  # type: ignore[misc]
            await runner.apply([version])
        is_over = True
        last = await task
        await until(lambda: sum(len(each.got) for each in versions) >= last)
    seen = sorted(int(payload) for version in versions for payload in version.payloads)
    assert seen == list(range(1, last + 1))
    assert all(version.got for version in versions[:-1])


async def test_several_connections_by_name(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "other") as other:
        told = Told()
        bridge = FakeProgram("bridge", "up", work=send("down", 1, connection="cloud"))
        connections = {"default": mosquitto.settings(), "cloud": other.settings(name="cloud")}
        runner = Runner(connections, Report(told.lines.append), folder=tmp_path)
        try:
            await runner.apply([bridge])
            await ready(runner)
            async with Hand(mosquitto.settings()) as near, Hand(other.settings(), "down") as far:
                await near.publish("up", b"across")
                await until(lambda: far.payloads == [b"across"])
            assert "cloud: connected to" in told.text
            await runner.apply([FakeProgram("local", "up")])
            assert list(runner.connections) == ["default"]
        finally:
            await runner.close()


async def test_at_the_end_what_is_on_its_way_goes_out(mosquitto: Mosquitto) -> None:
    flow = FakeProgram("copy", "in", work=None)

    def many(host: Host, *_: object) -> None:
        for number in range(500):
            host.publisher("default")("out", b"%d" % number, number % 3, False, {})

    flow.work = many
    settings = mosquitto.settings()
    async with Hand(settings, "out") as hand:
        async with running(settings, flow), Hand(settings) as other:
            await other.publish("in")
            await until(lambda: flow.got)
        await until(lambda: len(hand.got) == 500)
    assert sorted(map(int, hand.payloads)) == list(range(500))
    await until(lambda: "Received DISCONNECT from flowrunner" in mosquitto.log)


async def test_the_end_reaches_the_broker_although_much_is_unread(mosquitto: Mosquitto) -> None:
    """Closing with unread data resets the connection: the last publishes must not be lost by it."""
    started = asyncio.Event()
    flood = FakeProgram("flood", "flood/#", work=lambda *_: started.set())
    settings = mosquitto.settings()
    async with Hand(settings, "last") as hand:
        async with running(settings, flood) as runner:
            for _ in range(3000):
                hand.client.publish("flood/x", b"x" * 500)
            await asyncio.wait_for(started.wait(), 10)
            runner.publisher("default")("last", b"word", 0, False, {})
        await until(lambda: hand.payloads == [b"word"])
    await until(lambda: "Received DISCONNECT from flowrunner" in mosquitto.log)


async def test_a_runner_without_a_broker_ends_at_once() -> None:
    settings = ConnectionSettings(host="127.0.0.1", port=1)
    runner = Runner({"default": settings}, Report(lambda _: None), backoff=quick_backoff)
    await runner.apply([FakeProgram("flow", "a")])
    async with asyncio.timeout(2):
        await runner.close()
