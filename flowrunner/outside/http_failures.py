"""Turns what goes wrong between a client and a server into words."""

import socket
import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from flowrunner.errors import StepError

if TYPE_CHECKING:
    import httpx

MOST_REDIRECTS = 5


class HttpFailed(StepError):
    """A request failed; `retry_after` is how many seconds the server wants to be left alone, if it said so."""

    retry_after: float | None = None


def unwanted(response: "httpx.Response", beginning: str) -> HttpFailed:
    """The error for an answer with a status that is not expected."""
    said = f": {beginning}" if beginning else ""
    status = f"{response.status_code} {response.reason_phrase}".strip()
    failed = HttpFailed(f"the server answered {status}{said}", code="http-status", help=_status_help(response))
    failed.retry_after = parse_retry_after(response.headers.get("retry-after", ""), time.time())
    return failed


def _status_help(response: "httpx.Response") -> str:
    if response.status_code in (401, 403):
        return "the server wants to know who asks: `headers: {Authorization: ...}`"
    if response.status_code in (429, 502, 503, 504):
        return "put the step into a `retry`"
    return ""


def parse_retry_after(text: str, now: float) -> float | None:
    """Seconds from `now` that a `Retry-After` asks for: a number of seconds, or a date (RFC 9110 section 10.2.3)."""
    text = text.strip()
    if text.isdecimal() and text.isascii():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def host_of(url: str) -> str:
    """The host of an address, with its port if one is given."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0].partition("#")[0]


def explain(error: Exception, host: str) -> HttpFailed:
    """An exception of the client in words."""
    import httpx

    if isinstance(error, httpx.TooManyRedirects):
        return _failed(f"the server redirects more than {MOST_REDIRECTS} times")
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return _failed(f"the address cannot be asked: {error}")
    if isinstance(error, httpx.DecodingError):
        return HttpFailed("the answer cannot be unpacked", code="bad-answer")
    if isinstance(error, httpx.HTTPError) and getattr(error, "_request", None) is not None:
        host = error.request.url.netloc.decode() or host  # after a redirection, not the one that the flow names
    for cause in _causes(error):
        if words := _words_for(cause, host):
            return _failed(words)
    if isinstance(error, httpx.RemoteProtocolError):
        return _failed(f"`{host}` broke the connection off: {_short(error)}")
    return _failed(f"`{host}` could not be asked: {_short(error)}")


def _words_for(cause: BaseException, host: str) -> str:
    match cause:
        case socket.gaierror():
            return f"there is no host `{host}`, or no name server knows it"
        case ConnectionRefusedError():
            return f"`{host}` refused the connection: nothing listens there"
        case ssl.SSLCertVerificationError():
            return f"the certificate of `{host}` is not trusted: {cause.verify_message.lower()}"
        case ssl.SSLError():
            return f"`{host}` does not speak TLS as expected: {(cause.reason or 'unknown').lower().replace('_', ' ')}"
        case ConnectionResetError() | BrokenPipeError():
            return f"`{host}` broke the connection off"
        case OSError(errno=int(), strerror=str(reason)):
            return f"`{host}` could not be reached: {reason.lower()}"
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that led to it, those of groups included."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        cause = waiting.pop(0)
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [cause.__cause__, cause.__context__]
        if isinstance(cause, BaseExceptionGroup):
            waiting += cause.exceptions


def _failed(message: str) -> HttpFailed:
    return HttpFailed(message, code="http-failed")


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:120].lower() if lines else type(error).__name__
