"""What holds for every step of the language."""

import ast
import dataclasses
import json
import re
import shutil
from inspect import cleandoc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from flowrunner.diagnostics import render
from flowrunner.expressions import Expression, Template
from flowrunner.expressions.texts import LinearPattern
from flowrunner.read.document import plain, read_document
from flowrunner.read.flow import Flow
from flowrunner.read.schema import flow_schema
from flowrunner.step import Placement, Step, walk
from flowrunner.steps import all_steps
from flowrunner.text import Source, Span
from flowrunner.waiting import WaitingStep
from tests.flow_host import diagnose, read, run_cases
from tests.steps.examples import shown_options

STEPS = all_steps()
BESIDE = Path(__file__).parent / "beside"  # the files that lie beside the examples
SCHEMA = Draft7Validator(flow_schema(STEPS))

every_step = pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
OPTIONS = [
    pytest.param(step, option, id=f"{key}-{option.name}") for key, step in STEPS.items() for option in step.options()
]
EXAMPLES = [
    pytest.param(key, cleandoc(text), id=f"{key}-{number}")
    for key, step in STEPS.items()
    for number, text in enumerate(step.EXAMPLES, 1)
]


@every_step
def test_prose_begins_with_a_short_sentence(step: type[Step]) -> None:
    first, *_ = step.prose().split("\n\n")
    sentence = re.split(r"(?<=[.!?])\s", first.replace("\n", " "))[0]
    assert sentence.endswith(".")
    assert 20 < len(sentence) <= 120
    assert sentence[0].isupper()


@every_step
def test_prose_says_nothing_of_python(step: type[Step]) -> None:
    assert not re.search(r"\b(None|True|False|dict|str|isinstance|tuple)\b", step.prose())


@every_step
def test_key_is_a_word_and_the_file_is_called_so(step: type[Step]) -> None:
    assert re.fullmatch(r"[a-z]+", step.KEY)
    assert step.__module__ == f"flowrunner.steps.{step.KEY}" or not step.__module__.startswith("flowrunner.")


@pytest.mark.parametrize(("step", "option"), OPTIONS)
def test_option_has_help_in_small_letters_without_a_full_stop(step: type[Step], option: Any) -> None:
    assert option.help
    assert not option.help.endswith(".")
    assert not option.help[0].isupper() or option.help.startswith(("JSON", "MQTT"))
    assert re.fullmatch(r"[a-z_]+", option.name)


@every_step
def test_main_option_comes_alone(step: type[Step]) -> None:
    assert sum(option.is_main for option in step.options()) <= 1
    if any(option.is_only for option in step.options()):
        assert len(step.options()) == 1


@every_step
def test_step_has_an_example_with_tests(step: type[Step]) -> None:
    assert step.EXAMPLES
    if step.KEY != "log" and not issubclass(step, WaitingStep):  # what is logged, and what a server says, is no message
        assert any(re.search(r"\n *tests:", cleandoc(text)) for text in step.EXAMPLES)


@pytest.mark.parametrize(("key", "text"), EXAMPLES)
def test_example_shows_its_step_and_is_read_without_a_word(key: str, text: str) -> None:
    flows, found = diagnose(text, name=key, folder=BESIDE)
    assert not found, render(found)
    assert flows
    assert all(key in {step.KEY for step in walk(flow.steps)} for flow in flows)


def is_run_here(flow: Flow) -> bool:
    """Whether a flow needs no event loop: the tests of steps that wait are run where those are tested."""
    return not any(isinstance(step, WaitingStep) for step in walk([*flow.steps, *flow.on_error.steps]))


@pytest.mark.parametrize(("key", "text"), EXAMPLES)
def test_tests_of_the_example_pass(tmp_path: Path, key: str, text: str) -> None:
    folder = shutil.copytree(BESIDE, tmp_path / "flows")  # some examples write files
    for flow in diagnose(text, name=key, folder=folder)[0]:
        if is_run_here(flow):
            run_cases(flow)


@pytest.mark.parametrize(("key", "text"), EXAMPLES)
def test_schema_accepts_the_example(key: str, text: str) -> None:
    node, found = read_document(Source(key, text))
    assert not found
    assert node is not None
    assert [error.message for error in SCHEMA.iter_errors(plain(node))] == []


def test_schema_is_one() -> None:
    Draft7Validator.check_schema(flow_schema(STEPS))


def form_of(value: Any) -> Any:
    """What a value of an option is, without the places where it stands."""
    match value:
        case Expression():
            return ("expression", ast.dump(value.tree))
        case Template():
            return (
                "template",
                [part if isinstance(part, str) else (form_of(part.expression), part.spec) for part in value.parts],
            )
        case Span() | Placement():
            return None
        case LinearPattern():
            return ("pattern", value.text)
        case list() | tuple():
            return [form_of(inner) for inner in value]
        case dict():
            return {key: form_of(inner) for key, inner in value.items()}
    if dataclasses.is_dataclass(value):
        return (type(value), {field.name: form_of(getattr(value, field.name)) for field in dataclasses.fields(value)})
    return value


#: A value for the main option of each step that has a long form.
MAIN: dict[str, str] = {
    "call": "other",
    "changed": "payload.x",
    "debounce": "2s",
    "decode": "latin-1",
    "dedupe": "payload.id",
    "delay": "2s",
    "encode": "ascii",
    "exec": '[tr, a-z, "${payload.x}"]',
    "filter": "payload.x > 1",
    "http": "https://example.org/${payload.x}",
    "log": '"it is ${payload.x}"',
    "publish": "out/${payload.x}",
    "python": "file.py:function",
    "sample": "10",
    "split": "payload.x",
    "stop": "too old",
    "switch": "[{when: payload.x, steps: [json]}]",
    "throttle": "5s",
    "write": "out.jsonl",
}
WITH_LONG_FORM = [
    key for key, step in STEPS.items() if any(option.is_main and not option.is_only for option in step.options())
]


