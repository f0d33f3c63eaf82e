"""Turns a request into what a server answers, within bounds and with its failures in words."""

import asyncio
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

from flowrunner.jsons import loads
from flowrunner.outside.http_failures import MOST_REDIRECTS, HttpFailed, explain, host_of, unwanted
from flowrunner.outside.requests import Limits, Request
from flowrunner.outside.thread import WorkThread

if TYPE_CHECKING:
    import httpx

_MOST_SHOWN = 200  # characters of an answer that an error shows
_TEXT_TYPES = {"application/xml", "application/javascript", "application/x-www-form-urlencoded", "application/yaml"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the payload, and `status`, `headers` (names in lower case) and `url` as a map."""

    payload: Any
    response: dict[str, Any]


class Client:
    """The HTTP client of all flows: it keeps connections, and no cookies; proxies come from the environment.

    It is made with the first request, in a thread: reading the certificates of the world takes a while.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.made: httpx.AsyncClient | None = None

    async def get(self) -> "httpx.AsyncClient":
        """The client that does the work."""
        async with self.lock:
            if self.made is None:
                thread = WorkThread("flowrunner-http")
                self.made = await thread.call(_make_client)
                thread.close()
            return self.made

    async def aclose(self) -> None:
        """Close its connections."""
        if self.made is not None:
            await self.made.aclose()


def _make_client() -> "httpx.AsyncClient":
    import httpx

    from flowrunner import __version__

    jar = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
    headers = {"user-agent": f"flowrunner/{__version__}", "accept-encoding": "gzip, deflate"}
    return httpx.AsyncClient(timeout=None, max_redirects=MOST_REDIRECTS, cookies=jar, headers=headers)  # noqa: S113 - `send` has one


async def send(client: Client, request: Request, limits: Limits) -> Answer:
    """Send a request and read the answer. Raises HttpFailed, in words, for all that can go wrong."""
    made = await client.get()
    import httpx

    follow = not limits.wants_redirects
    try:
        async with asyncio.timeout(limits.seconds):
            stream = made.stream(
                request.method, request.url, headers=request.headers, content=request.body, follow_redirects=follow
            )
            async with stream as response:
                if not limits.is_expected(response.status_code):
                    raise unwanted(response, await _beginning(response))
                return answer_of(response, await _body(response, limits.size))
    except TimeoutError:
        host = host_of(request.url)
        message = f"`{host}` did not answer within {limits.seconds:g} s"
        raise HttpFailed(message, code="timed-out", help="give it more with `timeout`") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        raise explain(error, host_of(request.url)) from None


def answer_of(response: "httpx.Response", body: bytes) -> Answer:
    """The answer of a server; its payload is what its content type says."""
    headers = dict(response.headers.items())
    found = {"status": response.status_code, "headers": headers, "url": str(response.url)}
    return Answer(decode(body, headers.get("content-type", "")), found)


def decode(body: bytes, content_type: str) -> Any:
    """A body by its content type: JSON as a value, text as text, everything else in bytes; an empty one is null."""
    if not body:
        return None
    kind, _, parameters = content_type.lower().partition(";")
    kind = kind.strip()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return loads(body)
        except ValueError:
            raise HttpFailed("the server sent JSON that is broken", code="bad-answer") from None
    if kind.startswith("text/") or kind.endswith("+xml") or kind in _TEXT_TYPES:
        charset = parameters.partition("charset=")[2].partition(";")[0].strip(" \"'") or "utf-8"
        try:
            return body.decode(charset)
        except (ValueError, LookupError):
            raise HttpFailed(f"the server sent text that is not {charset[:30]}", code="bad-answer") from None
    return body


async def _body(response: "httpx.Response", most: int) -> bytes:
    body = bytearray()
    announced = response.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most and response.request.method != "HEAD":
        raise _too_large(most)
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most:
            raise _too_large(most)
    return bytes(body)


async def _beginning(response: "httpx.Response") -> str:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= 4 * _MOST_SHOWN:
            break
    return " ".join(body.decode("utf-8", "replace").split())[:_MOST_SHOWN]


def _too_large(most: int) -> HttpFailed:
    message = f"the answer is larger than {most} bytes"
    return HttpFailed(message, code="answer-too-large", help="raise `max_size`")
