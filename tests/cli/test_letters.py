"""What the letters of `pub` and `sub` mean, before anything connects."""

from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.cli import terminal
from flowrunner.cli.client_options import client_options
from flowrunner.cli.letters import SEPARATOR, join_properties
from flowrunner.cli.properties import read_properties
from flowrunner.cli.pub import command as pub
from flowrunner.cli.sub import command as sub
from flowrunner.connections import ConnectionSettings
from tests.cli.command_line import Run


def settings_of(*letters: str, command: click.Command = sub) -> ConnectionSettings:
    with command.make_context("x", [*letters, "-t", "t"]) as context:
        options, _ = client_options(dict(context.params))
    return options.settings


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("letters", "shown"),
    [
        ([], "mqtt://localhost:1883"),
        (["-h", "pi"], "mqtt://pi:1883"),
        (["-p", "1884"], "mqtt://localhost:1884"),
        (["-h", "pi", "-p", "8883"], "mqtts://pi:8883"),
        (["-h", "pi", "--cafile", "ca.pem"], "mqtts://pi:8883"),
        (["-h", "pi", "-p", "1", "--tls-use-os-certs"], "mqtts://pi:1"),
        (["-h", "::1"], "mqtt://[::1]:1883"),
        (["--unix", "/run/m.sock"], "mqtt+unix:///run/m.sock"),
        (["--broker", "pi:1885"], "mqtt://pi:1885"),
        (["--broker", "ws://pi"], "ws://pi:80/mqtt"),
        (["-L", "mqtts://pi/a/b"], "mqtts://pi:8883"),
    ],
)
def test_letters_name_the_broker(letters: list[str], shown: str) -> None:
    assert settings_of(*letters).shown == shown


def test_a_url_holds_user_password_and_topic() -> None:
    with sub.make_context("x", ["-L", "mqtt://ann:se%40cret@pi:1884/a/+/c"]) as context:
        options, topic = client_options(dict(context.params))
    assert (options.settings.username, options.settings.password, topic) == ("ann", "se@cret", "a/+/c")


def test_user_and_password_of_letters_win() -> None:
    settings = settings_of("--broker", "mqtt://ann:a@pi", "-u", "ben", "-P", "b")
    assert (settings.username, settings.password) == ("ben", "b")


def test_the_environment_names_the_broker_where_no_letter_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWRUNNER_BROKER", "mqtt://elsewhere")
    assert settings_of().host == "elsewhere"
    assert settings_of("-h", "pi").host == "pi"


def test_the_settings_of_the_folder_come_last(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "flows").mkdir()
    text = "connections: {default: {url: 'mqtts://pi', username: ann, client_id: plant, session: {keep: 1h}}}\n"
    (folder / "flows" / "flowrunner.yaml").write_text(text)
    settings = settings_of()
    assert (settings.shown, settings.username) == ("mqtts://pi:8883", "ann")
    assert (settings.client_id, settings.keep) == (None, None)  # else it would throw the runner out
    monkeypatch.setenv("FLOWRUNNER_BROKER", "mqtt://elsewhere")
    assert (settings_of().host, settings_of().username) == ("elsewhere", None)


def test_mistakes_in_those_settings_are_shown(run: Run, folder: Path) -> None:
    (folder / "flows").mkdir()
    (folder / "flows" / "flowrunner.yaml").write_text("connections: {default: 'tcp://pi'}\n")
    result = run("sub", "-t", "a")
    assert result.code == terminal.ERRORS
    assert result.err.startswith("error[bad-address]: ")


@pytest.mark.parametrize(
    ("letters", "protocol"),
    [
        ([], "3.1.1"),
        (["--json"], "auto"),
        (["-D", "connect", "user-property", "a", "b"], "5"),
        (["-V", "5"], "5"),
        (["-V", "mqttv5"], "5"),
        (["-V", "MQTTV311"], "3.1.1"),
        (["-V", "auto"], "auto"),
        (["--json", "-V", "311"], "3.1.1"),
    ],
)
def test_the_protocol_is_that_of_mosquitto_unless_more_is_wanted(letters: list[str], protocol: str) -> None:
    assert settings_of(*letters).protocol == protocol


