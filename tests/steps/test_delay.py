"""`delay` at its edges."""

from typing import Any

from tests.flow_host import FlowHost, read


def flow(options: str = "for: 3s") -> FlowHost:
    return FlowHost(read(f"subscribe: in\nsteps:\n  - json\n  - delay: {{{options}}}\n  - publish: out\n"))


def out(host: FlowHost) -> list[Any]:
    return [value for _, value in host.outcome.sent]


def test_every_message_comes_exactly_so_much_later() -> None:
    host = flow()
    for number in (1, 2):
        host.get("in", number)
        host.after(1)
    host.after(0.999)
    assert out(host) == []
    host.after(0.001)
    assert out(host) == [1]
    host.after(1)
    assert out(host) == [1, 2]


def test_equal_messages_at_one_moment_are_all_held_in_their_order() -> None:
    host = flow()
    for number in (3, 1, 2, 1):
        host.get("in", number)
    host.after(3)
    assert out(host) == [3, 1, 2, 1]


def test_no_time_at_all_is_a_turn_later_in_order() -> None:
    host = flow("for: 0s")
    for number in (1, 2):
        host.get("in", number)
    assert out(host) == []
    host.after(0)
    assert out(host) == [1, 2]


def test_what_is_more_than_can_be_held_is_an_error() -> None:
    host = flow("for: 3s, max_pending: 2")
    for number in (1, 2, 3):
        host.get("in", number)
    assert host.outcome.error.code == "queue-full"
    assert host.outcome.error.message == "2 messages wait already"
    host.after(3)
    host.get("in", 4)
    host.after(3)
    assert out(host) == [1, 2, 4]


def test_the_error_of_a_full_one_can_be_handled() -> None:
    host = FlowHost(
        read("""
            subscribe: in
            steps:
              - json
              - delay: {for: 3s, max_pending: 1}
                on_error: {publish: {topic: full, payload: "${payload}"}}
              - publish: out
        """)
    )
    for number in (1, 2):
        host.get("in", number)
    host.after(3)
    assert host.outcome.sent == [("full", 2), ("out", 1)]


def test_the_time_may_be_computed_for_each_message() -> None:
    host = flow('for: "${payload.wait}"')
    for number, wait in enumerate(["3s", "1s", "2s", "1500ms"]):
        host.get("in", {"wait": wait, "n": number})
    host.after(5)
    assert [value["n"] for value in out(host)] == [1, 3, 2, 0]
    host.get("in", {"wait": 3})
    assert host.outcome.error.message == "a duration such as `5s` is wanted: 3 what? a duration needs a unit"


def test_an_edit_keeps_what_is_held_and_when_it_is_due() -> None:
    host = flow()
    for number in (1, 2):
        host.get("in", number)
    host.after(2)
    host = host.edit("subscribe: in\nsteps:\n  - json\n  - delay: 10s\n  - publish: {topic: edited}\n")
    host.get("in", 3)
    host.after(1)
    assert host.outcome.sent == [("edited", 1), ("edited", 2)]
    host.after(9)
    assert host.outcome.sent[2:] == [("edited", 3)]


def test_a_jump_of_the_clock_on_the_wall_changes_nothing() -> None:
    host = flow()
    host.get("in", 1)
    host.clock.jump(60)
    assert out(host) == []
    host.clock.jump(-3600)
    host.after(3)
    assert out(host) == [1]
