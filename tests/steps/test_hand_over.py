"""Steps with memory when their flow is edited: what one version held goes on in the next, once."""

import pytest

from tests.flow_host import FlowHost, read

HOLDING = {
    "debounce": "debounce: {for: 2s, by: k}",
    "delay": "delay: 2s",
    "throttle": "throttle: {rate: 2s, keep: last, by: k}",
    "sample": "sample: {every: 2s, by: k}",
    "window": "window: {every: 2s, by: k}",
    "timeout": "timeout: {after: 2s, by: k, payload: silent}",
}


def text(step: str, out: str = "out") -> str:
    return (
        f"subscribe: in/+k\nsteps:\n  - json\n  - {step}\n  - publish: {{topic: {out}, payload: '${{str(payload)}}'}}\n"
    )


@pytest.mark.parametrize("step", HOLDING.values(), ids=HOLDING)
def test_what_was_held_comes_once_and_from_the_new_version(step: str) -> None:
    host = FlowHost(read(text(step)))
    for number in (1, 2):
        host.get("in/a", number)
    before = len(host.outcome.published)
    host.after(1)
    new = host.edit(text(step, "new"))
    assert len(new.kept) == 1
    new.after(60)
    topics = [message.topic for message in new.outcome.published[before:]]
    assert topics
    assert set(topics) == {"new"}
    once = FlowHost(read(text(step)))
    for number in (1, 2):
        once.get("in/a", number)
    once.after(61)
    assert [message.payload for message in once.outcome.published] == [
        message.payload for message in new.outcome.published
    ]


@pytest.mark.parametrize("step", HOLDING.values(), ids=HOLDING)
def test_twenty_edits_in_a_row_neither_lose_nor_repeat_anything(step: str) -> None:
    host = FlowHost(read(text(step)))
    plain = FlowHost(read(text(step)))
    for number in range(40):
        host.get(f"in/{number % 3}", number)
        plain.get(f"in/{number % 3}", number)
        host.after(0.3)
        plain.after(0.3)
        if number % 2:
            host = host.edit(host.flow)
    host.after(60)
    plain.after(60)
    ours, others = host.outcome.published, plain.outcome.published
    assert sorted(message.payload for message in ours) == sorted(message.payload for message in others)


@pytest.mark.parametrize("step", HOLDING.values(), ids=HOLDING)
def test_what_reaches_the_step_in_the_old_version_after_the_edit_goes_on_in_the_new_one(step: str) -> None:
    old = FlowHost(read(text(step)))
    new = old.edit(text(step, "new"))
    before = len(new.outcome.published)
    old.get("in/a", 1)  # it was inside `http`, say
    new.after(60)
    topics = [message.topic for message in new.outcome.published[before:]]
    assert "new" in topics
    assert topics.count("new") == 1
    new.after(60)
    assert len(new.outcome.published) == before + len(topics)


@pytest.mark.parametrize("step", HOLDING.values(), ids=HOLDING)
def test_what_was_stopped_rings_no_more(step: str) -> None:
    host = FlowHost(read(text(step)))
    for number in (1, 2):
        host.get("in/a", number)
    before = len(host.outcome.published)
    host.stop()
    host.after(3600)
    assert len(host.outcome.published) == before


def test_a_name_that_is_new_since_the_edit_is_an_error_that_says_so() -> None:
    host = FlowHost(read("subscribe: in/+k\nsteps:\n  - json\n  - delay: 2s\n  - publish: out\n"))
    host.get("in/a", 1)
    host = host.edit("""
        subscribe: in/+k
        steps:
          - json
          - let: {room: "${k}"}
          - delay: 2s
          - publish: out/${room}
    """)
    host.get("in/b", 2)
    host.after(2)
    assert host.outcome.sent == [("out/b", 2)]
    assert host.outcome.error.code == "held-before-edit"
    assert "`room`" in host.outcome.error.message


def test_state_follows_the_id_wherever_the_step_moves() -> None:
    host = FlowHost(read("subscribe: in\nsteps:\n  - json\n  - sample: 3\n    id: thirds\n  - publish: out\n"))
    for number in (1, 2):
        host.get("in", number)
    host = host.edit("""
        subscribe: in
        steps:
          - json
          - sample: 1
          - sample: 3
            id: thirds
          - publish: out
    """)
    assert host.kept == ["thirds"]
    host.get("in", 3)
    assert host.outcome.sent == [("out", 3)]


def test_another_key_begins_anew() -> None:
    host = FlowHost(read("subscribe: in/+k\nsteps:\n  - json\n  - sample: {every: 2, by: k}\n  - publish: out\n"))
    host.get("in/a", 1)
    host = host.edit("subscribe: in/+k\nsteps:\n  - json\n  - sample: {every: 2, by: topic}\n  - publish: out\n")
    host.get("in/a", 2)
    assert host.outcome.sent == []
    assert host.reset == ["sample 1"]


KEYED = {**{key: step for key, step in HOLDING.items() if key != "delay"},
    "changed": "changed: {value: payload, by: k}",
    "dedupe": "dedupe: {key: k, within: 1h}",
    "counted": "sample: {every: 3, by: k}",
    "first": "throttle: {rate: 1h, by: k}",
    "gap": "window: {gap: 1h, by: k}",
}  # fmt: skip


def check_bound(step: str, keys: int) -> None:
    bounded = step.replace("}", ", max_keys: 100}")
    host = FlowHost(read(text(bounded)))
    (_, memory), *others = host.states.values()
    assert not others
    for key in range(keys):
        host.get(f"in/{key}", key)
        if key % 10_000 == 0:
            host.outcome.published.clear()
            host.after(0.001)
        assert len(memory) <= 100
        deadlines = getattr(memory.owner, "deadlines", None)
        assert deadlines is None or (len(deadlines.due) <= 100 and len(deadlines.heap) <= 500)
    assert memory.evicted == keys - 100
    assert len(host.outcome.logged) == 1


@pytest.mark.parametrize("step", KEYED.values(), ids=KEYED)
def test_many_distinct_keys_stay_within_the_bound(step: str) -> None:
    check_bound(step, 2000)


@pytest.mark.soak
@pytest.mark.parametrize("step", KEYED.values(), ids=KEYED)
def test_a_million_distinct_keys_stay_within_the_bound(step: str) -> None:
    check_bound(step, 1_000_000)
