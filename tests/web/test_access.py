"""Who may do what: Host, Origin, the token, and where it is kept."""

import stat
from pathlib import Path

import pytest

from flowrunner.web.access import Access, is_loopback, kept_token

TOKEN = "s3cret-" + "y" * 30
HERE = Access("127.0.0.1", 1880, TOKEN)
EVERYWHERE = Access("0.0.0.0", 1880, TOKEN)
OWN = {"host": "127.0.0.1:1880"}
WITH_TOKEN = {**OWN, "authorization": f"Bearer {TOKEN}"}
WITH_COOKIE = {**OWN, "cookie": f"a=b; flowrunner-1880={TOKEN}", "origin": "http://127.0.0.1:1880"}


@pytest.mark.parametrize("host", ["127.0.0.1:1880", "localhost:1880", "LOCALHOST:1880", "[::1]:1880"])
def test_the_names_of_this_machine_are_served(host: str) -> None:
    assert HERE.refusal("GET", "/", {"host": host}) is None


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "evil.example:1880", "127.0.0.1", "127.0.0.1:81", "localhost.evil.example:1880",
        "127.0.0.1:1880@evil.example", "127.0.0.1:1880/x", "192.168.0.7:1880", "127.0.0.1:99999", "a b:1880",
    ],
)  # fmt: skip
def test_other_names_are_refused_whatever_else_is_right(host: str) -> None:
    assert HERE.refusal("GET", "/", {**WITH_TOKEN, "host": host}) == "host"


def test_an_open_page_is_served_under_addresses_but_not_under_names_of_others() -> None:
    assert EVERYWHERE.refusal("GET", "/", {**WITH_TOKEN, "host": "192.168.0.7:1880"}) is None
    assert EVERYWHERE.refusal("GET", "/", {**WITH_TOKEN, "host": "evil.example:1880"}) == "host"


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:81", "file://", "http://localhost:1880"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_a_foreign_origin_is_refused_even_with_the_token(origin: str, method: str) -> None:
    assert HERE.refusal(method, "/api/publish", {**WITH_TOKEN, "origin": origin}) == "origin"


def test_a_browser_that_sends_no_origin_still_says_that_the_page_is_foreign() -> None:
    assert HERE.refusal("POST", "/api/publish", {**WITH_TOKEN, "sec-fetch-site": "cross-site"}) == "origin"
    assert HERE.refusal("POST", "/api/publish", {**WITH_TOKEN, "sec-fetch-site": "same-origin"}) is None


@pytest.mark.parametrize(
    "path", ["/", "/api/state", "/api/events", "/metrics", "/api/files/a.yaml", "/health", "/ready"]
)
def test_looking_is_free_on_this_machine_and_needs_the_token_elsewhere(path: str) -> None:
    assert HERE.refusal("GET", path, OWN) is None
    expected = None if path in {"/health", "/ready"} else "token"
    assert EVERYWHERE.refusal("GET", path, OWN) == expected
    assert EVERYWHERE.refusal("GET", path, WITH_COOKIE) is None


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/api/files/a.yaml"), ("POST", "/api/publish"), ("POST", "/api/draft"), ("POST", "/api/case")],
)
def test_editing_and_publishing_need_the_token(method: str, path: str) -> None:
    assert HERE.refusal(method, path, OWN) == "token"
    assert HERE.refusal(method, path, {**OWN, "authorization": "Bearer wrong"}) == "token"
    assert HERE.refusal(method, path, {**OWN, "authorization": f"Basic {TOKEN}"}) == "token"
    assert HERE.refusal(method, path, {**OWN, "cookie": f"flowrunner-1881={TOKEN}"}) == "token"
    assert HERE.refusal(method, path, WITH_TOKEN) is None
    assert HERE.refusal(method, path, WITH_COOKIE) is None


def test_saying_what_is_on_the_screen_is_looking() -> None:
    assert HERE.refusal("POST", "/api/look", OWN) is None
    assert EVERYWHERE.refusal("POST", "/api/look", OWN) == "token"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("evil.example", False),
    ],
)
def test_what_only_this_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_the_token_stays_the_same_and_is_nobody_elses_business(tmp_path: Path) -> None:
    made = kept_token(tmp_path)
    assert kept_token(tmp_path) == made
    file = tmp_path / ".flowrunner" / "web-token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("short")
    assert len(kept_token(tmp_path)) >= 32
    assert kept_token(None) != kept_token(None)
