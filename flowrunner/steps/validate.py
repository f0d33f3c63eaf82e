"""Turns a schema into a gate that only payloads pass which fit: the step `validate`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from flowrunner.code import Block
from flowrunner.diagnostics import Diagnostic
from flowrunner.errors import StepError
from flowrunner.expressions import Scope
from flowrunner.fields import name_kind
from flowrunner.options import Kind, Place, option
from flowrunner.options.json_schema import JsonSchema, compile_schema, first_error, read_schema, reason, where
from flowrunner.read.document import plain, read_document
from flowrunner.read.nodes import Map, Node
from flowrunner.step import Check, Step
from flowrunner.text import Source

if TYPE_CHECKING:
    from jsonschema_rs import Validator


@dataclass(frozen=True)
class _SchemaKind(Kind[JsonSchema]):
    """A JSON Schema written in the flow."""

    phrase: str = "a JSON Schema: a map such as `{type: object}`"

    def schema(self) -> dict[str, Any]:
        return {"type": ["object", "boolean"]}

    def read(self, node: Node, place: Place) -> JsonSchema:
        if not isinstance(node, Map) and not isinstance(plain(node), bool):
            raise place.refuse(node, self.phrase)
        return read_schema(node, plain(node), node.span, place)


@dataclass(frozen=True)
class _SchemaFile(Kind[JsonSchema]):
    """A JSON Schema in a file beside the flow."""

    phrase: str = "a file that ends in .json, .yaml or .yml"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"\.([jJ][sS][oO][nN]|[yY][aA]?[mM][lL])$"}

    def read(self, node: Node, place: Place) -> JsonSchema:
        name = place.scalar(node, self.phrase).text
        stem, _, ending = name.lower().rpartition(".")
        if not stem or ending not in {"json", "yaml", "yml"}:
            raise place.refuse(node, self.phrase)
        content = place.context.read_file(name, node.span)
        try:
            source = Source(name, content.decode("utf-8-sig"))
            value = orjson.loads(source.text) if ending == "json" else None
        except ValueError as error:
            message = f"the schema `{name}` cannot be read"
            raise place.report.refuse(Diagnostic("bad-schema", message, node.span, str(error)[:100])) from None
        found, mistakes = read_document(source)
        if ending != "json":
            place.report.extend(mistakes)
            value = None if found is None else plain(found)
        if not isinstance(value, dict | bool):
            message = f"`{name}` holds {name_kind(value)}, not a schema"
            raise place.report.refuse(Diagnostic("bad-schema", message, node.span))
        return read_schema(None if mistakes else found, value, node.span, place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validate(Step):
    """Check the payload against a JSON Schema.

    A payload that fits goes on unchanged; one that does not is a step error, which names the field and says what it
    must be. The schema stands in the flow (`schema:`) or in a file beside it (`file:`, JSON or YAML); without `$schema`
    it is one of draft 2020-12. Formats such as `date-time` are checked. Nothing is ever fetched: `$ref` reaches what
    stands in the schema itself.
    """

    KEY = "validate"
    EXAMPLES = (
        """
        subscribe: orders/new
        steps:
          - json
          - validate:
              schema:
                type: object
                required: [id, items]
                properties:
                  id: {type: integer}
                  items: {type: array, minItems: 1, items: {type: string}}
            on_error:
              - publish: {topic: orders/refused, payload: "${error.message}"}
          - publish: orders/accepted
        tests:
          - given: {topic: orders/new, payload: {id: 7, items: [tea]}}
            expect: {topic: orders/accepted}
          - name: the reason names the field
            given: {topic: orders/new, payload: {id: 7, items: [tea, 3]}}
            expect: {topic: orders/refused, payload: "`items[1]` must be a text, this is a number"}
          - given: {topic: orders/new, payload: {id: 7}}
            expect: {topic: orders/refused, payload: "the payload has no field `items`"}
        """,
    )

    schema: JsonSchema | None = option(_SchemaKind(), "the schema", default=None)
    file: JsonSchema | None = option(_SchemaFile(), "a file that holds the schema", default=None)

    def check(self, scope: Scope, check: Check) -> Scope | None:
        if (self.schema is None) is (self.file is None):
            label = "" if self.schema is None else "one of them, not both"
            check.report.say("missing-key", "`validate` needs `schema` or `file`", self.at.key_span, label=label)
        if scope.names["payload"] == "bytes":
            helps = ("put `- json` before this step",)
            check.report.say("bytes-payload", "the payload is still bytes here", self.at.key_span, helps=helps)
        return Step.check(self, scope, check)

    def emit(self, to: Block) -> None:
        schema = self.schema or self.file
        assert schema is not None  # the check refuses a step without either
        validator = compile_schema(schema.text)
        holes = {"IS_VALID": to.shared("is_valid", validator.is_valid), "VALIDATOR": to.shared("validator", validator)}
        to.run("if not IS_VALID(payload):\n    REFUSE(VALIDATOR, payload)", REFUSE=to.helper(refuse), **holes)

    def explain(self, error: Exception, values: Mapping[str, Any]) -> StepError | None:
        if isinstance(error, StepError):
            return error
        if isinstance(values.get("payload"), bytes):
            return StepError("the payload is still bytes", code="not-valid", help="put `- json` before this step")
        if isinstance(error, ValueError | TypeError | RecursionError):
            return StepError("the payload is no JSON value that can be checked", code="not-valid")
        return None


def refuse(validator: "Validator", payload: Any) -> None:
    """Raise the StepError that says why a payload does not fit."""
    error = first_error(validator, payload)
    if error is None:
        raise StepError("the payload does not fit the schema", code="not-valid")
    place = where(error.instance_path)
    subject = f"`{place[:40]}`" if place else "the payload"
    raise StepError(f"{subject} {reason(error)}", code="not-valid")
