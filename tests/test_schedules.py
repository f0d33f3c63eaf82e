"""When schedules are due: calendars, time zones, the two nights of the year, and what is no schedule."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.clock import VirtualClock
from flowrunner.run.cron import CronTicks
from flowrunner.schedules import BadSchedule, BadTimeZone, Schedule, read_schedule
from flowrunner.sources import Cron
from tests.flow_host import read, refused

VIENNA = ZoneInfo("Europe/Vienna")


def at(text: str, zone: str = "Europe/Vienna", *, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def ticks(schedule: str, start: float, hours: float, zone: str = "Europe/Vienna") -> list[str]:
    """The ticks while a virtual clock goes on, as they are shown where the schedule lives, with the offset."""
    clock = VirtualClock(start)
    found: list[str] = []

    def fire(number: int) -> None:
        shown = datetime.fromtimestamp(clock.now(), ZoneInfo(zone))
        found.append(f"{shown:%m-%d %H:%M%z}".removesuffix("00"))
        assert number == len(found)

    CronTicks(Cron(read_schedule(schedule, zone)), clock, fire)
    clock.advance(hours * 3600)
    return found


def test_every_quarter_of_an_hour() -> None:
    shown = ticks("*/15 * * * *", at("2024-06-01T12:00"), 1)
    assert shown == ["06-01 12:15+02", "06-01 12:30+02", "06-01 12:45+02", "06-01 13:00+02"]


def test_on_working_days_at_seven() -> None:
    shown = ticks("0 7 * * MON-FRI", at("2024-05-31T08:00"), 24 * 5)
    assert shown == ["06-03 07:00+02", "06-04 07:00+02", "06-05 07:00+02"]


def test_the_last_day_of_the_month_and_a_leap_day() -> None:
    assert ticks("0 0 L * *", at("2024-02-01T00:00"), 24 * 60) == ["02-29 00:00+01", "03-31 00:00+01"]
    assert read_schedule("0 0 29 2 *", "UTC").after(at("2024-03-01T00:00", "UTC")) == at("2028-02-29T00:00", "UTC")


def test_exactly_when_it_is_due_the_next_one_is_meant() -> None:
    schedule = read_schedule("0 7 * * *", "Europe/Vienna")
    assert schedule.after(at("2024-06-01T07:00")) == at("2024-06-02T07:00")
    assert schedule.after(at("2024-06-01T07:00") - 0.001) == at("2024-06-01T07:00")


# In Vienna the clock went from 02:00 to 03:00 on 2024-03-31, and from 03:00 back to 02:00 on 2024-10-27.


def test_a_time_that_does_not_exist_is_due_right_after() -> None:
    shown = ticks("30 2 * * *", at("2024-03-30T00:00"), 72)
    assert shown == ["03-30 02:30+01", "03-31 03:00+02", "04-01 02:30+02"]


def test_several_times_that_do_not_exist_are_due_once() -> None:
    shown = ticks("0,15,30 2,3 * * *", at("2024-03-31T00:00"), 12)
    assert shown == ["03-31 03:00+02", "03-31 03:15+02", "03-31 03:30+02"]


def test_a_time_that_comes_twice_is_due_once() -> None:
    shown = ticks("30 2 * * *", at("2024-10-26T00:00"), 73)
    assert shown == ["10-26 02:30+02", "10-27 02:30+02", "10-28 02:30+01"]


def test_who_starts_in_the_second_of_two_equal_hours_has_missed_it() -> None:
    assert ticks("30 2 * * *", at("2024-10-27T02:10", fold=1), 26) == ["10-28 02:30+01"]


def test_what_is_due_every_few_minutes_follows_the_time_that_passes() -> None:
    assert len(ticks("*/10 * * * *", at("2024-10-27T00:00"), 25)) == 25 * 6
    assert len(ticks("*/10 * * * *", at("2024-03-31T00:00"), 23)) == 23 * 6
    assert len(ticks("0 * * * *", at("2024-10-27T00:00"), 25)) == 25
    assert len(ticks("0 * * * *", at("2024-03-31T00:00"), 23)) == 23


@pytest.mark.parametrize(
    ("zone", "day", "time", "shown"),
    [
        ("America/New_York", "2024-03-10", "30 2", "03-10 03:00-04"),
        ("America/New_York", "2024-11-03", "30 1", "11-03 01:30-04"),
        ("Australia/Lord_Howe", "2024-10-06", "15 2", "10-06 02:30+11"),  # half an hour forward
        ("Australia/Lord_Howe", "2024-04-07", "45 1", "04-07 01:45+11"),  # half an hour back
        ("Africa/Cairo", "2024-04-26", "0 0", "04-26 01:00+03"),  # a day without midnight
        ("Asia/Kolkata", "2024-04-26", "0 0", "04-26 00:00+0530"),
        ("UTC", "2024-03-31", "30 2", "03-31 02:30+00"),
    ],
)
def test_nights_elsewhere(zone: str, day: str, time: str, shown: str) -> None:
    start = at(f"{day}T12:00", zone) - 20 * 3600
    assert [tick for tick in ticks(f"{time} * * *", start, 20, zone) if tick.startswith(day[5:])] == [shown]


@given(
    st.integers(0, 59),
    st.integers(0, 23),
    st.sampled_from(["Europe/Vienna", "America/New_York", "Pacific/Apia"]),
    st.integers(0, 400),
)
def test_a_time_of_the_day_comes_once_every_day(minute: int, hour: int, zone: str, offset: int) -> None:
    schedule = read_schedule(f"{minute} {hour} * * *", zone)
    start = datetime(2024, 1, 1, tzinfo=ZoneInfo(zone)) + timedelta(days=offset)
    moment: float | None = start.timestamp() - 1
    days: list[Any] = []
    for _ in range(9):
        assert moment is not None
        moment = schedule.after(moment)
        assert moment is not None
        days.append(datetime.fromtimestamp(moment, ZoneInfo(zone)).date())
    assert days == [start.date() + timedelta(days=number) for number in range(9)]


def test_times_the_clock_jumped_over_are_one_tick() -> None:
    clock = VirtualClock(at("2024-06-01T12:00"))
    fired: list[float] = []
    CronTicks(Cron(read_schedule("*/5 * * * *")), clock, lambda _: fired.append(clock.now()))
    clock.jump(3600)
    clock.advance(60)
    assert len(fired) == 1
    clock.advance(600)
    assert len(fired) == 3


def test_a_clock_that_was_set_back_does_not_repeat_a_time_of_the_day() -> None:
    clock = VirtualClock(at("2024-06-01T06:30"))
    fired: list[float] = []
    CronTicks(Cron(read_schedule("0 7 * * *", "Europe/Vienna")), clock, lambda _: fired.append(clock.now()))
    clock.advance(1800)
    assert fired == [at("2024-06-01T07:00")]
    clock.jump(-3600)
    clock.advance(4000)
    assert len(fired) == 1
    clock.advance(24 * 3600)
    assert fired[1:] == [at("2024-06-02T07:00")]


def test_a_clock_that_was_wrong_by_days_begins_anew() -> None:
    clock = VirtualClock(at("2030-06-01T06:59"))
    fired: list[float] = []
    CronTicks(Cron(read_schedule("0 7 * * *", "Europe/Vienna")), clock, lambda _: fired.append(clock.now()))
    clock.advance(60)
    clock.jump(at("2024-06-01T06:00") - clock.now())
    clock.advance(3600)
    assert fired == [at("2030-06-01T07:00"), at("2024-06-01T07:00")]


def test_what_is_due_every_few_minutes_goes_on_when_the_clock_was_set_back() -> None:
    clock = VirtualClock(at("2024-06-01T12:00"))
    fired: list[float] = []
    CronTicks(Cron(read_schedule("*/5 * * * *")), clock, lambda _: fired.append(clock.time()))
    clock.advance(600)
    clock.jump(-7200)
    clock.advance(600)
    assert fired == [300, 600, 900, 1200]


def test_the_wall_clock_is_right_although_the_other_one_runs_fast() -> None:
    clock = VirtualClock(at("2024-06-01T06:59:30"))
    fired: list[float] = []
    CronTicks(Cron(read_schedule("0 7 * * *", "Europe/Vienna")), clock, lambda _: fired.append(clock.now()))
    for _ in range(100):
        clock.advance(0.5)
        clock.jump(-0.1)
    assert fired[0] >= at("2024-06-01T07:00")
    assert len(fired) == 1


def test_a_time_that_passed_while_the_flow_was_starting_is_made_up_for() -> None:
    clock = VirtualClock(at("2024-06-01T07:00:03"))
    fired: list[int] = []
    schedule = read_schedule("0 7 * * *", "Europe/Vienna")
    CronTicks(Cron(schedule), clock, fired.append, since=at("2024-06-01T06:59:58"))
    clock.advance(0)
    assert fired == [1]


def test_stopped_ticks_come_no_more() -> None:
    clock = VirtualClock()
    fired: list[int] = []
    cron = CronTicks(Cron(read_schedule("* * * * *")), clock, fired.append)
    clock.advance(60)
    cron.stop()
    clock.advance(600)
    assert fired == [1]


@pytest.mark.parametrize(
    ("text", "part", "message", "help"),
    [
        ("60 * * * *", "60", "`60` is no minute of a cron schedule", "a field is"),
        ("0 5,25 * * *", "25", "`25` is no hour of a cron schedule", "a field is"),
        ("0 0 0 * *", "0", "`0` is no day of the month of a cron schedule", "a field is"),
        ("0 0 * MAI *", "MAI", "`MAI` is no month of a cron schedule", "a field is"),
        ("0 0 * * MO", "MO", "`MO` is no day of the week of a cron schedule", "a field is"),
        ("5-1 * * * *", "5-1", "`5-1` is no minute of a cron schedule", "a field is"),
        ("*/0 * * * *", "*/0", "`*/0` is no minute of a cron schedule", "a field is"),
        ("1,,2 * * * *", ",", "nothing, between two commas, is no minute of a cron schedule", "a field is"),
        ("0 0 31 2 *", "31 2", "there is no such day: this is never due", ""),
        ("0 0 30 FEB *", "30 FEB", "there is no such day: this is never due", ""),
        (
            "0 7 * *",
            "0 7 * *",
            "a cron schedule has five fields: minute, hour, day, month, day of the week",
            "for an interval",
        ),
        (
            "30 0 7 * * *",
            "*",
            "a cron schedule has five fields: minute, hour, day, month, day of the week",
            "there are no seconds",
        ),
        (
            "@daily",
            "@daily",
            "a cron schedule has five fields: minute, hour, day, month, day of the week",
            "for `@daily` write `0 0 * * *`",
        ),
        (
            "5m",
            "5m",
            "a cron schedule has five fields: minute, hour, day, month, day of the week",
            "for an interval use `every: 5m`",
        ),
        ("", "", "a cron schedule has five fields: minute, hour, day, month, day of the week", "for an interval"),
        ("½ * * * *", "½", "`½` is no minute of a cron schedule", "a field is"),
    ],
)
def test_what_is_no_schedule(text: str, part: str, message: str, help: str) -> None:
    with pytest.raises(BadSchedule) as raised:
        read_schedule(text)
    assert raised.value.message == message
    assert text[raised.value.start : raised.value.end] == part
    assert raised.value.help.startswith(help)


@given(st.text(alphabet="0123456789*/-,LW# MONTUJAB@?\t", max_size=25) | st.text(max_size=12))
def test_any_text_is_a_schedule_or_a_fault_inside_it(text: str) -> None:
    try:
        schedule = read_schedule(text, "UTC")
    except BadSchedule as bad:
        assert 0 <= bad.start <= bad.end <= len(text)
    else:
        assert (schedule.after(0.0) or 0) > 0


@pytest.mark.parametrize(
    ("name", "help"),
    [
        ("Europe/Wien", "did you mean `Europe/Vienna`?"),
        ("new york", "did you mean `America/New_York`?"),
        ("Europe/Viena", "did you mean `Europe/Vienna`?"),
        ("vienna", "did you mean `Europe/Vienna`?"),
        ("Europe", ""),
        ("Kuckucksheim", "time zones are called after a city"),
        ("../../etc/passwd", "time zones"),
        ("CEST", ""),
        ("\0", "time zones"),
    ],
)
def test_what_is_no_time_zone(name: str, help: str) -> None:
    with pytest.raises(BadTimeZone) as raised:
        read_schedule("0 7 * * *", name)
    assert raised.value.help.startswith(help)


def test_without_a_name_it_is_the_time_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TZ", ":Asia/Tokyo")
    assert Schedule("0 7 * * *").after(at("2024-06-01T00:00", "UTC")) == at("2024-06-02T07:00", "Asia/Tokyo")
    monkeypatch.delenv("TZ")
    assert Schedule("0 7 * * *").after(0.0) is not None
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    with pytest.raises(
        BadTimeZone, match=r"the time zone of this machine, `TZ=CET-1CEST,M3\.5\.0,M10\.5\.0/3`, is unknown"
    ):
        read_schedule("0 7 * * *")


def test_equal_schedules_are_equal() -> None:
    assert Cron(read_schedule("0 7 * * *", "UTC")) == Cron(read_schedule("0 7 * * *", "UTC"))
    assert read_schedule("0 7 * * *", "UTC") != read_schedule("0 7 * * *", "Europe/Vienna")


def test_the_key_of_a_flow() -> None:
    (short,) = read("cron: 0 7 * * MON-FRI\nsteps:\n  - publish: a\n").sources
    assert short == Cron(Schedule("0 7 * * MON-FRI"))
    (long,) = read("cron: {schedule: '*/5 * * * *', timezone: Europe/Vienna}\nsteps:\n  - publish: a\n").sources
    assert long == Cron(Schedule("*/5 * * * *", "Europe/Vienna"))
    both = read("subscribe: a\nevery: 5s\ncron: 0 7 * * *\nat_start: true\nsteps:\n  - log: ${topic}\n").sources
    assert [type(source).__name__ for source in both] == ["Subscribe", "Every", "Cron", "AtStart"]


def test_a_mistake_is_shown_at_its_place_in_the_file() -> None:
    found = refused("cron: 0 25 * * *\nsteps:\n  - publish: a\n")
    assert (found.code, found.span.text, found.label) == ("bad-schedule", "25", "0 to 23")
    found = refused("cron:\n  schedule: '0 7 * * 8'\n  timezone: UTC\nsteps:\n  - publish: a\n")
    assert (found.code, found.span.text, found.span.line) == ("bad-schedule", "8", 2)
    found = refused("cron: {schedule: 0 7 * * *, timezone: Europe/Viena}\nsteps:\n  - publish: a\n")
    assert (found.code, found.span.text) == ("unknown-time-zone", "Europe/Viena")


def test_a_schedule_in_the_far_past_of_the_clock() -> None:
    assert Schedule("0 0 1 1 *", "UTC").after(0.0) == datetime(1971, 1, 1, tzinfo=UTC).timestamp()
