import io
import json
import os
import re
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.clock import VirtualClock
from flowrunner.errors import StepError
from flowrunner.message import Message
from flowrunner.run.failures import CALM, FOLD, MOST_REASONS, Failures
from flowrunner.run.live import LiveFlow
from flowrunner.run.opening import announce
from flowrunner.run.output import MOST_WAITING, Output
from flowrunner.run.preview import preview
from flowrunner.run.report import Report
from flowrunner.run.traffic import MOST_LOG_LINES, Traffic
from flowrunner.sources import AtStart, Every
from tests.run.fakes import FakeProgram, Told


class Bench:
    """A flow, a clock, and what looks at them, without a broker."""

    def __init__(self, most_lines: int = 4, at_once: int = 0, **report: Any) -> None:
        at_once = at_once or most_lines
        self.told = Told()
        self.clock = VirtualClock()
        self.report = Report(self.told.lines.append, **report)
        self.traffic = Traffic(self.report, self.clock, most_lines=most_lines, at_once=at_once)
        self.failures = Failures(self.report, self.clock)
        self.program = FakeProgram("heat")
        self.flow = LiveFlow(self.program)
        self.flow.bind(self)  # type: ignore[arg-type]
        self.traffic.watch([self.flow], [])

    def send(self, payload: bytes = b"1") -> None:
        self.flow.received += 1
        self.flow.handler("t", payload, 0, False, {}, 0)

    def fail(self, place: int = 1) -> None:
        empty: dict[str, int] = {}
        try:
            _ = empty["x"] if place == 1 else empty["y"]
        except KeyError as error:
            self.failures.failed(self.flow, error, Message("t", b"1"))


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"", "(empty)"),
        (b'{"a": 1}', '{"a": 1}'),
        ("°C".encode(), "°C"),
        (b"\x1b[2J\x07", "\\x1b[2J\\x07"),
        (b"a\nb\r", "a\\nb\\r"),
        (b"\xff\x00\x01", "ff 00 01 (3 bytes)"),
        (17, "17"),
        ({"a": None}, "{'a': None}"),
        ("text", "text"),
    ],
)
def test_a_payload_is_shown_as_what_it_is(payload: Any, shown: str) -> None:
    assert preview(payload) == shown


@given(st.one_of(st.binary(max_size=500), st.text(max_size=200).map(lambda text: text.encode("utf-8", "ignore"))))
def test_a_preview_is_short_and_a_terminal_obeys_nothing_in_it(payload: bytes) -> None:
    shown = preview(payload, most=60)
    assert len(shown) <= 80
    assert all(char.isprintable() or char in "\u200c\u200d\ufe0e\ufe0f" or char.isspace() for char in shown)
    assert not {"\x1b", "\n", "\r", "\x07", "\x9b"} & set(shown)


def test_a_long_text_is_cut_between_characters() -> None:
    assert preview("äöü".encode() * 1000, most=5) == "äöüä…"


def test_messages_are_shown_until_the_second_has_enough() -> None:
    bench = Bench(most_lines=3)
    for _ in range(10):
        bench.send()
    assert bench.told.count("← t") == 3
    assert bench.flow.handler is bench.flow.plain
    bench.clock.advance(1)
    assert "... and 7 more in the last second" in bench.told.text
    bench.send()
    assert bench.told.count("← t") == 4
    assert len(bench.program.got) == 11


def test_after_a_pause_more_is_shown_at_once() -> None:
    bench = Bench(most_lines=3, at_once=8)
    for _ in range(10):
        bench.send()
    assert bench.told.count("← t") == 8
    bench.clock.advance(1)
    for _ in range(10):
        bench.send()
    assert bench.told.count("← t") == 8 + 3
    bench.clock.advance(60)
    for _ in range(10):
        bench.send()
    assert bench.told.count("← t") == 8 + 3 + 8


def test_what_was_not_shown_is_said_at_the_end() -> None:
    bench = Bench(most_lines=1)
    for _ in range(5):
        bench.send()
    bench.traffic.stop()
    assert "and 4 more" in bench.told.text


def test_a_thousand_and_more_are_written_with_a_space() -> None:
    bench = Bench(most_lines=1)
    for _ in range(1235):
        bench.send()
    bench.clock.advance(1)
    assert "and 1 234 more" in bench.told.text


def test_nothing_is_said_of_a_quiet_second() -> None:
    bench = Bench(most_lines=3)
    bench.send()
    bench.clock.advance(30)
    assert len(bench.told.lines) == 1


def test_when_nobody_looks_any_more_the_flow_runs_by_itself() -> None:
    bench = Bench()
    bench.traffic.stop()
    assert bench.flow.handler is bench.flow.plain
    bench.clock.advance(5)
    bench.send()
    assert bench.told.lines == []


def test_log_lines_have_room_of_their_own() -> None:
    bench = Bench(most_lines=1)
    for number in range(MOST_LOG_LINES + 5):
        bench.traffic.log("heat", "info", f"line {number}")
    bench.clock.advance(1)
    assert bench.told.count("line ") == MOST_LOG_LINES
    assert "5 more lines of `log`" in bench.told.text


