"""Turns a message into a request, and the answer into the payload: the step `http`."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flowrunner.code import Block, Host
from flowrunner.errors import StepError
from flowrunner.expressions import Expression, Hole, Scope, Template
from flowrunner.jsons import dumps, to_payload
from flowrunner.options import Choice, Duration, Size, ValueKind, option
from flowrunner.options.http import Header, Headers, Statuses, Url
from flowrunner.outside.requests import Limits, Request
from flowrunner.step import Check
from flowrunner.values import Value
from flowrunner.waiting import Foretold, Outcome, WaitingStep, WaitingWorker

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_WITH_PAYLOAD = {"POST", "PUT", "PATCH"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Http(WaitingStep):
    """Ask a server by HTTP; the answer becomes the payload.

    Scheme, host and port are written out. What `${}` inserts into path or query is percent-encoded, so that it stays
    one part of a path or one value. With `POST`, `PUT` and `PATCH` the payload is sent, as `publish` would send it,
    unless `json` (any value, sent as JSON) or `body` says what else.

    An answer in JSON becomes a value, one in text a text, everything else stays bytes, and an empty one is null.
    Behind the step `response` is a name: `response.status`, `response.headers` (names in lower case: read one with
    `response.headers["content-type"]`) and `response.url`. Up to five redirections are followed. A status that is not
    expected is a step error, like a server that is not there or takes too long; a `retry` around the step tries again,
    and waits as long as the server asks for (`Retry-After`).

    Proxies come from the environment (`HTTPS_PROXY`, `NO_PROXY`); cookies are not kept. The step needs the extra
    `http`: `pip install 'flowrunner[http]'`.
    """

    KEY = "http"
    IS_OUTSIDE = True
    EXAMPLES = (
        """
        subscribe: weather/+city
        steps:
          - http: https://weather.example.com/now?city=${city}
          - map: payload.temperature
          - publish: weather/${city}/temperature
        tests:
          - given: {topic: weather/graz}
            mocks: {http: {payload: {temperature: 3.5}}}
            expect: {topic: weather/graz/temperature, payload: 3.5}
        """,
        """
        subscribe: alarms/+room
        steps:
          - json
          - retry:
              attempts: 5
              steps:
                - http:
                    url: https://ntfy.example.com/alarms
                    method: POST
                    headers: {Priority: "${payload.level}"}
                    json: {title: "Alarm in ${room}", message: "${payload.text}"}
                    timeout: 5s
          - publish: alarms/${room}/sent
        tests:
          - name: the server is busy, then it takes the alarm
            given: [{topic: alarms/attic, payload: {level: high, text: smoke}}, {after: 1s}]
            mocks: {http: [{status: 503}, {status: 200}]}
            expect: {topic: alarms/attic/sent}
        """,
    )

    url: Template = option(Url(), "the address", main=True)
    method: str = option(Choice(_METHODS), "what is to be done", default="GET")
    headers: tuple[Header, ...] = option(Headers(), "more headers", default=())
    json: Value | None = option(ValueKind(), "a value that is sent as JSON", default=None)
    body: Value | None = option(ValueKind(), "what is sent: a text, bytes, or a value as JSON", default=None)
    timeout: float = option(Duration(), "how long the whole may take", default=10.0)
    expect: tuple[int, ...] = option(
        Statuses(), "the statuses that are no error; without it all from 200 to 299", default=()
    )
    max_size: int = option(Size(), "the largest answer that is read", default=10_000_000)

    def parts(self) -> Iterator[Expression | Template]:
        yield from WaitingStep.parts(self)
        for header in self.headers:
            yield header.value

    def check(self, scope: Scope, check: Check) -> Scope | None:
        if self.json is not None and self.body is not None:
            message = "`http` needs `json` or `body`, and not both"
            check.report.say("wrong-value", message, self.at.key_span)
        check.new_name("response", self.at.key_span)
        return WaitingStep.check(self, scope, check)

    def after(self, scope: Scope) -> Scope:
        return scope.with_(payload="any", response="data")

    def foretell(self, job: Request) -> Foretold:
        body = "" if job.body is None else f" with {job.body[:200].decode(errors='backslashreplace')}"
        return Foretold(f"{job.method} {job.url}{body}")

    def worker(self, host: Host) -> "_Requests":
        return _Requests(host, self)

    def emit(self, to: Block) -> None:
        headers = [
            to.expression("HEADER(NAME, TEXT)", HEADER=to.helper(header_of), NAME=to.constant(header.name), TEXT=text)
            for header in self.headers
            for text in [to.text(header.value)]
        ]
        body = self.emit_body(to)
        holes = {"METHOD": to.constant(self.method), "URL": emit_url(to, self.url), "BODY": body}
        holes |= {"HEADERS": ast.copy_location(ast.List(headers, ast.Load()), body), "MAKE": to.helper(request_of)}
        self.job(to, to.expression("MAKE(METHOD, URL, HEADERS, BODY)", **holes))

    def emit_body(self, to: Block) -> ast.expr:
        """The body with its content type, or None."""
        if self.json is not None:
            return to.expression("BODY(VALUE)", BODY=to.helper(json_body), VALUE=to.value(self.json))
        if self.body is None and self.method not in _WITH_PAYLOAD:
            return to.constant(None)
        value = to.name("payload") if self.body is None else to.value(self.body)
        return to.expression("BODY(VALUE)", BODY=to.helper(body_of), VALUE=value)


def emit_url(to: Block, url: Template) -> ast.expr:
    """What computes an address; every hole is encoded by itself."""
    if url.is_constant:
        return to.constant(url.constant)
    pieces: list[ast.expr] = []
    for part in url.parts:
        if isinstance(part, Hole):
            at = Block(to.writer, to.scope, part.span)
            pieces.append(
                at.expression("QUOTE(TEXT)", QUOTE=at.helper(encode), TEXT=at.text(Template(url.passage, (part,))))
            )
        else:
            pieces.append(to.constant(part))
    joined = ast.copy_location(ast.List(pieces, ast.Load()), to.constant(None))
    return to.expression("JOIN(PIECES)", JOIN=to.helper(join_url), PIECES=joined)


def encode(text: str) -> str:
    """A text as one part of a path or one value of a query. Raises StepError for half a surrogate pair."""
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise StepError("half a surrogate pair cannot stand in an address", code="bad-url") from None


def join_url(pieces: list[str]) -> str:
    """An address from its pieces. Raises StepError where what was inserted leads to another folder."""
    url = "".join(pieces)
    path = url.partition("://")[2].partition("#")[0].partition("?")[0]
    if {".", ".."} & {*path.split("/")[1:]}:
        raise StepError("a part of the path is `.` or `..`, which is another folder", code="bad-url")
    return url


_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def header_of(name: str, text: str) -> tuple[bytes, bytes]:
    """A header as it is sent. Raises StepError for one that holds a line end."""
    try:
        if not _FORBIDDEN.search(text):
            return name.encode(), text.encode()
    except UnicodeEncodeError:
        pass
    raise StepError(f"the header `{name}` must be a text in one line", code="bad-header")


def json_body(value: Any) -> tuple[bytes, bytes]:
    """A value as JSON, with its content type."""
    return dumps(value), b"application/json"


def body_of(value: Any) -> tuple[bytes, bytes]:
    """A value as `publish` would send it, with its content type."""
    if isinstance(value, bytes):
        return value, b"application/octet-stream"
    return to_payload(value), b"text/plain; charset=utf-8" if isinstance(value, str) else b"application/json"


def request_of(method: str, url: str, headers: list[tuple[bytes, bytes]], body: tuple[bytes, bytes] | None) -> Request:
    """A request with its parts; a content type that the user gave is left alone."""
    if body is None:
        return Request(method, url, headers)
    content, kind = body
    if not any(name.lower() == b"content-type" for name, _ in headers):
        headers = [*headers, (b"content-type", kind)]
    return Request(method, url, headers, content)


class _Requests(WaitingWorker):
    """Sends the requests of one step."""

    def __init__(self, host: Host, step: Http) -> None:
        super().__init__(host)
        self.limits = Limits(step.expect or (2,), step.timeout, step.max_size)

    async def work(self, job: Request) -> Outcome:
        from flowrunner.outside.http import Client, send  # brings asyncio, which `check` does without

        client = self.host.share("http", Client)
        answer = await send(client, job, self.limits)
        return ({"payload": answer.payload, "response": answer.response},)
