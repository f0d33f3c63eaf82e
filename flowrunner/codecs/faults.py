"""Turns what is wrong with a payload into the errors of `decode` and `encode`."""

from typing import Any

from flowrunner.errors import StepError
from flowrunner.fields import name_kind


def no_format(format: str, reason: str, *, help: str = "") -> StepError:
    """The payload is not in this format."""
    return StepError(f"the payload is not {format}: {reason}", code="not-decodable", help=help)


def not_writable(format: str, reason: str, *, help: str = "") -> StepError:
    """The payload cannot be written in this format."""
    return StepError(f"the payload cannot be written as {format}: {reason}", code="not-encodable", help=help)


def as_bytes(payload: Any, format: str) -> bytes:
    """A payload of bytes. Raises StepError for anything else."""
    if isinstance(payload, bytes):
        return payload
    help = "leave out the `decode` before" if isinstance(payload, str) else ""
    raise StepError(f"{format} is read from bytes, this is {name_kind(payload)}", code="not-bytes", help=help)


def as_text(payload: Any, format: str) -> str:
    """A payload of text, or of bytes in UTF-8. Raises StepError for anything else."""
    if isinstance(payload, str):
        return payload
    if not isinstance(payload, bytes):
        raise StepError(f"{format} is read from text or bytes, this is {name_kind(payload)}", code="not-text")
    try:
        return payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise no_format(format, f"byte 0x{byte:02x} at position {error.start} is no UTF-8") from None


def to_bytes(payload: Any, format: str) -> bytes:
    """Bytes as they are, text as UTF-8. Raises StepError for anything else."""
    if isinstance(payload, bytes):
        return payload
    if isinstance(payload, str):
        try:
            return payload.encode()
        except UnicodeEncodeError:
            raise not_writable(format, "the text holds half a surrogate pair") from None
    help = "put `- encode: json` before this step" if isinstance(payload, dict | list) else ""
    raise not_writable(format, f"only bytes and text can, this is {name_kind(payload)}", help=help)
