"""Turns `delay` and `trigger` into `delay`, `throttle`, `sample`, `debounce` and `state`."""

from collections.abc import Callable
from typing import Any

from flowrunner.nodered.export import tidy
from flowrunner.nodered.known import Known
from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.mustache import read_mustache
from flowrunner.nodered.nodes.limits import key_of
from flowrunner.nodered.properties import typed
from flowrunner.nodered.values import Code, Constant, Uncertain, Value, source
from flowrunner.nodered.walk import Way
from flowrunner.quantities import LONGEST_DURATION, format_duration

_UNITS = {
    "milliseconds": 0.001, "millisecond": 0.001, "ms": 0.001, "seconds": 1, "second": 1, "s": 1, "minutes": 60,
    "minute": 60, "min": 60, "hours": 3600, "hour": 3600, "hr": 3600, "days": 86400, "day": 86400,
}  # fmt: skip


def duration(seconds: float) -> str:
    """A duration as it is written. Raises Uncertain for one that is too long."""
    if not 0 <= seconds <= LONGEST_DURATION:
        raise Uncertain("a time of this length")
    return format_duration(tidy(round(seconds, 6)))


def in_seconds(code: str) -> str:
    """A duration that is computed, to the millisecond."""
    return f'${{str(round({code}, 3)) + "s"}}'


def delay(way: Way, known: Known) -> Steps:
    """`delay`, in all its modes."""
    mode = way.node.text("pauseType") or "delay"
    modes = {"delay": _hold, "delayv": _hold_by_message, "random": _hold_at_random, "rate": _rate}
    if mode in ("queue", "timed"):
        return _by_topic(way, known, mode)
    if mode not in modes:
        raise Uncertain(f"the mode `{mode[:20]}`")
    if len(way.node.wires) > 1 and any(way.walk.targets(way.target, port) for port in range(1, len(way.node.wires))):
        way.approximated("what is dropped does not go to the second output")
    return modes[mode](way, known)


def _unit(way: Way, key: str) -> float:
    return _UNITS.get(way.node.text(key), 1)


def _hold(way: Way, known: Known) -> Steps:
    seconds = way.node.number("timeout", 0) * _unit(way, "timeoutUnits")
    way.done()
    if seconds <= 0:
        return way.on(0, known)
    return [*way.named([Step("delay", duration(seconds))]), *way.on(0, known)]


def _hold_by_message(way: Way, known: Known) -> Steps:
    """`msg.delay` in milliseconds, else what the node says."""
    seconds = way.node.number("timeout", 0) * _unit(way, "timeoutUnits")
    given = known.names.get("delay")
    way.done()
    if given is None:
        return _hold(way, known)
    if isinstance(given, Constant):
        milliseconds = given.value if isinstance(given.value, int | float) else seconds * 1000
        return [*way.named([Step("delay", duration(max(milliseconds, 0) / 1000))]), *way.on(0, known)]
    code = source(known.tree(("delay",)).tree)
    return [*way.named([Step("delay", in_seconds(f"max({code} / 1000, 0)"))]), *way.on(0, known)]


def _hold_at_random(way: Way, known: Known) -> Steps:
    unit = _unit(way, "randomUnits")
    first, last = (tidy(round(way.node.number(key, 0) * unit, 6)) for key in ("randomFirst", "randomLast"))
    if not 0 <= min(first, last) <= max(first, last) <= LONGEST_DURATION:
        raise Uncertain("a time of this length")
    way.done()
    return [
        *way.named([Step("delay", in_seconds(f"uniform({min(first, last)}, {max(first, last)})"))]),
        *way.on(0, known),
    ]


def _interval(way: Way) -> float:
    node = way.node
    rate, count = node.number("rate", 1), node.number("nbRateUnits", 1)
    if rate <= 0:
        raise Uncertain("a rate of none")
    return _unit(way, "rateUnits") * (count if count > 0 else 1) / rate


def _rate(way: Way, known: Known) -> Steps:
    """So many in a time: what comes too early is dropped, or waits for its turn."""
    seconds = _interval(way)
    way.done()
    if way.node.flag("allowrate") and "rate" in known.names:
        way.approximated("`msg.rate` does not change the rate")
    if way.node.flag("drop"):
        return [*way.named([Step("throttle", duration(seconds))]), *way.on(0, known)]
    turn, wait = way.flow.values.take("next_turn"), way.flow.values.take("wait")
    note = f"a message each {duration(seconds)}; the others wait for their turn"
    return [
        Step("state", {"get": turn, "default": 0}, notes=[note]),
        Step("let", {wait: f"${{max({turn} - now(), 0)}}"}),
        Step("state", {"set": turn, "value": f"${{now() + {wait} + {tidy(round(seconds, 6))}}}"}),
        *way.named([Step("delay", in_seconds(wait), when=Code(f"{wait} > 0"))]),
        *way.on(0, known),
    ]


