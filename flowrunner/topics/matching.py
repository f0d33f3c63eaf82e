"""Compares topics with filters, and filters with each other (MQTT 5.0 section 4.7)."""

from flowrunner.topics.filters import Filter


def matches(topic_filter: Filter, topic: str) -> bool:
    """Whether a topic belongs to a filter (MQTT 5.0 sections 4.7.1 and 4.7.2)."""
    wanted = topic_filter.levels
    if topic[:1] == "$" and wanted[0] in ("+", "#"):
        return False
    levels = topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or (level != "+" and level != levels[index]):
            return False
    return len(levels) == len(wanted)


def covers(wide: Filter, narrow: Filter) -> bool:
    """Whether every topic of the narrow filter belongs to the wide one too."""
    if narrow.levels[0][:1] == "$" and wide.levels[0] in ("+", "#"):
        return False
    for index, level in enumerate(wide.levels):
        if level == "#":
            return True
        if index >= len(narrow.levels) or narrow.levels[index] == "#":
            return False
        if level not in ("+", narrow.levels[index]):
            return False
    return len(narrow.levels) == len(wide.levels)


def overlaps(one: Filter, other: Filter) -> bool:
    """Whether some topic belongs to both filters."""
    first, second = one.levels[0], other.levels[0]
    for literal, wildcard in ((first, second), (second, first)):
        if literal[:1] == "$" and wildcard in ("+", "#"):
            return False
    for left, right in zip(one.levels, other.levels, strict=False):
        if "#" in (left, right):
            return True
        if left != right and "+" not in (left, right):
            return False
    longer, shorter = sorted((one.levels, other.levels), key=len, reverse=True)
    if len(longer) == len(shorter):
        return True
    is_empty = len(shorter) == 1 and "" in (longer[0], shorter[0])  # `/#` and `+` share the empty topic, which is none
    return longer[len(shorter)] == "#" and not is_empty


def capture(topic_filter: Filter, topic: str) -> dict[str, str]:
    """Return the named levels of a topic of this filter; `#name` is empty where nothing follows."""
    levels = topic.split("/")
    return {
        name: "/".join(levels[index:]) if is_rest else levels[index] for name, index, is_rest in topic_filter.captures
    }
