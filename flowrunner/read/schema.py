"""Turns the declared options of steps and flows into one JSON Schema, for editors and for a second look at a file."""

from collections.abc import Iterator, Mapping
from functools import cache
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from flowrunner.diagnostics import Diagnostic
from flowrunner.options import OnError, Option, Text, main_option, options_of
from flowrunner.options.computed import ExpressionKind
from flowrunner.read.cases import CASE_KEYS, MESSAGE_KEYS
from flowrunner.read.cron import CronKeys
from flowrunner.read.keys import EveryKeys, FlowKeys, QueueKeys, SubscribeKeys
from flowrunner.read.mocks import ANSWER_KEYS
from flowrunner.read.nodes import List, Map, Node, plain
from flowrunner.read.test_files import TestFileKeys
from flowrunner.step import Step

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

DRAFT = "http://json-schema.org/draft-07/schema#"


def flow_schema(steps: Mapping[str, type[Step]]) -> dict[str, Any]:
    """The JSON Schema (draft 7, which editors know best) of a flow file."""
    flow = object_schema(options_of(FlowKeys))
    several = {
        "type": "object",
        "properties": {
            "flows": {"type": "object", "additionalProperties": {"$ref": "#/definitions/flow"}},
            "description": {"type": "string"},
        },
        "required": ["flows"],
        "additionalProperties": False,
    }
    return {
        "$schema": DRAFT,
        "title": "flowrunner flow file",
        "description": "One flow, several below `flows:`, or (in `*.test.yaml`) tests of a flow.",
        "if": {"type": "object", "required": ["flows"]},
        "then": several,
        "else": {
            "if": {"type": "object", "required": ["flow"]},
            "then": object_schema(options_of(TestFileKeys)),
            "else": {"$ref": "#/definitions/flow"},
        },
        "definitions": {"flow": flow, **definitions(steps)},
    }


def definitions(steps: Mapping[str, type[Step]]) -> dict[str, Any]:
    """What the schema's parts refer to."""
    return {
        "steps": {"type": "array", "items": {"$ref": "#/definitions/step"}},
        "step": step_schema(steps),
        "publish": value_schema(steps["publish"]),
        "subscription": object_schema(options_of(SubscribeKeys)),
        "every": object_schema(options_of(EveryKeys)),
        "cron": object_schema(options_of(CronKeys)),
        "queue": object_schema(options_of(QueueKeys)),
        "test": object_schema(options_of(CASE_KEYS)),
        "answer": object_schema(options_of(ANSWER_KEYS)),
        "given": object_schema(options_of(MESSAGE_KEYS)),
        "expected": object_schema(options_of(MESSAGE_KEYS)),
    }


def step_schema(steps: Mapping[str, type[Step]]) -> dict[str, Any]:
    """One entry of a list of steps: a bare word, or a map with one step key.

    That there is exactly one step key is left to the reader: `oneOf` over all steps would make every mistake in a step
    a mistake in all of them.
    """
    bare = [key for key, step in steps.items() if not any(option.is_required for option in step.options())]
    properties = {
        key: {"description": step.prose(), **value_schema(step), **_examples(step)} for key, step in steps.items()
    }
    properties |= {
        "id": {
            **Text().schema(),
            "description": "A name for this step: in messages, for `tap`, and to keep its state.",
        },
        "when": {**ExpressionKind().schema(), "description": "Run this step only if true, else pass the message on."},
        "on_error": {**OnError().schema(), "description": "What happens to a message on which this step fails."},
    }
    keyed = {"type": "object", "properties": properties, "additionalProperties": False, "minProperties": 1}
    return {"anyOf": [{"enum": bare}, keyed]}


def _examples(step: type[Step]) -> dict[str, Any]:
    return (
        {} if not step.EXAMPLES else {"markdownDescription": f"{step.prose()}\n\n```yaml\n{short_example(step)}\n```"}
    )


def short_example(step: type[Step]) -> str:
    """The first example of a step without its tests."""
    return cleandoc(step.EXAMPLES[0]).split("\ntests:")[0]


def value_schema(step: type[Step]) -> dict[str, Any]:
    """What may stand behind a step's key: the short form, the long form, or nothing."""
    options = step.options()
    main = main_option(step)
    if main is not None and main.is_only:
        return described(main)
    forms = [object_schema(options)] if options else []
    if main is not None:
        forms.insert(0, described(main))
    if not any(option.is_required for option in options):
        forms.append({"type": "null"})
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def object_schema(options: tuple[Option, ...]) -> dict[str, Any]:
    """A map with these options."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {option.name: described(option) for option in options},
        "additionalProperties": False,
    }
    if required := [option.name for option in options if option.is_required]:
        schema["required"] = required
    return schema


def described(option: Option) -> dict[str, Any]:
    """An option's schema with its prose and default."""
    schema = {**option.kind.schema(), "description": f"{option.help[0].upper()}{option.help[1:]}."}
    if isinstance(option.default, bool | int | float | str) and option.default != "":
        schema["default"] = option.default
    return {"allOf": [{"$ref": schema.pop("$ref")}], **schema} if "$ref" in schema else schema


@cache
def _validator(key: str) -> "Validator":
    """What checks the value of one step; jsonschema takes 140 ms to import, so only `check` comes here."""
    from jsonschema import Draft7Validator

    from flowrunner.steps import all_steps

    steps = all_steps()
    schema = {**value_schema(steps[key]), "definitions": definitions(steps)}
    for nested in ("steps", "publish"):  # a step inside is looked at when its turn comes
        schema["definitions"] = {**schema["definitions"], nested: {}}
    return Draft7Validator(schema)


def second_look(node: Node, steps: Mapping[str, type[Step]]) -> Iterator[Diagnostic]:
    """What the schema refuses in the steps of a file, step by step.

    The reader explains mistakes better and has looked already; this makes sure that what an editor marks and what
    `check` says never differ, also for steps of plug-ins whose schema says more than their parser.
    """
    for entry in steps_in(node, steps):
        for error in _validator(entry.key.text).iter_errors(plain(entry.value)):
            span = node_at(entry.value, list(error.absolute_path)).span.first_line()
            message = f"`{entry.key.text}` does not fit its schema"
            yield Diagnostic("schema", message, span, error.message[:120])


def steps_in(node: Node, steps: Mapping[str, type[Step]]) -> Iterator[Any]:
    """Every entry of a file that is written like a step, wherever lists of steps may stand."""
    match node:
        case List(items=items):
            for item in items:
                if isinstance(item, Map):
                    yield from (entry for entry in item if entry.key.text in steps)
                yield from steps_in(item, steps)
        case Map():
            for entry in node:
                if entry.key.text not in {"tests", "vars", "map", "set", "let", "lookup"}:
                    yield from steps_in(entry.value, steps)


def node_at(node: Node, path: list[Any]) -> Node:
    """The node at a path as jsonschema writes it; the nearest one on the way where it is not there."""
    for key in path:
        if isinstance(node, List) and isinstance(key, int) and key < len(node.items):
            node = node.items[key]
        elif isinstance(node, Map) and (entry := node.get(str(key))):
            node = entry.value
        else:
            break
    return node
