"""Turns the text of a topic or topic filter into levels that can be matched (MQTT 5.0 section 4.7)."""

from collections.abc import Collection
from keyword import iskeyword
from unicodedata import normalize

from flowrunner.records import dataclass

MAX_BYTES = 65_535
"""The longest topic or filter in UTF-8 bytes (MQTT 5.0 section 4.7.3)."""


class BadTopic(ValueError):
    """A fault in a topic or topic filter, with its place as a span of characters inside the text."""

    def __init__(self, message: str, start: int, end: int, label: str = "", help: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.start = start
        self.end = end
        self.label = label
        self.help = help

    def __repr__(self) -> str:
        return f"BadTopic({self.message!r}, {self.start}, {self.end}, {self.label!r}, {self.help!r})"


@dataclass(frozen=True, slots=True)
class Filter:
    """A checked topic filter.

    `text` is what was written; `mqtt` is what a broker is sent (the names of levels removed); `levels` are
    those that a topic is compared with, so without `$share/GROUP`; `share` is that group or empty. Each
    capture is (name, index of the level, whether it takes all the levels that follow).
    """

    text: str
    mqtt: str
    levels: tuple[str, ...]
    captures: tuple[tuple[str, int, bool], ...] = ()
    share: str = ""


def check_topic(text: str) -> None:
    """Raise BadTopic unless a message can be published to this topic (MQTT 5.0 sections 3.3.2.1 and 4.7)."""
    _check_text(text, "a topic")
    places = [place for place in (text.find("+"), text.find("#")) if place >= 0]
    if places:
        first = min(places)
        wildcard = text[first]
        advice = f"name the level where you subscribe, `{wildcard}room`, and insert it here: `${{room}}`"
        raise BadTopic("one cannot publish to a wildcard", first, first + 1, f"`{wildcard}` stands here", advice)


def parse_filter(text: str, *, named: bool = False, reserved: frozenset[str] = frozenset()) -> Filter:
    """Read a topic filter (MQTT 5.0 sections 4.7.1 and 4.8.2) or raise BadTopic at its first fault.

    With `named`, `+name` and `#name` are wildcards whose level has a name; a name in `reserved` is a fault.
    """
    _check_text(text, "a topic filter")
    share, start = _split_share(text)
    parts = text[start:].split("/")
    levels: list[str] = []
    captures: list[tuple[str, int, bool]] = []
    for index, part in enumerate(parts):
        end = start + len(part)
        wildcard = part[:1] if part[:1] in ("+", "#") else ""
        if wildcard == "#" and index < len(parts) - 1 and (part == "#" or named):
            _fail_early_rest(text, start, end, len(parts) - 1 - index)
        name = normalize("NFKC", part[1:]) if wildcard and named else ""
        if name and not _is_loose_wildcard(name):
            _check_name(name, start + 1, end, reserved, {known for known, _, _ in captures})
            captures.append((name, index, wildcard == "#"))
        elif part != wildcard and ("+" in part or "#" in part):
            _fail_inside_level(text, start, part, named=named)
        levels.append(wildcard or part)
        start = end + 1
    mqtt = "/".join(levels)
    return Filter(text, f"$share/{share}/{mqtt}" if share else mqtt, tuple(levels), tuple(captures), share)


def suspicions(text: str) -> list[BadTopic]:
    """List what is allowed but seldom meant: empty levels, spaces around one, a lone `*`."""
    found: list[BadTopic] = []
    parts = text.split("/")
    start = 0
    for index, part in enumerate(parts):
        end = start + len(part)
        if not part and len(parts) > 1:
            found.append(_empty_level(text, index, start, len(parts)))
        elif part != part.strip():
            advice = f"without them: `{text[:start]}{part.strip()}{text[end:]}`"
            found.append(BadTopic("spaces are part of the level", start, end, "spaces around it", advice))
        elif part in ("*", "**"):
            advice = "MQTT's wildcards are `+` for one level and `#` for all that follow"
            found.append(BadTopic("`*` is not a wildcard in MQTT", start, end, "a level of this very name", advice))
        start = end + 1
    return found


def _check_text(text: str, kind: str) -> None:
    if not text:
        raise BadTopic(f"{kind} must not be empty", 0, 0, "nothing here")
    nul = text.find("\0")
    if nul >= 0:
        raise BadTopic(f"{kind} must not contain the character NUL", nul, nul + 1, "NUL")
    try:
        length = len(text.encode())
    except UnicodeEncodeError as error:
        place = error.start
        raise BadTopic(f"{kind} must be valid Unicode", place, place + 1, "half of a surrogate pair") from None
    if length > MAX_BYTES:
        raise BadTopic(f"{kind} must not be longer than {MAX_BYTES} bytes", 0, len(text), f"{length} bytes in UTF-8")


def _split_share(text: str) -> tuple[str, int]:
    """Return the group of `$share/GROUP/FILTER` (else nothing) and where the filter proper starts."""
    if not text.startswith("$share/"):
        return "", 0
    advice = "for example `$share/workers/sensors/#`"
    group, slash, rest = text[7:].partition("/")
    end = 7 + len(group)
    if not group:
        raise BadTopic("a shared subscription must name its group: `$share/GROUP/FILTER`", 7, 7, "no group", advice)
    for place, character in enumerate(group, 7):
        if character in "+#":
            message = "the group of a shared subscription must not contain a wildcard"
            raise BadTopic(message, place, place + 1, f"`{character}` stands here", advice)
    if not slash or not rest:
        message = "a shared subscription must have a filter after its group"
        raise BadTopic(message, len(text), len(text), "no filter", advice)
    return group, end + 1


def _fail_early_rest(text: str, start: int, end: int, following: int) -> None:
    label = "one level follows" if following == 1 else f"{following} levels follow"
    single = f"{text[:start]}+{text[start + 1 : end]}{text[end:]}"
    advice = f"for exactly one level use `+`: `{single}`" if "#" not in single else "for exactly one level use `+`"
    raise BadTopic("`#` must be the last level of a topic filter", start, end, label, advice)


def _is_loose_wildcard(name: str) -> bool:
    """Whether what follows a wildcard is no try at a name: `+ `, `+/`, `++`, `#+`."""
    return not name.strip() or "+" in name or "#" in name


def _fail_inside_level(text: str, start: int, part: str, *, named: bool) -> None:
    place = min(index for index in (part.find("+"), part.find("#")) if index >= 0)
    wildcard = part[place]
    message = f"`{wildcard}` must stand for a whole level of a topic filter"
    end = start + len(part)
    if part.strip() == wildcard:
        whole = f"{text[:start]}{wildcard}{text[end:]}"
        raise BadTopic(message, start, end, "spaces around it", f"without them: `{whole}`")
    advice = f"a whole level is `{wildcard}`" + (f", or with a name `{wildcard}room`" if named else "")
    raise BadTopic(message, start + place, start + place + 1, "only part of a level here", advice)


def _check_name(name: str, start: int, end: int, reserved: frozenset[str], known: Collection[str]) -> None:
    advice = "a name is made of letters, digits and `_`, as in `+room`"
    if not name.isidentifier():
        raise BadTopic("what follows a wildcard must be a name or nothing", start, end, "not a name", advice)
    if name.startswith("_"):
        raise BadTopic("the name of a level must not start with `_`", start, end)
    if iskeyword(name) or name in reserved:
        label = "a word of expressions" if iskeyword(name) else "it already has a meaning"
        raise BadTopic(f"`{name}` is reserved and cannot name a level", start, end, label, f"for example `{name}_id`")
    if name in known:
        raise BadTopic(f"the name `{name}` is used twice in one filter", start, end, "and again here")


def _empty_level(text: str, index: int, start: int, count: int) -> BadTopic:
    if index == count - 1:
        message, place, better = "the topic ends with an empty level", start - 1, text[: start - 1]
    elif index == 0:
        message, place, better = "the topic starts with an empty level", start, text[1:]
    else:
        message, place, better = "the topic has an empty level", start, text[:start] + text[start + 1 :]
    advice = f"if it is not meant: `{better}`" if better else ""
    return BadTopic(message, place, place + 1, "an empty level beside this `/`", advice)
