import codecs
import encodings
import pkgutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.diagnostics import render
from tests.flow_host import diagnose, read, refused, run, run_steps


def encodings_of_text() -> list[str]:
    """Every encoding of Python that is one of texts."""
    found = set()
    for module in pkgutil.iter_modules(encodings.__path__):
        try:
            codec = codecs.lookup(module.name)
        except LookupError:
            continue
        if codec._is_text_encoding:
            found.add(codec.name)
    return sorted(found - {"idna", "punycode", "undefined", "raw-unicode-escape", "unicode-escape", "mbcs", "oem"})


@pytest.mark.parametrize("name", encodings_of_text())
def test_every_encoding_reads_what_it_wrote(name: str) -> None:
    flow = read(f"subscribe: in\nsteps:\n  - decode: {name}\n  - publish: out\n  - encode: {name}\n  - publish: back\n")
    data = "a1".encode(name)
    text, back = run(flow, ("in", data)).published
    assert (text.payload, back.payload) == (b"a1", data)


@given(st.sampled_from(encodings_of_text()), st.binary(max_size=30), st.sampled_from(["strict", "replace", "ignore"]))
def test_any_bytes_are_read_or_refused_in_words(name: str, data: bytes, errors: str) -> None:
    outcome = run_steps(f"- decode: {{format: {name}, errors: {errors}}}\n- map: len(payload)", data)
    if not outcome.published:
        assert outcome.error.code == "not-decodable"
        assert outcome.error.message.startswith(f"the payload is not {codecs.lookup(name).name}")
        assert outcome.error.span.text == "decode"


def test_replace_and_ignore_say_what_becomes_of_foreign_bytes() -> None:
    assert run_steps("- decode: {format: utf-8, errors: replace}", b"a\xffb").published[0].payload == "a�b".encode()
    assert run_steps("- decode: {format: utf-8, errors: ignore}", b"a\xffb").published[0].payload == b"ab"


def test_strict_points_at_the_byte() -> None:
    outcome = run_steps("- decode: utf-8", b"21\xb0C")
    assert outcome.shown() == (
        "error[not-decodable]: the payload is not utf-8: byte 0xb0 at position 2\n"
        " --> flows/flow.yaml:3:5\n"
        "  |\n"
        "3 |   - decode: utf-8\n"
        "  |     ^^^^^^ in `decode`\n"
        "help: devices often send `latin-1`\n"
        "note: topic `in`, payload `21\\xb0C`\n"
    )


def test_names_of_encodings_may_be_written_in_any_way() -> None:
    for name in ("UTF8", "utf_8", "Latin1", "437", "windows-1252"):
        assert run_steps(f"- decode: {name}", b"a").published[0].payload == b"a"


@pytest.mark.parametrize(
    "name", ["rot13", "zip", "idna", "unicode_escape", "undefined", '""', "x-y", "'utf-8\\0'", "..", "os"]
)
def test_what_is_no_encoding_of_texts_is_refused(name: str) -> None:
    found = refused(f"subscribe: in\nsteps:\n  - decode: {name}\n")
    assert found.code == "unknown-format"


def test_misspelt_format_is_refused_with_a_suggestion() -> None:
    found = refused("subscribe: in\nsteps:\n  - decode: utf-88\n")
    assert (found.message, found.helps) == ("there is no format `utf-88`", ("did you mean `utf-8`?",))
    assert found.span.text == "utf-88"


def test_errors_must_be_a_known_word() -> None:
    found = refused("subscribe: in\nsteps:\n  - decode: {format: utf-8, errors: replaced}\n")
    assert found.message == "`errors` of `decode` must be `strict`, `replace` or `ignore`"
    assert found.helps == ("did you mean `replace`?",)


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ("- decode: utf-8\n- decode: utf-8", "a text"),
        ("- json\n- decode: utf-8", "a list"),
        ("- map: 5\n- decode: ascii", "a number"),
    ],
)
def test_what_is_no_bytes_any_more_is_an_error(steps: str, kind: str) -> None:
    error = run_steps(steps, b"[1]").error
    assert (error.code, error.message) == ("not-bytes", f"the payload is {kind} already, not bytes")


def test_json_is_a_format_too() -> None:
    assert run_steps("- decode: json", {"a": 1}).sent == [("out", {"a": 1})]
    assert run_steps("- decode: json", b"{").error.message == "the payload is not JSON: it ends too early"


def test_kinds_behind_it_are_known() -> None:
    _, found = diagnose("subscribe: in\nsteps:\n  - filter: payload == 'ON'\n  - publish: out\n")
    assert [diagnostic.code for diagnostic in found] == ["bytes-payload"], render(found)
    _, found = diagnose("subscribe: in\nsteps:\n  - decode: utf-8\n  - filter: payload == 'ON'\n  - publish: out\n")
    assert found == []
