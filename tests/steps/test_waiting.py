"""Steps that wait: order, lines of bounded length, what fails in them, and how a version of a flow ends."""

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.compile import compile_flow
from flowrunner.lines import MOST_BLOCKED
from flowrunner.message import Message
from flowrunner.waiting import UNCHANGED, Outcome
from tests.flow_host import FlowHost, message
from tests.waiting_step import Wait, diagnose_waiting, echo, read_waiting


@pytest.fixture(autouse=True)
def _echo() -> Iterator[None]:
    yield
    Wait.answer, Wait.batch = staticmethod(echo), 1
    Wait.batches.clear()


class Doors:
    """Work that goes on until a test opens its door."""

    def __init__(self) -> None:
        self.waiting: dict[Any, asyncio.Future[Outcome]] = {}
        self.begun: list[Any] = []
        Wait.answer = self.answer

    async def answer(self, job: Any) -> Outcome:
        self.begun.append(job)
        self.waiting[job] = asyncio.get_running_loop().create_future()
        return await self.waiting[job]

    async def open(self, job: Any, outcome: Outcome | Exception | None = None) -> None:
        for _ in range(20):
            if job in self.waiting:
                break
            await asyncio.sleep(0)
        future = self.waiting.pop(job)
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(({"payload": job},) if outcome is None else outcome)
        await turns()


async def turns() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


def use_latency(seed: int) -> None:
    """Each work takes another number of turns of the loop; some fail."""
    random = Random(seed)

    async def answer(job: Any) -> Outcome:
        for _ in range(random.randrange(6)):
            await asyncio.sleep(0)
        if random.random() < 0.2:
            raise RuntimeError(job)
        return UNCHANGED

    Wait.answer = staticmethod(answer)


ONE_LINE = """
    subscribe: in
    steps:
      - json
      - wait: payload
        when: payload % 3 != 0
        on_error: continue
      - wait: payload
      - publish: out
"""
BRANCHES = """
    subscribe: in
    steps:
      - json
      - switch:
          - when: payload % 3 == 0
            steps: [{wait: payload, on_error: continue}]
          - when: payload % 3 == 1
            steps: [{set: {x: 1}, when: payload < 0}]
          - else:
              - fork: [[{wait: payload}, {wait: payload}], [{filter: {if: payload < 0, else: [{wait: payload}]}}]]
      - publish: out
"""
IN_ERRORS = """
    subscribe: in
    on_error:
      - json
      - wait: payload
        on_error: continue
      - publish: failed
    steps:
      - json
      - wait: payload
      - publish: out
"""


@pytest.mark.parametrize("flow", [ONE_LINE, BRANCHES, IN_ERRORS], ids=["one line", "branches", "errors"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 40))
def test_messages_keep_their_order_whatever_takes_how_long(flow: str, seed: int, count: int) -> None:
    async def run() -> list[Any]:
        use_latency(seed)
        host = FlowHost(read_waiting(flow))
        for number in range(count):
            host.get("in", number)
            await asyncio.sleep(0)
        return (await host.settled()).published

    values = [sent.value for sent in asyncio.run(run())]
    assert values == sorted(values)


async def test_what_has_nothing_to_wait_for_does_not_overtake() -> None:
    doors = Doors()
    host = FlowHost(read_waiting(ONE_LINE))
    for number in (1, 3, 5):
        host.get("in", number)
    await turns()
    assert doors.begun == [1]
    await doors.open(1, UNCHANGED)
    assert host.outcome.sent == []
    assert doors.begun == [1, 1, 5]  # 1 is in the second step, 5 in the first: steps work side by side
    await doors.open(1)
    await doors.open(5, UNCHANGED)
    await doors.open(3)
    await doors.open(5)
    assert host.outcome.sent == [("out", 1), ("out", 3), ("out", 5)]


async def test_a_message_that_fails_before_its_turn_fails_in_its_turn() -> None:
    doors = Doors()
    host = FlowHost(
        read_waiting("""
            subscribe: in
            steps:
              - json
              - wait: payload.x
                on_error: continue
              - publish: out
        """)
    )
    host.get("in", {"x": 1})
    host.get("in", {"y": 2})
    await turns()
    assert host.outcome.published == []
    await doors.open(1)
    assert host.outcome.sent == [("out", 1), ("out", {"y": 2})]


async def test_one_flow_does_not_hold_up_another() -> None:
    Doors()
    slow = FlowHost(read_waiting("subscribe: in\nsteps:\n  - json\n  - wait: payload\n  - publish: slow"))
    fast = FlowHost(read_waiting("subscribe: in\nsteps:\n  - json\n  - publish: fast"))
    for number in range(50):
        slow.get("in", number)
        fast.get("in", number)
    assert len(fast.outcome.published) == 50
    assert slow.outcome.published == []
    assert slow.waits is not None
    slow.waits.give_up()


