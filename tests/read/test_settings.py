"""Settings: what `flowrunner.yaml` may say, and what is said about the rest - never a secret."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from flowrunner.connections import ConnectionSettings, Notice, TlsSettings
from flowrunner.diagnostics import Diagnostic, Format, render
from flowrunner.read.secrets import without_secrets
from flowrunner.read.settings import Settings, read_settings, settings_schema
from flowrunner.read.settings_text import BadHole, fill
from flowrunner.text import Passage, Source

ENVIRONMENT = {"CLOUD_USER": "ada", "SITE": "graz", "EMPTY": "", "LATE": "5 bananas"}

Read = Callable[..., tuple[Settings, list[Diagnostic]]]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Reads a text as `flowrunner.yaml` of a folder with some files beside it."""
    monkeypatch.chdir(tmp_path)
    for name in ("ca.pem", "me.pem", "me.key"):
        (tmp_path / name).write_text("x")
    (tmp_path / "secret").write_text("p@ss: #word\n")
    path = tmp_path / "flowrunner.yaml"

    def read_text(text: str, *, url: str | None = None) -> tuple[Settings, list[Diagnostic]]:
        path.write_text(text, encoding="utf-8")
        return read_settings(path, environment=ENVIRONMENT, url=url)

    return read_text


def good(read: Read, text: str, **more: Any) -> Settings:
    found, mistakes = read(text, **more)
    assert render(mistakes) == ""
    return found


FULL = """\
connections:
  default: mqtt://localhost:1883
  cloud:
    url: mqtts://broker.example.org
    username: ${env.CLOUD_USER}
    password: ${file("secret")}  # secrets are masked wherever settings are shown
    client_id: plant-7
    protocol: 3.1.1
    session: {keep: 1h}
    tls: {ca: ca.pem, cert: me.pem, key: me.key, passphrase: "${file('secret')}", alpn: [mqtt]}
    keepalive: 30s
    receive_maximum: 100
    birth: {topic: runners/plant-7, payload: {state: there, site: "${env.SITE}"}, retain: true, qos: 1}
    will: {topic: runners/plant-7, payload: gone, retain: true, delay: 10s}
    close: {topic: runners/plant-7}
publish_only: [rooms/, alarms]
group: ${env.SITE}-hall 7
env: [SITE, NOT_SET]
vars: {site: graz, n: 3, all: [1, {a: true}], text: "in ${env.SITE}, $${literal}"}
"""


def test_everything_that_settings_may_say(read: Read, tmp_path: Path) -> None:
    found = good(read, FULL)
    assert found.connections == {
        "default": ConnectionSettings(),
        "cloud": ConnectionSettings(
            name="cloud",
            scheme="mqtts",
            host="broker.example.org",
            port=8883,
            username="ada",
            password="p@ss: #word",
            client_id="plant-7",
            protocol="3.1.1",
            keep=3600.0,
            keepalive=30,
            tls=TlsSettings(
                str(tmp_path / "ca.pem"), str(tmp_path / "me.pem"), str(tmp_path / "me.key"), "p@ss: #word", ("mqtt",)
            ),
            receive_maximum=100,
            birth=Notice("runners/plant-7", b'{"state":"there","site":"graz"}', 1, True),
            will=Notice("runners/plant-7", b"gone", 0, True, 10.0),
            close=Notice("runners/plant-7"),
        ),
    }
    assert found.publish_only == ("rooms/", "alarms")
    assert found.group == "graz-hall 7"
    assert found.env == {"SITE": "graz"}
    assert found.vars == {"site": "graz", "n": 3, "all": [1, {"a": True}], "text": "in graz, ${literal}"}
    assert found.source is not None
    assert found.source.name == "flowrunner.yaml"
    assert found.is_complete


@pytest.mark.parametrize("text", ["", "# nothing\n", "connections:\nenv:\nvars:\n", "{}"])
def test_everything_is_optional(read: Read, text: str) -> None:
    assert replace(good(read, text), source=None) == Settings()


def test_without_a_file_there_is_the_default() -> None:
    assert read_settings(None, environment={}) == (Settings(), [])
    assert Settings().connections == {"default": ConnectionSettings()}


