"""What users of other programs ran into when they edited flows, numbered as in the list of such scenarios: 1-11, 14."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowrunner.clock import VirtualClock
from tests.http_server import Answer, Server, http_server
from tests.mosquitto import Mosquitto
from tests.run.fakes import Hand, ready, until
from tests.run.test_watch import WAYS
from tests.run.workshop import copy, plain, settings_file, workshop

pytestmark = pytest.mark.broker

PROTOCOLS = pytest.mark.parametrize("protocol", ["5", "3.1.1"])


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    return tmp_path / "flows"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http_server() as server:
        yield server


@PROTOCOLS
async def test_scenario_1_one_message_in_is_one_message_out_after_twenty_saves(
    mosquitto: Mosquitto, flows: Path, protocol: str
) -> None:
    settings = mosquitto.settings(protocol=protocol)
    async with workshop(flows, settings, {"a.yaml": copy("0")}) as bench, Hand(settings, "out/#") as hand:
        is_over = asyncio.Event()

        async def publish() -> int:
            number = 0
            while not is_over.is_set():
                number += 1
                await hand.publish("in", b"%d" % number)
            return number

        publishing = asyncio.create_task(publish())
        for version in range(1, 21):
            await bench.edit("a.yaml", copy(str(version)))
            await until(lambda version=version: f"out/{version}" in {one.topic for one in hand.got})  # type: ignore[misc]
        is_over.set()
        last = await publishing
        await until(lambda: len(hand.got) >= last)
        assert [int(payload) for payload in hand.payloads] == list(range(1, last + 1))
        versions = [int(message.topic.removeprefix("out/")) for message in hand.got]
        assert versions == sorted(versions)
        assert bench.runner.flows["a"].received == last
        assert bench.told.count("reloaded in") == 20


@PROTOCOLS
async def test_scenario_2_retained_messages_reach_each_new_version_once_and_nobody_else(
    mosquitto: Mosquitto, flows: Path, protocol: str
) -> None:
    def listening(stamp: str, source: str) -> str:
        return f"subscribe: [{{topic: '{source}', qos: 1}}]\nsteps:\n  - publish: {{topic: 'out/{stamp}', qos: 1}}\n"

    settings = mosquitto.settings(protocol=protocol)
    async with Hand(settings, "out/#") as hand:
        for number in range(500):
            hand.client.publish(f"kept/{number}", b"%d" % number, 1, retain=True)
        await hand.publish("kept/500", b"500", retain=True)

        def counts() -> dict[str, int]:
            return dict(Counter(message.topic for message in hand.got))

        files = {"old.yaml": listening("old", "kept/+"), "edited.yaml": listening("v1", "kept/#")}
        async with workshop(flows, settings, files) as bench:
            await until(lambda: counts() == {"out/old": 501, "out/v1": 501}, what=bench.told)
            await bench.edit("edited.yaml", listening("v2", "kept/#"))
            await until(lambda: counts().get("out/v2", 0) >= 501)
            await bench.edit("new.yaml", listening("new", "kept/+"))
            await until(lambda: counts().get("out/new", 0) >= 501)
            await hand.publish("kept/live", b"live")
            await until(lambda: sum(payload == b"live" for payload in hand.payloads) == 3)
            assert counts() == {"out/old": 502, "out/v1": 501, "out/v2": 502, "out/new": 502}
            for topic in counts():
                assert len({message.payload for message in hand.got if message.topic == topic}) == counts()[topic]


WAITING = """
    subscribe: in/motion
    steps:
      - debounce: 20m
      - publish: {topic: out/light, qos: 1}