def _by_topic(way: Way, known: Known, mode: str) -> Steps:
    """The latest message of every topic, once in a time."""
    by = key_of(known, is_wanted=True)
    options: dict[str, Any] = {"every": duration(_interval(way)), **({"by": by} if by else {})}
    if mode == "queue" and by:
        way.approximated("topics are not released in turn, but each of them once in that time")
    else:
        way.approximated("the time begins with a message, not with the start")
    return [*way.named([Step("sample", options if by else options["every"])]), *way.on(0, known)]


def trigger(way: Way, known: Known) -> Steps:
    """`trigger`: something at once, something later."""
    node = way.node
    given = node.number("duration", 250) * _UNITS.get(node.text("units"), 0.001)
    if given <= 0:
        raise Uncertain("a trigger that waits until it is reset" if given == 0 else "a trigger that repeats itself")
    seconds, is_extended = duration(given), node.flag("extend")
    by = key_of(known, is_wanted=node.text("bytopic") == "topic")
    if node.text("reset"):
        way.approximated(f"a message `{node.text('reset')[:30]}` does not reset it")
    first, later = node.text("op1type") or "str", node.text("op2type") or "str"
    port = 1 if node.number("outputs", 1) == 2 else 0
    makers: list[Callable[[Way], Steps]] = []
    if first != "nul" and way.walk.targets(way.target, 0):
        makers.append(
            lambda inner: [*_gate(inner, seconds, by, is_extended=is_extended), *_sent(inner, known, "op1", 0)]
        )
    if later != "nul" and way.walk.targets(way.target, port):
        held = _held(way, later, seconds, by, is_extended=is_extended)
        makers.append(lambda inner: [*held, *_sent(inner, known, "op2", port)])
    way.done()
    if len(makers) == 1:
        steps = makers[0](way)
        return [*way.named(steps[:1]), *steps[1:]]
    return way.named([Step("fork", [make(way.deeper()) for make in makers])]) if makers else []


def _with_key(step: str, option: str, seconds: str, by: Code | None, **more: Any) -> Step:
    options = {option: seconds, **({"by": by} if by else {}), **more}
    return Step(step, options if len(options) > 1 else seconds)


def _gate(way: Way, seconds: str, by: Code | None, *, is_extended: bool) -> Steps:
    """The first message passes, the others do not for so long; `is_extended`: until there was silence for so long."""
    if not is_extended:
        return [_with_key("throttle", "rate", seconds, by)]
    word, key = way.flow.values.take("busy"), {"key": by} if by else {}
    was = f"was_{word}"
    return [
        Step("state", {"get": word, **key, "default": False, "as": was}),
        Step("state", {"set": word, **key, "value": True, "ttl": seconds}),
        Step("filter", Code(f"not {was}")),
    ]


def _held(way: Way, later: str, seconds: str, by: Code | None, *, is_extended: bool) -> Steps:
    """What is sent when the time is over."""
    if is_extended:
        if later == "pay":
            way.approximated("sends the last message in the end, not the first one again")
        return [_with_key("debounce", "for", seconds, by)]
    if later == "payl":
        return [_with_key("sample", "every", seconds, by)]
    return [_with_key("throttle", "rate", seconds, by), Step("delay", seconds)]


def _sent(way: Way, known: Known, key: str, port: int) -> Steps:
    """What goes out: the message itself, or with another payload."""
    node = way.node
    kind, given = node.text(f"{key}type") or "str", node.fields.get(key)
    if kind in ("pay", "payl"):
        return way.on(port, known)
    steps: Steps = []
    value: Value
    if kind == "val":
        value = Constant({"true": True, "false": False, "null": None}.get(node.text(key), node.text(key)))
    elif kind == "str" and "{{" in node.text(key):
        steps, known = known.readable()
        value, _ = read_mustache(node.text(key), known.value)
    else:
        if given in (None, "") and kind == "str":
            given = "1" if key == "op1" else "0"
        if kind in ("msg", "jsonata"):
            steps, known = known.readable()
        more, value = typed("" if kind == "date" else given, kind, known, way)
        steps = [*steps, *more]
    return [*steps, *way.on(port, known.with_payload(value))]


TRANSLATORS = {"delay": delay, "trigger": trigger}