def test_the_default_connection_is_always_there(read: Read) -> None:
    assert good(read, "connections: {cloud: mqtt://a}\n").connections == {
        "cloud": ConnectionSettings(name="cloud", host="a"),
        "default": ConnectionSettings(),
    }


def test_a_url_from_elsewhere_replaces_url_user_and_password(read: Read) -> None:
    text = (
        "connections:\n  default: {url: tcp://x, username: u, password: '${env.NO}', client_id: c, tls: {ca: ca.pem}}\n"
    )
    found = good(read, text, url="mqtt://b:c@host:7").connections["default"]
    assert found == ConnectionSettings(host="host", port=7, username="b", password="c", client_id="c")
    found = good(read, text, url="mqtts://host").connections["default"]
    assert (found.username, found.password, found.tls.ca != "") == (None, None, True)


def test_a_url_from_elsewhere_replaces_a_bare_address(read: Read) -> None:
    found = good(read, "connections: {default: tcp://x, other: y}\n", url="host").connections
    assert found == {"default": ConnectionSettings(host="host"), "other": ConnectionSettings(name="other", host="y")}


def test_a_bad_url_from_elsewhere_is_shown_without_its_password() -> None:
    found, mistakes = read_settings(None, environment={}, url="ssl://ada:hunter2@host")
    assert found == Settings()
    assert render(mistakes) == (
        "error[bad-address]: an address begins with `mqtt`, `mqtts`, `ws`, `wss` or `mqtt+unix`\n"
        " --> --broker:1:1\n"
        "  |\n"
        "1 | ssl://ada:*******@host\n"
        "  | ^^^\n"
        "help: write `mqtts://`\n"
    )


@pytest.mark.parametrize("protocol", ["5", "'5'", "auto", "3.1.1"])
def test_protocols_may_look_like_numbers(read: Read, protocol: str) -> None:
    found = good(read, f"connections: {{default: {{protocol: {protocol}}}}}\n")
    assert found.connections["default"].protocol == protocol.strip("'")


def test_numbers_are_passwords_as_they_are_written(read: Read) -> None:
    text = "connections: {default: {username: 007, password: 1e3}}\n"
    found = good(read, text).connections["default"]
    assert (found.username, found.password) == ("007", "1e3")


