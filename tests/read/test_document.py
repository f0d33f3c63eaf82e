"""YAML documents: nodes with places, YAML 1.2 values, and everything that is refused."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowrunner.diagnostics import Diagnostic, render
from flowrunner.read import yaml_parser
from flowrunner.read.composer import MAX_DEPTH, MAX_VALUES
from flowrunner.read.document import List, Map, Node, Scalar, plain, read_bytes, read_document
from flowrunner.text import Source

FLOW = """\
# a comment
description: Warn when a room gets too warm
subscribe: sensors/+room/climate        # +room is MQTT's +
steps:
  - json
  - filter: payload.temperature > 25
  - set:
      level: ${"hot" if payload.temperature > 30 else "warm"}
      text: |
        first
          second

  - publish: {topic: "alerts/${room}", qos: 1}
"""


@pytest.fixture(params=["libyaml", "python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "python":
        monkeypatch.setattr(yaml_parser, "Parser", yaml_parser.PythonParser)


def read(text: str) -> Node:
    node, found = read_document(Source("flow.yaml", text))
    assert found == []
    assert node is not None
    return node


def read_map(text: str) -> Map:
    node = read(text)
    assert isinstance(node, Map)
    return node


def mistakes(text: str) -> list[Diagnostic]:
    return read_document(Source("flow.yaml", text))[1]


def value_of(text: str) -> Any:
    return plain(read(f"key: {text}\n"))["key"]


@pytest.mark.usefixtures("parser")
def test_a_flow_is_read_as_written() -> None:
    assert plain(read(FLOW)) == {
        "description": "Warn when a room gets too warm",
        "subscribe": "sensors/+room/climate",
        "steps": [
            "json",
            {"filter": "payload.temperature > 25"},
            {
                "set": {
                    "level": '${"hot" if payload.temperature > 30 else "warm"}',
                    "text": "first\n  second\n",
                }
            },
            {"publish": {"topic": "alerts/${room}", "qos": 1}},
        ],
    }


@pytest.mark.usefixtures("parser")
def test_places_are_those_of_the_text() -> None:
    root = read_map(FLOW)
    steps = root.get("steps")
    assert steps
    assert isinstance(steps.value, List)
    _, keep, change, publish = steps.value.items
    assert (root.span.start, root.span.end) == (FLOW.index("description"), len(FLOW.rstrip()))
    assert root.entries[0].key.span.text == "description"
    assert root.entries[1].value.span.text == "sensors/+room/climate"
    assert steps.value.span.text == FLOW[FLOW.index("- json") :].rstrip()
    assert keep.span.text == "filter: payload.temperature > 25"
    assert change.span.text == FLOW[FLOW.index("set:") : FLOW.index("second") + len("second")]
    assert publish.span.text == 'publish: {topic: "alerts/${room}", qos: 1}'
    assert isinstance(publish, Map)
    assert publish.entries[0].value.span.text == '{topic: "alerts/${room}", qos: 1}'
    block = plain_entry(change, "set", "text")
    assert (block.style, block.span.text) == ("literal", "|\n        first\n          second")


def plain_entry(node: Node, *names: str) -> Scalar:
    for name in names:
        assert isinstance(node, Map)
        entry = node.get(name)
        assert entry
        node = entry.value
    assert isinstance(node, Scalar)
    return node


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("null", None),
        ("Null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-7", -7),
        ("2.50", 2.5),
        ("1e3", 1000.0),
        ("-1.5E-2", -0.015),
        ("12345678901234567890123", 12345678901234567890123),
    ],
)
def test_words_and_numbers_of_json_are_values(written: str, value: Any) -> None:
    found = value_of(written)
    assert (found, type(found)) == (value, type(value))


STAYS_TEXT = [
    "on", "off", "yes", "no", "y", "n", "On", "tRUE", "nUll", "12:30", "12:30:45", "010", "1_000", "0x10",
    "0o10", "0b1", ".5", "5.", "+5", "1e", "1.e3", ".inf", "-.inf", ".nan", "2024-01-01",
    "2024-01-01T00:00:00Z", "1,5", "--", "0.", "00", "1e3x", "١",
]  # fmt: skip


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("written", STAYS_TEXT)
def test_what_yaml_1_1_would_change_stays_text(written: str) -> None:
    assert value_of(written) == written


@pytest.mark.parametrize("written", ["'true'", '"5"', "'~'", '""', "|\n  5", ">\n  null"])
def test_quoted_and_block_scalars_are_text(written: str) -> None:
    assert isinstance(value_of(written), str)


@pytest.mark.parametrize("written", ["1e400", "-1e309", "9" * 309, "9" * 5000])
def test_a_number_that_no_float_holds_is_a_mistake(written: str) -> None:
    node, found = read_document(Source("flow.yaml", f"limit: {written}\nother: 1\n"))
    assert [(d.code, d.span.text) for d in found] == [("number-too-large", written)]
    assert node is not None


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**300), 10**300))
def test_every_number_of_json_is_read_back(number: float) -> None:
    assert value_of(json.dumps(number)) == number


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("text", ["", "\n\n", "# only\n# comments\n", "---\n", "\ufeff", "   \n", "--- # c\n..."])
def test_a_file_without_content_is_nothing(text: str) -> None:
    assert read_document(Source("flow.yaml", text)) == (None, [])


def test_a_lone_null_is_a_value() -> None:
    assert isinstance(read("null"), Scalar)
    assert read("''").span.text == "''"


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_mark_do_not_matter(line_end: str, mark: str) -> None:
    text = mark + FLOW.replace("\n", line_end)
    node = read_map(text)
    assert plain(node) == plain(read(FLOW))
    spans = [(entry.key.span.text, entry.key.span.line, entry.value.span.line) for entry in node]
    assert spans == [("description", 2, 2), ("subscribe", 3, 3), ("steps", 4, 5)]


@pytest.mark.usefixtures("parser")
def test_anchors_repeat_a_value_whose_place_is_the_anchor() -> None:
    node = read_map("a: &x [1, &y two]\nb: *x\nc: *y\n? &k name\n: 1\n*k : 2\n".replace("*k : 2\n", "d: *k\n"))
    assert plain(node) == {"a": [1, "two"], "b": [1, "two"], "c": "two", "name": 1, "d": "name"}
    assert node.entries[0].value.span.text == "[1, &y two]"
    assert node.entries[1].value is node.entries[0].value
    assert node.entries[2].value.span.text == "two"
    assert node.entries[3].key.span.text == "name"
    assert node.span.text.endswith("*k")


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("a: &x\n  # comment\n  - 1\n", ["- 1", "1"]),
        ("a: &x\n  b: 1\n", ["b: 1", "1"]),
        ("a: &x {b: 1}\n", ["{b: 1}", "1"]),
        ("a: [b: 1, c]\n", ["[b: 1, c]", "b: 1", "1", "c"]),
        ("a: &x 'b'\n", ["'b'"]),
        ("a:\n- - 1\n  - 2\n\n\n# end\n", ["- - 1\n  - 2", "- 1\n  - 2", "1", "2"]),
        ("a:\n  - \n  - b:\n\n", ["-\n  - b:".replace("-\n", "- \n"), "", "b:", ""]),
        ("a: >-\n  x\n\n  y\n\n\n# c\n", [">-\n  x\n\n  y"]),
        ("a: |+ # c\n", ["|+ # c"]),
    ],
)
def test_spans_hold_nothing_around_a_value(text: str, spans: list[str]) -> None:
    root = read_map(text)
    assert [node.span.text for node in inside(root.entries[0].value)] == spans


def inside(node: Node) -> list[Node]:
    if isinstance(node, Scalar):
        return [node]
    values = node.items if isinstance(node, List) else tuple(entry.value for entry in node)
    return [node, *(found for value in values for found in inside(value))]


def test_merge_keys_are_ordinary_keys() -> None:
    assert plain(read("a: &a {x: 1}\nb: {<<: *a}\n")) == {"a": {"x": 1}, "b": {"<<": {"x": 1}}}


@pytest.mark.usefixtures("parser")
def test_of_two_entries_with_one_key_the_first_counts() -> None:
    node, found = read_document(Source("flow.yaml", "a: 1\nb: 2\na: [3]\na: 4\n"))
    assert plain(node) == {"a": 1, "b": 2}  # type: ignore[arg-type]
    assert [(d.code, d.span.line, d.labels[0].span.line) for d in found] == [
        ("duplicate-key", 3, 1),
        ("duplicate-key", 4, 1),
    ]


def test_the_same_key_in_different_maps_is_fine() -> None:
    assert plain(read("- {a: 1}\n- {a: 1, b: {a: 2}}\n")) == [{"a": 1}, {"a": 1, "b": {"a": 2}}]


@pytest.mark.parametrize(
    ("first", "second", "help"),
    [
        ("a/b", "c/+d", "`subscribe: [a/b, c/+d]`"),
        ('"#"', "'a, b'", '`subscribe: ["#", "a, b"]`'),
        ("[a, b]", "c", "`subscribe: [a, b, c]`"),
        ("{topic: a}", "b", "each filter on a line of its own, behind a dash"),
        ("a" * 99, "b", "each filter on a line of its own, behind a dash"),
    ],
)
def test_two_subscriptions_are_put_into_one_list(first: str, second: str, help: str) -> None:
    (found,) = mistakes(f"subscribe: {first}\nsubscribe: {second}\n")
    assert found.helps == (f"to listen to both, give a list: {help}",)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: 1\n---\nb: 2\n", "several-documents"),
        ("a: !x 1\n", "exclamation-mark"),
        ("a: !!str 1\n", "yaml-tag"),
        ("? [a]\n: 1\n", "key-not-text"),
        ("a: *b\n", "unknown-alias"),
        ("a: &a [*a]\n", "recursive-alias"),
        ("a: &a {b: {c: *a}}\n", "recursive-alias"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "too-deep"),
        ("a: b\u00a0\n", "invisible-space"),
        ("a: \u3000b\n", "invisible-space"),
        ("a: b: c\n", "colon-in-text"),
    ],
)
@pytest.mark.usefixtures("parser")
def test_what_would_have_consequences_leaves_no_node(text: str, code: str) -> None:
    node, found = read_document(Source("flow.yaml", text))
    if code == "colon-in-text":
        code = "map-on-key-line"
    assert node is None
    assert [d.code for d in found] == [code]


def test_keys_that_are_no_text_are_reported_and_read() -> None:
    node, found = read_document(Source("flow.yaml", "1: a\ntrue: b\n~: c\n2.5: d\non: e\n'1': f\n"))
    assert [(d.code, d.span.text) for d in found] == [
        *(("key-not-text", text) for text in ("1", "true", "~", "2.5")),
        ("duplicate-key", "'1'"),
    ]
    assert isinstance(node, Map)


def test_several_mistakes_that_are_no_syntax_are_reported_together() -> None:
    found = mistakes("a: !x 1\nb: !!str 2\na: 3\nc: *d\n")
    assert [d.code for d in found] == ["exclamation-mark", "yaml-tag", "duplicate-key", "unknown-alias"]


def test_after_a_mistake_in_the_syntax_there_is_only_that_one() -> None:
    assert [d.code for d in mistakes("a: !x 1\na: 2\nb: 'c\n")] == ["unclosed-quote"]


@pytest.mark.parametrize(
    ("char", "code"), [("\0", "\\0"), ("\x1b", "\\e"), ("\x85", "\\x85"), ("\x7f", "\\x7f"), ("\u2028", "\\u2028")]
)
def test_control_characters_are_refused(char: str, code: str) -> None:
    (found,) = mistakes(f"a: b{char}c\n")
    assert (found.code, found.span.text, found.helps[0].split("`")[1]) == ("bad-character", char, code)


def test_a_lone_surrogate_is_refused() -> None:
    assert [d.code for d in mistakes("a: \ud800\n")] == ["bad-character"]


@pytest.mark.usefixtures("parser")
def test_half_a_character_in_quotes_is_refused() -> None:
    (found,) = mistakes('a: "x\\ud83d\\ude00"\n')
    assert (found.code, found.span.text) == ("bad-escape", "\\ud83d\\ude00")


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"a: 1\n", "a: 1\n"), (b"\xef\xbb\xbfa: 1\n", "a: 1\n"), ("ä: °\n".encode(), "ä: °\n"), (b"", "")],
)
def test_bytes_are_utf8_with_or_without_a_mark(data: bytes, text: str) -> None:
    source, found = read_bytes("flow.yaml", data)
    assert found == []
    assert source is not None
    assert (source.name, source.text) == ("flow.yaml", text)


def test_bytes_of_windows_are_refused_at_their_place() -> None:
    source, found = read_bytes("flow.yaml", b"\xef\xbb\xbfa: 1\nb: \xb0C\n")
    assert source is None
    assert render(found) == (
        "error[not-utf8]: the file must be UTF-8, and these bytes are not\n"
        " --> flow.yaml:2:4\n"
        "  |\n"
        "2 | b: \ufffdC\n"
        "  |    ^\n"
        "help: save the file as UTF-8; editors offer it under `Save with encoding`\n"
        "note: byte 0xB0 is `°` in Windows-1252\n"
    )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_named(encoding: str) -> None:
    source, found = read_bytes("flow.yaml", "a: böse\n".encode(encoding))
    found = found or read_document(source)[1] if source else found
    assert [d.code for d in found] == ["not-utf8"]
    assert "UTF-16" in found[0].message or encoding != "utf-16"


def test_aliases_cannot_blow_a_file_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert [d.code for d in mistakes("\n".join(lines))] == ["too-many-values"]


def test_aliases_cannot_make_a_file_deep() -> None:
    nested = "[" * 40 + "*b" + "]" * 40
    assert [d.code for d in mistakes(f"a: &b {'[' * 20}{']' * 20}\nc: {nested}\n")] == []
    assert [d.code for d in mistakes(f"a: &b {'[' * 30}{']' * 30}\nc: {nested}\n")] == ["too-deep"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[" * 100_000, "too-deep"),
        ("{a: " * 100_000, "too-deep"),
        ("- " * 100_000, "too-deep"),
        ("\n".join(" " * depth + "a:" for depth in range(1000)), "too-deep"),
        ("[" + "1," * (MAX_VALUES + 1) + "]", "too-many-values"),
        ("a: [b, 'c\n" * 100_000, "text-after-quotes"),
        ("x: " + "' " * 300_000, "text-after-quotes"),
        ('"\\"' * 300_000, "text-after-quotes"),
        ("a:" + " " * 1_000_000 + "b: c: d", "colon-in-text"),
        ("x" * 1_000_000 + ": y: z", "colon-in-text"),
        ("a: b\n" + " c\n" * 300_000 + " d: e\n", "missing-colon"),
        ("a: {" + "[x] y " * 100_000, "unquoted-in-brackets"),
        ("steps:\n" + "  - a\n" * 60_000 + " - b: x\n", "uneven-indentation"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_a_hostile_file_costs_one_diagnostic(text: str, code: str) -> None:
    assert [d.code for d in mistakes(text)] == [code]


texts = st.text(st.characters(codec="utf-8"), max_size=60)
pieces = st.sampled_from(
    [
        *"[]{}:,-#&*!|>'\"%@`\\ \t\n?.~",
        ": ",
        "- ",
        "  ",
        "\n  ",
        "\n- ",
        "${",
        "a",
        "steps",
        "true",
        "1",
        "<<",
        "---\n",
        "é",
    ]
)
cuts = st.tuples(st.integers(0, len(FLOW)), st.integers(0, 12), st.lists(pieces, max_size=3).map("".join))
mutated = st.lists(cuts, min_size=1, max_size=3).map(lambda edits: _edited(FLOW, edits))


def _edited(text: str, edits: list[tuple[int, int, str]]) -> str:
    for start, length, new in edits:
        text = text[:start] + new + text[start + length :]
    return text


def check_reading(text: str) -> None:
    source = Source("flow.yaml", text)
    node, found = read_document(source)
    for diagnostic in found:
        spans = [diagnostic.span, *(label.span for label in diagnostic.labels)]
        assert all(0 <= span.start <= span.end <= len(text) for span in spans)
        assert 0 < len(diagnostic.message) < 80
        assert not diagnostic.message.endswith(".")
        assert len(diagnostic.helps) <= 2
        assert all(help and "\n" not in help for help in diagnostic.helps)
    render(found)
    if node is not None:
        assert all(0 <= each.span.start <= each.span.end <= len(text) for each in inside(node))
        plain(node)


@settings(max_examples=400)
@given(texts | st.lists(pieces, max_size=30).map("".join))
@example("&a &a b")
@example("'a\n b': c")
@example("{a: b\n, ? c")
@example("{%")
@example("[#")
@example("\ufeff\ufeffa")
@example("!\n!")
def test_any_text_gives_nodes_and_diagnostics_inside_the_text(text: str) -> None:
    check_reading(text)


@settings(max_examples=400)
@given(mutated)
def test_any_edit_of_a_flow_gives_nodes_and_diagnostics_inside_the_text(text: str) -> None:
    check_reading(text)


@given(st.binary(max_size=60) | texts.map(lambda text: text.encode("utf-16")))
def test_any_bytes_give_a_source_or_a_diagnostic(data: bytes) -> None:
    source, found = read_bytes("flow.yaml", data)
    assert (source is None) == bool(found)
    render(found)
    if source:
        check_reading(source.text)


names = st.text(st.characters(codec="utf-8"), max_size=8)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@given(documents)
def test_json_is_yaml(document: Any) -> None:
    text = json.dumps(document)
    if "\\ud" in text:  # JSON's way to write what lies beyond U+FFFF, which YAML refuses
        text = json.dumps(document, ensure_ascii=False)
    node, found = read_document(Source("flow.yaml", text))
    if all(d.code == "bad-character" for d in found) and found:
        return
    assert found == []
    assert node is None or plain(node) == document


@given(documents, st.sampled_from(["|", ">", "'", '"', None]), st.booleans() | st.none())
def test_what_pyyaml_writes_is_read_back_alike_by_both_parsers(document: Any, style: Any, is_flow: Any) -> None:
    text = yaml.safe_dump(document, default_style=style, default_flow_style=is_flow, allow_unicode=True)
    if "!!" in text:
        return
    read_by_c = read_document(Source("flow.yaml", text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_parser, "Parser", yaml_parser.PythonParser)
        read_by_python = read_document(Source("flow.yaml", text))
    assert render(read_by_c[1]) == render(read_by_python[1])
    assert shape(read_by_c[0]) == shape(read_by_python[0])


def shape(node: Node | None) -> list[Any]:
    nodes = inside(node) if node is not None else []
    return [(type(each), each.span.start, each.span.end, getattr(each, "text", "")) for each in nodes]
