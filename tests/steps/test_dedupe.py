"""`dedupe` at its edges."""

from typing import Any

from flowrunner.jsons import dumps
from flowrunner.message import Message
from tests.flow_host import FlowHost, read, refused


def flow(options: str = "") -> FlowHost:
    return FlowHost(
        read(f"subscribe: in\nsteps:\n  - json\n  - dedupe: {{key: payload, {options}}}\n  - publish: out\n")
    )


def test_a_repetition_is_dropped_until_exactly_the_end_of_the_time() -> None:
    host = flow("within: 1m")
    host.get("in", 7)
    host.after(59.999)
    assert len(host.get("in", 7).published) == 1
    host.after(0.001)
    assert len(host.get("in", 7).published) == 2


def test_the_time_counts_from_the_message_that_passed() -> None:
    host = flow("within: 10s")
    for _ in range(6):
        host.get("in", 7)
        host.after(4)
    assert len(host.outcome.published) == 2


def test_an_hour_without_being_told() -> None:
    host = flow()
    host.get("in", 7)
    host.after(3599)
    assert len(host.get("in", 7).published) == 1
    host.after(1)
    assert len(host.get("in", 7).published) == 2


def test_the_same_key_in_another_group_is_another_message() -> None:
    text = "subscribe: +g/in\nsteps:\n  - json\n  - dedupe: {key: payload, within: 1m, by: g}\n  - publish: out/${g}\n"
    host = FlowHost(read(text))
    for topic in ("a/in", "b/in", "a/in"):
        host.get(topic, 7)
    assert host.outcome.sent == [("out/a", 7), ("out/b", 7)]


def test_whole_payloads_are_keys() -> None:
    host = flow("within: 1m")
    payloads: list[Any] = [{"id": 1, "x": [1, 2]}, {"x": [1, 2], "id": 1}, ["x" * 5000], ["x" * 5000], 1.5, 0, False]
    for payload in payloads:
        host.arrive(Message("in", dumps(payload)))
    assert [value for _, value in host.outcome.sent] == [payloads[0], payloads[2], 1.5, 0, False]


def test_what_is_too_old_makes_room() -> None:
    host = flow("within: 10s, max_keys: 3")
    for number in range(20):
        host.get("in", number)
        host.after(5)
    assert len(host.outcome.published) == 20
    assert host.outcome.logged == []


def test_without_room_the_oldest_is_forgotten_and_may_pass_again() -> None:
    host = flow("within: 1h, max_keys: 2")
    for number in (1, 2, 3, 3, 1):
        host.get("in", number)
    assert [value for _, value in host.outcome.sent] == [1, 2, 3, 1]
    assert len(host.outcome.logged) == 1


def test_the_time_may_be_computed() -> None:
    text = "subscribe: in\nsteps:\n  - json\n  - dedupe: {key: payload.id, within: '${payload.w}'}\n  - publish: out\n"
    host = FlowHost(read(text))
    for wait, within in ((0, "10s"), (5, "10s"), (0, "5s")):
        host.after(wait)
        host.get("in", {"id": 1, "w": within})
    assert len(host.outcome.published) == 2
    host.get("in", {"id": 1, "w": 5})
    assert host.outcome.error.message == "a duration such as `5s` is wanted: 5 what? a duration needs a unit"


def test_a_time_to_live_that_ends_before_is_a_mistake() -> None:
    found = refused("subscribe: in\nsteps:\n  - dedupe: {key: topic, within: 1m, ttl: 1m}\n  - publish: out\n")
    assert (found.code, found.message) == ("wrong-value", "`ttl` of `dedupe` must be longer than `within`")


def test_a_jump_of_the_clock_on_the_wall_changes_nothing() -> None:
    host = flow("within: 1m")
    host.get("in", 7)
    host.clock.jump(-3600)
    host.after(30)
    host.clock.jump(7200)
    assert len(host.get("in", 7).published) == 1
