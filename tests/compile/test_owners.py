import pytest

from flowrunner.compile.owners import is_freed_by_shared_state, owner_reasons
from tests.flow_host import read

PUBLISH = "steps:\n  - publish: out\n"


def reasons(head: str, *steps: str) -> tuple[str, ...]:
    return owner_reasons(read(head + "\nsteps:\n" + "".join(f"  - {step}\n" for step in [*steps, "publish: out"])))


@pytest.mark.parametrize(
    "head",
    [
        "subscribe: in/+room",
        "subscribe: [in/a, {topic: in/b, qos: 2}]",
        "subscribe: {topic: in, share: group}",
        "subscribe: $share/group/in/#",
        "subscribe: {topic: $SYS/broker/uptime, share: group}",
    ],
)
def test_flows_without_memory_may_be_shared(head: str) -> None:
    assert (
        reasons(head, "json", "filter: payload > 1", "retry: {attempts: 2, backoff: 1s, steps: [{log: hello}]}") == ()
    )


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("every: 5s", "`every` ticks"),
        ('cron: "0 7 * * *"', "`cron` ticks"),
        ("at_start: true", "`at_start` begins something"),
        ("subscribe: {topic: in, no_local: true}", "`no_local` knows what one client has published"),
        ("subscribe: {topic: in, retained: only}", "`retained: only` is not for groups"),
        ("subscribe: $SYS/broker/uptime", "`$SYS` comes to no group"),
    ],
)
def test_sources_that_need_one_owner(head: str, words: str) -> None:
    assert reasons(head) == (words,)


@pytest.mark.parametrize(
    "step",
    [
        "changed: payload",
        "dedupe: {key: payload, within: 1s}",
        "throttle: 1s",
        "debounce: 1s",
        "delay: 1s",
        "sample: 1s",
        "timeout: {after: 1s, payload: late}",
        "window: {count: 5}",
        "state: {set: last}",
        "state: {get: last, scope: shared}",
    ],
)
def test_memory_needs_one_owner(step: str) -> None:
    (reason,) = reasons("subscribe: in", step)
    assert reason == f"`{step.partition(':')[0]}` remembers"


def test_memory_inside_other_steps_is_found_too() -> None:
    switch = "switch: [{when: payload > 1, steps: [{changed: payload}]}]"
    assert reasons("subscribe: in", "json", switch) == ("`changed` remembers",)


def test_steps_that_write_to_files_need_one_owner() -> None:
    write, rows = "write: data.jsonl", "sqlite: {file: data.db, table: t, columns: {a: 1}}"
    assert reasons("subscribe: in", "json", write, rows) == ("`write` writes to a file", "`sqlite` writes to a file")


def test_every_reason_is_told_once() -> None:
    assert reasons("every: 5s", "changed: payload", "changed: payload + 1") == ("`every` ticks", "`changed` remembers")


def test_memory_that_can_be_shared_needs_no_owner_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = read("subscribe: in\nsteps:\n  - changed: payload\n  - publish: out\n")
    (step, _) = flow.steps
    monkeypatch.setattr(type(step), "CAN_BE_SHARED", True)
    assert owner_reasons(flow, is_state_shared=True) == ()
    assert owner_reasons(flow) == ("`changed` remembers",)
    assert is_freed_by_shared_state(flow)


def test_shared_memory_does_not_help_who_ticks() -> None:
    assert not is_freed_by_shared_state(read("every: 5s\nsteps:\n  - publish: out\n"))
    assert not is_freed_by_shared_state(read("subscribe: in\nsteps:\n  - publish: out\n"))
