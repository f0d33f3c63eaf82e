import json
from typing import Any

from flowrunner.clock import VirtualClock
from flowrunner.diagnostics import Diagnostic
from flowrunner.run.report import Report
from flowrunner.text import Source
from flowrunner.workers.chorus import Chorus
from flowrunner.workers.orders import Said

CONNECTED = ("say", ("connected", "connected to mqtt://x"), {"connection": "default", "away": None})


class Stage:
    """A chorus of three workers, and what it lets be heard."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.clock = VirtualClock()
        self.there = frozenset({1, 2, 3})
        self.chorus = Chorus(Report(self.lines.append, format="json"), self.clock, lambda: self.there)

    def say(self, worker: int, *lines: tuple[str, tuple[Any, ...], dict[str, Any]]) -> None:
        self.chorus.hear(worker, Said(lines))

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    @property
    def texts(self) -> list[str]:
        return [one["message"] for one in self.told]


def test_what_all_say_is_said_once_and_at_once() -> None:
    stage = Stage()
    stage.say(1, CONNECTED)
    stage.say(3, CONNECTED)
    assert not stage.lines
    stage.say(2, CONNECTED)
    (told,) = stage.told
    assert told["message"] == "connected to mqtt://x (3 workers)"
    assert told["workers"] == [1, 2, 3]


def test_what_some_say_is_said_of_them_after_a_moment() -> None:
    stage = Stage()
    stage.say(2, CONNECTED)
    stage.say(1, CONNECTED)
    stage.clock.advance(1)
    stage.say(3, CONNECTED)
    stage.chorus.stop()
    assert stage.texts == ["connected to mqtt://x (workers 1, 2)", "connected to mqtt://x (worker 3)"]
    assert stage.told[1]["worker"] == 3


def test_the_two_clients_of_a_worker_are_one() -> None:
    stage = Stage()
    own = (
        "say",
        ("connected", "default (own): connected to mqtt://x"),
        {**CONNECTED[2], "connection": "default (own)"},
    )
    stage.say(1, own, CONNECTED)
    stage.say(2, CONNECTED)
    stage.say(3, CONNECTED)
    stage.say(3, own)
    stage.clock.advance(1)
    assert stage.texts == ["connected to mqtt://x (3 workers)"]


def test_silence_is_silence_only_where_nobody_heard_anything() -> None:
    stage = Stage()
    silence = ("say", ("silence", "no message on a/# so far"), {"filter": "a/#", "connection": "default"})
    stage.say(1, silence)
    stage.say(2, silence)
    stage.clock.advance(1000)
    assert not stage.lines
    stage.say(3, silence)
    assert stage.texts == ["no message on a/# so far"]


def test_other_news_and_messages_name_their_worker() -> None:
    stage = Stage()
    stage.say(2, ("say", ("given-up", "`a` did not finish"), {"flow": "a", "count": 2}))
    stage.say(3, ("message", ("a", "in/x", b"1"), {"is_out": False, "qos": 0, "retain": False}))
    stage.say(1, ("logged", ("a", "info", "hello"), {}))
    assert [(one["event"], one["worker"]) for one in stage.told] == [("given-up", 2), ("received", 3), ("log", 1)]


def test_frames_are_shown_once_for_all_and_the_others_counted() -> None:
    stage = Stage()
    frame = Diagnostic("step-failed", "no number", Source("a.yaml", "steps: x").span(0, 5))
    for worker in (1, 2, 3):
        stage.say(worker, ("frame", (frame,), {"event": "failed", "flow": "a"}))
    stage.clock.advance(1)
    assert [one["event"] for one in stage.told] == ["failed", "left-out"]
    assert stage.texts[1] == "and 2 more like this in `a` in the last 10 s"
    stage.clock.advance(10)
    stage.say(2, ("frame", (frame,), {"event": "failed", "flow": "a"}))
    assert [one["event"] for one in stage.told] == ["failed", "left-out", "failed"]


def test_lines_of_messages_are_as_many_as_one_runner_shows_and_the_rest_is_a_sum() -> None:
    stage = Stage()
    line = ("message", ("a", "in/x", b"1"), {"is_out": False, "qos": 0, "retain": False})
    more = ("more", ("and {count} more in the last second",), {"count": 1000})
    for worker in (1, 2, 3):
        stage.say(worker, *([line] * 60), more)
    stage.clock.advance(1)
    assert [one["event"] for one in stage.told] == ["received"] * 60 + ["left-out"]
    assert stage.told[-1]["message"] == "and 3 120 more in the last second"