async def test_a_branch_that_waits_lets_messages_in_one_by_one() -> None:
    doors = Doors()
    host = FlowHost(read_waiting(BRANCHES))
    for number in (3, 1, 4):
        host.get("in", number)
    assert host.outcome.published == []
    await turns()
    await doors.open(3)
    assert host.outcome.sent == [("out", 3), ("out", 1), ("out", 4)]


async def test_what_a_timer_lets_go_waits_for_its_turn_too() -> None:
    doors = Doors()
    host = FlowHost(
        read_waiting("""
            subscribe: in
            steps:
              - json
              - delay: 1s
              - filter: {if: payload % 2 == 1, else: [{wait: payload}, {publish: even}]}
              - publish: odd
        """)
    )
    for number in (2, 3):
        host.get("in", number)
    host.after(1)
    await turns()
    assert host.outcome.published == []
    await doors.open(2)
    assert host.outcome.sent == [("even", 2), ("odd", 3)]


async def test_work_of_several_messages_at_once_keeps_their_order() -> None:
    Wait.batch = 4
    doors = Doors()
    host = FlowHost(read_waiting(ONE_LINE.replace("% 3 != 0", "!= 3")))
    for number in range(7):
        host.get("in", number)
    for number in (0, 1, 2, 4, 5, 6):
        await doors.open(number, UNCHANGED)
    Wait.batches[:] = [batch for batch in Wait.batches if len(batch) > 1]
    assert Wait.batches[0] == [1, 2]  # 0 was alone when it came, and 3 has nothing to wait for
    assert Wait.batches[1] == [4, 5, 6]
    for waits in [host.waits]:
        assert waits is not None
        waits.give_up()


@pytest.mark.parametrize(
    ("outcome", "sent"),
    [
        (UNCHANGED, [1]),
        ((), []),
        (({"payload": 2}, {"payload": 3}), [2, 3]),
    ],
)
async def test_work_may_give_none_one_or_many(outcome: Outcome, sent: list[Any]) -> None:
    async def answer(_: Any) -> Outcome:
        return outcome

    Wait.answer = staticmethod(answer)
    host = FlowHost(read_waiting("subscribe: in\nsteps:\n  - json\n  - wait: payload\n  - publish: out"))
    host.get("in", 1)
    assert [value for _, value in (await host.settled()).sent] == sent


HANDLED = {
    "drop": ([], 1),
    "continue": ([("out", 1)], 0),
    '{publish: "error/${error.step}"}': ([("error/w", 1)], 0),
    '[{publish: {topic: x, payload: "${error.line}"}}]': ([("x", 5)], 0),
}


@pytest.mark.parametrize("place", ["step", "flow"])
@pytest.mark.parametrize(("handling", "expected"), HANDLED.items())
def test_on_error_says_what_becomes_of_a_message_on_which_the_work_failed(
    handling: str, expected: tuple[list[Any], int], place: str
) -> None:
    own = f"        on_error: {handling}" if place == "step" else "        when: true"
    flow = f"on_error: {handling}" if place == "flow" else "description: none"
    host = FlowHost(
        read_waiting(f"""
            subscribe: in
            {flow}
            steps:
              - json
              - wait: '"fail" if payload == 1 else payload'
                id: w
        {own}
              - publish: out
        """)
    )
    outcome = host.get("in", 1)
    assert outcome.sent == expected[0]
    assert len(outcome.errors) == expected[1]
    assert len(outcome.handled) == 1 - expected[1]
    assert host.get("in", 2).sent[-1] == ("out", 2)


def test_the_error_of_work_points_at_its_step() -> None:
    host = FlowHost(read_waiting("subscribe: in\nsteps:\n  - json\n  - wait: payload\n  - publish: out"))
    error = host.get("in", '"fail"').error
    assert (error.span.text, error.label) == ("wait", "in `wait`")
    assert error.notes == ('topic `in`, payload `"fail"`',)


def test_a_step_behind_that_fails_is_not_the_failure_of_the_work() -> None:
    host = FlowHost(
        read_waiting("""
            subscribe: in
            steps:
              - json
              - wait: payload
                on_error: continue
              - publish: out/${payload.topic}
        """)
    )
    error = host.get("in", {"a": 1}).error
    assert (error.code, error.span.text) == ("missing-field", "payload.topic")
    assert host.outcome.handled == []


def test_names_are_there_behind_a_step_that_waits() -> None:
    host = FlowHost(
        read_waiting("""
            subscribe: in/+room/#rest
            vars: {factor: 2}
            steps:
              - json
              - let: {twice: "${payload * factor}"}
              - wait: twice
              - publish: {topic: "out/${room}/${rest}", payload: "${payload + twice * factor}"}
        """)
    )
    assert host.get("in/attic/a/b", 3).sent == [("out/attic/a/b", 18)]