MISTAKES = [
    ("conections: {}", "unknown-key", "conections", "did you mean `connections`?"),
    (
        "subscribe: a/b",
        "unknown-key",
        "subscribe",
        "this file holds settings; flows stand in files of their own beside it",
    ),
    ("url: mqtt://a", "unknown-key", "url", "connections stand below `connections:`, each under its name"),
    ("zzz: 1", "unknown-key", "zzz", "there are `connections`, `env`, `vars`, `publish_only`, `group`, `state`"),
    ("- a", "wrong-value", "- a", ""),
    ("connections: mqtt://a", "wrong-value", "mqtt://a", "write `connections: {default: mqtt://a}`"),
    ("connections: [a]", "wrong-value", "[a]", ""),
    ("connections: {'': mqtt://a}", "wrong-value", "''", ""),
    ("connections: {a: [b]}", "wrong-value", "[b]", ""),
    ("connections: {a: tcp://b}", "bad-address", "tcp", "write `mqtt://`"),
    ("connections: {a: {}}", "missing-key", "a", "for example `url: mqtt://localhost:1883`"),
    ("connections: {a: {url: b:c}}", "bad-address", "c", "leave it out for 1883"),
    ("connections: {a: {url: b, usrname: c}}", "unknown-key", "usrname", "did you mean `username`?"),
    ("connections: {a: {url: b, username: [c]}}", "wrong-value", "[c]", ""),
    ("connections: {a: {url: b, username: }}", "wrong-value", "", ""),
    ('connections: {a: {url: b, username: "c\\0"}}', "wrong-value", '"c\\0"', ""),
    ("connections: {a: {url: b, client_id: ''}}", "wrong-value", "''", ""),
    ("connections: {a: {url: b, protocol: 4}}", "wrong-value", "4", ""),
    ("connections: {a: {url: b, protocol: Auto}}", "wrong-value", "Auto", "did you mean `auto`?"),
    ("connections: {a: {url: b, keepalive: 60}}", "bad-duration", "60", "write `60s` for seconds"),
    ("connections: {a: {url: b, keepalive: 1500ms}}", "wrong-value", "1500ms", ""),
    ("connections: {a: {url: b, keepalive: 1d}}", "wrong-value", "1d", ""),
    ("connections: {a: {url: b, session: 1h}}", "wrong-value", "1h", ""),
    ("connections: {a: {url: b, session: {}}}", "missing-key", "session", ""),
    ("connections: {a: {url: b, session: {keep: 0s}}}", "wrong-value", "0s", ""),
    (
        "connections: {a: {url: mqtts://b, tls: {ca: nope}}}",
        "unreadable-file",
        "nope",
        "a relative path begins at the folder of this file",
    ),
    ("connections: {a: {url: mqtts://b, tls: {key: me.key}}}", "missing-key", "{key: me.key}", ""),
    ("connections: {a: {url: b, tls: {ca: ca.pem}}}", "wrong-value", "tls", "write `mqtts://`"),
    ("connections: {a: {url: ws://b, tls: {ca: ca.pem}}}", "wrong-value", "tls", "write `wss://`"),
    ("connections: {a: {url: c@b, username: c}}", "given-twice", "username", "remove one of the two"),
    ("connections: {a: {url: mqtts://b, tls: {passphrase: x}}}", "missing-key", "passphrase", ""),
    ("connections: {a: {url: mqtts://b, tls: {alpn: ['']}}}", "wrong-value", "''", ""),
    ("connections: {a: {url: b, will: gone}}", "wrong-value", "gone", ""),
    ("connections: {a: {url: b, will: {payload: gone}}}", "missing-key", "will", ""),
    ("connections: {a: {url: b, will: {topic: a/+}}}", "wrong-value", "a/+", "one cannot publish to a wildcard"),
    ("connections: {a: {url: b, birth: {topic: a, qos: 3}}}", "wrong-value", "3", ""),
    ("connections: {a: {url: b, birth: {topic: a, retain: 1}}}", "wrong-value", "1", ""),
    ("connections: {a: {url: b, birth: {topic: a, delay: 1s}}}", "unknown-key", "delay", "there are `topic`, `payload`, `qos`, `retain`"),
    ("connections: {a: {url: b, receive_maximum: 0}}", "wrong-value", "0", ""),
    ("connections: {a: {url: b, receive_maximum: 65536}}", "wrong-value", "65536", ""),
    ("publish_only: a/#", "wrong-value", "a/#", "one cannot publish to a wildcard"),
    ("publish_only: {a: b}", "wrong-value", "{a: b}", ""),
    ("group: a/b", "wrong-value", "a/b", ""),
    ("group: a+", "wrong-value", "a+", ""),
    ("group: '#'", "wrong-value", "'#'", ""),
    ("group: ''", "wrong-value", "''", ""),
    ('group: "a\\0b"', "wrong-value", '"a\\0b"', ""),
    ("group: [a]", "wrong-value", "[a]", ""),
    ("group: {name: a}", "wrong-value", "{name: a}", ""),
    ("env: SITE", "wrong-value", "SITE", "write `env: [SITE]`"),
    ("env: {SITE: 1}", "wrong-value", "{SITE: 1}", ""),
    ("env: [a-b]", "wrong-value", "a-b", ""),
    ("env: [true]", "wrong-value", "true", ""),
    ("vars: [a]", "wrong-value", "[a]", ""),
    ("vars: {a b: 1}", "wrong-value", "a b", ""),
    ("connections: {a: {url: #\n}}", "lone-hash", "#", 'write `"#"`'),
    ("vars:\n  a: ${env.STE}", "unset-variable", "env.STE", "did you mean `SITE`?"),
    (
        "vars:\n  a: x ${ env.NO_SUCH_THING } y",
        "unset-variable",
        "env.NO_SUCH_THING",
        "set it before flowrunner starts: `export NO_SUCH_THING=...`",
    ),
    ("vars:\n  a: ${SITE}", "bad-expression", "SITE", "write `${env.SITE}`"),
    ('vars:\n  a: ${env["SITE"]}', "bad-expression", 'env["SITE"]', "write `${env.SITE}`"),
    ("vars:\n  a: ${ENV:SITE}", "bad-expression", "ENV:SITE", "write `${env.SITE}`"),
    ("vars:\n  a: ${env.get('SITE')}", "bad-expression", "env.get('SITE')", "write `${env.SITE}`"),
    (
        "vars:\n  a: ${SITE:-graz}",
        "bad-expression",
        "SITE:-graz",
        "there are no defaults here: set the variable before flowrunner starts",
    ),
    (
        "vars:\n  a: ${env.SITE or 'x'}",
        "bad-expression",
        "env.SITE or 'x'",
        "there are no defaults here: set the variable before flowrunner starts",
    ),
    ("vars:\n  a: ${1 + 1}", "bad-expression", "1 + 1", ""),
    ("vars:\n  a: ${}", "bad-expression", "${}", ""),
    ("vars:\n  a: b ${env.SITE", "bad-expression", "${", "close it by `}`; for a literal `${` write `$${`"),
    ("vars:\n  a: ${file(secret)}", "bad-expression", "file(secret)", 'write `${file("secret")}`'),
    ("vars:\n  a: ${file('nope')}", "unreadable-file", "nope", "a relative path begins at the folder of this file"),
    ("vars:\n  a: ${file('/')}", "unreadable-file", "/", ""),
    (
        'vars:\n  a: "${file(\'a\\0b\')}"',
        "unreadable-file",
        "a\\0b",
        "a relative path begins at the folder of this file",
    ),
    ("vars: {a: [b, {c: '${x}'}]}", "bad-expression", "x", "write `${env.x}`"),
    ("env: [SITE", "unclosed-bracket", "[", "write `env: [SITE]`"),
    ("env: [SITE]\nenv: []", "duplicate-key", "env", "keep one of the two"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "fault", "help"), MISTAKES, ids=[text for text, *_ in MISTAKES])
