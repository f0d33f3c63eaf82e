import pytest

from tests.flow_host import message, refused, run, run_steps


def test_log_shows_a_text_at_its_level() -> None:
    steps = "- json\n- log: at ${payload.t:.1f} °C\n- log: {text: careful, level: warning}"
    assert run_steps(steps, {"t": 20}).logged == [("info", "at 20.0 °C"), ("warning", "careful")]


@pytest.mark.parametrize(
    ("payload", "shown"),
    [({"a": 1}, '{"a":1}'), ([1, None], "[1,null]"), ('"x"', "x"), ("true", "true"), ("1.50", "1.5")],
)
def test_log_of_one_value_is_a_text(payload: object, shown: str) -> None:
    assert run_steps("- json\n- log: ${payload}", payload).logged == [("info", shown)]


def test_log_of_bytes_shows_utf8_or_fails() -> None:
    outcome = run_steps("- log: ${payload}", "ä".encode(), b"\xff")
    assert outcome.logged == [("info", "ä")]
    assert outcome.error.code == "not-text"


def test_level_must_be_known() -> None:
    found = refused("subscribe: in\nsteps:\n  - log: {text: x, level: warn}\n")
    assert found.message == "`level` of `log` must be `debug`, `info`, `warning` or `error`"
    assert found.helps == ("did you mean `warning`?",)


def test_stop_ends_the_message_and_counts_its_reason() -> None:
    outcome = run(
        "subscribe: in\nsteps:\n  - stop: too old\n    when: retain\n  - publish: out\n",
        message("in", retain=True),
        message("in"),
    )
    assert (outcome.stopped, len(outcome.published)) == (["too old"], 1)


def test_stop_without_a_reason_counts_nothing() -> None:
    outcome = run("subscribe: in\nsteps:\n  - stop\n", ("in", b""))
    assert (outcome.stopped, outcome.errors) == ([], [])


@pytest.mark.parametrize(
    ("reason", "counted"), [("404", "404"), ('"true"', "true"), ("{reason: a b}", "a b"), ("true", "true")]
)
def test_reason_is_a_text(reason: str, counted: str) -> None:
    assert run(f"subscribe: in\nsteps:\n  - stop: {reason}\n", ("in", b"")).stopped == [counted]


def test_step_behind_stop_is_warned_of() -> None:
    found = refused("subscribe: in\nsteps:\n  - stop\n  - publish: out\n")
    assert (found.code, found.severity, found.span.text) == ("unreachable-step", "warning", "publish")