"""


async def test_scenario_3_a_flow_that_waits_still_fires_after_another_one_was_edited(
    mosquitto: Mosquitto, flows: Path
) -> None:
    settings, clock = mosquitto.settings(), VirtualClock()
    files = {"a.yaml": WAITING, "b.yaml": copy("1")}
    async with workshop(flows, settings, files, clock=clock) as bench, Hand(settings, "out/#") as hand:
        await hand.publish("in/motion", b"off")
        await until(lambda: bench.runner.flows["a"].received == 1)
        clock.advance(600)
        waiting = bench.runner.flows["a"]
        await bench.edit("b.yaml", copy("2"))
        assert bench.runner.flows["a"] is waiting
        clock.advance(599)
        await bench.edit("a.yaml", WAITING.replace("out/light", "out/lamp"))
        assert bench.runner.flows["a"] is not waiting
        assert not hand.got
        clock.advance(2)
        await until(lambda: hand.got)
        clock.advance(10_000)
        await hand.publish("in", b"end")
        await until(lambda: b"end" in hand.payloads)
        assert [message.topic for message in hand.got] == ["out/lamp", "out/2"]


async def test_scenario_4_the_window_before_an_edited_step_keeps_its_values(mosquitto: Mosquitto, flows: Path) -> None:
    text = """
        subscribe: in
        steps:
          - json
          - filter: payload > 0
          - window: {count: 4}
          - map: sum(payload)
          - publish: {topic: out/v1, qos: 1}
    """
    settings = mosquitto.settings()
    async with workshop(flows, settings, {"sums.yaml": text}) as bench, Hand(settings, "out/#") as hand:
        for number in (b"1", b"2", b"3"):
            await hand.publish("in", number)
        await until(lambda: bench.runner.flows["sums"].received == 3)
        await bench.edit("sums.yaml", text.replace("sum(payload)", "sum(payload) * 100").replace("v1", "v2"))
        await bench.says("1 changed (sums), 0 kept; state kept: window 1")
        await hand.publish("in", b"4")
        await until(lambda: hand.payloads == [b"1000"])
        assert bench.runner.flows["sums"].received == 4


async def test_scenario_5_a_cosmetic_edit_restarts_nothing(mosquitto: Mosquitto, flows: Path) -> None:
    text = "subscribe: in\nsteps:\n  - debounce: {for: 1s, by: topic}\n  - json\n  - publish: out\n"
    settings = mosquitto.settings()
    async with workshop(flows, settings, {"a.yaml": text, "b.yaml": copy("1")}) as bench, Hand(settings) as hand:
        live = bench.runner.flows["a"]
        asked = mosquitto.log.count("Received SUBSCRIBE")
        for edited in (
            f"# a comment\n{text}",
            text.replace("for: 1s, by: topic", "by:  'topic', for: 1000ms"),
            f"description: waits\n{text}",
            f"{text}tests:\n  - given: {{topic: in, payload: 1}}\n    expect: []\n",
            text.replace("subscribe: in\nsteps:", "steps:") + "subscribe: in\n",
        ):
            await bench.edit("a.yaml", edited)
            assert bench.runner.flows["a"] is live
        await bench.says("a does the same as before, 2 kept", 5)
        assert mosquitto.log.count("Received SUBSCRIBE") == asked
        await hand.publish("in", b"{")
        await bench.says("a.yaml:3:5")  # errors point at where the line is now


BROKEN = {
    "syntax": ("- publish: out", "- publish: {out", "unclosed-bracket"),
    "step": ("- publish: out", "- pbulish: out", "unknown-step"),
    "expression": ("payload > 1", "payload > > 1", "bad-expression"),
    "regular expression": ("payload > 1", "matches(text, '(')", "bad-regex"),
    "missing file": ("- publish: out", "- lookup: {table: nowhere.csv, key: topic}\n  - publish: out", "missing-file"),
    "python": ("- publish: out", "- python: own.py:g\n  - publish: out", "bad-python"),
    "connection": ("- publish: out", "- publish: {topic: out, connection: nowhere}", "unknown-connection"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_scenario_6_after_a_broken_edit_the_old_flow_goes_on(
    mosquitto: Mosquitto, flows: Path, name: str
) -> None:
    text = plain("""
        subscribe: {topic: in, qos: 1}
        steps:
          - json
          - filter: payload > 1
          - publish: out
    """)
    old, new, _ = BROKEN[name]
    flows.mkdir()
    (flows / "own.py").write_text("def f(message):\n    return 1\n")
    settings = mosquitto.settings()
    async with workshop(flows, settings, {"a.yaml": text}) as bench, Hand(settings, "out") as hand:
        live = bench.runner.flows["a"]
        bench.save("a.yaml", text.replace(old, new))
        await bench.says("the running version of `a` is from ")
        assert f"{flows}/a.yaml:" in bench.told.text.replace(" --> ", " --> ")
        assert "error[" in bench.told.text
        await hand.publish("in", b"2")
        await until(lambda: hand.payloads == [b"2"])
        assert bench.runner.flows["a"] is live
        await bench.edit("a.yaml", text)
        await bench.says("mended: ")
        assert bench.runner.flows["a"] is live
        assert bench.told.count("reloaded in") == 0


async def test_scenario_7_a_reload_while_a_sink_is_retrying_does_not_hang(
    mosquitto: Mosquitto, server: Server, flows: Path
) -> None:
    gate, answered = threading.Event(), threading.Event()

    def answer(_: object) -> Answer:
        answered.set()
        return Answer(b"", 200 if gate.is_set() else 503)

    server.answers["/x"] = answer
    text = f"""
        subscribe: {{topic: in, qos: 1}}
        steps:
          - retry:
              attempts: 1000
              backoff: 10ms
              steps: [{{http: {{url: {server.url}/x, method: POST}}}}]
          - publish: {{topic: out/v1, qos: 1}}
    """
    settings = mosquitto.settings()
    async with workshop(flows, settings, {"a.yaml": text}) as bench, Hand(settings, "out/#") as hand:
        await hand.publish("in", b"1")
        await until(answered.is_set)
        await bench.edit("a.yaml", text.replace("v1", "v2"))
        await hand.publish("in", b"2")
        await bench.edit("a.yaml", text.replace("v1", "v3"))
        await hand.publish("in", b"3")
        await until(lambda: bench.runner.flows["a"].received == 3)
        assert not hand.got
        gate.set()
        await until(lambda: len(hand.got) == 3)
        assert [message.topic for message in hand.got] == ["out/v1", "out/v2", "out/v3"]


async def test_scenario_8_a_reload_from_inside_a_flow_neither_deadlocks_nor_applies_a_half(
    mosquitto: Mosquitto, flows: Path
) -> None:
    flows.mkdir()
    (flows / "own.py").write_text(
        plain('''
        from pathlib import Path

        HERE = Path(__file__).parent
        TEXT = """
        subscribe: {topic: ping, qos: 1}
        steps:
          - publish: {topic: "out/${flow}/%s", qos: 1}
        """


        def write(message):
            for number in range(60):
                (HERE / f"made{number}.yaml").write_text(TEXT % message.payload.decode())
            return message.payload
        ''')
    )
    writer = """
        subscribe: {topic: in, qos: 1}
        steps:
          - python: own.py:write
          - publish: {topic: out/written, qos: 1}
    """
    settings = mosquitto.settings()
    async with workshop(flows, settings, {"writer.yaml": writer}) as bench, Hand(settings, "out/#") as hand:
        for turn in (b"a", b"b"):
            await hand.publish("in", turn)
            await until(lambda turn=turn: turn in hand.payloads, what=bench.told)  # type: ignore[misc]
            ending = f'/{turn.decode()}", qos: 1}}\n'
            await until(
                lambda ending=ending: (
                    sum(  # type: ignore[misc]
                        flow.program.flow.source.text.endswith(ending)  # type: ignore[attr-defined]
                        for flow in bench.runner.flows.values()
                    )
                    == 60
                ),
                what=bench.told,
            )
            await hand.publish("ping", b"")
            wanted = {f"out/made{number}/{turn.decode()}" for number in range(60)}
            await until(lambda wanted=wanted: wanted <= {one.topic for one in hand.got})  # type: ignore[misc]
        assert len(hand.got) == 2 + 120


@pytest.mark.parametrize("save", WAYS)
async def test_scenario_9_every_way_of_saving_is_one_edit_that_loses_nothing(
    mosquitto: Mosquitto, flows: Path, save: Callable[[Path, str], None]
) -> None:
    settings = mosquitto.settings()
    async with workshop(flows, settings, {"a.yaml": copy("1")}) as bench, Hand(settings, "out/#") as hand:
        live = bench.runner.flows["a"]
        await hand.publish("in", b"1")
        await bench.edit("a.yaml", copy("2"), by=save)
        await hand.publish("in", b"2")
        await until(lambda: len(hand.got) == 2)
        assert [message.topic for message in hand.got] == ["out/1", "out/2"]
        assert live.counting is bench.runner.flows["a"]  # it never was away
        assert "error" not in bench.told.text


async def test_scenario_9_flows_are_deleted_renamed_and_made_again(mosquitto: Mosquitto, flows: Path) -> None:
    settings = mosquitto.settings()
    async with workshop(flows, settings, {"a.yaml": copy("a"), "b.yaml": copy("b")}) as bench:
        (flows / "b.yaml").rename(flows / "c.yaml")
        await bench.says("1 added (c), 1 removed (b)")
        (flows / "c.yaml").unlink()
        await bench.says("1 removed (c), 1 kept")
        bench.save("c.yaml", copy("c"))
        await bench.says("1 added (c), 1 kept")
        (flows / "sub" / "deep").mkdir(parents=True)
        (flows / "sub" / "deep" / "d.yaml").write_text(copy("d"))
        await bench.says("1 added (d), 2 kept")
        async with Hand(settings, "out/#") as hand:
            await hand.publish("in", b"x")
            await until(lambda: len(hand.got) == 3)
            assert {message.topic for message in hand.got} == {"out/a", "out/c", "out/d"}


async def test_scenario_9_a_link_moves_as_in_kubernetes(mosquitto: Mosquitto, flows: Path) -> None:
    flows.mkdir()
    for number in (1, 2):
        (flows / f"..v{number}").mkdir()
        (flows / f"..v{number}" / "a.yaml").write_text(copy(str(number)))
    (flows / "..data").symlink_to("..v1")
    (flows / "a.yaml").symlink_to("..data/a.yaml")
    settings = mosquitto.settings()
    async with workshop(flows, settings, {}) as bench, Hand(settings, "out/#") as hand:
        (flows / "..tmp").symlink_to("..v2")
        (flows / "..tmp").rename(flows / "..data")
        await bench.runs("a", copy("2"))
        await hand.publish("in", b"x")
        await until(lambda: [message.topic for message in hand.got] == ["out/2"])


async def test_scenario_10_an_unknown_step_in_one_file_stops_no_other_flow(mosquitto: Mosquitto, flows: Path) -> None:
    broken = copy("broken").replace("- publish", "- pbulish")
    settings = mosquitto.settings()
    files = {"a.yaml": copy("a"), "broken.yaml": broken, "c.yaml": copy("c")}
    async with workshop(flows, settings, files) as bench, Hand(settings, "out/#") as hand:
        assert list(bench.runner.flows) == ["a", "c"]
        bench.save("c.yaml", copy("c").replace("- publish", "- pbulish"))
        await bench.says("there is no step `pbulish`")
        await bench.edit("a.yaml", copy("a2"))
        await hand.publish("in", b"x")
        await until(lambda: len(hand.got) == 2)
        assert {message.topic for message in hand.got} == {"out/a2", "out/c"}
        await bench.edit("broken.yaml", copy("broken"))
        assert sorted(bench.runner.flows) == ["a", "broken", "c"]


async def test_scenario_11_what_cannot_be_reloaded_is_refused_by_name(mosquitto: Mosquitto, flows: Path) -> None:
    settings = mosquitto.settings()
    async with workshop(flows, settings, {"a.yaml": copy("a")}) as bench, Hand(settings, "out/#") as hand:
        own_id = bench.runner.connections["default"].client_id
        live = bench.runner.flows["a"]
        bench.save("flowrunner.yaml", settings_file(settings, "    client_id: another\n"))
        await bench.says(
            f"warning: `client_id` of `default` cannot change while flows run: it stays `{own_id}` until the end"
        )
        bench.save("flowrunner.yaml", settings_file(settings, "    client_id: another\n    keepalive: 20s\n"))
        await bench.says("connected anew: default")
        await until(lambda: f"as {own_id} (p5, c1, k20)" in mosquitto.log)
        await ready(bench.runner, bench.told)
        await hand.publish("in", b"x")
        await until(lambda: hand.got)
        assert bench.runner.flows["a"] is live
        assert "another" not in mosquitto.log


@PROTOCOLS
async def test_scenario_14_a_topic_that_is_gone_is_given_up_in_a_session_that_was_kept(
    mosquitto: Mosquitto, flows: Path, protocol: str
) -> None:
    session = "    session: {keep: 1h}\n"
    settings = mosquitto.settings(protocol=protocol)
    files = {"a.yaml": copy("a"), "b.yaml": copy("b", "old/topic")}
    async with workshop(flows, settings, files, session=session):
        pass
    (flows / "b.yaml").unlink()
    assert "UNSUBSCRIBE" not in mosquitto.log
    async with workshop(flows, settings, {}, session=session) as bench:
        await until(lambda: "Received UNSUBSCRIBE" in mosquitto.log)
        assert "\told/topic" in mosquitto.log.split("Received UNSUBSCRIBE")[1]
        async with Hand(settings, "out/#") as hand:
            await hand.publish("old/topic", b"1")
            await hand.publish("in", b"2")
            await until(lambda: hand.payloads == [b"2"], what=bench.told)
    async with workshop(flows, settings, {}, session=session):
        pass
    assert mosquitto.log.count("Received UNSUBSCRIBE") == 1
