"""The formats of `decode` and `encode`: there and back, what is broken, and what is too much."""

import base64
import gzip
import json
import math
import zlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import cbor2
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.codecs import CODECS, CsvOptions
from flowrunner.errors import StepError
from flowrunner.message import Message
from tests.flow_host import FlowHost, Outcome, diagnose, read, refused

FREE = [name for name in CODECS if name != "csv"]

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
data = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
)


def decoded(format: str, payload: Any) -> Any:
    return CODECS[format].decode(payload)


def encoded(format: str, value: Any) -> Any:
    return CODECS[format].encode(value)


@given(data)
@pytest.mark.parametrize("format", ["msgpack", "cbor"])
def test_every_value_of_json_comes_back(format: str, value: Any) -> None:
    assert decoded(format, encoded(format, value)) == value


#: What flow files may hold: no controls, and no spaces that look like ordinary ones.
ODD: Any = ["Cs", "Cc", "Cf", "Cn", "Co", "Zl", "Zp", "Zs"]
printable = st.text(st.characters(exclude_categories=ODD) | st.just(" "))
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | printable,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(printable, inner, max_size=3),
    max_leaves=6,
)


@given(plain)
def test_what_is_written_as_yaml_comes_back(value: Any) -> None:
    assert decoded("yaml", encoded("yaml", value)) == value


@given(st.binary())
@pytest.mark.parametrize("format", ["base64", "hex", "gzip", "zlib"])
def test_every_byte_comes_back(format: str, content: bytes) -> None:
    assert decoded(format, encoded(format, content)) == content


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), texts, min_size=1), min_size=1), st.sampled_from([",", ";", "\t"])
)
def test_texts_in_csv_come_back(rows: list[dict[str, str]], delimiter: str) -> None:
    options = CsvOptions(delimiter)
    text = CODECS["csv"].encode(rows, options)
    names = list(dict.fromkeys(name for row in rows for name in row))
    assert CODECS["csv"].decode(text, options) == [{name: row.get(name, "") for name in names} for row in rows]


@given(st.binary(max_size=200) | st.text(max_size=100))
@pytest.mark.parametrize("format", FREE)
def test_anything_at_all_is_a_value_or_an_error_in_words(format: str, payload: bytes | str) -> None:
    try:
        decoded(format, payload)
    except StepError as error:
        assert error.message[0].islower() or error.message.startswith(("CBOR", "MessagePack", "YAML", "CSV"))


@given(data)
@pytest.mark.parametrize("format", FREE)
def test_any_value_is_written_or_an_error_in_words(format: str, value: Any) -> None:
    try:
        result = encoded(format, value)
    except StepError as error:
        assert error.code in {"not-encodable", "not-json-able"}
    else:
        assert isinstance(result, str if CODECS[format].encoded == "text" else bytes)


DAY = datetime(2024, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("format", "payload", "value"),
    [
        ("base64", "aGk=", b"hi"),
        ("base64", b"aGk", b"hi"),
        ("base64", "-_-_", b"\xfb\xff\xbf"),
        ("base64", "+/+/", b"\xfb\xff\xbf"),
        ("base64", "aG\r\n k=\n", b"hi"),
        ("hex", "48 69", b"Hi"),
        ("hex", b"48:69\n", b"Hi"),
        ("hex", "", b""),
        ("yaml", "a: on\nb: 010\nc: 12:30\nd: true\n", {"a": "on", "b": "010", "c": "12:30", "d": True}),
        ("yaml", b"\xef\xbb\xbf- 1\n- ~\n", [1, None]),
        ("yaml", "", None),
        ("yaml", '{"json": [1, 2.5]}', {"json": [1, 2.5]}),
        ("gzip", gzip.compress(b"one", mtime=0) + gzip.compress(b"two", mtime=0), b"onetwo"),
        ("zlib", zlib.compress(b"x" * 10_000), b"x" * 10_000),
        ("msgpack", msgpack.packb(DAY, datetime=True), DAY.timestamp()),
        ("msgpack", msgpack.packb({1: "a", b"k": [b"\xff"]}), {1: "a", b"k": [b"\xff"]}),
        ("cbor", cbor2.dumps([DAY, Decimal("1.5"), UUID(int=7), {3}]), [DAY.timestamp(), 1.5, str(UUID(int=7)), [3]]),
        ("cbor", cbor2.dumps(cbor2.CBORTag(4711, {"a": cbor2.undefined})), {"a": None}),
        ("cbor", b"\xf9\x7c\x00", math.inf),
        ("cbor", b"\x9f\x01\x02\xff", [1, 2]),
    ],
)
def test_what_is_read(format: str, payload: Any, value: Any) -> None:
    assert decoded(format, payload) == value


