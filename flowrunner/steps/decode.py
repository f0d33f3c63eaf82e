"""Turns payload bytes into a value: the step `decode`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block
from flowrunner.errors import StepError
from flowrunner.expressions import Scope
from flowrunner.fields import name_kind
from flowrunner.jsons import explain_json, loads
from flowrunner.options import Choice, TextFormat, option
from flowrunner.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Decode(Step):
    """Turn the bytes of the payload into a value.

    What arrives over MQTT is bytes. `decode: utf-8` makes a text of them (any text encoding that Python knows will
    do), `decode: json` makes a map, list, text or number. Bytes that are not in that format are a step error; for
    texts `errors: replace` puts `�` in their place and `errors: ignore` leaves them out.
    """

    KEY = "decode"
    EXAMPLES = (
        """
        subscribe: lamp/state
        steps:
          - decode: utf-8
          - filter: payload == "ON"
          - publish: lamp/is/on
        tests:
          - name: text is compared with text
            given: {topic: lamp/state, payload: "ON"}
            expect: {topic: lamp/is/on, payload: "ON"}
          - name: bytes that are no UTF-8 are a step error
            given: {topic: lamp/state, payload_hex: "ff"}
            expect: []
        """,
        """
        subscribe: display
        steps:
          - decode: {format: latin-1}
          - publish: display/text
        tests:
          - given: {topic: display, payload_hex: "32 31 b0 43"}
            expect: {topic: display/text, payload: 21°C}
        """,
    )

    format: str = option(TextFormat(("json",)), "a text encoding such as `utf-8`, or `json`", main=True)
    errors: str = option(
        Choice(("strict", "replace", "ignore")),
        "what happens to bytes that do not belong into a text",
        default="strict",
    )

    def after(self, scope: Scope) -> Scope:
        return scope.with_(payload="data" if self.format == "json" else "text")

    def emit(self, to: Block) -> None:
        if self.format == "json":
            to.run("payload = LOADS(payload)", LOADS=to.helper(loads))
        elif self.errors == "strict":
            to.run("payload = payload.decode(ENCODING)", ENCODING=to.constant(self.format))
        else:
            errors = to.constant(self.errors)
            to.run("payload = payload.decode(ENCODING, ERRORS)", ENCODING=to.constant(self.format), ERRORS=errors)

    def explain(self, error: Exception, values: Mapping[str, Any]) -> StepError | None:
        payload = values.get("payload")
        if self.format == "json":
            return explain_json(error, payload)
        if isinstance(error, UnicodeDecodeError):
            byte = error.object[error.start]
            message = f"the payload is not {self.format}: byte 0x{byte:02x} at position {error.start}"
            help = "devices often send `latin-1`" if self.format == "utf-8" and byte >= 0x80 else ""
            return StepError(message, code="not-decodable", help=help)
        if isinstance(error, AttributeError):
            return StepError(f"the payload is {name_kind(payload)} already, not bytes", code="not-bytes")
        return None