def test_a_mistake_is_shown_at_its_place(read: Read, text: str, code: str, fault: str, help: str) -> None:
    found, mistakes = read(text)
    assert [(d.code, d.span.text, next(iter(d.helps), "")) for d in mistakes] == [(code, fault, help)]
    assert len(mistakes[0].message) < 80
    assert "default" in found.connections


def test_all_mistakes_are_found_in_one_reading(read: Read) -> None:
    text = "connections: {a: tcp://x, b: {url: y, keepalive: 1}}\nenv: 3\n"
    text += "vars: {c: '${x}', d: '${env.NO}${env.NOR}'}\nx: 1\n"
    _, mistakes = read(text)
    assert [d.code for d in sorted(mistakes, key=lambda d: d.sort_key)] == [
        "bad-address",
        "bad-duration",
        "wrong-value",
        "bad-expression",
        "unset-variable",
        "unset-variable",
        "unknown-key",
    ]


def test_what_was_refused_still_has_a_name(read: Read) -> None:
    found, _ = read("connections: {a: tcp://x}\nvars: {b: '${x}'}\n")
    assert set(found.connections) == {"a", "default"}
    assert set(found.vars) == {"b"}
    assert found.is_complete


@pytest.mark.parametrize("text", ["a: [", "- a", "a: !x"])
def test_a_file_that_cannot_be_read_is_not_complete(read: Read, text: str) -> None:
    found, mistakes = read(text)
    assert mistakes
    assert not found.is_complete


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    found, mistakes = read_settings(tmp_path / "flowrunner.yaml", environment={}, url="a")
    assert found.connections["default"].host == "a"
    assert [(d.code, d.message) for d in mistakes] == [
        ("unreadable-file", "the file cannot be read: no such file or directory")
    ]


def test_a_file_in_another_encoding_is_shown_without_passwords(tmp_path: Path) -> None:
    path = tmp_path / "flowrunner.yaml"
    path.write_bytes(b"connections:\n  default: {password: hunter\xfc2}\n")
    found, mistakes = read_settings(path, environment={})
    assert [d.code for d in mistakes] == ["not-utf8"]
    assert "hunter" not in render(mistakes)
    assert not found.is_complete


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff", "it is not UTF-8"), (b"x" * 65_537, "it holds more than 64 KiB")],
)
def test_a_file_that_holds_no_secret(read: Read, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "odd").write_bytes(content)
    _, mistakes = read("vars:\n  a: ${file('odd')}\n")
    assert [d.message for d in mistakes] == [f"the file cannot be read: {said}"]


