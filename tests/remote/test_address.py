"""The setting `state`: where a Redis is, and what a person gets wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.address import BadAddress
from flowrunner.compile.owners import owner_reasons
from flowrunner.diagnostics import render
from flowrunner.read import settings_state
from flowrunner.read.library import Library
from flowrunner.read.load import load
from flowrunner.read.settings import Settings, read_settings
from flowrunner.remote.address import StateSettings, parse_state


@pytest.mark.parametrize(
    ("text", "expected", "shown"),
    [
        ("redis://localhost", StateSettings(), "redis://localhost:6379/0"),
        ("redis://h:7000/3", StateSettings("redis", "h", 7000, "", 3), "redis://h:7000/3"),
        ("redis://:p%40ss@h/1", StateSettings("redis", "h", 6379, "", 1, None, "p@ss"), "redis://h:6379/1"),
        ("rediss://me:secret@h?name=a", StateSettings("rediss", "h", 6379, "", 0, "me", "secret", "a"), "rediss://h:6379/0"),
        ("rediss://h?ca=a&cert=b&key=c", StateSettings("rediss", "h", ca="a", cert="b", key="c"), "rediss://h:6379/0"),
        ("redis://[::1]:7000", StateSettings("redis", "::1", 7000), "redis://[::1]:7000/0"),
        ("unix:///run/r.sock?db=2&name=x", StateSettings("unix", "", 0, "/run/r.sock", 2, name="x"), "unix:///run/r.sock?db=2"),
        ("unix://me:pw@/run/r.sock", StateSettings("unix", "", 0, "/run/r.sock", 0, "me", "pw"), "unix:///run/r.sock"),
    ],
)  # fmt: skip
def test_addresses(text: str, expected: StateSettings, shown: str) -> None:
    found = parse_state(text)
    assert found == expected
    assert found.password == expected.password
    assert found.shown == shown
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("text", "message", "part"),
    [
        ("localhost:6379", "the address of a Redis begins with `redis`, `rediss` or `unix`", "localhost:6379"),
        ("mqtt://h", "the address of a Redis begins with `redis`, `rediss` or `unix`", "mqtt"),
        ("redis://", "an address must name a host", ""),
        ("redis://h:99999", "a port is a number from 1 to 65535", "99999"),
        ("redis://h:x", "behind the host only a port may follow", ":x"),
        ("redis://h/first", "behind the host stands the number of a database", "first"),
        ("redis://a@b@h", "a `@` in a user name or password must be written `%40`", "@"),
        ("redis://h 1", "an address holds no blanks", " "),
        ("redis://h?ca=x", "this is no option of such an address", "?ca=x"),
        ("rediss://h?cert=x", "`cert=` and `key=` belong together", "?cert=x"),
        ("unix://?db=0", "the path of the socket is missing", ""),
        ("unix:///a?db=x", "the value of this option is missing, or is none", "db=x"),
    ],
)
def test_mistakes(text: str, message: str, part: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse_state(text)
    assert caught.value.message == message
    assert text[caught.value.start : caught.value.end] == part


@pytest.mark.parametrize(("text", "help"), [("redis+unix:///run/redis.sock", "unix"), ("reddis://h", "redis")])
def test_the_word_that_was_meant_is_proposed(text: str, help: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse_state(text)
    assert caught.value.help == f"write `{help}://`"


@given(st.text(max_size=30) | st.text("redis:/@[]?#&=%.0aé", max_size=40).map("redis://".__add__))
def test_any_text_is_an_address_or_a_mistake_with_a_place(text: str) -> None:
    try:
        parse_state(text)
    except BadAddress as bad:
        assert 0 <= bad.start <= bad.end <= len(text)


def settings_of(folder: Path, text: str, environment: dict[str, str] | None = None) -> tuple[Settings, str]:
    file = folder / "flowrunner.yaml"
    file.write_text(text)
    found, mistakes = read_settings(file, environment=environment or {})
    return found, render(mistakes)


def test_the_setting(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("hush\n")
    text = 'state: redis://me:${file("pw")}@${env.HOST}:7000/1\n'
    found, shown = settings_of(tmp_path, text, {"HOST": "cache.example"})
    assert shown == ""
    assert found.state == StateSettings("redis", "cache.example", 7000, "", 1, "me", "hush")
    assert found.state is not None
    assert found.state.password == "hush"
    assert found.files == (tmp_path / "pw",)


@pytest.mark.parametrize(
    "text",
    [
        "state: redis://me:topsecret@h:x\n",
        "state: 'redis://:topsecret@h/first'\n",
        "state: redis://me:topsecret@h?nme=x\n",
    ],
)
def test_no_frame_shows_a_password(tmp_path: Path, text: str) -> None:
    found, shown = settings_of(tmp_path, text)
    assert found.state is None
    assert "flowrunner.yaml:1" in shown
    assert "topsecret" not in shown
    assert found.source is not None
    assert "topsecret" not in found.source.text


def test_what_is_no_address_gets_a_frame(tmp_path: Path) -> None:
    for text in ("state: {url: x}\n", "state: []\n", "state:\n", "state: 5\n"):
        found, shown = settings_of(tmp_path, text)
        assert found.state is None
        assert "flowrunner.yaml:1" in shown, text


def test_without_the_package_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_state, "find_spec", lambda _: None)
    _, shown = settings_of(tmp_path, "state: redis://localhost\n")
    assert "`state` needs a package that is not installed" in shown
    assert "pip install 'flowrunner[redis]'" in shown


@pytest.mark.parametrize("missing", ["ca", "cert", "key"])
def test_a_certificate_that_is_not_there(tmp_path: Path, missing: str) -> None:
    for name in {"ca", "cert", "key"} - {missing}:
        (tmp_path / f"{name}.pem").write_text("x")
    text = "state: rediss://h?ca=ca.pem&cert=cert.pem&key=key.pem\n"
    _, shown = settings_of(tmp_path, text)
    assert f"the file of `{missing}` in `state` is not there" in shown
    (tmp_path / f"{missing}.pem").write_text("x")
    found, shown = settings_of(tmp_path, text)
    assert shown == ""
    assert found.state is not None
    assert [found.state.ca, found.state.cert, found.state.key] == [
        str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")
    ]
    assert set(found.files) == {tmp_path / "ca.pem", tmp_path / "cert.pem", tmp_path / "key.pem"}


def folder_of_flows(folder: Path) -> Path:
    steps = "steps:\n  - dedupe: {key: topic}\n  - publish: {topic: out}\n"
    (folder / "flow.yaml").write_text(f"subscribe: in\n{steps}")
    pair = "steps:\n  - state: {get: v}\n  - state: {set: v}\n"
    (folder / "pair.yaml").write_text(f"subscribe: in\n{pair}")
    return folder


def test_flows_with_it_need_no_owner_unless_they_read_and_set(tmp_path: Path) -> None:
    folder_of_flows(tmp_path)
    flows = {flow.name: flow for flow in load([tmp_path], environment={}).flows}
    assert owner_reasons(flows["flow"]) == ("`dedupe` remembers",)
    (tmp_path / "flowrunner.yaml").write_text("state: redis://localhost\n")
    flows = {flow.name: flow for flow in load([tmp_path], environment={}).flows}
    assert owner_reasons(flows["flow"]) == ()
    assert owner_reasons(flows["pair"]) == ("`state` steps share a value, and nobody may come between them",)


def test_it_does_not_change_while_flows_run(tmp_path: Path) -> None:
    folder_of_flows(tmp_path)
    (tmp_path / "flowrunner.yaml").write_text("state: redis://localhost\n")
    library: Library[object] = Library([tmp_path], lambda flow: flow, environment={})
    before = library.refresh()
    assert before.stays == ()
    (tmp_path / "flowrunner.yaml").write_text("state: redis://elsewhere.example\nvars: {a: 1}\n")
    after = library.refresh([tmp_path / "flowrunner.yaml"])
    assert after.stays == ("state",)
    assert after.settings.state == before.settings.state
    assert after.settings.vars == {"a": 1}
    assert library.refresh().stays == ()
