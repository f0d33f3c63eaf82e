import pytest

from tests.flow_host import refused, run_steps


def sent(steps: str, payload: object) -> bytes:
    return run_steps(steps, payload).published[0].payload


def test_text_becomes_bytes_of_an_encoding() -> None:
    assert sent("- decode: utf-8\n- encode: latin-1", "21°C") == b"21\xb0C"
    assert sent("- decode: utf-8\n- encode: utf-16", "a") == "a".encode("utf-16")


def test_json_becomes_bytes_over_one_line_or_several() -> None:
    assert sent("- json\n- encode: json", {"a": [1, "ä"]}) == '{"a":[1,"ä"]}'.encode()
    assert sent("- json\n- encode: {format: json, indent: true}", {"a": 1}) == b'{\n  "a": 1\n}'
    assert sent("- decode: utf-8\n- encode: json", "a") == b'"a"'


def test_character_that_the_encoding_does_not_have_is_an_error() -> None:
    error = run_steps("- decode: utf-8\n- encode: latin-1", "5 €").error
    assert (error.code, error.message) == ("not-encodable", "`€` cannot be written in iso8859-1")
    assert error.span.text == "encode"
    error = run_steps("- decode: utf-7\n- encode: utf-8", b"+2AA-").error
    assert error.message == "`U+D800` cannot be written in utf-8"


@pytest.mark.parametrize(
    ("steps", "payload", "kind", "help"),
    [
        ("- encode: utf-8", b"a", "still bytes", ()),
        ("- json\n- encode: utf-8", "5", "a number", ()),
        ("- json\n- encode: utf-8", {"a": 1}, "a map", ("for a map or list use `- encode: json`",)),
        ("- json\n- encode: utf-8", [1], "a list", ("for a map or list use `- encode: json`",)),
    ],
)
def test_what_is_no_text_is_an_error(steps: str, payload: object, kind: str, help: tuple[str, ...]) -> None:
    error = run_steps(steps, payload).error
    assert (error.code, error.message, error.helps) == ("not-text", f"the payload is {kind}, not a text", help)


def test_what_json_cannot_hold_is_an_error() -> None:
    assert run_steps("- encode: json", b"a").error.message == "JSON holds no bytes"
    assert run_steps("- map: 2 ** 64\n- encode: json", b"").error.message == "JSON holds no integer beyond 64 bits"


def test_encoded_payload_is_bytes_for_the_steps_behind_it() -> None:
    found = refused("subscribe: in\nsteps:\n  - json\n  - encode: json\n  - filter: payload == 'x'\n")
    assert found.code == "bytes-payload"
