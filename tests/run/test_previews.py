"""The last messages, once more under the edited flow: on the side, and with nothing done to anything outside."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowrunner.clock import VirtualClock
from flowrunner.compile import compile_flow
from flowrunner.compile.program import Program
from flowrunner.message import NO_PROPERTIES, Message
from flowrunner.run import dry, recent
from flowrunner.run.dry import UNHEARD, entry_of, run_dry
from flowrunner.run.dry_host import MOST_CALLS, MOST_EFFECTS, DryHost
from flowrunner.run.live import LiveFlow
from flowrunner.run.previews import Preview, as_json, compare, lines_of, show, text_of
from flowrunner.run.recent import MOST, MOST_BYTES, Arrived, Recent
from flowrunner.run.report import Report
from flowrunner.run.traffic import Traffic
from tests.flow_host import read
from tests.run.fakes import FakeProgram, Told
from tests.waiting_step import Wait, read_waiting

# What is remembered


def live(name: str = "heat") -> tuple[LiveFlow, FakeProgram]:
    program = FakeProgram(name, "in")
    flow = LiveFlow(program)
    flow.bind(object())  # type: ignore[arg-type]  # the fake asks its host for nothing
    return flow, program


def deliver(flow: LiveFlow, payload: Any, topic: str = "in") -> None:
    flow.handler(topic, payload, 0, False, NO_PROPERTIES, 0)


def payloads(memory: Recent, name: str = "heat") -> list[Any]:
    return [message.payload for message in memory.of(name)]


def test_last_messages_are_remembered_and_handed_on() -> None:
    clock, (flow, program) = VirtualClock(), live()
    memory = Recent(clock)
    memory.watch([flow])
    for number in range(30):
        deliver(flow, b"%d" % number)
        clock.advance(1)
    assert payloads(memory) == [b"%d" % number for number in range(10, 30)]
    assert [message.time for message in memory.of("heat")] == [float(number) for number in range(10, 30)]
    assert len(program.got) == 30


def test_flood_costs_nothing_after_the_first_messages_of_a_second() -> None:
    clock, (flow, program) = VirtualClock(), live()
    bare = flow.handler
    memory = Recent(clock)
    memory.watch([flow])
    for number in range(MOST):
        assert flow.handler is not bare
        deliver(flow, b"%d" % number)
    assert flow.handler is bare
    assert flow.plain is bare
    deliver(flow, b"unseen")
    clock.advance(1)
    deliver(flow, b"next")
    assert payloads(memory) == [*(b"%d" % number for number in range(1, MOST)), b"next"]
    assert len(program.got) == MOST + 2


def test_one_flow_in_a_flood_hides_no_other() -> None:
    clock, (busy, _), (calm, _) = VirtualClock(), live("busy"), live("calm")
    memory = Recent(clock)
    memory.watch([busy, calm])
    for number in range(10 * MOST):
        deliver(busy, b"%d" % number)
    deliver(calm, b"rare")
    assert payloads(memory, "calm") == [b"rare"]


def test_messages_outlive_the_version_that_got_them() -> None:
    clock, (old, _), (new, _) = VirtualClock(), live(), live()
    memory = Recent(clock)
    memory.watch([old])
    deliver(old, b"1")
    memory.watch([new])
    deliver(old, b"of nobody")
    deliver(new, b"2")
    assert payloads(memory) == [b"1", b"2"]
    memory.watch([])
    assert payloads(memory) == []


def test_looking_twice_at_a_flow_is_looking_once() -> None:
    clock, (flow, _) = VirtualClock(), live()
    memory = Recent(clock)
    for _ in range(3):
        memory.watch([flow])
    deliver(flow, b"1")
    assert payloads(memory) == [b"1"]


def test_end_leaves_the_flow_as_it_was() -> None:
    clock, (flow, _) = VirtualClock(), live()
    bare = flow.handler
    memory = Recent(clock)
    memory.watch([flow])
    for number in range(MOST):
        deliver(flow, b"%d" % number)
    memory.stop()
    clock.advance(5)
    assert flow.handler is bare
    assert memory.of("heat") == ()


@pytest.mark.parametrize("is_first", [True, False])
def test_traffic_and_memory_look_at_the_same_flow(is_first: bool) -> None:
    clock, told, (flow, program) = VirtualClock(), Told(), live()
    bare = flow.handler
    traffic, memory = Traffic(Report(told.lines.append), clock, at_once=3, most_lines=3), Recent(clock)
    steps: list[Callable[[], None]] = [lambda: memory.watch([flow]), lambda: traffic.watch([flow], [])]
    for step in steps if is_first else reversed(steps):
        step()
    for _ in range(3):
        for number in range(2 * MOST):
            deliver(flow, b"%d" % number)
        clock.advance(1)
    assert told.count("←") == 9
    assert len(payloads(memory)) == MOST
    assert len(program.got) == 6 * MOST
    memory.stop()
    traffic.stop()
    assert flow.handler is bare


def test_memory_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, (flow, program) = VirtualClock(), live()
    memory = Recent(clock)
    memory.watch([flow])
    for _ in range(10):
        deliver(flow, bytes(MOST_BYTES // 3))
    deliver(flow, bytes(MOST_BYTES))
    assert [len(payload) for payload in payloads(memory)] == [MOST_BYTES // 3] * 2
    assert len(program.got) == 11
    monkeypatch.setattr(recent, "MOST_BYTES_OF_ALL", 2_000)
    others = [live(f"flow {number}")[0] for number in range(10)]
    memory.watch(others)
    for other in others:
        for _ in range(5):
            deliver(other, bytes(90))
        assert len(payloads(memory, other.name)) == 2


def test_value_of_a_tick_is_remembered() -> None:
    clock, (flow, _) = VirtualClock(), live()
    memory = Recent(clock)
    memory.watch([flow])
    deliver(flow, 7, "every/heat")
    assert memory.of("heat") == (Arrived(0.0, "every/heat", 7, 0, False, NO_PROPERTIES),)


# What would come of it

OLD = """
    subscribe: sensors/+room
    steps:
      - json
      - filter: payload.t > 25
      - set: {level: "${'hot' if payload.t > 30 else 'warm'}"}
      - publish: alerts/${room}
    """


def program_of(text: str, **rest: Any) -> Program:
    return compile_flow(read(text, **rest))


def arrivals(*given: tuple[str, Any], every: float = 1.0) -> list[Arrived]:
    return [
        Arrived(100.0 + number * every, topic, payload, 0, False, NO_PROPERTIES)
        for number, (topic, payload) in enumerate(given)
    ]


CLIMATE = arrivals(*[(f"sensors/{room}", b'{"t": %d}' % t) for room, t in [("attic", 31), ("cellar", 9), ("hall", 26)]])


def outcome_of(text: str, arrived: list[Arrived], *, until: float = 200.0, **rest: Any) -> list[list[str]]:
    """What each message comes to, and at last what comes later."""
    found = run_dry(program_of(text, **rest), arrived, until=until, now=1_000.0, seconds=20.0)
    return [[text_of(effect) for effect in effects] for effects in (*found.messages, found.later)]


def compared(old: str | Program, new: str | Program, arrived: list[Arrived]) -> Preview:
    before, after = (one if isinstance(one, Program) else program_of(one) for one in (old, new))
    return compare(before, after, arrived, until=200.0, now=1_000.0)


def shown(preview: Preview) -> str:
    told = Told()
    show(preview, Report(told.lines.append))
    return told.text


def test_messages_are_tried_one_by_one() -> None:
    assert outcome_of(OLD, CLIMATE) == [
        ['→ alerts/attic  {"t":31,"level":"hot"}'],
        [],
        ['→ alerts/hall  {"t":26,"level":"warm"}'],
        [],
    ]


def test_lines_errors_and_details_of_a_message_count() -> None:
    text = """
        subscribe: in
        steps:
          - log: {text: "got ${payload}", level: warning}
          - publish: {topic: out, qos: 1, retain: true, properties: {user: {a: b}}}
          - json
        """
    assert outcome_of(text, arrivals(("in", b"no json"))) == [
        [
            "· got no json",
            "→ out  no json  (QoS 1, retain)",
            "✗ the payload is not JSON: unexpected `n` at character 1",
        ],
        [],
    ]


def test_memory_is_empty_before_the_first_message() -> None:
    text = "subscribe: in\nsteps:\n  - changed: payload\n  - publish: out\n"
    expected = [["→ out  1"], [], ["→ out  2"], []]
    for _ in range(2):
        assert outcome_of(text, arrivals(("in", b"1"), ("in", b"1"), ("in", b"2"))) == expected


def test_time_passes_as_it_did() -> None:
    text = "subscribe: in\nsteps:\n  - debounce: 3s\n  - publish: out\n"
    arrived = arrivals(("in", b"1"), ("in", b"2"))
    assert outcome_of(text, arrived, until=200.0)[-1] == ["→ out  2"]
    assert outcome_of(text, arrived, until=102.0)[-1] == []


def test_watch_on_the_wall_shows_what_it_showed() -> None:
    text = 'subscribe: in\nsteps:\n  - publish: {topic: out, payload: "${now()}"}\n'
    arrived = arrivals(("in", b"1"), ("in", b"2"), every=10.0)
    assert outcome_of(text, arrived, until=200.0) == [["→ out  900.0"], ["→ out  910.0"], []]


def test_values_of_a_state_are_those_of_nobody(tmp_path: Path) -> None:
    text = (
        "subscribe: in\nsteps:\n  - state: {increment: n, persist: true, scope: shared}\n"
        '  - publish: {topic: out, payload: "${n}"}\n'
    )
    expected = [["→ out  1"], ["→ out  2"], []]
    for _ in range(2):
        assert outcome_of(text, arrivals(("in", b""), ("in", b""))) == expected
    assert list(tmp_path.iterdir()) == []


def test_chance_is_the_same_for_both_versions_and_goes_on_untouched() -> None:
    text = 'subscribe: in\nsteps:\n  - publish: {topic: out, payload: "${uniform(0, 1)}"}\n'
    random.seed(1)
    expected = random.random()
    random.seed(1)
    preview = compared(text, f"{text}  - log: ${{randint(1, 6)}}\n", arrivals(("in", b"1")))
    assert preview.pairs[0].old[0] == preview.pairs[0].new[0]
    assert random.random() == expected


@pytest.fixture
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> object:
        raise AssertionError("a step that waits was made")

    monkeypatch.setattr(Wait, "worker", refuse)


@pytest.mark.usefixtures("_no_waiting")
@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("- publish: a\n- wait: payload\n- publish: b", ["→ a  x", "… `wait 1` is not tried, nor what follows it"]),
        ("- {wait: payload, when: qos > 5}\n- publish: b", ["→ b  x"]),
        ("- {wait: 1 / qos}\n- publish: b", ["✗ `qos` is zero, nothing can be divided by it"]),
        ("- {wait: 1 / qos, on_error: [publish: c]}\n- publish: b", ["→ c  x"]),
        ("- retry: {steps: [publish: a]}\n- publish: b", ["→ a  x", "→ b  x"]),
        ("- {retry: {steps: [json]}, on_error: continue}\n- publish: b", ["→ b  x"]),
        ("- retry: {steps: [json]}\n- publish: b", ["✗ the payload is not JSON: unexpected `x` at character 1"]),
        ("- retry: {steps: [wait: payload]}\n- publish: b", ["… `wait 1` is not tried, nor what follows it"]),
        (
            "- fork: [[{wait: payload}], [{publish: a}]]\n- publish: b",
            ["… `wait 1` is not tried, nor what follows it", "→ a  x", "→ b  x"],
        ),
    ],
)
def test_steps_that_wait_are_not_tried(steps: str, expected: list[str]) -> None:
    text = "subscribe: in\nsteps:\n" + "\n".join(f"  {line}" for line in steps.splitlines()) + "\n"
    program = compile_flow(read_waiting(text))
    found = run_dry(program, arrivals(("in", b"x")), until=200.0, now=0.0, seconds=20.0)
    assert [text_of(effect) for effect in found.messages[0]] == expected


def test_file_of_a_python_step_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text("raise SystemExit('run')\ndef go(message):\n    return 1\n")
    text = "subscribe: in\nsteps:\n  - python: work.py:go\n  - publish: out\n"
    assert outcome_of(text, arrivals(("in", b"x")), folder=tmp_path)[0] == [
        "… `python 1` is not tried, nor what follows it"
    ]


SOURCES = """
    subscribe: [a/+x, {topic: b/+x, retained: new}, {topic: $share/g/c/+x}]
    every: 5s
    cron: "0 7 * * *"
    at_start: {hello: true}
    steps: [json]
    """


@pytest.mark.parametrize(
    ("topic", "payload", "retain", "entry"),
    [
        ("a/1", b"", False, 0),
        ("b/1", b"", False, 1),
        ("b/1", b"", True, None),
        ("c/1", b"", False, 2),
        ("d/1", b"", False, None),
        ("every/flow", 3, False, 3),
        ("every/flow", b"3", False, None),
        ("every/other", 3, False, None),
        ("cron/flow", 3, False, 4),
        ("at_start/flow", {"hello": True}, False, 5),
    ],
)
def test_message_goes_in_where_the_edited_flow_takes_it(
    topic: str, payload: Any, retain: bool, entry: int | None
) -> None:
    flow = read(SOURCES.replace("$share/g/c/+x}", "c/+x, share: g}"))
    assert entry_of(flow, Arrived(0.0, topic, payload, 0, retain, NO_PROPERTIES)) == entry


def test_message_that_the_edited_flow_does_not_hear_is_said_to_be_so() -> None:
    preview = compared(OLD, OLD.replace("sensors/+room", "sensors/hall").replace("${room}", "hall"), CLIMATE)
    assert [pair.new for pair in preview.pairs] == [UNHEARD, UNHEARD, preview.pairs[2].old]


def test_timers_without_end_come_to_one() -> None:
    text = "subscribe: in\nsteps:\n  - timeout: {after: 1ms, payload: 1, repeat: true}\n  - publish: out\n"
    found = run_dry(program_of(text), arrivals(("in", b"x")), until=10_000.0, now=0.0, seconds=20.0)
    assert 0 < len(found.later) <= MOST_CALLS


def test_effects_without_end_come_to_one() -> None:
    host = DryHost(program_of(OLD), VirtualClock())
    for _ in range(MOST_EFFECTS + 10):
        host.publisher("default")("out", b"x")
    assert len(host.taken()) == MOST_EFFECTS
    host.publisher("default")("out", b"x")
    assert host.taken() == ()


def test_messages_for_which_there_is_no_time_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(100))
    monkeypatch.setattr(dry, "perf_counter", lambda: float(next(times)))
    found = run_dry(program_of(OLD), CLIMATE, until=200.0, now=0.0, seconds=1.5)
    assert len(found.messages) == 2
    assert found.later == ()


def test_both_versions_get_the_same_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    times = [0.0, 0.001, 0.5]
    monkeypatch.setattr(dry, "perf_counter", lambda: times.pop(0) if times else 1.0)
    text = "subscribe: in\nsteps:\n  - debounce: 1s\n  - publish: out\n"
    preview = compared(text, text.replace("out", "new"), arrivals(("in", b"1"), ("in", b"2"), ("in", b"3")))
    assert preview.messages == 2
    assert all(pair.arrived for pair in preview.pairs)


def test_nothing_outside_answers() -> None:
    host = DryHost(program_of(OLD), VirtualClock())

    async def work() -> int:
        raise AssertionError

    results: list[Any] = []
    host.run(work(), results.append).cancel()
    assert "nothing outside" in str(results[0])
    with pytest.raises(Exception, match="nothing outside"):
        host.share("client", lambda: pytest.fail("made"))
    host.handled("flow", ValueError())
    host.stopped("flow", "reason")
    host.queue_dropped("flow", "")
    host.queue_drained("flow", "")
    host.failed("flow", ValueError("x"), Message("in", b""))
    assert host.effects[0].mark == "✗"


# What is shown


def test_difference_is_shown_in_a_few_lines() -> None:
    preview = compared(OLD, OLD.replace("> 30", "> 25"), CLIMATE)
    assert shown(preview).splitlines() == [
        "the last 3 messages of flow before and after the edit, on the side:",
        '  ← sensors/hall  {"t": 26}',
        '-   → alerts/hall  {"t":26,"level":"warm"}',
        '+   → alerts/hall  {"t":26,"level":"hot"}',
        "  ... 2 come to the same",
    ]
    assert as_json(preview) == {
        "flow": "flow",
        "messages": 3,
        "differing": 1,
        "shown": [
            {
                "topic": "sensors/hall",
                "before": ['→ alerts/hall  {"t":26,"level":"warm"}'],
                "after": ['→ alerts/hall  {"t":26,"level":"hot"}'],
            }
        ],
    }


def test_message_that_comes_through_now_is_shown_against_nothing() -> None:
    text = shown(compared(OLD, OLD.replace("> 25", "> 5"), CLIMATE))
    assert '-   nothing\n+   → alerts/cellar  {"t":9,"level":"warm"}\n' in text
    text = shown(compared(OLD.replace("> 25", "> 5"), OLD, CLIMATE))
    assert '-   → alerts/cellar  {"t":9,"level":"warm"}\n+   nothing\n' in text


def test_only_what_is_more_is_shown() -> None:
    more = OLD.rstrip() + "\n      - log: sent\n"
    lines = shown(compared(OLD, more, CLIMATE)).splitlines()
    assert [line for line in lines if line.startswith(("-", "+"))] == ["+   · sent", "+   · sent"]


def test_other_order_is_shown_in_full() -> None:
    one = "subscribe: in\nsteps:\n  - publish: a\n  - publish: b\n"
    lines = shown(
        compared(one, one.replace("a\n", "x\n").replace("b\n", "a\n").replace("x\n", "b\n"), arrivals(("in", b"")))
    ).splitlines()
    assert [line for line in lines if line.startswith(("-", "+"))] == [
        "-   → a  (empty)", "-   → b  (empty)", "+   → b  (empty)", "+   → a  (empty)",
    ]  # fmt: skip


def test_long_differences_are_cut() -> None:
    text = "subscribe: in\nsteps:\n  - json\n  - split: payload\n  - publish: %s\n"
    arrived = arrivals(*[("in", b"[1,2,3,4,5,6,7]")] * 5)
    found = shown(compared(text % "a", text % "b", arrived))
    assert found.count("←") == 3
    assert found.count("-   ... and 2 more") == 3
    assert "... 2 more differ" in found
    assert max(map(len, found.splitlines())) < 120


def test_what_came_later_is_compared_too() -> None:
    text = "subscribe: in\nsteps:\n  - debounce: %s\n  - publish: out\n"
    preview = compared(text % "1s", text % "1h", arrivals(("in", b"1")))
    assert not compared(text % "1s", text % "155s", arrivals(("in", b"1"))).differing
    assert "  when their time had come\n-   → out  1\n+   nothing\n" in shown(preview)
    assert as_json(preview)["differing"] == 0


def test_no_difference_is_one_line() -> None:
    assert shown(compared(OLD, OLD, CLIMATE)).strip() == "the last 3 messages of flow would have come to the same"


def test_no_message_is_no_line() -> None:
    assert shown(compared(OLD, OLD.replace("> 25", "> 5"), [])) == ""


def test_hostile_text_does_not_reach_the_terminal() -> None:
    text = 'subscribe: in/#\nsteps:\n  - decode: utf-8\n  - publish: {topic: out, payload: "%s${payload}"}\n'
    found = shown(compared(text % "a", text % "b", arrivals(("in/\x1b[31m", b"\x1b[2J"))))
    assert "\x1b" not in found
    assert list(lines_of(compared(text % "a", text % "a", []), Report(print)))