@pytest.mark.parametrize("key", [key for key in WITH_LONG_FORM if key not in {"call", "python"}])
def test_short_form_and_long_form_are_the_same_step(key: str) -> None:
    (main,) = (option.name for option in STEPS[key].options() if option.is_main)
    required = [option.name for option in STEPS[key].options() if option.is_required and not option.is_main]
    assert not required
    value = MAIN.get(key) or json.dumps(shown_options(STEPS[key])[main])  # that of a plug-in stands in its examples
    short = read(f"subscribe: in\nsteps:\n  - decode: json\n  - {key}: {value}\n")
    long = read(f"subscribe: in\nsteps:\n  - decode: json\n  - {key}:\n      {main}: {value}\n")
    assert form_of(short.steps[1]) == form_of(long.steps[1])


@every_step
def test_bare_word_and_nothing_behind_the_colon_are_the_same_step(step: type[Step]) -> None:
    bare, of_bare = diagnose(f"subscribe: in\nsteps:\n  - {step.KEY}\n")
    empty, of_empty = diagnose(f"subscribe: in\nsteps:\n  - {step.KEY}:\n")
    if any(option.is_required for option in step.options()) or not bare:
        for found in (of_bare, of_empty):
            assert found[0].code in {"missing-key", "wrong-value"}, render(found)
    else:
        assert form_of(bare[0].steps[0]) == form_of(empty[0].steps[0])


SOME_TEXTS = [
    "a", "payload", "payload.x", "payload.x > 1", "${payload.x}", "a/${payload.x}", "utf-8", "json", "hex", "437",
    "5s", "1h", "10/s", "64KiB", "true", "on", "null", "strict", "first", "last", "all", "info", "a.b", "x.csv",
    "X.CSV", "table.JSON", "(?P<a>.*)", "int", "float", "bool", "in/+room", "", " ", "#", "drop", "continue", "default",
    "https://example.org/x", "POST", "out.jsonl", "out.csv", "count", "GET", "*/5 * * * *",
]  # fmt: skip
SOME_KEYS = ["a", "b.c", "payload", "when", "steps", "else", "if", "publish", "user", "content_type", "message_expiry"]

texts = st.sampled_from(SOME_TEXTS)
scalars = texts | st.integers(-2, 3) | st.sampled_from([0.5, 1.0, 1e9, True, False, None, 2**40])
steps = st.lists(st.sampled_from([*STEPS, {"log": "x"}, {"stop": "y"}]), max_size=2)
values = st.recursive(
    scalars | steps,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(SOME_KEYS), inner, max_size=3),
    max_leaves=6,
)


def specials(name: str) -> st.SearchStrategy[Any]:
    """Values that fit an option more often than chance would have it."""
    fields = st.sampled_from(["a", "b.c", "payload", "1"])
    match name:
        case "cases":
            one = st.fixed_dictionaries({"when": texts, "steps": steps}) | st.fixed_dictionaries({"else": steps})
            return st.lists(one, max_size=3)
        case "from" | "to":
            return st.lists(st.integers(0, 2), min_size=1, max_size=3)
        case "fields" | "names":
            return st.dictionaries(fields, scalars, max_size=2) | st.lists(fields, max_size=2)
        case "properties":
            return st.fixed_dictionaries(
                {}, optional={"user": values, "content_type": scalars, "message_expiry": scalars}
            )
    return scalars


@every_step
def test_every_option_that_must_be_there_is_shown_in_an_example(step: type[Step]) -> None:
    required = {option.name for option in step.options() if option.is_required and not option.is_only}
    assert required <= shown_options(step).keys()


@pytest.mark.parametrize("step", [step for step in STEPS.values() if step.options()], ids=lambda step: step.KEY)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_schema_accepts_what_the_reader_accepts(step: type[Step], data: st.DataObject) -> None:
    option = data.draw(st.sampled_from(step.options()))
    value = data.draw(specials(option.name) | values)
    shown = {} if option.is_only else shown_options(step)
    others = {other.name: shown[other.name] for other in step.options() if other.is_required and other is not option}
    is_short = option.is_only or (option.is_main and not others and data.draw(st.booleans()))
    written = value if is_short else {option.name: value, **others}
    file = {"subscribe": "in/+room", "steps": [{"decode": "json"}, {step.KEY: written}]}
    _, found = diagnose(json.dumps(file, indent=1, ensure_ascii=False))
    if not {diagnostic.code for diagnostic in found} & REFUSED:
        assert [error.message for error in SCHEMA.iter_errors(file)] == []


#: Mistakes of an option's value itself: the reader refused it. All others (a name that is not known where the step
#: stands, an option that does not go with another) no schema can see.
REFUSED = {
    "wrong-value", "bad-expression", "bad-topic", "bad-topic-filter", "bad-name", "reserved-name", "unknown-key",
    "missing-key", "unknown-step", "unknown-format", "bad-pattern", "missing-file", "bad-format", "unknown-function",
    "wrong-arguments", "not-text", "missing-value", "under-indented", "over-indented", "two-steps", "lone-hash",
    "unquoted", "unknown-connection", "bad-table", "schema", "missing-step", "steps-not-a-list", "bad-url",
    "missing-function", "bad-function", "bad-python", "file-outside",
}  # fmt: skip