@pytest.mark.parametrize(
    ("content", "value"),
    [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a "), ("", ""), ("${env.SITE}", "${env.SITE}")],
)
def test_a_file_is_inserted_without_its_last_line_end(read: Read, tmp_path: Path, content: str, value: str) -> None:
    (tmp_path / "s").write_bytes(content.encode())
    assert good(read, "vars:\n  a: <${file('s')}>\n").vars == {"a": f"<{value}>"}


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_any_character_may_stand_in_a_password(secret: str) -> None:
    source = Source("s", "x ${env.A} y ${ env.A }")
    filled = fill(Passage.verbatim(source.span(0, len(source.text))), environment={"A": secret}, folder=Path())
    assert filled.text == f"x {secret} y {secret}"
    assert not filled.is_constant
    place = filled.passage.span(2, 2 + len(secret))
    assert place.text == "${env.A}"


@given(
    st.lists(st.sampled_from(["$", "{", "}", "${", "env.", "A", "file(", '"', ")", " ", "B", "'"]), max_size=20).map(
        "".join
    )
)
def test_any_template_is_filled_or_explained(text: str) -> None:
    source = Source("s", text)
    try:
        filled = fill(Passage.verbatim(source.span(0, len(text))), environment={"A": "1"}, folder=Path("/nowhere"))
    except BadHole as bad:
        mistakes = bad.diagnostics
    else:
        assert filled.is_constant == (filled.text == text.replace("$${", "${"))
        assert len(filled.passage.starts) == len(filled.text)
        return
    for mistake in mistakes:
        assert 0 <= mistake.span.start <= mistake.span.end <= len(text)
        assert len(mistake.message) < 80


FORMATS: tuple[Format, ...] = ("full", "concise", "json", "github")

LEAKS = [
    "connections:\n  default: mqtt://ada:{0}@host:x\n",
    "connections:\n  default: ada:{0}@host:x\n",
    "connections:\n  default: mqtt://ada:{0}\n",
    "connections:\n  default:\n    url: tcp://ada:{0}@host\n",
    "connections:\n  default:\n    password: {0}\n    usrname: a\n    keepalive: 5\n",
    "connections:\n  default:\n    password: {0}: x\n",
    "connections:\n  default:\n    password: @{0}\n",
    "connections:\n  default:\n    password: !{0}\n",
    "connections:\n  default:\n    password: *{0}\n",
    "connections:\n  default:\n    password: '{0}\n",
    'connections:\n  default:\n    password: "{0}\\d"\n',
    "connections:\n  default:\n    password: '{0}' {0}\n",
    "connections:\n  default:\n    password: [{0}\n",
    "connections:\n  default:\n    password:\n      {0}: x\n",
    "connections:\n  default:\n    password: |\n      {0}\n     {0}\n",
    "connections:\n  default:\n    password: x {0}\n     y: {0}\n",
    "connections: {{default: {{password: {0}, keepalive: 5}}}}",
    "connections: {{default: {{password: [{0}], keepalive: 5}}}}",
    "vars: {{api_token: {0}, b: '${{x}}'}}",
    "vars:\n  db_password: {0}\n  db_password: {0}\n",
]


@pytest.mark.parametrize("text", LEAKS)
@pytest.mark.parametrize("secret", ["hunter2", "Tr0ub4dor&3"])
def test_no_diagnostic_shows_a_password_of_the_file(read: Read, text: str, secret: str) -> None:
    found, mistakes = read(text.format(secret))
    assert mistakes
    for format in FORMATS:
        assert secret not in render(mistakes, format)
    assert found.source is not None
    assert secret not in found.source.text


FROM_ELSEWHERE = [
    "connections:\n  default: {0}\n",
    "connections:\n  default: mqtt://{0}\n",
    "connections:\n  default:\n    url: {0}\n    keepalive: {0}\n    protocol: {0}\n    session:\n      keep: {0}\n",
    "connections:\n  default:\n    url: mqtts://a\n    tls: {{ca: '{0}'}}\n",
    "vars:\n  a: {0} ${{x}}\n",
]


@pytest.mark.parametrize("text", FROM_ELSEWHERE)
@pytest.mark.parametrize("value", ["ZQXJ", "ZQ XJ", "ssl://ZQ:XJ@QZ:XX", "5ZQ", "99999ZQ", "#ZQXJ"])
def test_no_diagnostic_shows_what_came_from_the_environment_or_a_file(tmp_path: Path, text: str, value: str) -> None:
    (tmp_path / "s").write_text(value)
    path = tmp_path / "flowrunner.yaml"
    for hole in ("${env.SECRET}", '${file("s")}'):
        path.write_text(text.format(hole))
        _, mistakes = read_settings(path, environment={"SECRET": value})
        for format in FORMATS:
            assert not set(render(mistakes, format)) & set("ZQXJ")


def test_secrets_are_not_in_the_representation(read: Read) -> None:
    found = good(read, FULL)
    assert "p@ss" not in repr(found)
    assert "graz" not in repr(replace(found, source=None))


looks = ["password", ": ", ":", "\n", "  ", "'", '"', "|", "{", "}", ",", "@", "mqtt://", "a", "${", "- "]


@settings(max_examples=200)
@given(st.lists(st.sampled_from(looks), max_size=30).map("".join))
@example("password: |\n  a\n\n  b\nc: d")
def test_masking_keeps_the_shape_of_a_text(text: str) -> None:
    source = Source("s", text)
    masked, _ = without_secrets([], source)
    assert len(masked.text) == len(text)
    assert masked.line_starts == source.line_starts
    again, _ = without_secrets([], masked)
    assert again.text == masked.text


def test_the_schema_is_one_and_knows_every_key() -> None:
    schema = settings_schema()
    Draft7Validator.check_schema(schema)
    assert schema == json.loads(json.dumps(schema))
    connection = schema["properties"]["connections"]["additionalProperties"]["anyOf"][1]["properties"]
    declared = {field.name for field in fields(ConnectionSettings)}
    assert declared - {"name", "scheme", "host", "port", "path", "keep"} == set(connection) - {"url", "session"}
    assert all(one["description"] for one in connection.values())


@pytest.mark.parametrize("text", [FULL, "{}", "env: []", "connections: {default: {protocol: 5}}", "vars: {a: null}"])
def test_the_schema_accepts_what_is_right(text: str) -> None:
    assert list(Draft7Validator(settings_schema()).iter_errors(yaml.safe_load(text))) == []


@pytest.mark.parametrize(
    "text",
    [
        "conections: {}", "connections: mqtt://a", "connections: {a: {urll: b}}", "env: SITE", "env: [a-b]",
        "vars: [a]",
        "connections: {a: {url: b, keepalive: 60}}", "connections: {a: {url: b, protocol: 4}}",
        "connections: {a: {url: b, session: {}}}", "connections: {a: {url: b, username: [c]}}",
        "connections: {a: {url: b, will: {}}}", "connections: {a: {url: b, will: {topic: a, qos: 3}}}",
        "connections: {a: {url: b, receive_maximum: 70000}}", "publish_only: {}",
    ],
)  # fmt: skip
def test_the_schema_refuses_what_is_wrong(text: str) -> None:
    assert list(Draft7Validator(settings_schema()).iter_errors(yaml.safe_load(text)))


words = [
    "connections:",
    "\n",
    "  ",
    "default:",
    " a",
    "env: ",
    "[",
    "]",
    "${",
    "}",
    "vars:",
    " {",
    "'",
    "url: ",
    "tls: ",
]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60) | st.lists(st.sampled_from(words), max_size=20).map("".join))
def test_any_text_gives_settings_and_diagnostics(text: str) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "flowrunner.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        found, mistakes = read_settings(path, environment={})
    assert "default" in found.connections
    render(mistakes)


@pytest.mark.parametrize(
    ("text", "help"),
    [
        (
            "connections: {default: {host: a, url: mqtt://a}}",
            "host and port stand in one address: `url: mqtt://localhost:1883`",
        ),
        ("connections: {default: {url: mqtts://a, ca: ca.pem}}", "files for TLS stand below it: `tls: {ca: ca.pem}`"),
        ("broker: localhost", "the broker is a connection: `connections: {default: mqtt://localhost:1883}`"),
        ("username: ada", "connections stand below `connections:`, each under its name"),
    ],
)
def test_words_of_other_programs_are_answered_with_ours(read: Read, text: str, help: str) -> None:
    _, mistakes = read(text + "\n")
    assert [(one.code, one.helps) for one in mistakes] == [("unknown-key", (help,))]
