"""Turns the key `cron` of a flow into a schedule: five fields, or a map with a time zone."""

from typing import Any

from flowrunner.diagnostics import Diagnostic
from flowrunner.options import Kind, Place, option
from flowrunner.options.maps import nothing_more, read_options
from flowrunner.read.nodes import Map, Node
from flowrunner.records import dataclass
from flowrunner.schedules import BadSchedule, BadTimeZone, read_schedule, time_zone
from flowrunner.sources import Cron
from flowrunner.text import Passage


@dataclass(frozen=True, slots=True)
class _TimeZone(Kind[str]):
    """The name of a time zone."""

    phrase: str = "a time zone such as `Europe/Vienna`"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "examples": ["Europe/Vienna", "UTC"]}

    def read(self, node: Node, place: Place) -> str:
        name = place.scalar(node, self.phrase).text
        try:
            time_zone(name)
        except BadTimeZone as bad:
            diagnostic = Diagnostic("unknown-time-zone", bad.message, node.span, helps=(bad.help,))
            raise place.report.refuse(diagnostic) from None
        return name


@dataclass(frozen=True, slots=True)
class _CronText(Kind[tuple[str, Passage]]):
    """The five fields, and where they stand."""

    phrase: str = "a schedule such as `0 7 * * MON-FRI`"

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "number"], "examples": ["0 7 * * MON-FRI", "*/15 * * * *"]}

    def read(self, node: Node, place: Place) -> tuple[str, Passage]:
        scalar = place.scalar(node, self.phrase)
        return scalar.text, scalar.passage


@dataclass(frozen=True, slots=True, kw_only=True)
class CronKeys:
    """The keys of `cron` written as a map."""

    schedule: tuple[str, Passage] = option(_CronText(), "minute, hour, day of the month, month, day of the week")
    timezone: str = option(_TimeZone(), "the time zone; without it that of the machine", default="")


@dataclass(frozen=True, slots=True)
class CronTicks(Kind[Cron]):
    """Five fields of cron, or a map with `schedule` and `timezone`."""

    phrase: str = "a schedule such as `0 7 * * MON-FRI`"

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [_CronText().schema(), {"$ref": "#/definitions/cron"}]}

    def read(self, node: Node, place: Place) -> Cron:
        if isinstance(node, Map):
            keys = read_options(CronKeys, node, Place(place.context, "", "cron"), nothing_more)
        else:
            keys = {"schedule": _CronText().read(node, place), "timezone": ""}
        text, passage = keys["schedule"]
        try:
            return Cron(read_schedule(text, keys["timezone"]), node.span)
        except BadSchedule as bad:
            helps = (bad.help,) if bad.help else ()
            span = passage.span(bad.start, bad.end)
            diagnostic = Diagnostic("bad-schedule", bad.message, span, bad.label, helps=helps)
        except BadTimeZone as bad:
            diagnostic = Diagnostic("unknown-time-zone", bad.message, node.span.first_line(), helps=(bad.help,))
        raise place.report.refuse(diagnostic)
