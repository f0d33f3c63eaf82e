"""Turns expected and published messages into the differences between them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from flowrunner.read.cases import Expected
from flowrunner.run.preview import preview
from flowrunner.trial.host import Published

#: Lists of messages are lined up as long as that does not take longer than this many comparisons.
_MOST_COMPARED = 250_000

_WIDTH = 60  # characters of a value in a difference

_MISSING = object()


@dataclass(frozen=True, slots=True)
class Pair:
    """An expected message and the one that came in its place; None where there is none."""

    expected: Expected | None
    got: Published | None

    @property
    def is_same(self) -> bool:
        """Whether the message is as expected."""
        return self.expected is not None and self.got is not None and meets(self.got, self.expected)


def line_up(expected: Sequence[Expected], got: Sequence[Published]) -> list[Pair]:
    """Pair messages so that as many as possible are as expected; what stands between is paired as it comes."""
    pairs: list[Pair] = []
    i = j = 0
    for same_i, same_j in [*_common(expected, got), (len(expected), len(got))]:
        rest = max(same_i - i, same_j - j)
        pairs += [
            Pair(
                expected[i + n] if i + n < same_i else None,
                got[j + n] if j + n < same_j else None,
            )
            for n in range(rest)
        ]
        if same_i < len(expected):
            pairs.append(Pair(expected[same_i], got[same_j]))
        i, j = same_i + 1, same_j + 1
    return pairs


def _common(expected: Sequence[Expected], got: Sequence[Published]) -> list[tuple[int, int]]:
    """The longest sequence of places at which both are the same."""
    first = next(
        (n for n, (one, other) in enumerate(zip(expected, got, strict=False)) if not meets(other, one)),
        min(len(expected), len(got)),
    )
    head = [(n, n) for n in range(first)]
    rest, found = expected[first:], got[first:]
    if len(rest) * len(found) > _MOST_COMPARED:
        return head + [
            (first + n, first + n) for n, (one, other) in enumerate(zip(rest, found, strict=False)) if meets(other, one)
        ]
    longest = [[0] * (len(found) + 1) for _ in range(len(rest) + 1)]
    same = [[meets(other, one) for other in found] for one in rest]
    for i in range(len(rest) - 1, -1, -1):
        for j in range(len(found) - 1, -1, -1):
            longest[i][j] = longest[i + 1][j + 1] + 1 if same[i][j] else max(longest[i + 1][j], longest[i][j + 1])
    i = j = 0
    while i < len(rest) and j < len(found):
        if same[i][j]:
            head.append((first + i, first + j))
            i, j = i + 1, j + 1
        elif longest[i + 1][j] >= longest[i][j + 1]:
            i += 1
        else:
            j += 1
    return head


def meets(got: Published, expected: Expected) -> bool:
    """Whether a message is the expected one; what is not named is not compared."""
    return next(differences(expected, got), None) is None


def differences(expected: Expected, got: Published) -> Iterator[str]:
    """What is not as expected, in words: `payload.level: expected "warm", got "hot"`."""
    for name in ("topic", "qos", "retain"):
        wanted, found = getattr(expected, name), getattr(got, name)
        if wanted is not None and wanted != found:
            yield _differs(name, wanted, found)
    if expected.properties is not None:
        yield from _values("properties", _texts(expected.properties), _texts(got.properties))
    if expected.has_payload:
        yield from _payloads(expected.payload, got.payload)


def _payloads(expected: Any, payload: bytes) -> Iterator[str]:
    if isinstance(expected, bytes | str):
        wanted = expected if isinstance(expected, bytes) else expected.encode("utf-8", "surrogatepass")
        if wanted != payload:
            yield from _texts_differ(expected, payload)
        return
    if expected is None:
        if payload:
            yield f"payload: expected nothing, got {shown_payload(payload)}"
        return
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        yield f"payload: expected {_json(expected)}, got {shown_payload(payload)}, which is not JSON"
        return
    yield from _values("payload", expected, value)


def _texts_differ(expected: bytes | str, payload: bytes) -> Iterator[str]:
    if isinstance(expected, bytes):
        yield f"payload: expected the bytes {expected.hex(' ')[:_WIDTH]}, got {payload.hex(' ')[:_WIDTH] or 'none'}"
        return
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        yield f"payload: expected {_json(expected)}, got the bytes {payload.hex(' ')[:_WIDTH]}"
        return
    same = next(
        (n for n, (a, b) in enumerate(zip(expected, text, strict=False)) if a != b), min(len(expected), len(text))
    )
    if max(len(expected), len(text)) <= _WIDTH:
        yield f"payload: expected {_json(expected)}, got {_json(text)}"
    else:
        begin = max(same - 20, 0)
        dots = "…" if begin else ""
        parts = (f"{dots}{one[begin : begin + _WIDTH]}" for one in (expected, text))
        wanted, found = map(_json, parts)
        yield f"payload: from character {same + 1} on expected {wanted}, got {found}"


def _values(path: str, expected: Any, got: Any) -> Iterator[str]:
    """The differences of two values: 2 is 2.0, but 1 is not true; the order of keys is free."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in expected:
            yield from _values(f"{path}.{key}", expected[key], got.get(key, _MISSING))
        for key in got.keys() - expected.keys():
            yield f"{path}.{key}: not expected, got {_json(got[key])}"
    elif isinstance(expected, list) and isinstance(got, list):
        for index, one in enumerate(expected):
            yield from _values(f"{path}[{index}]", one, got[index] if index < len(got) else _MISSING)
        for index in range(len(expected), len(got)):
            yield f"{path}[{index}]: not expected, got {_json(got[index])}"
    elif not _is_same(expected, got):
        yield _differs(path, expected, got)


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    is_number = isinstance(one, int | float) and isinstance(other, int | float)
    return (is_number or type(one) is type(other)) and bool(one == other)


def _differs(path: str, expected: Any, got: Any) -> str:
    if got is _MISSING:
        return f"{path}: expected {_json(expected)}, is not there"
    return f"{path}: expected {_json(expected)}, got {_json(got)}"


def _texts(properties: Any) -> dict[str, Any]:
    """Properties as values that JSON can show."""
    return {name: value.hex(" ") if isinstance(value, bytes) else value for name, value in properties.items()}


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _WIDTH + 2 else f"{text[: _WIDTH + 1]}…"


def shown_payload(payload: bytes) -> str:
    """The beginning of a payload in a line."""
    return preview(payload, most=160)
