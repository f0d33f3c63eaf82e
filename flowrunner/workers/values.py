"""Turns what flows work on into bytes for the process that shows it: plain values as they are, others in words."""

import datetime as dt
import decimal
import io
import pickle
import uuid
import zoneinfo
from collections import OrderedDict, deque
from types import MappingProxyType
from typing import Any

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.message import Message
from flowrunner.text import Source, Span

#: Whatever else a value is made of is shown as Python would write it: who only looks must run nothing that flows run.
_PLAIN: tuple[type, ...] = (
    Diagnostic, Label, Message, OrderedDict, Source, Span, bytearray, complex, dt.date, dt.datetime, dt.time,
    dt.timedelta, dt.timezone, decimal.Decimal, deque, uuid.UUID,
)  # fmt: skip

#: Values that are written as something else.
_ODD = "(cannot be shown)"
_DEEP = "(nested too deep to be shown)"


def pack(value: Any) -> bytes:
    """The bytes of a value. Raises RecursionError if it is nested too deep."""
    written = io.BytesIO()
    _Pickler(written, pickle.HIGHEST_PROTOCOL).dump(value)
    return written.getvalue()


def pack_all(values: list[tuple[Any, ...]]) -> bytes:
    """The bytes of many rows; what is nested too deep in one of them is said so there."""
    try:
        return pack(values)
    except RecursionError:
        return pack([tuple(part if _is_shallow(part) else _DEEP for part in row) for row in values])


def unpack(data: bytes) -> Any:
    """The value of bytes that a worker has packed."""
    return pickle.loads(data)  # noqa: S301 - our own child wrote it, and nothing but plain values


class _Pickler(pickle.Pickler):
    """Writes what is not plain in words."""

    def reducer_override(self, value: Any) -> Any:
        """See `pickle`; it is not asked of numbers, texts, lists and maps."""
        kind = type(value)
        if kind is MappingProxyType:
            return dict, (dict(value),)
        if kind is zoneinfo.ZoneInfo and value.key:
            return kind, (value.key,)
        if any(kind is plain or value is plain for plain in _PLAIN) or any(value is maker for maker in _MAKERS):
            return NotImplemented
        return _words, (_shown(value),)


def _words(text: str) -> str:
    """What stands for a value."""
    return text


#: What makes values anew is written by its name.
_MAKERS = (_words, dict, zoneinfo.ZoneInfo)


def _is_shallow(value: Any) -> bool:
    try:
        pack(value)
    except RecursionError:
        return False
    return True


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - it is somebody else's
        return _ODD