QUEUE = """
    subscribe: in
    queue: {{size: 3, policy: {policy}}}
    steps:
      - json
      - wait: payload
      - publish: out
"""


async def fill(policy: str, *, qos: int, text: str = QUEUE) -> tuple[FlowHost, list[Any]]:
    """What comes out where nine messages come while the first one is worked on, and three may wait."""
    doors = Doors()
    host = FlowHost(read_waiting(text.format(policy=policy)))
    for number in range(10):
        host.arrive(message("in", number, qos=qos))
    dropped = host.outcome.queues.count(("dropped", "wait 1"))
    for _ in range(10 - dropped):
        await turns()
        for number in list(doors.waiting):
            await doors.open(number)
    return host, [value for _, value in host.outcome.sent]


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize(
    ("policy", "kept"),
    [("drop_oldest", [0, 7, 8, 9]), ("drop_new", [0, 1, 2, 3])],
)
async def test_a_full_queue_drops_what_its_policy_says(policy: str, kept: list[int], qos: int) -> None:
    host, sent = await fill(policy, qos=qos)
    assert sent == kept
    assert host.outcome.queues == [("dropped", "wait 1")] * 6 + [("drained", "wait 1")]
    assert host.outcome.errors == []


async def test_block_keeps_what_the_broker_can_be_made_to_hold_back() -> None:
    host, sent = await fill("block", qos=1)
    assert sent == list(range(10))
    assert host.outcome.queues == []


async def test_block_drops_the_oldest_of_qos_0_for_nobody_can_hold_them_back() -> None:
    _, sent = await fill("block", qos=0)
    assert sent == [0, 7, 8, 9]


async def test_block_is_bounded_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_BLOCKED == 65_535  # no broker sends more that are not acknowledged
    monkeypatch.setattr("flowrunner.lines.MOST_BLOCKED", 50)
    doors = Doors()
    host = FlowHost(read_waiting(QUEUE.format(policy="block")))
    for number in range(60):
        host.handler("in", b"%d" % number, 1, False, {}, 0)
    assert host.outcome.queues.count(("dropped", "wait 1")) == 9
    await turns()
    assert doors.begun == [0]
    assert host.waits is not None
    assert host.waits.give_up() == 51


async def test_a_queue_is_full_and_drained_again_and_again() -> None:
    doors = Doors()
    host = FlowHost(read_waiting(QUEUE.format(policy="drop_new")))
    for start in (0, 100):
        for number in range(start, start + 6):
            host.get("in", number)
        for number in range(start, start + 4):
            await doors.open(number)
    full = [("dropped", "wait 1")] * 2 + [("drained", "wait 1")]
    assert host.outcome.queues == full * 2


async def test_the_entrance_of_a_flow_is_a_queue_of_the_same_kind() -> None:
    doors = Doors()
    host = FlowHost(
        read_waiting("""
            subscribe: in
            queue: {size: 2, policy: drop_oldest}
            steps:
              - json
              - switch: [{when: "payload >= 0", steps: [{wait: payload}]}]
              - publish: out
        """)
    )
    for number in range(6):
        host.get("in", number)
    assert host.outcome.queues == [("dropped", "")] * 3
    for number in (0, 4, 5):
        await doors.open(number)
    assert host.outcome.sent == [("out", 0), ("out", 4), ("out", 5)]
    assert host.outcome.queues[-1] == ("drained", "")


@pytest.mark.parametrize("text", ["queue: 5", "queue: {size: 0}", "queue: {policy: drop}", "queue: {sizes: 5}"])
def test_a_queue_that_is_none_is_refused(text: str) -> None:
    flows, found = diagnose_waiting(f"subscribe: in\n{text}\nsteps: [json]\n")
    assert not flows
    assert [diagnostic.code for diagnostic in found] in (["wrong-value"], ["unknown-key"])


PUBLISHING = "subscribe: in\nsteps:\n  - json\n  - wait: payload\n  - publish: {topic}"


async def test_a_message_inside_finishes_in_the_version_in_which_it_came() -> None:
    doors = Doors()
    old = FlowHost(read_waiting(PUBLISHING.format(topic="old")))
    old.get("in", 1)
    old.get("in", 2)
    new = old.edit(read_waiting(PUBLISHING.format(topic="new")))
    new.get("in", 3)
    await turns()
    assert doors.begun == [1]
    for number in (1, 2, 3):
        await doors.open(number)
    assert new.outcome.sent == [("old", 1), ("old", 2), ("new", 3)]


