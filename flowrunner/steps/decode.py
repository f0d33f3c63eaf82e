"""Turns payload bytes into a value: the step `decode`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block
from flowrunner.codecs import CODECS
from flowrunner.errors import StepError
from flowrunner.expressions import Scope
from flowrunner.fields import name_kind
from flowrunner.jsons import explain_json, loads
from flowrunner.options import Choice, option
from flowrunner.options.formats import FORMATS, Delimiter, Header, PayloadFormat, check_csv, csv_options
from flowrunner.step import Check, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Decode(Step):
    """Turn the bytes of the payload into a value.

    What arrives over MQTT is bytes. `decode: utf-8` makes a text of them (any text encoding that Python knows will
    do), `decode: json` makes a map, list, text or number. Bytes that are not in that format are a step error; for
    texts `errors: replace` puts `�` in their place and `errors: ignore` leaves them out.

    `csv` makes a list: a map for each line, whose names stand in the first one (`header: [a, b]` gives them,
    `header: false` makes lists instead); cells are texts. `base64` and `hex` make bytes of a text, `gzip` and `zlib`
    bytes of what is compressed (up to 16 MiB). `msgpack` and `cbor` need `pip install 'flowrunner[codecs]'`; their
    times are seconds since 1970.
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
        """
        subscribe: logger/upload
        steps:
          - decode: gzip
          - decode: {format: csv, delimiter: ;}
          - split: payload
          - convert: {t: float}
          - publish: rooms/${payload.room}
        tests:
          - given:
              topic: logger/upload
              payload_base64: H4sIAAAAAAAAAyvKz8+1LuFKLCnJTLY2stQz5UpOzclJLLK24AIA9hitQRsAAAA=
            expect:
              - {topic: rooms/attic, payload: {room: attic, t: 29.5}}
              - {topic: rooms/cellar, payload: {room: cellar, t: 8}}
        """,
    )

    format: str = option(PayloadFormat(), f"a text encoding such as `utf-8`, or {', '.join(FORMATS)}", main=True)
    errors: str = option(
        Choice(("strict", "replace", "ignore")),
        "what happens to bytes that do not belong into a text",
        default="strict",
    )
    delimiter: str | None = option(Delimiter(), "with `csv`: what stands between two cells, usually `,`", default=None)
    header: bool | tuple[str, ...] | None = option(
        Header(), "with `csv`: whether the first line holds the names, or the names; usually `true`", default=None
    )

    def check(self, scope: Scope, check: Check) -> Scope | None:
        given = {"delimiter": self.delimiter, "header": self.header}
        check_csv(check.report, self.format, given, self.at.key_span)
        if self.errors != "strict" and self.format in FORMATS:
            message = "`errors` goes with a text encoding, not with `" + self.format + "`"
            check.report.say("wrong-value", message, self.at.key_span)
        return Step.check(self, scope, check)

    def after(self, scope: Scope) -> Scope:
        if self.format in CODECS:
            return scope.with_(payload=CODECS[self.format].decoded)
        return scope.with_(payload="data" if self.format == "json" else "text")

    def emit(self, to: Block) -> None:
        if self.format == "csv":
            options = to.constant(csv_options(self.delimiter, self.header))
            to.run("payload = DECODE(payload, OPTIONS)", DECODE=to.helper(CODECS["csv"].decode), OPTIONS=options)
        elif self.format in CODECS:
            to.run("payload = DECODE(payload)", DECODE=to.helper(CODECS[self.format].decode))
        elif self.format == "json":
            to.run("payload = LOADS(payload)", LOADS=to.helper(loads))
        elif self.errors == "strict":
            to.run("payload = payload.decode(ENCODING)", ENCODING=to.constant(self.format))
        else:
            errors = to.constant(self.errors)
            to.run("payload = payload.decode(ENCODING, ERRORS)", ENCODING=to.constant(self.format), ERRORS=errors)

    def emit_with(self, following: Step, to: Block, behind: Block) -> bool:
        """JSON is read out of bytes at once; where that fails, both steps say why. `pass` is there for a debugger."""
        is_plain = self.format == "utf-8" and self.errors == "strict" and following.KEY == "json"
        if not is_plain or to.scope.names["payload"] != "bytes":
            return False
        first, second, again = to.inner(), behind.inner(), behind.inner()
        self.emit(first)
        following.emit(second)
        following.emit(again)
        source = "try:\n    pass\n    BOTH\nexcept EXCEPTION:\n    ONE\n    OTHER"
        holes = {"BOTH": second.statements, "ONE": first.statements, "OTHER": again.statements}
        to.run(source, EXCEPTION=to.helper(ValueError), **holes)
        return True

    def explain(self, error: Exception, values: Mapping[str, Any]) -> StepError | None:
        payload = values.get("payload")
        if isinstance(error, StepError):
            return error
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