def test_a_line_of_a_flow_cannot_forge_another() -> None:
    bench = Bench()
    bench.traffic.log("heat", "warning", "one\n12:00:00 heat ← forged\x1b[31m")
    assert bench.told.text.count("\n") == 1
    assert "\x1b" not in bench.told.text


def test_equal_errors_are_shown_once_and_counted() -> None:
    bench = Bench()
    for _ in range(242):
        bench.fail()
    assert bench.told.count("error[step-failed]") == 1
    assert bench.program.explained == 1
    bench.clock.advance(FOLD)
    assert "... and 241 more like this in `heat` in the last 10 s" in bench.told.text
    assert bench.flow.dropped == 242


def refuse(bench: Bench, reason: str) -> None:
    bench.failures.failed(bench.flow, StepError(reason), Message("t", b"1"))


def test_who_tries_one_payload_after_the_other_sees_what_is_wrong_with_each() -> None:
    bench = Bench()
    for reason in ("a comma", "a quote", "a comma", "a brace"):
        refuse(bench, reason)
        bench.clock.advance(CALM)
    for reason in ("a comma", "a quote", "a brace"):
        assert bench.told.count(f": {reason}\n") == 1
    bench.clock.advance(FOLD)
    assert "... and 1 more like this in `heat`" in bench.told.text


def test_of_a_flood_for_many_reasons_a_few_are_shown() -> None:
    bench = Bench()
    for number in range(1_000):
        refuse(bench, f"reason {number}")
        bench.clock.advance(FOLD / 1_001)
    assert bench.told.count("error[step-failed]") == bench.program.explained == 1 + MOST_REASONS
    bench.clock.advance(FOLD)
    assert f"... and {999 - MOST_REASONS} more like this in `heat`" in bench.told.text


def test_errors_of_other_places_are_other_errors() -> None:
    bench = Bench()
    bench.fail(1)
    bench.fail(2)
    assert bench.told.count("error[step-failed]") == 2


def test_an_error_that_comes_back_later_is_shown_again() -> None:
    bench = Bench()
    bench.fail()
    bench.clock.advance(FOLD + 1)
    bench.fail()
    assert bench.told.count("error[step-failed]") == 2
    assert "more like this" not in bench.told.text


def test_an_error_that_goes_on_is_shown_in_full_again_after_a_minute() -> None:
    bench = Bench()
    for _ in range(65):
        bench.fail()
        bench.clock.advance(1)
    assert bench.told.count("error[step-failed]") == 2


def test_what_was_counted_is_said_at_the_end() -> None:
    bench = Bench()
    bench.fail()
    bench.fail()
    bench.failures.stop()
    assert "and 1 more like this" in bench.told.text


def test_json_lines_say_the_same_for_programs() -> None:
    bench = Bench(format="json")
    bench.send(b"\x00\x1b")
    bench.fail()
    bench.report.say("lost", "the broker is gone", level="warning", url="mqtt://h:1")
    bench.traffic.log("heat", "info", "hello")
    lines = [json.loads(line) for line in bench.told.text.splitlines()]
    assert [line["event"] for line in lines] == ["received", "failed", "lost", "log"]
    assert all({"time", "level", "event"} <= line.keys() for line in lines)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"]) for line in lines)
    assert lines[0]["flow"] == "heat"
    assert lines[0]["payload"] == "\\x00\\x1b"
    assert lines[1]["file"] == "flows/heat.yaml"
    assert lines[2]["url"] == "mqtt://h:1"


def test_colours_are_used_only_where_they_are_wanted() -> None:
    plain, colored = Bench(), Bench(color=True)
    for bench in (plain, colored):
        bench.send()
        bench.report.say("lost", "gone", level="warning")
        bench.fail()
    assert "\x1b" not in plain.told.text
    assert colored.told.text.count("\x1b[") >= 6


def test_the_first_lines_say_what_runs() -> None:
    told = Told()
    programs = [
        FakeProgram("alert", "sensors/+room/climate", "more/#"),
        FakeProgram("simulator", Every(2.0)),
        FakeProgram("hello", AtStart()),
    ]
    announce(Report(told.lines.append), [program.flow for program in programs])
    first, *others = told.text.splitlines()
    assert "3 flows" in first
    assert others == ["  alert      sensors/+room/climate, more/#", "  simulator  every 2s", "  hello      at start"]


class Stuck(io.StringIO):
    """A stream whose reader has stopped until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.is_asked = threading.Event()

    def write(self, text: str) -> int:
        self.is_asked.set()
        self.go.wait(10)
        return super().write(text)


def test_a_reader_that_stops_costs_lines_and_nothing_else() -> None:
    stream = Stuck()
    output = Output(stream)
    output.write("first\n")
    assert stream.is_asked.wait(10)
    for number in range(MOST_WAITING + 3):
        output.write(f"{number}\n")
    stream.go.set()
    output.close()
    assert stream.getvalue().splitlines()[:2] == ["first", "0"]
    assert "3 lines were left out" in stream.getvalue()


def test_a_closed_pipe_is_told_and_not_raised() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    closed = threading.Event()
    with os.fdopen(writing, "w", buffering=1) as stream:
        output = Output(stream, closed=closed.set)
        output.write("nobody reads this\n")
        assert closed.wait(10)
        output.close()
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