@pytest.mark.parametrize(
    ("format", "payload", "code", "message"),
    [
        ("base64", "aGk!", "not-decodable", "the payload is not base64: unexpected `!` at character 4"),
        ("base64", "aGkaa", "not-decodable", "the payload is not base64: it ends too early"),
        ("base64", 5, "not-text", "base64 is read from text or bytes, this is a number"),
        ("hex", "4x", "not-decodable", "the payload is not hexadecimal digits: unexpected `x` at character 2"),
        ("hex", "486", "not-decodable", "the payload is not hexadecimal digits: there are 3 of them, an odd number"),
        ("hex", b"\xff", "not-decodable", "the payload is not hexadecimal digits: byte 0xff at position 0 is no UTF-8"),
        ("yaml", "a: 1\na: 2\n", "not-decodable", "the payload is not YAML: `a` is set twice (line 2)"),
        ("gzip", b"no gzip", "not-decodable", "the payload is not gzip: incorrect header check"),
        (
            "gzip",
            gzip.compress(b"x" * 100, mtime=0)[:-3],
            "not-decodable",
            "the payload is not gzip: it ends too early",
        ),
        (
            "gzip",
            gzip.compress(b"x", mtime=0) + b"rest",
            "not-decodable",
            "the payload is not gzip: incorrect header check",
        ),
        ("gzip", "text", "not-bytes", "gzip is read from bytes, this is a text"),
        ("zlib", zlib.compress(b"x") + b"rest", "not-decodable", "the payload is not zlib: there is more behind it"),
        ("zlib", b"", "not-decodable", "the payload is not zlib: it ends too early"),
        ("msgpack", b"\xc1", "not-decodable", "the payload is not MessagePack: it holds an unknown code"),
        ("msgpack", b"\x92\x01", "not-decodable", "the payload is not MessagePack: it ends too early"),
        ("msgpack", b"\x01\x02", "not-decodable", "the payload is not MessagePack: there is more behind it"),
        ("msgpack", b"\xa1\xff", "not-decodable", "the payload is not MessagePack: a text in it is no UTF-8"),
        (
            "msgpack",
            b"\x81\x91\x01\x02",
            "not-decodable",
            "the payload is not MessagePack: the key of a map is a map or list",
        ),
        (
            "msgpack",
            b"\xc7\x05\x01abcde",
            "not-decodable",
            "the payload is not MessagePack: it holds a value of the kind ExtType",
        ),
        ("cbor", b"\x82\x01", "not-decodable", "the payload is not CBOR: it ends too early"),
        ("cbor", b"\x01\x02", "not-decodable", "the payload is not CBOR: there is more behind it"),
        (
            "cbor",
            b"\xa1\x81\x01\x02",
            "not-decodable",
            "the payload is not CBOR: the key of a map is no text or number",
        ),
        ("cbor", b"\xd8\x1c\x81\xd8\x1d\x00", "not-decodable", "the payload is not CBOR: it is nested too deep"),
        ("cbor", "text", "not-bytes", "CBOR is read from bytes, this is a text"),
    ],
)
def test_what_is_broken_is_said_in_words(format: str, payload: Any, code: str, message: str) -> None:
    with pytest.raises(StepError) as raised:
        decoded(format, payload)
    assert (raised.value.code, raised.value.message) == (code, message)


@pytest.mark.parametrize(
    ("format", "value", "message"),
    [
        ("base64", {"a": 1}, "the payload cannot be written as base64: only bytes and text can, this is a map"),
        ("hex", "\ud800", "the payload cannot be written as hexadecimal digits: the text holds half a surrogate pair"),
        ("gzip", 5, "the payload cannot be written as gzip: only bytes and text can, this is a number"),
        ("msgpack", 2**64, "the payload cannot be written as MessagePack: it holds an integer beyond 64 bits"),
        ("msgpack", "\ud800", "the payload cannot be written as MessagePack: a text in it holds half a surrogate pair"),
        ("cbor", "\ud800", "the payload cannot be written as CBOR: a text in it holds half a surrogate pair"),
        ("yaml", [b"x"], "JSON holds no bytes"),
    ],
)
def test_what_cannot_be_written_is_said_in_words(format: str, value: Any, message: str) -> None:
    with pytest.raises(StepError) as raised:
        encoded(format, value)
    assert raised.value.message == message


@pytest.mark.parametrize("format", ["gzip", "zlib"])
def test_a_bomb_does_not_fill_the_memory(format: str) -> None:
    bomb = encoded(format, bytes(17 * 1024 * 1024))
    assert len(bomb) < 20_000
    with pytest.raises(StepError, match="more than 16 MiB"):
        decoded(format, bomb)
    assert len(decoded(format, encoded(format, bytes(16 * 1024 * 1024)))) == 16 * 1024 * 1024


def test_a_bomb_of_many_parts_does_not_either() -> None:
    with pytest.raises(StepError, match="more than 16 MiB"):
        decoded("gzip", encoded("gzip", bytes(1024 * 1024)) * 17)


def test_aliases_that_double_and_double_are_an_error() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)
    ]
    with pytest.raises(StepError, match="the payload is not YAML"):
        decoded("yaml", "\n".join(lines))


def test_shared_parts_of_cbor_that_double_and_double_are_an_error() -> None:
    shared = b"\xd8\x1c\x82\x00\x00"  # 28([0, 0]): it is number 0
    content = (
        b"\x98\x1e"
        + shared
        + b"".join(
            b"\xd8\x1c\x82\xd8\x1d" + bytes([n]) + b"\xd8\x1d" + bytes([n]) if n < 24 else b"\x00" for n in range(29)
        )
    )
    with pytest.raises(StepError, match=r"too many values|too deep|no plain|CBOR"):
        decoded("cbor", content)


@pytest.mark.parametrize(("format", "opening"), [("msgpack", b"\x91"), ("cbor", b"\x81"), ("yaml", b"[")])
def test_what_is_nested_without_end_is_an_error(format: str, opening: bytes) -> None:
    with pytest.raises(StepError):
        decoded(format, opening * 100_000)
    with pytest.raises(StepError, match="deep"):
        decoded(format, opening * 300 + b"1" + b"]" * 300 * (format == "yaml"))


def flow(decode: str, encode: str = "json", kind: str = "decode") -> FlowHost:
    text = f"subscribe: in\nsteps:\n  - {kind}: {decode}\n  - encode: {encode}\n  - publish: out\n"
    return FlowHost(read(text))


def csv_of(text: str | bytes, options: str = "") -> Outcome:
    host = flow(f"{{format: csv{options}}}")
    host.arrive(Message("in", text if isinstance(text, bytes) else text.encode()))
    return host.outcome


@pytest.mark.parametrize(
    ("text", "options", "value"),
    [
        ("a,b\r\n1,2\r\n3,4\r\n", "", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        ("a;b\n1;\n", ", delimiter: ;", [{"a": "1", "b": ""}]),
        ("a\tb\n", ", delimiter: tab", []),
        ("1,2\n", ", header: false", [["1", "2"]]),
        ("1,2\n", ", header: [x, y]", [{"x": "1", "y": "2"}]),
        ('a\n"x, ""y""\nz"\n', "", [{"a": 'x, "y"\nz'}]),
        ("", "", []),
        ("\n\na\n\n1\n", "", [{"a": "1"}]),
        (b"\xef\xbb\xbfa\n1\n", "", [{"a": "1"}]),
    ],
)
def test_csv_is_read(text: str | bytes, options: str, value: Any) -> None:
    assert csv_of(text, options).published[0].value == value


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1\n", "", "the payload is not CSV: line 2 has 1 cells, there are 2 names"),
        ("1,2,3\n", ", header: [x, y]", "the payload is not CSV: line 1 has 3 cells, there are 2 names"),
        ('a\n"x\n', "", "the payload is not CSV: unexpected end of data"),
        (b"\xff", "", "the payload is not CSV: byte 0xff at position 0 is no UTF-8"),
    ],
)
def test_csv_that_is_broken(text: str | bytes, options: str, message: str) -> None:
    assert csv_of(text, options).error.message == message


