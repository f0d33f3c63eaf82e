"""Stands before the page: turns away whoever has no business there, and tells browsers what a page may do."""

from http import HTTPStatus
from secrets import token_urlsafe

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowrunner.web.access import Access
from flowrunner.web.answers import as_json

_REFUSALS = {
    "host": "this name is not served here: open the address that flowrunner printed",
    "origin": "pages of others cannot send anything here",
    "token": "this needs the token: open the address that flowrunner printed",
}


class Guard:
    """Stands before an application: refuses what `Access` refuses, and says to browsers what a page may do."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return
        nonce = scope["nonce"] = token_urlsafe(16)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _safe_headers(nonce).items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self.access.refusal(scope["method"], scope["path"], Headers(scope=scope))
        if refusal == "token" and self._brings_token(scope):
            refusal = None
        if refusal is not None:
            status = HTTPStatus.MISDIRECTED_REQUEST if refusal == "host" else HTTPStatus.FORBIDDEN
            await as_json({"error": _REFUSALS[refusal], "reason": refusal}, status)(scope, receive, answer)
            return
        try:
            await self.app(scope, receive, answer)
        except ClientDisconnect:
            return

    def _brings_token(self, scope: Scope) -> bool:
        """Whether somebody opens the address that was printed."""
        if scope["path"] != "/" or scope["method"] != "GET":
            return False
        given = Request(scope).query_params.get("token")
        return given is not None and self.access.is_token(given)


def _safe_headers(nonce: str) -> dict[str, str]:
    policy = (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
        "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-cache",
    }
