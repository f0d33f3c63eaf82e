"""Turns a JSON Schema into one that is known to be right, and what does not fit it into words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from flowrunner.diagnostics import Diagnostic, name_list, suggest
from flowrunner.fields import name_kind
from flowrunner.options.extras import need
from flowrunner.options.kind import Place
from flowrunner.read.nodes import List, Map, Node, Scalar
from flowrunner.text import Span

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

#: Keywords that a schema of any draft may hold (those from which others are easily misspelt).
_KEYWORDS = frozenset({
    "$schema", "$id", "$ref", "$defs", "$anchor", "$comment", "$dynamicRef", "$dynamicAnchor", "$vocabulary",
    "$recursiveRef", "$recursiveAnchor", "id", "type", "enum", "const", "title", "description", "default", "examples",
    "deprecated", "readOnly", "writeOnly", "format", "pattern", "minLength", "maxLength", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "items", "prefixItems", "additionalItems", "contains",
    "minContains", "maxContains", "minItems", "maxItems", "uniqueItems", "unevaluatedItems", "properties",
    "patternProperties", "additionalProperties", "required", "propertyNames", "minProperties", "maxProperties",
    "dependentRequired", "dependentSchemas", "dependencies", "definitions", "unevaluatedProperties", "allOf", "anyOf",
    "oneOf", "not", "if", "then", "else", "contentEncoding", "contentMediaType", "contentSchema",
})  # fmt: skip
_MAPS_OF_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_TYPES = {
    "object": "a map",
    "array": "a list",
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
}


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """A schema that is right, as JSON."""

    text: str


def read_schema(node: Node | None, value: Any, span: Span, place: Place) -> JsonSchema:
    """A schema that was looked through; its mistakes are shown at their place where its nodes are known."""
    need("jsonschema_rs", "validate", "`validate`", place.owner_span or span, place)
    from jsonschema_rs import ValidationError

    text = orjson.dumps(value).decode()
    try:
        compile_schema(text)
    except (ValidationError, ValueError) as error:
        path = list(getattr(error, "instance_path", ()))
        at, words = (span if node is None else span_at(node, path)), schema_fault(error, path)
        raise place.report.refuse(Diagnostic("bad-schema", words[:120], at.first_line())) from None
    for key in misspelt(node) if node is not None else ():
        near = suggest(key.text, _KEYWORDS)
        message = f"JSON Schema has no `{key.text}`: it has no effect"
        place.report.add(
            Diagnostic("bad-schema", message, key.span, helps=(f"did you mean `{near}`?",), severity="warning")
        )
    return JsonSchema(text)


def compile_schema(text: str) -> "Validator":
    """What checks values. Raises ValidationError or ValueError for a schema that is none; fetches nothing."""
    import jsonschema_rs

    def refuse(uri: str) -> Any:
        raise ValueError(uri)

    # the linear engine: a hostile text can never make a pattern run without end
    engine = jsonschema_rs.RegexOptions()
    return jsonschema_rs.validator_for(
        orjson.loads(text), validate_formats=True, retriever=refuse, pattern_options=engine
    )


def schema_fault(error: Exception, path: Sequence[str | int]) -> str:
    """What is wrong with a schema."""
    kind = getattr(error, "kind", None)
    name = getattr(kind, "name", "")
    if not path and ("retriev" in str(error) or "registry" in str(error) or name == "$ref"):
        return "a schema cannot refer to another file or address: put it below `$defs`"
    if name in {"pattern", "format"}:
        return f"`{path[-1] if path else 'pattern'}` is no regular expression that runs in linear time"
    if not hasattr(error, "instance_path"):
        return f"this is no JSON Schema: {error}"
    subject = f"`{path[-1]}`" if path else "the schema"
    if isinstance(path[-1] if path else "", int):
        subject = f"`{path[-2]}`" if len(path) > 1 else "the schema"
    return f"{subject} {reason(error)}"  # type: ignore[arg-type]  # it is a ValidationError


def span_at(node: Node, path: Sequence[str | int]) -> Span:
    """Where something stands that has this path; the nearest place on the way where it is not there."""
    for key in path:
        if isinstance(node, List) and isinstance(key, int) and key < len(node.items):
            node = node.items[key]
        elif isinstance(node, Map) and (entry := node.get(str(key))):
            node = entry.value
    return node.span


def misspelt(node: Node) -> Iterator[Scalar]:
    """Keys of a schema that are no keywords, but nearly."""
    if not isinstance(node, Map):
        return
    for entry in node:
        word, value = entry.key.text, entry.value
        if word not in _KEYWORDS and suggest(word, _KEYWORDS):
            yield entry.key
        if word in _MAPS_OF_SCHEMAS and isinstance(value, Map):
            for inner in value:
                yield from misspelt(inner.value)
        elif word in {"enum", "const", "default", "examples"}:
            continue
        elif isinstance(value, List):
            for item in value.items:
                yield from misspelt(item)
        else:
            yield from misspelt(value)


def first_error(validator: "Validator", value: Any) -> "ValidationError | None":
    """The error that tells most: of alternatives, that of the one that came nearest."""
    errors = list(zip(range(100), validator.iter_errors(value), strict=False))
    return None if not errors else nearest([error for _, error in errors])


def nearest(errors: Sequence["ValidationError"]) -> "ValidationError":
    """Of several errors the one that is nearest to the top; inside of alternatives, the deepest."""
    error = min(errors, key=lambda one: len(one.instance_path))
    ways = [way for way in getattr(error.kind, "context", None) or () if way]
    if not ways:
        return error
    found = [nearest(way) for way in ways]
    best = max(found, key=lambda one: (len(one.instance_path), _rank(one)))
    return best if len(best.instance_path) > len(error.instance_path) or _rank(best) else error


def _rank(error: "ValidationError") -> bool:
    return error.kind.name not in {"type", "enum", "const"}


def where(path: Sequence[str | int]) -> str:
    """The place in a payload that has this path: `rooms[2].name`; empty for the payload itself."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def reason(error: "ValidationError") -> str:
    """Why a value does not fit, behind its name."""
    kind: Any = error.kind
    match kind.name:
        case "type":
            wanted = " or ".join(_TYPES.get(name, name) for name in kind.types)
            return f"must be {wanted}, this is {name_kind(error.instance)}"
        case "required":
            return f"has no field `{kind.property}`"
        case "additionalProperties" | "unevaluatedProperties":
            return f"has no place for {name_list(list(kind.unexpected), most=3)}"
        case "minimum":
            return f"must be at least {kind.limit}, it is {_shown(error.instance)}"
        case "maximum":
            return f"must be at most {kind.limit}, it is {_shown(error.instance)}"
        case "exclusiveMinimum":
            return f"must be more than {kind.limit}, it is {_shown(error.instance)}"
        case "exclusiveMaximum":
            return f"must be less than {kind.limit}, it is {_shown(error.instance)}"
        case "multipleOf":
            return f"must be a multiple of {kind.multiple_of}, it is {_shown(error.instance)}"
        case "enum":
            return f"must be {' or '.join(map(_shown, kind.options[:6]))}, it is {_shown(error.instance)}"
        case "const":
            return f"must be {_shown(kind.expected_value)}, it is {_shown(error.instance)}"
        case "pattern":
            return f"must match `{kind.pattern[:40]}`, it is {_shown(error.instance)}"
        case "format":
            return f"must be of the format `{kind.format}`, it is {_shown(error.instance)}"
        case "minLength" | "maxLength":
            return f"must have at {_bound(kind.name)} {kind.limit} characters, it has {len(error.instance)}"  # type: ignore[arg-type]
        case "minItems" | "maxItems":
            return f"must have at {_bound(kind.name)} {kind.limit} items, it has {len(error.instance)}"  # type: ignore[arg-type]
        case "minProperties" | "maxProperties":
            return f"must have at {_bound(kind.name)} {kind.limit} fields, it has {len(error.instance)}"  # type: ignore[arg-type]
        case "uniqueItems":
            return "holds an item twice"
        case "propertyNames":
            return f"has a field whose name {reason(kind.error)}"
    return f"does not fit: {error.message[:60]}"


def _bound(name: str) -> str:
    return "least" if name.startswith("min") else "most"


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return name_kind(value)
    return orjson.dumps(value, default=str).decode()[:40]
