"""Turns a topic filter that hears nothing into topics that were probably meant."""

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from flowrunner.topics.filters import Filter
from flowrunner.topics.matching import matches

#: How alike two levels must be, from 0 to 1: `sensor` and `sensors` are, `temp` and `humidity` are not.
LEAST_ALIKE = 0.6

#: Near filters of one filter, and levels of it that are looked at.
MOST_FILTERS = 24

_WILDCARDS = frozenset("+#")


def near_filters(wanted: Filter) -> list[str]:
    """Filters under which topics near a filter would come: one level is another one, or there is one more or less."""
    levels = list(wanted.levels)
    if all(level in _WILDCARDS for level in levels):
        return []
    places = [place for place, level in enumerate(levels) if level not in _WILDCARDS]
    found = ["/".join([*levels[:place], "+", *levels[place + 1 :]]) for place in places]
    found.append("/".join(["+", *levels]))
    if levels[-1] != "#":
        found.append("/".join([*levels, "+"]))
    found += ["/".join([*levels[:place], *levels[place + 1 :]]) for place in places if len(levels) > 1]
    plain = "/".join(levels)
    return [one for one in dict.fromkeys(found) if one and one != plain][:MOST_FILTERS]


def nearness(wanted: Filter, topic: str) -> float:
    """How near a topic is to a filter that does not match it, from 0 (not at all) to 1."""
    if matches(wanted, topic):
        return 0.0
    levels, given = list(wanted.levels), topic.split("/")
    if levels[-1] == "#":
        levels = levels[:-1] + ["+"] * max(0, len(given) - len(levels) + 1)
    if len(levels) == len(given):
        return _alike(levels, given)
    longer, shorter = (levels, given) if len(levels) > len(given) else (given, levels)
    if len(longer) - len(shorter) != 1 or len(shorter) == 0:
        return 0.0
    shortened = ([*longer[:place], *longer[place + 1 :]] for place in range(len(longer)))
    pairs = ((one, given) if longer is levels else (shorter, one) for one in shortened)
    return 0.7 if any(_fit(pattern, one) for pattern, one in pairs) else 0.0


def nearest(wanted: Filter, topics: Iterable[str], *, most: int = 3) -> list[str]:
    """The nearest of some topics, the best first."""
    scored = sorted((-nearness(wanted, topic), topic) for topic in set(topics))
    return [topic for score, topic in scored if score < 0][:most]


def _alike(levels: Sequence[str], given: Sequence[str]) -> float:
    """How alike levels are of which at most one differs in more than its case."""
    worst, count = 1.0, 0
    for level, other in zip(levels, given, strict=True):
        if level in ("+", other):
            continue
        if level.casefold() == other.casefold():
            worst = min(worst, 0.95)
            continue
        count += 1
        worst = min(worst, SequenceMatcher(None, level.casefold(), other.casefold()).ratio())
    return worst if count <= 1 and worst >= LEAST_ALIKE else 0.0


def _fit(levels: Sequence[str], given: Sequence[str]) -> bool:
    return any(level != "+" for level in levels) and all(
        level in ("+", other) for level, other in zip(levels, given, strict=True)
    )
