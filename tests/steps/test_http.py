"""The step `http`, against a real server."""

import asyncio
import gzip
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.diagnostics import Diagnostic
from flowrunner.jsons import dumps
from flowrunner.options import http as kinds
from flowrunner.outside.http import decode
from flowrunner.outside.http_failures import HttpFailed, parse_retry_after
from flowrunner.steps.http import encode, join_url
from tests.flow_host import FlowHost, Outcome, diagnose, message, read, refused
from tests.http_server import Answer, Server, http_server


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with http_server() as server:
        yield server


def ask(step: str, *payloads: Any, behind: str = "") -> Outcome:
    """What a flow with one `http` step does with messages on `in/attic`."""
    text = f"subscribe: in/+room\nsteps:\n  - json\n  - http: {step}\n{behind}  - publish: out\n"
    host = FlowHost(read(text))
    for payload in payloads or ({},):
        host.arrive(message("in/attic", dumps(payload)))
    host.beside.close()
    return host.outcome


def failed(step: str) -> Diagnostic:
    """The one error of a flow with one `http` step."""
    outcome = ask(step)
    assert outcome.published == []
    return outcome.error


@pytest.mark.parametrize(
    ("answer", "payload"),
    [
        (Answer(b'{"t": 20.5}', type="application/json"), {"t": 20.5}),
        (Answer(b'{"t": 1}', type="application/problem+json; charset=utf-8"), {"t": 1}),
        (Answer("20 °C".encode(), type="text/plain; charset=utf-8"), "20 °C"),
        (Answer("20 °C".encode("latin-1"), type="text/html; charset=ISO-8859-1"), "20 °C"),
        (Answer(b"<a/>", type="image/svg+xml"), "<a/>"),
        (Answer(b"\x00\xff", type="application/octet-stream"), b"\x00\xff"),
        (Answer(b"\xff{", type=""), b"\xff{"),
        (Answer(b"", 204, type=""), None),
        (Answer(b"", type="application/json"), None),
        (
            Answer(gzip.compress(b'{"z": 1}'), headers={"content-encoding": "gzip"}, type="application/json"),
            {"z": 1},
        ),
    ],
)
def test_the_answer_becomes_the_payload_by_its_content_type(server: Server, answer: Answer, payload: Any) -> None:
    server.answers["/x"] = answer
    host = FlowHost(read(f"subscribe: in\nsteps:\n  - http: {server.url}/x\n  - publish: out\n"))
    host.get("in")
    host.beside.close()
    (sent,) = host.outcome.published
    if isinstance(payload, str | bytes):
        assert sent.payload == (payload.encode() if isinstance(payload, str) else payload)
    else:
        assert sent.value == payload


def test_response_is_a_name_behind_the_step(server: Server) -> None:
    server.answers["/x"] = Answer(b"fine", 201, {"X-Left": "7"})
    behind = (
        '  - map: {status: "${response.status}", left: "${response.headers[\'x-left\']}", url: "${response.url}"}\n'
    )
    outcome = ask(f"{server.url}/x", behind=behind)
    assert outcome.sent == [("out", {"status": 201, "left": "7", "url": f"{server.url}/x"})]


def test_what_is_inserted_into_the_address_stays_one_part(server: Server) -> None:
    server.answers["/a/%2F..%2Fb%3Fc%23d%20%C3%A4/e"] = Answer(b"1")
    ask(f'"{server.url}/a/${{payload.x}}/e?q=${{payload.x}}&n=${{payload.n:.1f}}"', {"x": "/../b?c#d ä", "n": 2})
    (asked,) = server.asked
    assert asked.path == "/a/%2F..%2Fb%3Fc%23d%20%C3%A4/e?q=%2F..%2Fb%3Fc%23d%20%C3%A4&n=2.0"


@pytest.mark.parametrize("part", [".", ".."])
def test_what_is_inserted_cannot_be_another_folder(server: Server, part: str) -> None:
    outcome = ask(f'"{server.url}/a/${{payload}}/c"', part)
    assert outcome.error.code == "bad-url"
    assert server.asked == []


