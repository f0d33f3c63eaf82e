"""Turns what stands in tests into values as they are: nothing is inserted there."""

import base64
import binascii
from typing import Any

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.errors import StepError
from flowrunner.jsons import to_payload
from flowrunner.options import Kind, Place
from flowrunner.read.nodes import Map, Node, plain
from flowrunner.records import dataclass

#: The keys under which a payload may stand.
PAYLOADS = ("payload", "payload_hex", "payload_base64")


@dataclass(frozen=True, slots=True)
class Literal(Kind[Any]):
    """Any value, as it stands: nothing is inserted in tests."""

    phrase: str = "a value"

    def schema(self) -> dict[str, Any]:
        return {}

    def read(self, node: Node, place: Place) -> Any:
        return plain(node)


@dataclass(frozen=True, slots=True)
class Bytes(Kind[bytes]):
    """Bytes in hexadecimal digits (blanks are free) or in base64."""

    base: str
    phrase: str

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "number", "boolean"]}

    def read(self, node: Node, place: Place) -> bytes:
        text = place.scalar(node, self.phrase).text
        try:
            return bytes.fromhex(text) if self.base == "hex" else base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            raise place.refuse(node, self.phrase) from None


@dataclass(frozen=True, slots=True)
class LiteralMap(Kind[dict[str, Any]]):
    """A map of names and plain values."""

    phrase: str = "a map"

    def schema(self) -> dict[str, Any]:
        return {"type": "object"}

    def read(self, node: Node, place: Place) -> dict[str, Any]:
        if not isinstance(node, Map):
            raise place.refuse(node, self.phrase)
        value: dict[str, Any] = plain(node)
        return value


HEX = Bytes("hex", "bytes in hexadecimal digits such as `48 69`")
BASE64 = Bytes("base64", "bytes in base64")


def payload_of(keys: dict[str, Any], node: Map, place: Place) -> tuple[Any, bool]:
    """The payload, from whichever key it stands under, and whether it is there. Raises Refused."""
    found = [entry for entry in node if entry.key.text in PAYLOADS]
    if not found:
        return None, False
    if len(found) > 1:
        labels = (Label(found[0].key.span, "here is one"),)
        message = "a message has one payload"
        raise place.report.refuse(Diagnostic("wrong-value", message, found[1].key.span, labels=labels))
    payload = keys[found[0].key.text]
    try:
        to_payload(payload)
    except StepError as error:
        span = found[0].value.span.first_line()
        raise place.report.refuse(Diagnostic(error.code, error.message, span)) from None
    return payload, True
