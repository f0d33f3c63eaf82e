"""Turns what is about to run into the first lines of the terminal."""

from collections.abc import Iterator, Sequence

from flowrunner import __version__
from flowrunner.quantities import format_duration
from flowrunner.run.live import Flow
from flowrunner.run.report import Report
from flowrunner.sources import AtStart, Cron, Every, Source, Subscribe

_MOST_SHOWN = 30


def announce(report: Report, flows: Sequence[Flow]) -> None:
    """Say which flows run, and what each of them listens to."""
    count = f"{len(flows)} flow{'' if len(flows) == 1 else 's'}"
    names = [flow.name for flow in flows]
    report.say("started", f"flowrunner {__version__} runs {count}", version=__version__, flows=names)
    report.align(names)
    width = max(map(len, names), default=0)
    for flow in flows[:_MOST_SHOWN]:
        said = ", ".join(_spoken(flow.sources))
        report.show(f"  {report.paint(flow.name.ljust(width), 'flow')}  {said}\n")
    if len(flows) > _MOST_SHOWN:
        report.show(f"  ... and {len(flows) - _MOST_SHOWN} more\n")


def _spoken(sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        match source:
            case Subscribe(filter=topic_filter, connection=connection):
                yield topic_filter.text if connection == "default" else f"{topic_filter.text} on {connection}"
            case Every(interval=interval):
                yield f"every {format_duration(interval)}"
            case Cron(schedule=schedule):
                yield f"cron {schedule.text}" + (f" ({schedule.zone})" if schedule.zone else "")
            case AtStart():
                yield "at start"