@given(st.text())
def test_whatever_is_inserted_is_one_part_of_a_path(text: str) -> None:
    try:
        part = encode(text)
    except Exception as error:  # noqa: BLE001
        assert getattr(error, "code", "") == "bad-url"
        return
    assert not set(part) & set("/?#&=+ \r\n\t\\@:") or part == text
    if part not in {".", ".."}:
        assert join_url(["http://h/a/", part, "/b"]).count("/") == 5


@pytest.mark.parametrize(
    ("options", "method", "body", "kind"),
    [
        ("", "GET", b"", None),
        ("method: POST", "POST", b'{"x":1}', "application/json"),
        ("method: PUT", "PUT", b'{"x":1}', "application/json"),
        ("method: PATCH, body: plain", "PATCH", b"plain", "text/plain; charset=utf-8"),
        ('method: POST, body: "${payload.x}"', "POST", b"1", "application/json"),
        (
            'method: POST, json: {y: "${payload.x}", room: "${room}"}',
            "POST",
            b'{"y":1,"room":"attic"}',
            "application/json",
        ),
        ("method: POST, json: [1], headers: {Content-Type: application/x-own}", "POST", b"[1]", "application/x-own"),
        ("method: DELETE", "DELETE", b"", None),
    ],
)
def test_what_is_sent(server: Server, options: str, method: str, body: bytes, kind: str | None) -> None:
    server.answers["/x"] = Answer(b"ok")
    ask(f"{{url: {server.url}/x, {options}}}", {"x": 1})
    (asked,) = server.asked
    assert (asked.method, asked.body, asked.headers.get("content-type")) == (method, body, kind)


def test_bytes_are_sent_as_they_are(server: Server) -> None:
    server.answers["/x"] = Answer(b"ok")
    host = FlowHost(read(f"subscribe: in\nsteps:\n  - http: {{url: {server.url}/x, method: POST}}\n"))
    host.get("in", b"\x00\xff")
    host.beside.close()
    assert server.asked[0].body == b"\x00\xff"
    assert server.asked[0].headers["content-type"] == "application/octet-stream"


def test_headers_are_sent_and_one_with_a_line_end_is_an_error(server: Server) -> None:
    server.answers["/x"] = Answer(b"1")
    outcome = ask(f'{{url: {server.url}/x, headers: {{X-Room: "${{room}}/${{payload}}"}}}}', "ä", "a\r\nX-Evil: 1")
    assert [asked.headers["x-room"].encode("latin-1").decode() for asked in server.asked] == ["attic/ä"]
    assert outcome.error.code == "bad-header"


def test_cookies_are_not_kept(server: Server) -> None:
    server.answers["/x"] = Answer(b"1", headers={"set-cookie": "session=secret; Path=/"})
    ask(f"{server.url}/x", 1, 2)
    assert ["cookie" in asked.headers for asked in server.asked] == [False, False]


def test_connections_are_kept(server: Server) -> None:
    server.answers["/x"] = Answer(b"1")
    began: list[Any] = []
    accept = server.http.get_request
    server.http.get_request = lambda: began.append(1) or accept()  # type: ignore[method-assign, func-returns-value]
    assert len(ask(f"{server.url}/x", *range(5)).published) == 5
    assert len(began) == 1


def test_a_redirection_is_followed(server: Server) -> None:
    server.answers["/a"] = Answer(status=302, headers={"location": "/b"})
    server.answers["/b"] = Answer(b"there", status=200)
    outcome = ask(f"{server.url}/a", behind='  - map: "response.url"\n')
    assert outcome.published[0].payload.decode() == f"{server.url}/b"


def test_redirections_without_end_are_an_error(server: Server) -> None:
    server.answers["/a"] = Answer(status=307, headers={"location": "/a"})
    assert failed(f"{server.url}/a").message == "the server redirects more than 5 times"
    assert len(server.asked) == 6


def test_a_redirection_that_is_expected_is_an_answer(server: Server) -> None:
    server.answers["/a"] = Answer(status=302, headers={"location": "/b"})
    outcome = ask(f"{{url: {server.url}/a, expect: [200, 302]}}", behind="  - map: response.headers.location\n")
    assert outcome.published[0].payload == b"/b"


