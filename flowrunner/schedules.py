"""Turns five-field cron text and a time zone into the moments at which something is due."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from flowrunner.diagnostics import name_list, suggest

if TYPE_CHECKING:
    from cronsim import CronSim

#: What each field is called, and what may stand there.
FIELDS = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or `L` for the last"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of the week", "0 to 7 (0 and 7 are Sunday), or SUN to SAT"),
)
_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class BadSchedule(ValueError):
    """A text is no schedule. `start` and `end` say which part of it is to blame; `label` and `help` may be empty."""

    def __init__(self, message: str, start: int, end: int, *, label: str = "", help: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.start = start
        self.end = end
        self.label = label
        self.help = help


class BadTimeZone(ValueError):
    """There is no such time zone; `help` is what to write instead."""

    def __init__(self, message: str, help: str) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


@dataclass(frozen=True)
class Schedule:
    """Moments given by a cron text in a time zone (a name such as `Europe/Vienna`; empty for that of this machine).

    Where clocks are put forward, a time that does not exist is due right after; where they are put back, a time that
    comes twice is due once. With `*` in the minutes or the hours, a schedule follows the time that really passes.
    """

    text: str
    zone: str = ""

    @cached_property
    def _tzinfo(self) -> tzinfo:
        return time_zone(self.zone)

    @property
    def is_wild(self) -> bool:
        """Whether it is due again and again, not at certain times of the day."""
        minute, hour, *_ = self.text.split()
        return minute.startswith("*") or hour.startswith("*")

    def after(self, moment: float) -> float | None:
        """The first moment (seconds since 1970) that is later; None if there is none in fifty years."""
        for found in self._simulation(moment):
            seconds = found.timestamp()
            if seconds > moment:  # in the doubled hour the first one may be over already
                return seconds
        return None

    def _simulation(self, moment: float) -> "CronSim":
        from cronsim import CronSim

        return CronSim(self.text, datetime.fromtimestamp(moment, self._tzinfo))


def read_schedule(text: str, zone: str = "") -> Schedule:
    """A schedule from its text. Raises BadSchedule and BadTimeZone."""
    time_zone(zone)
    places = _fields_of(text)
    if len(places) != len(FIELDS):
        raise _bad_count(text, places)
    for (start, end), (name, allowed), number in zip(places, FIELDS, range(len(FIELDS)), strict=True):
        _check_field(text, start, end, name, allowed, number)
    schedule = Schedule(text, zone)
    if not _is_ever_due(schedule):
        start, end = places[2][0], places[3][1]
        raise BadSchedule("there is no such day: this is never due", start, end)
    return schedule


def _fields_of(text: str) -> list[tuple[int, int]]:
    places, start = [], 0
    for field in text.split():
        start = text.index(field, start)
        places.append((start, start + len(field)))
        start += len(field)
    return places


def _bad_count(text: str, places: list[tuple[int, int]]) -> BadSchedule:
    message = "a cron schedule has five fields: minute, hour, day, month, day of the week"
    word = text.strip().lower()
    if word in _NICKNAMES:
        return BadSchedule(message, 0, len(text), help=f"for `{word}` write `{_NICKNAMES[word]}`")
    if len(places) > len(FIELDS):
        start, end = places[len(FIELDS)][0], places[-1][1]
        help = "there are no seconds: for ticks within a minute use `every: 10s`"
        return BadSchedule(message, start, end, label=f"these are {len(places)}", help=help)
    help = "for an interval use `every: 5m`; every morning at 7 is `0 7 * * *`"
    label = "this is one" if len(places) == 1 else f"these are {len(places)}" if places else "it is empty"
    return BadSchedule(message, 0, len(text), label=label, help=help)


def _check_field(text: str, start: int, end: int, name: str, allowed: str, number: int) -> None:
    for term in text[start:end].split(","):
        stop = start + len(term)
        if not _is_term(term, number):
            what = f"`{term}`" if term else "nothing, between two commas,"
            help = "a field is `*`, `5`, `1-5`, `*/10`, or several of these with commas"
            raise BadSchedule(
                f"{what} is no {name} of a cron schedule", start, max(stop, start + 1), label=allowed, help=help
            )
        start = stop + 1


def _is_term(term: str, number: int) -> bool:
    from cronsim import CronSim, CronSimError

    fields = ["*"] * len(FIELDS)
    fields[number] = term
    try:
        CronSim(" ".join(fields), datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError:
        return False
    return len(term.split()) == 1


def _is_ever_due(schedule: Schedule) -> bool:
    from cronsim import CronSimError

    try:
        return schedule.after(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) is not None
    except CronSimError:  # a day that none of the months has
        return False


def time_zone(name: str) -> tzinfo:
    """A time zone by its name; that of this machine for an empty one. Raises BadTimeZone."""
    if not name:
        return _local()
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: it is the name of a folder, `Europe`
        raise BadTimeZone(f"there is no time zone `{name}`", _zone_help(name)) from None


def _zone_help(name: str) -> str:
    known = sorted(zone for zone in available_timezones() if "/" in zone)
    city = name.rpartition("/")[2].lower().replace(" ", "_")
    near = [zone for zone in known if zone.rpartition("/")[2].lower() == city] or [suggest(name, known)]
    if near[0]:
        return f"did you mean {name_list(near, most=3)}?"
    return "time zones are called after a city, as `Europe/Vienna` or `America/New_York`; or `UTC`"


def _local() -> tzinfo:
    """The time zone of this machine, as `TZ` or /etc/localtime gives it; UTC where neither is there."""
    given = os.environ.get("TZ", "").removeprefix(":")
    if given:
        try:
            return ZoneInfo(given)
        except (KeyError, ValueError, OSError):
            help = "write `cron: {schedule: ..., timezone: Europe/Vienna}`"
            raise BadTimeZone(f"the time zone of this machine, `TZ={given}`, is unknown", help) from None
    try:
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC
