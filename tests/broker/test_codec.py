"""Bytes to values and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.broker.codec import Reader, encode_variable, long_length
from flowrunner.broker.properties import (
    IN_CONNECT,
    IN_PUBLISH,
    IN_WILL,
    Property,
    encode_properties,
    read_properties,
)
from flowrunner.broker.reasons import Fault
from tests.broker.wire import number

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
NUMBER16, NUMBER32 = st.integers(1, 0xFFFF), st.integers(1, 0xFFFF_FFFF)
PUBLISH_VALUES: dict[Property, st.SearchStrategy[Any]] = {
    Property.PAYLOAD_FORMAT: st.integers(0, 1),
    Property.MESSAGE_EXPIRY: st.integers(0, 0xFFFF_FFFF),
    Property.CONTENT_TYPE: TEXT,
    Property.RESPONSE_TOPIC: TEXT.map(lambda text: "t" + text.replace("+", "").replace("#", "")),
    Property.CORRELATION_DATA: st.binary(max_size=20),
    Property.TOPIC_ALIAS: NUMBER16,
}


@given(st.fixed_dictionaries({}, optional=PUBLISH_VALUES), st.lists(st.tuples(TEXT, TEXT), max_size=4))
def test_properties_are_read_as_they_were_written(values: dict[Property, Any], pairs: list[tuple[str, str]]) -> None:
    written = [*values.items(), *((Property.USER_PROPERTY, pair) for pair in pairs)]
    data = encode_properties(written)
    reader = Reader(data, 0, len(data))
    found = read_properties(reader, IN_PUBLISH)
    assert reader.is_done
    assert found.values == {**values, **({Property.USER_PROPERTY: pairs} if pairs else {})}
    kept = [pair for pair in written if pair[0] not in (Property.MESSAGE_EXPIRY, Property.TOPIC_ALIAS)]
    assert encode_variable(len(found.forwarded)) + found.forwarded == encode_properties(kept)


@given(st.integers(0, 268_435_455), st.binary(max_size=3))
def test_variable_byte_integers(value: int, rest: bytes) -> None:
    data = encode_variable(value)
    assert data == number(value)
    assert Reader(data + rest, 0, len(data) + 3).variable() == value
    if value > 127:
        assert long_length(data + rest, 1, data[0]) == (value, len(data))
        assert long_length(data[:-1], 1, data[0]) == (0, 0)


@given(st.binary(max_size=40), st.sampled_from([IN_CONNECT, IN_PUBLISH, IN_WILL]))
def test_any_bytes_are_properties_or_a_fault(data: bytes, allowed: frozenset[int]) -> None:
    reader = Reader(data, 0, len(data))
    try:
        read_properties(reader, allowed)
    except Fault as fault:
        assert fault.reason >= 0x80
    else:
        assert reader.place <= len(data)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x02a", b"\x00\x01\xff", b"\x00\x01\x00"])
def test_a_text_is_whole_and_valid(data: bytes) -> None:
    with pytest.raises(Fault):
        Reader(data, 0, len(data)).text()
