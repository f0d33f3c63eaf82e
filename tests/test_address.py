"""Addresses of brokers: what is read, and what is said about the rest."""

import re
from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowrunner.address import BadAddress, parse_address
from flowrunner.connections import DEFAULT_PORTS, ConnectionSettings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mqtt://localhost", ConnectionSettings()),
        ("localhost", ConnectionSettings()),
        ("mqtt://localhost/", ConnectionSettings()),
        ("MQTT://localhost", ConnectionSettings()),
        ("broker.example.org:1884", ConnectionSettings(host="broker.example.org", port=1884)),
        ("10.0.0.7", ConnectionSettings(host="10.0.0.7")),
        ("bücher.example", ConnectionSettings(host="bücher.example")),
        ("my_host", ConnectionSettings(host="my_host")),
        ("mqtts://a", ConnectionSettings(scheme="mqtts", host="a", port=8883)),
        ("ws://a", ConnectionSettings(scheme="ws", host="a", port=80, path="/mqtt")),
        ("ws://a/", ConnectionSettings(scheme="ws", host="a", port=80, path="/")),
        ("wss://a:9001/x/y?z=1", ConnectionSettings(scheme="wss", host="a", port=9001, path="/x/y?z=1")),
        ("ws://a/x@y", ConnectionSettings(scheme="ws", host="a", port=80, path="/x@y")),
        ("mqtt+unix:///run/m.sock", ConnectionSettings(scheme="mqtt+unix", host="", port=0, path="/run/m.sock")),
        ("mqtt+unix:///run/a%20b", ConnectionSettings(scheme="mqtt+unix", host="", port=0, path="/run/a b")),
        ("[::1]", ConnectionSettings(host="::1")),
        ("mqtt://[fe80::1%25eth0]:1884", ConnectionSettings(host="fe80::1%eth0", port=1884)),
        ("mqtt://[2001:db8::7]:1884", ConnectionSettings(host="2001:db8::7", port=1884)),
        ("mqtt://ada@a", ConnectionSettings(host="a", username="ada")),
        ("ada:lovelace@a:7", ConnectionSettings(host="a", port=7, username="ada", password="lovelace")),
        ("mqtt://ada:@a", ConnectionSettings(host="a", username="ada", password="")),
        ("mqtt://:x@a", ConnectionSettings(host="a", username="", password="x")),
        ("mqtt://a%40b:c%3Ad%2F%25%23%C3%BC@h", ConnectionSettings(host="h", username="a@b", password="c:d/%#ü")),
        ("mqtt://a:b:c@h", ConnectionSettings(host="h", username="a", password="b:c")),
    ],
)
def test_an_address_is_read(text: str, expected: ConnectionSettings) -> None:
    assert parse_address(text) == expected


def test_the_connection_has_the_name_that_is_given() -> None:
    assert parse_address("mqtt://a", name="cloud").name == "cloud"


ONE_OF = "an address begins with `mqtt`, `mqtts`, `ws`, `wss` or `mqtt+unix`"