@pytest.mark.parametrize(
    ("expect", "status", "is_fine"),
    [
        ("2xx", 204, True),
        ("200", 204, False),
        ("[200, 404]", 404, True),
        ("[2xx, 404]", 404, True),
        ("5xx", 200, False),
    ],
)
def test_which_statuses_are_expected(server: Server, expect: str, status: int, *, is_fine: bool) -> None:
    server.answers["/x"] = Answer(status=status)
    outcome = ask(f"{{url: {server.url}/x, expect: {expect}}}")
    assert bool(outcome.published) == is_fine


def test_an_unexpected_status_is_told_with_the_beginning_of_the_answer(server: Server) -> None:
    server.answers["/x"] = Answer(b"<h1>no   such\n device</h1>" + b"x" * 5_000, 404, type="text/html")
    error = failed(f"{server.url}/x")
    assert error.code == "http-status"
    assert error.message.startswith("the server answered 404 Not Found: <h1>no such device</h1>xxx")
    assert len(error.message) < 300
    assert error.span.text == "http"


@pytest.mark.parametrize(("status", "word"), [(401, "Authorization"), (503, "`retry`")])
def test_some_statuses_come_with_help(server: Server, status: int, word: str) -> None:
    server.answers["/x"] = Answer(status=status)
    assert word in failed(f"{server.url}/x").helps[0]


def test_a_server_that_is_too_slow_is_an_error(server: Server) -> None:
    event = threading.Event()
    server.answers["/x"] = Answer(b"late", wait=event)
    error = failed(f"{{url: {server.url}/x, timeout: 50ms}}")
    event.set()
    assert (error.code, error.message) == ("timed-out", f"`127.0.0.1:{server.port}` did not answer within 0.05 s")


@pytest.mark.parametrize("headers", [{}, {"content-length": ""}], ids=["announced", "not announced"])
def test_an_answer_that_is_too_large_is_an_error(server: Server, headers: dict[str, str]) -> None:
    server.answers["/x"] = Answer(b"x" * 100_000, headers={**headers, "connection": "close"}, pieces=20)
    error = failed(f"{{url: {server.url}/x, max_size: 64KiB}}")
    assert (error.code, error.message) == ("answer-too-large", "the answer is larger than 65536 bytes")


def test_a_small_answer_that_unpacks_to_a_huge_one_is_an_error(server: Server) -> None:
    bomb = gzip.compress(b"0" * 3_000_000)
    server.answers["/x"] = Answer(bomb, headers={"content-encoding": "gzip"})
    assert failed(f"{{url: {server.url}/x, max_size: 1MB}}").code == "answer-too-large"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(b"{bad", type="application/json"), "bad-answer"),
        (Answer(b"\xff", type="text/plain"), "bad-answer"),
        (Answer(b"a", type="text/plain; charset=klingon"), "bad-answer"),
        (Answer(b"no gzip", headers={"content-encoding": "gzip"}), "bad-answer"),
        (Answer(b"a", headers={"content-length": "50", "connection": "close"}), "http-failed"),
    ],
)
def test_a_broken_answer_is_an_error(server: Server, answer: Answer, code: str) -> None:
    server.answers["/x"] = answer
    assert failed(f"{server.url}/x").code == code


def test_a_port_where_nobody_listens() -> None:
    with http_server() as server:
        port = server.port
    assert (
        failed(f"http://127.0.0.1:{port}/x").message
        == f"`127.0.0.1:{port}` refused the connection: nothing listens there"
    )


def test_a_host_that_is_none() -> None:
    assert failed("http://host.invalid/x").message == "there is no host `host.invalid`, or no name server knows it"


def test_tls_with_a_server_that_speaks_none(server: Server) -> None:
    error = failed(f"https://127.0.0.1:{server.port}/x")
    assert (error.code, error.message.partition(":")[0]) == ("http-failed", "`127.0.0.1")
    assert "does not speak TLS as expected" in error.message


def test_a_certificate_that_nobody_trusts() -> None:
    import ssl
    from pathlib import Path

    folder = Path(__file__).parents[1] / "tls"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    with http_server() as server:
        server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
        error = failed(f"https://127.0.0.1:{server.port}/x")
    assert f"the certificate of `127.0.0.1:{server.port}` is not trusted" in error.message


