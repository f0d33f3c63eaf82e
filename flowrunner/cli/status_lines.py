"""Turns what a runner says about itself into tables for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flowrunner.cli.terminal import paint
from flowrunner.frame import visible, width_of

_RED, _GREEN, _YELLOW, _CYAN, _BOLD, _DIM = "31", "32", "33", "36", "1", "2"
_STATES = {"running": _GREEN, "stale": _YELLOW, "off": _DIM, "not started": _RED}

#: Mistakes and errors below a flow.
_MOST_ERRORS = 3

Object = Mapping[str, Any]


class Table:
    """Rows of cells under a heading. Numbers stand to the right; of a cell its text and its style.

    Where a line would be wider than `most`, the columns `spare` are left out, one after the other.
    """

    def __init__(self, *heads: str, right: str = "", color: bool, spare: str = "", most: int = 0) -> None:
        self.heads = heads
        self.spare = spare.split(",")
        self.most = most
        self.right = {head for head in heads if head in right.split(",")}
        self.color = color
        self.rows: list[tuple[Sequence[tuple[str, str]], Sequence[str]]] = []

    def add(self, *cells: tuple[str, str] | str, below: Sequence[str] = ()) -> None:
        """A row, and the lines below it."""
        self.rows.append(([cell if isinstance(cell, tuple) else (cell, "") for cell in cells], below))

    def lines(self) -> Iterator[str]:
        """The table."""
        columns = list(zip(self.heads, *([text for text, _ in cells] for cells, _ in self.rows), strict=True))
        widths = [max(map(width_of, column)) for column in columns]
        for head in self.spare if self.most else ():
            if sum(widths) + 2 * (sum(map(bool, widths)) - 1) > self.most and head in self.heads:
                widths[self.heads.index(head)] = 0
        yield self.line([(head, _DIM) for head in self.heads], widths)
        for cells, below in self.rows:
            yield self.line(cells, widths)
            yield from below

    def line(self, cells: Sequence[tuple[str, str]], widths: Sequence[int]) -> str:
        """One line of it."""
        shown = []
        for head, (text, style), width in zip(self.heads, cells, widths, strict=True):
            if not width:
                continue
            space = " " * (width - width_of(text))
            painted = paint(text, style, color=self.color) if style else text
            shown.append(space + painted if head in self.right else painted + space)
        return "  ".join(shown).rstrip()


def draw_status(runners: Sequence[Object], *, color: bool, most: int = 0) -> Iterator[str]:
    """The lines for some runners; tables are at most so wide, if that is not 0 and can be."""
    for number, runner in enumerate(runners):
        if number:
            yield ""
        yield from draw_runner(runner, color=color, most=most)


def draw_runner(runner: Object, *, color: bool, most: int = 0) -> Iterator[str]:
    """The lines for one runner."""
    now = runner["time"]
    about = [f"process {runner['process']}", f"since {moment(runner['since'], now)} ({span(now - runner['since'])})"]
    about += ["only looking (--read-only)"] if runner["is_read_only"] else []
    yield f"{paint(visible(str(runner['folder'])), _BOLD, color=color)}  {', '.join(about)}"
    yield from _workers(runner, color=color)
    yield ""
    yield from _flows(runner, now, color=color, most=most)
    yield ""
    yield from _connections(runner, color=color, most=most)
    if runner["shared"]:
        yield ""
        kept = ", ".join(f"{visible(name)} {number(size)[0]}" for name, size in runner["shared"].items())
        yield f"shared values: {kept}"
    if runner["broken"]:
        yield ""
        for found in runner["broken"]:
            yield _mistake(found, color=color)
    yield ""
    yield paint(f"rates over the last {span(runner['seconds'])}", _DIM, color=color)


def _workers(runner: Object, *, color: bool) -> Iterator[str]:
    workers = runner.get("workers", ())
    if not workers:
        return
    there = [str(worker["process"]) for worker in workers if worker["process"]]
    count = str(len(there)) if len(there) == len(workers) else f"{len(there)} of {len(workers)}"
    numbers = f" ({'pid' if len(there) == 1 else 'pids'} {', '.join(there)})" if there else ""
    line = f"workers: {count}{numbers}"
    yield line if len(there) == len(workers) else paint(line, _RED, color=color)
    for worker in workers:
        if worker["restarts"]:
            times = "once" if worker["restarts"] == 1 else f"{worker['restarts']} times"
            since = "" if worker["process"] else ", and is not there"
            yield paint(f"  worker {worker['number']} was started again {times}{since}", _YELLOW, color=color)


def _flows(runner: Object, now: float, *, color: bool, most: int) -> Iterator[str]:
    heads = ["FLOW", "STATE", "IN/s", "RECEIVED", "ERRORS", "HANDLED", "WAITING", "KEYS", "SINCE"]
    workers = ["WORKER"] if runner.get("workers") else []
    heads += workers
    right, spare = "IN/s,RECEIVED,ERRORS,HANDLED,WAITING,KEYS", "HANDLED,KEYS,SINCE,WAITING"
    table = Table(*heads, right=right, color=color, spare=spare, most=most)
    for flow in runner["flows"]:
        state = (flow["status"], _STATES[flow["status"]])
        name = (visible(flow["name"]), _CYAN)
        if "since" not in flow:
            table.add(name, state, *[""] * (len(heads) - 2))
            continue
        below = [_mistake(flow["mistake"], color=color, indent="  ")] if "mistake" in flow else []
        below += [_error(error, now, color=color) for error in flow["errors"][:_MOST_ERRORS]]
        table.add(
            name,
            state,
            number(flow["rate"]),
            number(flow["received"]),
            number(flow["dropped"], _RED),
            number(flow["handled"]),
            number(flow["waiting"]),
            number(flow["keys"]),
            moment(flow["since"], now),
            *([str(flow["worker"] or "all")] if workers else []),
            below=below,
        )
    yield from table.lines()


def _connections(runner: Object, *, color: bool, most: int) -> Iterator[str]:
    heads = ("CONNECTION", "BROKER", "STATE", "OUT/s", "PUBLISHED", "DROPPED", "PENDING")
    right, spare = "OUT/s,PUBLISHED,DROPPED,PENDING", "PENDING,OUT/s,PUBLISHED,BROKER"
    table = Table(*heads, right=right, color=color, spare=spare, most=most)
    for one in runner["connections"]:
        protocol = {5: "MQTT 5", 4: "MQTT 3.1.1"}.get(one["version"], "")
        state = _state(one, protocol)
        table.add(
            (visible(one["name"]), _CYAN),
            visible(one["url"]),
            state,
            number(one["rate"]),
            number(one["published"]),
            number(one["dropped"], _RED),
            number(one["pending"]),
        )
    yield from table.lines()


def _state(one: Object, protocol: str) -> tuple[str, str]:
    """Whether a connection has its broker, or how many of its clients do."""
    clients = one.get("clients", {"there": int(one["is_there"]), "all": 1})
    if not clients["there"]:
        return "no broker there", _RED
    if clients["all"] == 1:
        return f"connected, {protocol}", _GREEN
    if one["is_there"]:
        return f"{clients['all']} connected, {protocol}", _GREEN
    return f"{clients['there']} of {clients['all']} connected, {protocol}", _YELLOW


def _mistake(found: Object, *, color: bool, indent: str = "") -> str:
    more = f" (and {found['count'] - 1} more)" if found["count"] > 1 else ""
    mark = paint("✗", _RED, color=color)
    place = visible(f"{found['file']}:{found['line']}")
    return f"{indent}{mark} {place}: {paint(visible(found['message']), _RED, color=color)}{more}"


def _error(error: Object, now: float, *, color: bool) -> str:
    mark = paint("!", _RED, color=color)
    place = visible(f"{error['file']}:{error['line']}")
    count = "once" if error["count"] == 1 else f"{number(error['count'])[0]} times"
    last = paint(f"{count}, {span(now - error['last'])} ago", _DIM, color=color)
    return f"  {mark} {place}: {visible(error['message'])}  {last}"


def number(value: float, style: str = "") -> tuple[str, str]:
    """A number with its thousands apart; nothing is dim."""
    if not value:
        return "0", _DIM
    digits = 0 if isinstance(value, int) or value >= 100 else 1 if value >= 1 else 2
    text = f"{value:,.{digits}f}"
    return text.replace(",", " "), style


def moment(seconds: float, now: float) -> str:
    """A time since 1970 as a watch here shows it, with the day if it is not this one."""
    from flowrunner.run.reload_report import clock_time

    return clock_time(seconds, now=now)


def span(seconds: float) -> str:
    """So many seconds in words, in its two largest units."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = int(seconds)
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for name, size in units:
        if whole >= size or (name == "s" and not parts):
            parts.append(f"{whole // size} {name}")
            whole %= size
    return " ".join(parts[:2])
