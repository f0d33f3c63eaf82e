"""Turns formats of bytes into values and back: MessagePack, CBOR, and what gzip and zlib have compressed."""

import io
import zlib
from datetime import UTC, date, datetime
from typing import Any

from flowrunner.codecs.faults import as_bytes, no_format, not_writable, to_bytes
from flowrunner.errors import StepError

#: Bytes that a compressed payload may grow to: a few kilobytes can hold a thousand times as many zeros.
MOST_BYTES = 16 * 1024 * 1024

#: How deep maps and lists may be nested, and how many values there may be.
DEEPEST = 200
MOST_VALUES = 200_000

_GZIP, _ZLIB = 31, 15  # what zlib calls `wbits`


def from_msgpack(payload: Any) -> Any:
    """The value of a MessagePack document; times are seconds since 1970. Raises StepError."""
    import msgpack

    data = as_bytes(payload, "MessagePack")
    try:
        value = msgpack.unpackb(data, strict_map_key=False, timestamp=1)
    except msgpack.ExtraData:
        raise no_format("MessagePack", "there is more behind it") from None
    except msgpack.StackError:
        raise no_format("MessagePack", "it is nested too deep") from None
    except UnicodeDecodeError:
        raise no_format("MessagePack", "a text in it is no UTF-8") from None
    except TypeError:
        raise no_format("MessagePack", "the key of a map is a map or list") from None
    except ValueError as error:
        is_cut = "incomplete" in str(error) or "exceeds" in str(error)
        raise no_format("MessagePack", "it ends too early" if is_cut else "it holds an unknown code") from None
    return _Plain("MessagePack").value(value, 0)


def to_msgpack(payload: Any) -> bytes:
    """A MessagePack document. Raises StepError."""
    import msgpack

    try:
        packed: bytes = msgpack.packb(payload)
    except (OverflowError, ValueError, TypeError, RecursionError) as error:
        raise not_writable("MessagePack", _unwritable(error)) from None
    return packed


def from_cbor(payload: Any) -> Any:
    """The value of a CBOR data item; times are seconds since 1970, other tags count for nothing. Raises StepError."""
    import cbor2

    decoder = cbor2.CBORDecoder(io.BytesIO(as_bytes(payload, "CBOR")))
    try:
        value = decoder.decode()
    except cbor2.CBORDecodeEOF:
        raise no_format("CBOR", "it ends too early") from None
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise no_format("CBOR", str(error)[:60]) from None
    try:
        decoder.decode()
    except cbor2.CBORDecodeEOF:
        return _Plain("CBOR").value(value, 0)
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, RecursionError):
        pass
    raise no_format("CBOR", "there is more behind it")


def to_cbor(payload: Any) -> bytes:
    """A CBOR data item. Raises StepError."""
    import cbor2

    try:
        return cbor2.dumps(payload)
    except (cbor2.CBOREncodeError, OverflowError, ValueError, TypeError, RecursionError) as error:
        raise not_writable("CBOR", _unwritable(error)) from None


def _unwritable(error: Exception) -> str:
    text = str(error)
    if isinstance(error, RecursionError) or "recursion" in text:
        return "it is nested too deep"
    if isinstance(error, OverflowError) or "Integer" in text:
        return "it holds an integer beyond 64 bits"
    if isinstance(error, UnicodeError) or "surrogate" in text or "encode" in text:
        return "a text in it holds half a surrogate pair"
    return "it holds what is no plain value"


class _Plain:
    """Makes of what a library gives the values that flows know: the kinds of JSON, and bytes."""

    def __init__(self, format: str) -> None:
        self.format = format
        self.count = 0

    def value(self, value: Any, depth: int) -> Any:
        """The plain value. Raises StepError for what is none, is nested too deep, or too much."""
        self.count += 1
        if depth > DEEPEST or self.count > MOST_VALUES:
            raise no_format(self.format, "it is nested too deep" if depth > DEEPEST else "it holds too many values")
        if isinstance(value, dict) or type(value).__name__ == "frozendict":
            return {self.key(key): self.value(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset) and type(value).__name__ != "ExtType":
            return [self.value(inner, depth + 1) for inner in value]
        return self.scalar(value, depth)

    def scalar(self, value: Any, depth: int) -> Any:
        """A value that holds no others."""
        if value is None or isinstance(value, bool | int | float | str | bytes):
            return value
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
        match type(value).__name__:
            case "Decimal" | "Fraction":
                return self.number(value)
            case "CBORTag":
                return self.value(value.value, depth + 1)
            case "undefined_type" | "UndefinedType":
                return None
            case "UUID" | "IPv4Address" | "IPv6Address":
                return str(value)
        raise no_format(self.format, f"it holds a value of the kind {type(value).__name__}")

    def key(self, key: Any) -> Any:
        """The key of a map."""
        if isinstance(key, str | bytes | int | float):
            return key
        raise no_format(self.format, "the key of a map is no text or number")

    def number(self, value: Any) -> float:
        """A number that a float may hold only nearly."""
        try:
            return float(value)
        except (OverflowError, ValueError):
            raise no_format(self.format, "a number in it is too large") from None


def from_gzip(payload: Any) -> bytes:
    """What gzip has compressed, up to 16 MiB. Raises StepError."""
    return _inflate(as_bytes(payload, "gzip"), _GZIP, "gzip")


def from_zlib(payload: Any) -> bytes:
    """What zlib has compressed, up to 16 MiB. Raises StepError."""
    return _inflate(as_bytes(payload, "zlib"), _ZLIB, "zlib")


def _inflate(data: bytes, wbits: int, format: str) -> bytes:
    found = b""
    while True:
        stream = zlib.decompressobj(wbits)
        try:
            found += stream.decompress(data, MOST_BYTES + 1 - len(found))
        except zlib.error as error:
            raise no_format(format, str(error).rpartition(": ")[2]) from None
        if len(found) > MOST_BYTES:
            message = f"what is compressed comes to more than {MOST_BYTES // 1024**2} MiB"
            raise StepError(message, code="too-large")
        if not stream.eof:
            raise no_format(format, "it ends too early")
        if not stream.unused_data:
            return found
        if wbits != _GZIP:
            raise no_format(format, "there is more behind it")
        data = stream.unused_data  # a file of gzip may have several parts (RFC 1952 section 2.2)


def to_gzip(payload: Any) -> bytes:
    """Bytes, or text as UTF-8, compressed as gzip does; equal payloads give equal bytes. Raises StepError."""
    return _deflate(payload, _GZIP, "gzip")


def to_zlib(payload: Any) -> bytes:
    """Bytes, or text as UTF-8, compressed as zlib does. Raises StepError."""
    return _deflate(payload, _ZLIB, "zlib")


def _deflate(payload: Any, wbits: int, format: str) -> bytes:
    stream = zlib.compressobj(wbits=wbits)
    return stream.compress(to_bytes(payload, format)) + stream.flush()