def test_a_proxy_comes_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    server.answers["http://example.invalid/x"] = Answer(b"by proxy")
    assert ask("http://example.invalid/x").published[0].payload == b"by proxy"


BAD_URLS = {
    "ftp://example.org/": "wrong-value",
    "example.org/api": "wrong-value",
    "/api/${payload.x}": "bad-url",
    "${payload.url}": "bad-url",
    "http://${payload.host}/x": "bad-url",
    "http://example.${payload.x}/x": "bad-url",
    "http://example.org:${payload.port}/x": "bad-url",
    "http://example.org${payload.x}": "bad-url",
    "${payload.scheme}://example.org/": "bad-url",
    "http://me:secret@example.org/": "bad-url",
    "http://example.org:99999/": "bad-url",
    "http://:80/": "bad-url",
}


@pytest.mark.parametrize(("url", "code"), BAD_URLS.items())
def test_scheme_and_host_are_written_out(url: str, code: str) -> None:
    found = refused(f'subscribe: in\nsteps:\n  - json\n  - http: "{url}"\n')
    assert found.code == code
    assert found.span.line == 4


@pytest.mark.parametrize(
    "url", ["http://example.org?x=${payload.x}", "https://[::1]:8080/${payload.x}", "HTTP://h/#${payload}"]
)
def test_path_and_query_may_hold_expressions(url: str) -> None:
    _, found = diagnose(f'subscribe: in\nsteps:\n  - json\n  - http: "{url}"\n')
    assert found == []


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("method: post", "wrong-value"),
        ("headers: {Host: x}", "wrong-value"),
        ("headers: {'a b': x}", "wrong-value"),
        ("headers: [a]", "wrong-value"),
        ("expect: ok", "wrong-value"),
        ("expect: 99", "wrong-value"),
        ("expect: []", "wrong-value"),
        ("json: 1, body: 2", "wrong-value"),
        ("timeout: 5", "wrong-value"),
        ('headers: {X: "${payload.x} ${nobody}"}', "unknown-name"),
    ],
)
def test_wrong_options_are_refused(options: str, code: str) -> None:
    assert refused(f"subscribe: in\nsteps:\n  - json\n  - http: {{url: http://h/, {options}}}\n").code == code


def test_response_cannot_be_a_constant() -> None:
    found = refused("subscribe: in\nvars: {response: 1}\nsteps:\n  - http: http://h/\n")
    assert found.code == "reserved-name"


def test_the_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "find_spec", lambda _: None)
    found = refused("subscribe: in\nsteps:\n  - http: http://h/\n")
    assert found.code == "missing-extra"
    assert found.helps == ("install it: `pip install 'flowrunner[http]'`",)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("-1", None),
        ("9" * 400, 999_999_999.0),
    ],
)
def test_how_long_a_server_wants_to_rest(text: str, seconds: float | None) -> None:
    assert parse_retry_after(text, 10.0) == seconds


def test_a_step_with_retry_after_says_so(server: Server) -> None:
    server.answers["/x"] = Answer(status=429, headers={"Retry-After": "30"})
    host = FlowHost(read(f"subscribe: in\non_error: [log: x]\nsteps:\n  - http: {server.url}/x\n"))
    host.get("in")
    host.beside.close()
    (error,) = host.outcome.handled
    assert isinstance(error, HttpFailed)
    assert error.retry_after == 30


@given(st.binary(), st.text())
def test_whatever_a_server_sends_is_a_payload_or_an_error(body: bytes, content_type: str) -> None:
    for kind in (content_type, "application/json", f"text/plain; charset={content_type}"):
        try:
            decode(body, kind)
        except HttpFailed as error:
            assert error.code == "bad-answer"


async def test_a_slow_server_does_not_hold_up_the_loop(server: Server) -> None:
    event = threading.Event()
    server.answers["/x"] = Answer(b"late", wait=event)
    host = FlowHost(read(f"subscribe: in\nsteps:\n  - http: {server.url}/x\n  - publish: out\n"))
    host.get("in")
    deadline = time.monotonic() + 10
    while not server.asked and time.monotonic() < deadline:
        await asyncio.sleep(0)
    assert host.outcome.published == []
    event.set()
    assert (await host.settled()).published[0].payload == b"late"
    await host.beside.aclose()
