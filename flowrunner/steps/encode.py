"""Turns the payload into bytes: the step `encode`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block
from flowrunner.errors import StepError
from flowrunner.expressions import Scope
from flowrunner.fields import name_kind
from flowrunner.jsons import dumps
from flowrunner.options import Bool, TextFormat, option
from flowrunner.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Encode(Step):
    """Turn the payload into bytes, the other way round from `decode`.

    `publish` does the usual by itself (maps and lists as JSON, text as UTF-8); `encode` is for what shall be otherwise.
    """

    KEY = "encode"
    EXAMPLES = (
        """
        subscribe: in
        steps:
          - json
          - encode: {format: json, indent: true}
          - publish: out
        tests:
          - given: {topic: in, payload: {a: 1}}
            expect: {topic: out, payload_hex: "7b 0a 20 20 22 61 22 3a 20 31 0a 7d"}
        """,
        """
        subscribe: display
        steps:
          - decode: utf-8
          - encode: latin-1
          - publish: display/old
        tests:
          - given: {topic: display, payload: 21°C}
            expect: {topic: display/old, payload_hex: 3231b043}
        """,
    )

    format: str = option(TextFormat(("json",)), "a text encoding such as `utf-8`, or `json`", main=True)
    indent: bool = option(Bool(), "JSON over several lines, indented by two", default=False)

    def after(self, scope: Scope) -> Scope:
        return scope.with_(payload="bytes")

    def emit(self, to: Block) -> None:
        if self.format == "json":
            call = "payload = DUMPS(payload, indent=True)" if self.indent else "payload = DUMPS(payload)"
            to.run(call, DUMPS=to.helper(dumps))
        else:
            to.run("payload = payload.encode(ENCODING)", ENCODING=to.constant(self.format))

    def explain(self, error: Exception, values: Mapping[str, Any]) -> StepError | None:
        if isinstance(error, StepError):
            return error
        payload = values.get("payload")
        if isinstance(error, UnicodeEncodeError):
            char = error.object[error.start]
            return StepError(f"`{char}` cannot be written in {self.format}", code="not-encodable")
        if isinstance(error, AttributeError):
            help = "for a map or list use `- encode: json`" if isinstance(payload, dict | list) else ""
            return StepError(f"the payload is {name_kind(payload)}, not a text", code="not-text", help=help)
        return None