async def test_an_edit_keeps_the_order_at_the_entrance_too() -> None:
    text = "subscribe: in\nsteps:\n  - json\n  - fork: [[{{wait: payload}}, {{publish: {topic}}}]]"
    doors = Doors()
    old = FlowHost(read_waiting(text.format(topic="old")))
    old.get("in", 1)
    old.get("in", 2)
    new = old.edit(read_waiting(text.format(topic="new")))
    new.get("in", 3)
    for number in (1, 2, 3):
        await doors.open(number)
    assert new.outcome.sent == [("old", 1), ("old", 2), ("new", 3)]


async def test_what_is_given_up_fails_and_makes_room_for_the_next_version() -> None:
    doors = Doors()
    old = FlowHost(read_waiting(PUBLISHING.format(topic="old") + "\n"))
    old.get("in", 1)
    old.get("in", 2)
    new = old.edit(read_waiting(PUBLISHING.format(topic="new")))
    new.get("in", 3)
    await turns()
    assert old.waits is not None
    assert old.waits.count == 2
    assert old.waits.give_up() == 2
    assert not old.waits.is_busy
    assert [error.code for error in new.outcome.errors] == ["given-up", "given-up"]
    await doors.open(3)
    assert new.outcome.sent == [("new", 3)]


async def test_what_is_given_up_goes_where_on_error_says() -> None:
    Doors()
    host = FlowHost(read_waiting('on_error: {publish: "dead/${error.code}"}\n' + PUBLISHING.format(topic="out")))
    for number in (1, 2):
        host.get("in", number)
    await turns()
    assert host.waits is not None
    host.waits.give_up()
    host.get("in", 3)
    assert host.outcome.sent == [("dead/given-up", 1), ("dead/given-up", 2), ("dead/given-up", 3)]


async def test_given_up_work_that_finishes_later_changes_nothing() -> None:
    finished = asyncio.Event()

    async def stubborn(job: Any) -> Outcome:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            finished.set()
        return ({"payload": job},)

    Wait.answer = staticmethod(stubborn)
    host = FlowHost(read_waiting(PUBLISHING.format(topic="out")))
    host.get("in", 1)
    await turns()
    assert host.waits is not None
    host.waits.give_up()
    await asyncio.wait_for(finished.wait(), 5)
    await host.settled()
    assert host.outcome.sent == []
    assert len(host.outcome.errors) == 1


async def test_the_host_hears_when_nothing_waits_any_more() -> None:
    doors = Doors()
    host = FlowHost(read_waiting(PUBLISHING.format(topic="out")))
    assert host.waits is not None
    idle: list[int] = []
    host.waits.on_idle = lambda: idle.append(len(host.outcome.published))
    for number in (1, 2):
        host.get("in", number)
    assert host.waits.is_busy
    await doors.open(1)
    assert idle == []
    await doors.open(2)
    assert idle == [2]
    assert not host.waits.is_busy


def test_a_flow_without_steps_that_wait_has_no_queue() -> None:
    host = FlowHost(read_waiting("subscribe: in\nsteps:\n  - json\n  - publish: out"))
    assert host.waits is None


def test_a_flow_is_serial_if_a_message_could_overtake_another() -> None:
    in_the_list = "subscribe: in\nsteps:\n  - json\n  - wait: payload\n  - retry: {steps: [wait: payload]}\n"
    assert not compile_flow(read_waiting(in_the_list)).waits.is_serial
    for branch in (
        "fork: [[{wait: payload}]]",
        "switch: [{when: payload, steps: [{wait: payload}]}]",
        "filter: {if: payload, else: [{wait: payload}]}",
        "retry: {steps: [json], attempts: 1}\n    on_error: [{wait: payload}]",
        "switch: [{else: [{retry: {steps: [json]}}]}]",
    ):
        assert compile_flow(read_waiting(f"subscribe: in\nsteps:\n  - json\n  - {branch}\n")).waits.is_serial, branch


async def test_an_error_of_several_messages_is_the_same_for_each_of_them() -> None:
    Wait.batch = 50
    doors = Doors()
    host = FlowHost(read_waiting(PUBLISHING.format(topic="out")))
    depths = []
    failed = host.failed

    def count_frames(flow: str, error: Exception, origin: Message) -> None:
        trace, depth = error.__traceback__, 0
        while trace is not None:
            trace, depth = trace.tb_next, depth + 1
        depths.append(depth)
        failed(flow, error, origin)

    host.failed = count_frames  # type: ignore[method-assign]
    for number in range(21):
        host.get("in", number)
    await doors.open(0)
    await doors.open(1, RuntimeError("for all"))
    assert [job for batch in Wait.batches for job in batch] == list(range(21))
    assert len(host.outcome.errors) == 20
    assert len(set(depths)) == 1