@pytest.mark.parametrize(
    ("text", "fault", "message", "help"),
    [
        ("", "", "an address must name a host", "write `mqtt://localhost` for this machine"),
        ("mqtt://", "", "an address must name a host", "write `mqtt://localhost` for this machine"),
        ("mqtt://:1883", ":1883", "an address must name a host", "write `mqtt://localhost` for this machine"),
        ("mqtt://ada@", "", "an address must name a host", "write `mqtt://localhost` for this machine"),
        ("tcp://a:1883", "tcp", ONE_OF, "write `mqtt://`"),
        ("ssl://a", "ssl", ONE_OF, "write `mqtts://`"),
        ("http://a", "http", ONE_OF, "write `mqtt://`, or `ws://` for websockets"),
        ("https://a", "https", ONE_OF, "write `mqtts://`, or `wss://` for websockets"),
        ("mqqt://a", "mqqt", ONE_OF, "write `mqtt://`"),
        ("ftp://a", "ftp", ONE_OF, "write `mqtt://`, or `mqtts://` for an encrypted connection"),
        ("mqtt://a:x", "x", "a port is a number from 1 to 65535", "leave it out for 1883"),
        ("mqtts://a:0", "0", "a port is a number from 1 to 65535", "leave it out for 8883"),
        ("a:65536", "65536", "a port is a number from 1 to 65535", "leave it out for 1883"),
        ("a:", ":", "a port is a number from 1 to 65535", "leave it out for 1883"),
        ("a:٣", "٣", "a port is a number from 1 to 65535", "leave it out for 1883"),
        ("::1", "::1", "an address has one port, behind one colon", "write it in brackets: `mqtt://[::1]`"),
        ("a:1:2", "a:1:2", "an address has one port, behind one colon", "write `mqtt://host:1883`"),
        ("mqtt://[::1", "[", "this `[` is never closed", "write `mqtt://[::1]:1883`"),
        ("mqtt://[x]", "x", "between `[` and `]` an IPv6 address must stand", "write `mqtt://[::1]:1883`"),
        ("mqtt://[::1]9", "9", "behind `]` only a port may follow", "write `mqtt://[::1]:1883`"),
        ("mqtt://a b", " ", "an address holds no blanks", ""),
        ("mqtt://a\n", "\n", "an address holds no blanks", ""),
        ("mqtt://a+b", "+", "the name of a host holds letters, digits, `.` and `-` only", ""),
        (
            "mqtt://a/sensors/#",
            "#",
            "an address holds no `#`",
            "in a user name or password it is written `%23`",
        ),
        (
            "mqtt://a/sensors",
            "/sensors",
            "an address that begins with `mqtt` has no path",
            "topics are named in the flows; a path is for `ws` and `wss`",
        ),
        (
            "mqtt+unix://run/m.sock",
            "run",
            "the path of a socket begins with `/`: three slashes in all",
            "write `mqtt+unix:///run/mosquitto.sock`",
        ),
        ("mqtt+unix://", "", "the path of the socket is missing", "write `mqtt+unix:///run/mosquitto.sock`"),
        ("mqtt://a:%ff@h", "%ff", "the `%` codes of a user name or password must be UTF-8", ""),
        ("mqtt://a:%00@h", "%00", "a user name or password holds no NUL", ""),
    ],
)
def test_a_mistake_is_shown_at_its_place(text: str, fault: str, message: str, help: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse_address(text)
    bad = caught.value
    assert (text[bad.start : bad.end], bad.message, bad.help) == (fault, message, help)


@pytest.mark.parametrize(
    ("text", "char", "code"),
    [
        ("mqtt://ada:pa#ss@a", "#", "%23"),
        ("mqtt://ada:pa@ss@a", "@", "%40"),
        ("mqtt://ada:pa/ss@a", "/", "%2F"),
        ("mqtt://ada:pa?ss@a", "?", "%3F"),
        ("mqtt://ada:pa%ss@a", "%", "%25"),
        ("mqtt://ada:pa[ss@a", "[", "%5B"),
        ("ws://ada:pa/ss@a", "/", "%2F"),
        ("mqtt://ada:p@ss/w@a", "/", "%2F"),
    ],
)
def test_a_character_in_a_password_that_would_cut_the_address_is_named(text: str, char: str, code: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse_address(text)
    assert caught.value.message == f"a `{char}` in a user name or password must be written `{code}`"
    assert text[caught.value.start : caught.value.end] == char


pieces = st.sampled_from(
    ["mqtt", "tcp", "ws", "+unix", "://", ":", "@", "/", "#", "%", "[", "]", "::1", "1883", "a", "é"]
)


@given(st.text(max_size=40) | st.lists(pieces, max_size=10).map("".join))
@example("%E9@%")
@example("mqtt+unix:///%ff")
def test_any_text_is_an_address_or_a_short_message_with_a_place(text: str) -> None:
    try:
        settings = parse_address(text)
    except BadAddress as error:
        bad = error
    else:
        assert settings.scheme in DEFAULT_PORTS
        assert settings.host or settings.scheme == "mqtt+unix"
        return
    assert 0 <= bad.start <= bad.end <= len(text)
    assert 0 < len(bad.message) < 80
    assert len(bad.help) < 100


secrets = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(secrets, secrets, st.sampled_from(["mqtt", "mqtts", "ws", "wss"]), st.integers(1, 65535))
def test_any_user_and_password_survive_the_percent_code(user: str, password: str, scheme: str, port: int) -> None:
    read = parse_address(f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@host:{port}")
    assert (read.username, read.password, read.host, read.port) == (user, password, "host", port)


@given(st.from_regex(r"(mqtt|mqtts|ws|wss)://([a-z]{1,5}|\[[0-9a-f]{1,4}::[0-9]\])(:[1-9][0-9]{0,3})?", fullmatch=True))
def test_an_address_that_is_shown_can_be_read_again(text: str) -> None:
    settings = parse_address(text)
    assert parse_address(settings.shown) == settings
    assert parse_address(replace(settings, username="u", password="p").shown) == settings


@given(
    st.text("ZQXJ☃@#/%:", min_size=3).filter(lambda secret: re.search("[ZQXJ☃]{2}", secret)),
    st.sampled_from(["{}", "mqtt://{}", "{}://a", "mqtt://a:{}", "mqtt://u:{}@h:x", "mqtt://a/{}", "mqtt+unix://{}"]),
)
def test_no_message_repeats_a_part_of_the_address(secret: str, address: str) -> None:
    try:
        parse_address(address.format(secret))
    except BadAddress as error:
        said = f"{error} {error.message} {error.help}"
    else:
        return
    assert not re.search("[ZQXJ☃]", said)
