"""Where the page is served, and what happens where the port is taken."""

import socket

import pytest

from flowrunner.web.place import NotServed, Place, parse_place


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:1999", "127.0.0.1", 1999), ("1999", "127.0.0.1", 1999), (":1999", "127.0.0.1", 1999),
        ("0.0.0.0:1999", "0.0.0.0", 1999), ("[::1]:1999", "::1", 1999), ("::1", "::1", 1880), ("localhost", "localhost", 1880),
        ("example.org:0", "example.org", 0),
    ],
)  # fmt: skip
def test_addresses_are_read(text: str, host: str, port: int) -> None:
    place = parse_place(text)
    assert (place.host, place.port, place.is_asked_for) == (host, port, True)


@pytest.mark.parametrize("text", ["127.0.0.1:x", "127.0.0.1:70000", "a:-1", "x:"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_place(text)


def test_the_next_free_port_is_taken_unless_one_was_asked_for() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with Place(port=port).bind() as found:
            assert found.getsockname()[1] != port
        with pytest.raises(NotServed, match=f"127.0.0.1:{port}"):
            Place(port=port, is_asked_for=True).bind()