@pytest.mark.parametrize(
    ("value", "options", "text"),
    [
        ([{"a": 1, "b": None}, {"b": True, "c": [1]}], "", "a,b,c\n1,,\n,true,[1]\n"),
        ({"a": 1.5}, ", header: false", "1.5\n"),
        ([{"b": 1, "a": 2}], ", header: [a, b], delimiter: ;", "a;b\n2;1\n"),
        ([[1, "x,y"], [2]], "", '1,"x,y"\n2\n'),
        ([1, "b"], "", "1\nb\n"),
        ([], "", ""),
    ],
)
def test_csv_is_written(value: Any, options: str, text: str) -> None:
    host = FlowHost(read(f"subscribe: in\nsteps:\n  - json\n  - encode: {{format: csv{options}}}\n  - publish: out\n"))
    host.arrive(Message("in", json.dumps(value).encode()))
    assert host.outcome.published[0].payload.decode() == text


@pytest.mark.parametrize(
    ("value", "options", "message"),
    [
        ({"z": 1}, ", header: [a]", "the payload cannot be written as CSV: there is no column for `z`"),
        (5, "", "the payload cannot be written as CSV: a list of maps can, this is a number"),
    ],
)
def test_csv_that_cannot_be_written(value: Any, options: str, message: str) -> None:
    host = FlowHost(read(f"subscribe: in\nsteps:\n  - json\n  - encode: {{format: csv{options}}}\n  - publish: out\n"))
    host.arrive(Message("in", json.dumps(value).encode()))
    assert host.outcome.error.message == message


@pytest.mark.parametrize(
    ("steps", "codes"),
    [
        ("[{decode: base64}, {filter: payload == 'a'}]", ["bytes-payload"]),
        ("[{decode: hex}, {decode: utf-8}, {filter: payload == 'a'}]", []),
        ("[{decode: csv}, {filter: payload == 'a'}]", []),
        ("[{decode: gzip}, {decode: csv}]", []),
        ("[{encode: hex}, {filter: payload == 'a'}]", []),
        ("[{encode: gzip}, {filter: payload == 'a'}]", ["bytes-payload"]),
        ("[{decode: {format: json, header: true}}]", ["wrong-value"]),
        ("[{decode: {format: hex, errors: ignore}}]", ["wrong-value"]),
        ("[{encode: {format: csv, indent: true}}]", ["wrong-value"]),
        ("[{decode: {format: csv, delimiter: ab}}]", ["wrong-value"]),
        ("[{decode: {format: csv, header: [a, a]}}]", ["wrong-value"]),
        ("[{decode: {format: csv, header: []}}]", ["wrong-value"]),
        ("[{decode: base46}]", ["unknown-format"]),
        ("[{decode: rot13}]", ["unknown-format"]),
    ],
)
def test_what_check_knows_of_formats(steps: str, codes: list[str]) -> None:
    assert [found.code for found in diagnose(f"subscribe: in\nsteps: {steps[:-1]}, {{publish: out}}]\n")[1]] == codes


def test_the_near_format_is_offered() -> None:
    assert refused("subscribe: in\nsteps:\n  - decode: msgpak\n  - publish: out\n").helps == (
        "did you mean `msgpack`?",
    )


@pytest.mark.parametrize(("format", "package"), [("cbor", "cbor2"), ("msgpack", "msgpack")])
@pytest.mark.parametrize("kind", ["decode", "encode"])
def test_without_the_package_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, kind: str, format: str, package: str
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("flowrunner.options.extras.find_spec", asked.append)
    found = refused(f"subscribe: in\nsteps:\n  - {kind}: {format}\n  - publish: out\n")
    assert (found.code, found.message) == ("missing-extra", f"`{kind}: {format}` needs a package that is not installed")
    assert found.helps == ("install it: `pip install 'flowrunner[codecs]'`",)
    assert asked == [package]


def test_equal_payloads_are_compressed_to_equal_bytes() -> None:
    assert encoded("gzip", b"x") == encoded("gzip", "x")
    assert gzip.decompress(encoded("gzip", "ä")) == "ä".encode()
    assert base64.b64decode(encoded("base64", "ä")) == "ä".encode()


def test_an_error_points_at_the_step() -> None:
    host = flow("base64", "base64")
    host.get("in", "?")
    assert (host.outcome.error.code, host.outcome.error.span.text) == ("not-decodable", "decode")
