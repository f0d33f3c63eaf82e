"""Turns the payload into bytes: the step `encode`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block
from flowrunner.codecs import CODECS
from flowrunner.errors import StepError
from flowrunner.expressions import Scope
from flowrunner.fields import name_kind
from flowrunner.jsons import dumps
from flowrunner.options import Bool, option
from flowrunner.options.formats import FORMATS, Delimiter, Header, PayloadFormat, check_csv, csv_options
from flowrunner.step import Check, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Encode(Step):
    """Turn the payload into bytes, the other way round from `decode`.

    `publish` does the usual by itself (maps and lists as JSON, text as UTF-8); `encode` is for what shall be otherwise.

    `csv` makes a line of each map of a list (below a line with the names, unless `header: false`; `header: [a, b]` says
    which columns there are), or of one map. `base64` and `hex` make a text of bytes; `gzip` and `zlib` compress bytes,
    or text as UTF-8. `msgpack` and `cbor` need `pip install 'flowrunner[codecs]'`.
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
        """
        subscribe: rooms
        steps:
          - json
          - encode: {format: csv, header: [room, t]}
          - publish: rooms/table
        tests:
          - given: {topic: rooms, payload: [{room: attic, t: 29.5}, {room: cellar}]}
            expect: {topic: rooms/table, payload: "room,t\\nattic,29.5\\ncellar,\\n"}
        """,
    )

    format: str = option(PayloadFormat(), f"a text encoding such as `utf-8`, or {', '.join(FORMATS)}", main=True)
    indent: bool = option(Bool(), "JSON over several lines, indented by two", default=False)
    delimiter: str | None = option(Delimiter(), "with `csv`: what stands between two cells, usually `,`", default=None)
    header: bool | tuple[str, ...] | None = option(
        Header(), "with `csv`: whether the first line holds the names, or the names; usually `true`", default=None
    )

    def check(self, scope: Scope, check: Check) -> Scope | None:
        given = {"delimiter": self.delimiter, "header": self.header}
        check_csv(check.report, self.format, given, self.at.key_span)
        if self.indent and self.format != "json":
            message = f"`indent` goes with `json`, not with `{self.format}`"
            check.report.say("wrong-value", message, self.at.key_span)
        return Step.check(self, scope, check)

    def after(self, scope: Scope) -> Scope:
        return scope.with_(payload=CODECS[self.format].encoded if self.format in CODECS else "bytes")

    def emit(self, to: Block) -> None:
        if self.format == "csv":
            options = to.constant(csv_options(self.delimiter, self.header))
            to.run("payload = ENCODE(payload, OPTIONS)", ENCODE=to.helper(CODECS["csv"].encode), OPTIONS=options)
        elif self.format in CODECS:
            to.run("payload = ENCODE(payload)", ENCODE=to.helper(CODECS[self.format].encode))
        elif self.format == "json":
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
            shown = char if char.isprintable() else f"U+{ord(char):04X}"
            return StepError(f"`{shown}` cannot be written in {self.format}", code="not-encodable")
        if isinstance(error, AttributeError):
            help = "for a map or list use `- encode: json`" if isinstance(payload, dict | list) else ""
            return StepError(f"the payload is {name_kind(payload)}, not a text", code="not-text", help=help)
        return None
