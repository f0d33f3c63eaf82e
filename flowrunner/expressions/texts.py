"""Turns regular expressions into something that matches in linear time, whatever a payload holds."""

import re
from functools import lru_cache
from typing import Any, Protocol

from flowrunner.errors import StepError
from flowrunner.expressions.limits import MAX_PATTERN

TIME_LIMIT = 0.1
"""Seconds that the fallback may take for one match where RE2 is not installed."""


_MEMORY = 1 << 20  # bytes of what RE2 keeps for one regular expression; it may keep a hundred of them


class BadPattern(ValueError):
    """A fault in a regular expression; `position` is the index of the character at which it was found."""

    def __init__(self, message: str, position: int, help: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.help = help


class Pattern(Protocol):
    """A regular expression that was understood. `groups` are the names of its groups, in order."""

    @property
    def text(self) -> str:
        """The regular expression as it was written."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups, in the order in which they open."""

    def fullmatch(self, text: str, /) -> dict[str, str | None] | None:
        """The named groups (None: took no part) if the whole text matches, else None."""


def compile_pattern(text: str) -> Pattern:
    """Understand a regular expression of RE2's syntax (no look-around, no back-references), or raise BadPattern."""
    _check(text)
    try:
        import re2
    except ImportError:
        return TimedPattern(text)
    return LinearPattern(text, re2)


_BEYOND = re.compile(
    r"\\(?:.|\n)"
    r"|(?P<ahead>\(\?(?:=|!))|(?P<behind>\(\?<(?:=|!))|(?P<back>\(\?P=)|(?P<atomic>\(\?>)"
    r"|\(\?P?<(?P<name>[^>]*)>|\[\^?\]?",
)
_BEYOND_WORDS = {
    "ahead": "looking ahead, `(?=`, is not possible here",
    "behind": "looking behind, `(?<=`, is not possible here",
    "back": "referring back to a group is not possible here",
    "atomic": "an atomic group, `(?>`, is not possible here",
}
_LINEAR = "what is left matches any text in linear time"


def _check(text: str) -> None:
    if len(text) > MAX_PATTERN:
        raise BadPattern(f"a regular expression has at most {MAX_PATTERN} characters", MAX_PATTERN)
    for at, char in enumerate(text):
        if "\ud800" <= char <= "\udfff":
            raise BadPattern("half a character (a lone surrogate) matches nothing", at)
    names, at = set[str](), 0
    while found := _BEYOND.search(text, at):
        at = _behind(text, found)
        if found.group().startswith("\\") and found.group()[1:] in tuple("123456789"):
            raise BadPattern("referring back to a group is not possible here", found.start(), _LINEAR)
        if found.lastgroup in _BEYOND_WORDS:
            raise BadPattern(_BEYOND_WORDS[found.lastgroup], found.start(), _LINEAR)
        if found.lastgroup == "name":
            if found["name"] in names:
                raise BadPattern(f"two groups are called `{found['name']}`", found.start("name"))
            names.add(found["name"])


def _behind(text: str, found: re.Match[str]) -> int:
    """Where to go on: behind a whole class of characters `[...]`, in which brackets mean nothing."""
    at = found.end()
    if not found.group().startswith("["):
        return at
    while at < len(text) and text[at] != "]":
        at += 2 if text[at] == "\\" else 1
    return at


class LinearPattern:
    """A regular expression that RE2 matches: linear in the length of the text."""

    __slots__ = ("_regexp", "groups", "text")

    def __init__(self, text: str, re2: Any) -> None:
        options = re2.Options()
        options.log_errors = False
        options.max_mem = _MEMORY
        try:
            self._regexp = re2.compile(text, options)
        except re2.error as error:
            detail = error.args[0] if error.args else b""
            raise _bad(text, detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)) from None
        self.text = text
        by_index = sorted((index, name) for name, index in self._regexp.groupindex.items())
        self.groups = tuple(name for _, name in by_index)

    def fullmatch(self, text: str, /) -> dict[str, str | None] | None:
        """The named groups if the whole text matches, else None."""
        # bytes, because RE2 would count all places of a text in characters afterwards
        found = self._regexp.fullmatch(text.encode("utf-8", "replace"))
        if found is None:
            return None
        return {name: None if (part := found[name]) is None else part.decode() for name in self.groups}


_RE2_WORDS = {
    "missing )": "a `(` is never closed",
    "unexpected )": "this `)` closes nothing",
    "missing ]": "a `[` is never closed",
    "invalid perl operator": "`{part}` is not possible here",
    "invalid named capture group": "`{part}` is not a name for a group",
    "invalid escape sequence": "`{part}` has no meaning",
    "invalid character class range": "`{part}` is not a range of characters",
    "invalid character class": "`{part}` is not a class of characters",
    "bad repetition operator": "`{part}` repeats a repetition",
    "no argument for repetition operator": "there is nothing before `{part}` to repeat",
    "invalid repetition size": "`{part}` is not a possible number of times (up to 1000)",
    "trailing \\": "a `\\` at the end means nothing",
    "pattern too large": "this regular expression needs too much memory",
}


def _bad(text: str, detail: str) -> BadPattern:
    reason, _, part = detail.partition(": ")
    words = _RE2_WORDS.get(reason.strip(), "this is not a regular expression")
    at = len(text) - 1 if reason.startswith("trailing") else text.find(part) if part else 0
    if reason == "missing )":
        at = text.find("(")
    elif reason == "unexpected )":
        at = text.rfind(")")
    return BadPattern(words.format(part=part), max(at, 0))


class TimedPattern:
    """A regular expression that the package `regex` matches, with a time limit."""

    __slots__ = ("_regexp", "groups", "text")

    def __init__(self, text: str) -> None:
        import regex

        try:
            # `\w` and `\d` are ASCII as in RE2; together with `\pL` they cannot be, here
            self._regexp = regex.compile(text, 0 if r"\p" in text.lower() else regex.ASCII)
        except regex.error as error:
            raise BadPattern("this is not a regular expression", min(error.pos or 0, len(text))) from None
        self.text = text
        self.groups = tuple(sorted(self._regexp.groupindex, key=self._regexp.groupindex.__getitem__))

    def fullmatch(self, text: str, /) -> dict[str, str | None] | None:
        """The named groups if the whole text matches, else None; raises StepError where it takes too long."""
        try:
            found = self._regexp.fullmatch(text, timeout=TIME_LIMIT)
        except TimeoutError:
            raise StepError("this regular expression takes too long on this text", code="too-large") from None
        return None if found is None else found.groupdict()


_compiled = lru_cache(maxsize=64)(compile_pattern)


def matches(pattern: Any, text: Any, /) -> bool:
    """Whether the whole text matches the regular expression; raises StepError unless both are texts."""
    if not isinstance(pattern, str) or not isinstance(text, str):
        message = "`match` needs a regular expression and a text"
        is_bytes = isinstance(text, bytes)
        help = "put `- decode: utf-8` before this step" if is_bytes else "`str(x)` makes a text of anything"
        raise StepError(message, code="bytes-payload" if is_bytes else "wrong-type", help=help)
    try:
        return _compiled(pattern).fullmatch(text) is not None
    except BadPattern as error:
        raise StepError(error.message, code="bad-pattern", help=error.help) from None