@pytest.mark.parametrize(
    ("letters", "keep"),
    [
        ([], None),
        (["-x", "0"], None),
        (["-i", "me", "-c"], float("inf")),
        (["-i", "me", "-x", "60"], 60),
        (["-i", "me", "-x", "-1"], float("inf")),
        (["-i", "me", "-c", "-x", "60"], 60),
    ],
)
def test_a_session_is_kept_if_it_is_wanted(letters: list[str], keep: float | None) -> None:
    assert settings_of(*letters).keep == keep


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sub"], "say what to listen to: `-t FILTER`, for everything `-t '#'`"),
        (["sub", "-t", "a/#/b"], "this is no topic filter: `#` must be the last level of a topic filter"),
        (["sub", "-t", "a", "-C", "0"], "invalid value for '-C' / '--count'"),
        (["sub", "-t", "a", "-F", "%Z"], "the format has no `%Z`; write `%%` for the character itself"),
        (["sub", "-t", "a", "-h", "x", "--broker", "y"], "-h and -p and --broker both name a broker: give one"),
        (["sub", "-t", "a", "--broker", "tcp://x"], "an address begins with"),
        (["sub", "-t", "a", "-L", "http://x/y"], "`-L` wants mqtt://HOST/TOPIC or mqtts://HOST/TOPIC"),
        (["sub", "-t", "a", "-V", "31"], "`-V` must be 5, 311 or auto, not `31`"),
        (["sub", "-t", "a", "-c"], "a session that the broker keeps needs a client id: add `-i NAME`"),
        (["sub", "-t", "a", "--key", "k"], "`--key` belongs to a certificate: add `--cert FILE`"),
        (["sub", "-t", "a", "--will-payload", "x"], "a will needs a topic: add `--will-topic TOPIC`"),
        (["sub", "-t", "a", "--will-topic", "a/#"], "`a/#` is no topic: one cannot publish to a wildcard"),
        (["pub", "-m", "x"], "say where to: `-t TOPIC`"),
        (["pub", "-t", "a"], "say what to send: `-m TEXT`, `-f FILE`, `-l` or `-s` for the input, `-n` for nothing"),
        (["pub", "-t", "a", "-m", "x", "-n"], "-m and -n both say what to send: give one"),
        (["pub", "-t", "a", "-l", "--repeat", "2"], "`--repeat` repeats one message, not the lines of `-l`"),
        (["pub", "-t", "a/+", "-m", "x"], "`a/+` is no topic: one cannot publish to a wildcard"),
        (["pub", "-t", "a", "-f", "nowhere"], "invalid value for '-f' / '--file'"),
        (["pub", "-t", "a", "-m", "x", "-q", "3"], "invalid value for '-q' / '--qos'"),
        (["pub", "-t", "a", "-m", "x", "-D", "publish"], "`-D` wants PACKET NAME VALUE"),
        (["pub", "-t", "a", "-m", "x", "-D", "publish", "contnt-type", "x"], "there is no property `contnt-type`"),
        (["pub", "-t", "a", "-m", "x", "-D", "connect", "content-type", "x"], "`content-type` is no property of"),
        (["pub", "-t", "a", "-m", "x", "-D", "puback", "reason-string", "x"], "`-D` can give properties to"),
        (["pub", "-t", "a", "-m", "x", "-D", "publish", "message-expiry-interval", "-1"], "`-1` is no value for"),
        (["pub", "-t", "a", "-m", "x", "-D", "publish", "topic-alias", "0"], "`0` is no value for"),
        (["pub", "-t", "a", "-m", "x", "-V", "311", "-D", "publish", "content-type", "x"], "properties (`-D`) need"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_meant_is_told_before_connecting(run: Run, arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.code == terminal.USAGE
    assert result.err.startswith(f"error: {message}")
    assert "\nhelp: " in result.err


@given(st.lists(st.text(st.characters(exclude_characters="\0"))))
def test_joining_keeps_every_word_that_is_not_behind_a_property(words: list[str]) -> None:
    try:
        joined = join_properties(words)
    except click.UsageError:
        assert "-D" in words or "--property" in words
    else:
        assert [part for word in joined for part in word.split(SEPARATOR)] == words


def test_words_behind_a_property_are_joined() -> None:
    pair, single = ["-D", "publish", "user-property", "n", "v"], ["--property", "publish", "content-type", "x"]
    joined = join_properties(["-t", "a", *pair, *single, "--", "-D"])
    assert joined == [
        "-t",
        "a",
        "-D",
        "publish\0user-property\0n\0v",
        "--property",
        "publish\0content-type\0x",
        "--",
        "-D",
    ]


@pytest.mark.parametrize("words", [["-D"], ["-D", "publish"], ["-D", "publish", "user-property", "n"]])
def test_a_property_without_its_words_is_told(words: list[str]) -> None:
    with pytest.raises(click.UsageError):
        join_properties(words)


KINDS = [
    ("payload-format-indicator", "1", "PayloadFormatIndicator", 1),
    ("message-expiry-interval", "4294967295", "MessageExpiryInterval", 2**32 - 1),
    ("content-type", "text/plain", "ContentType", "text/plain"),
    ("correlation-data", "c", "CorrelationData", b"c"),
    ("topic-alias", "5", "TopicAlias", 5),
]


@pytest.mark.parametrize(("name", "value", "attribute", "expected"), KINDS)
def test_properties_have_the_type_of_the_standard(name: str, value: str, attribute: str, expected: object) -> None:
    found = read_properties([SEPARATOR.join(["PUBLISH", name, value])])
    assert getattr(found["publish"], attribute) == expected
    assert found["publish"].pack()  # type: ignore[no-untyped-call]


def test_user_properties_are_kept_in_order() -> None:
    found: Any = read_properties([f"will{SEPARATOR}user-property{SEPARATOR}a{SEPARATOR}{v}" for v in "12"])["will"]
    assert found.UserProperty == [("a", "1"), ("a", "2")]


def test_pub_takes_the_same_letters() -> None:
    assert settings_of("-h", "pi", "-m", "x", command=pub).host == "pi"
