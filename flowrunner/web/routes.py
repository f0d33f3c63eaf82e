"""Turns requests into answers: the page, its events, JSON, metrics."""

from functools import cached_property
from http import HTTPStatus
from importlib.resources import files as resources
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowrunner import __version__
from flowrunner.errors import FlowrunnerError
from flowrunner.jsons import dumps
from flowrunner.read.load import find_files
from flowrunner.web.access import Access
from flowrunner.web.board import Board
from flowrunner.web.cases import case_of
from flowrunner.web.drafts import check_draft
from flowrunner.web.files import Changed, Files, NoSuchFile, NotEditable, Text
from flowrunner.web.looks import Look
from flowrunner.web.metrics import Metrics
from flowrunner.web.publishing import BadMessage, publish

#: Bytes of the largest body: a file, and JSON around it.
MOST_BODY = 2_097_152

#: Flows that one viewer may look at.
_MOST_LOOKS = 60
_LONGEST_NAME = 64

_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}
_REFUSALS = {
    "host": "this name is not served here: open the address that flowrunner printed",
    "origin": "pages of others cannot send anything here",
    "token": "this needs the token: open the address that flowrunner printed",
}


class Pages:
    """The answers of one board. `is_read_only` takes editing and publishing away from everybody."""

    def __init__(self, board: Board, access: Access, paths: list[Path], *, is_read_only: bool) -> None:
        self.board = board
        self.access = access
        self.paths = paths
        self.files = Files(paths)
        self.is_read_only = is_read_only
        self.metrics = Metrics(board)
        self.is_ending = False

    def app(self) -> ASGIApp:
        """The ASGI application."""
        routes = [
            Route("/", self.index),
            Route("/assets/{path:path}", self.asset),
            Route("/health", self.health),
            Route("/ready", self.ready),
            Route("/metrics", self.show_metrics),
            Route("/api/session", self.session),
            Route("/api/state", self.state),
            Route("/api/events", self.events),
            Route("/api/look", self.look, methods=["POST"]),
            Route("/api/schema", self.schema),
            Route("/api/files", self.list_files),
            Route("/api/files/{name:path}", self.file, methods=["GET", "PUT"]),
            Route("/api/draft", self.draft, methods=["POST"]),
            Route("/api/case", self.case, methods=["POST"]),
            Route("/api/publish", self.publish, methods=["POST"]),
        ]
        app = Starlette(routes=routes, exception_handlers={HTTPException: _refuse, FlowrunnerError: _explain})
        return Guard(app, self.access)

    @cached_property
    def assets(self) -> dict[str, bytes]:
        """The files of the page by their paths, read once: what is not among them is not served."""
        return dict(_read_all(resources("flowrunner.web") / "page", ""))

    async def index(self, request: Request) -> Response:
        """The page itself. With the token in the address it becomes a cookie, and leaves the address."""
        given = request.query_params.get("token")
        if given is not None and self.access.is_token(given):
            answer: Response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
            answer.set_cookie(self.access.cookie, given, httponly=True, samesite="strict", path="/")
            return answer
        nonce = request.scope["nonce"]
        page = self.assets["index.html"].replace(b"{{nonce}}", nonce.encode())
        return Response(page, media_type="text/html")

    async def asset(self, request: Request) -> Response:
        """A file of the page."""
        path = request.path_params["path"]
        data = self.assets.get(path)
        if data is None or path == "index.html":
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such file")
        return Response(data, media_type=_TYPES.get(Path(path).suffix, "application/octet-stream"))

    async def health(self, _: Request) -> Response:
        """That the program is there."""
        return _json({"status": "ok", "version": __version__})

    async def ready(self, _: Request) -> Response:
        """Whether every flow gets its messages: each client has its broker, which granted every subscription."""
        await self.board.runs.refresh()
        waiting = {name: one for name, one in self.board.runs.connections.items() if not one.is_subscribed}
        if not waiting:
            return _json({"status": "ready", "flows": len(self.board.runs.flows)})
        is_away = any(one.clients[0] < one.clients[1] for one in waiting.values())
        told = {"status": "away" if is_away else "subscribing", "flows": len(self.board.runs.flows)}
        return _json({**told, "connections": sorted(waiting)}, HTTPStatus.SERVICE_UNAVAILABLE)

    async def show_metrics(self, _: Request) -> Response:
        """The counters for Prometheus."""
        await self.board.runs.refresh()
        text, media_type = self.metrics.text()
        return Response(text, headers={"content-type": media_type})

    async def session(self, request: Request) -> Response:
        """What the one who asks may do."""
        is_known = self.access.is_known(request.headers)
        may = is_known and not self.is_read_only
        why = "read-only" if self.is_read_only else "" if is_known else "token"
        return _json({"version": __version__, "can_edit": may, "can_publish": may, "why": why})

    async def state(self, _: Request) -> Response:
        """All that is known, once."""
        await self.board.refresh()
        return _json(self.board.state())

    async def events(self, request: Request) -> Response:
        """All that is known, and then whatever changes, as server-sent events."""
        viewer = request.query_params.get("viewer", "")[:_LONGEST_NAME] or token_urlsafe(8)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self.board.watch(viewer), media_type="text/event-stream", headers=headers)

    async def look(self, request: Request) -> Response:
        """Say what is on the screen of a viewer."""
        asked = await _read_json(request)
        flows = [name for name in asked.get("flows") or () if isinstance(name, str)][:_MOST_LOOKS]
        look = Look(frozenset(flows), str(asked.get("flow") or ""), str(asked.get("step") or ""))
        is_known = self.board.look(str(asked.get("viewer"))[:_LONGEST_NAME], look)
        return _json({"ok": is_known}, HTTPStatus.OK if is_known else HTTPStatus.NOT_FOUND)

    async def schema(self, _: Request) -> Response:
        """What may stand in a flow file: for completion."""
        from flowrunner.read.schema import flow_schema
        from flowrunner.steps import all_steps

        return _json(flow_schema(all_steps()))

    async def list_files(self, _: Request) -> Response:
        """The names of all flow files."""
        return _json({"files": self.files.names()})

    async def file(self, request: Request) -> Response:
        """What a flow file holds; with PUT and `If-Match`, what it is to hold from now on (RFC 9110 section 13.1.1)."""
        name = request.path_params["name"]
        if request.method in {"GET", "HEAD"}:
            return _text(self.files.read(name))
        self._must_write()
        mark = request.headers.get("if-match", "").strip().strip('"')
        if not mark:
            raise HTTPException(HTTPStatus.PRECONDITION_REQUIRED, "say with `If-Match` which text you replace")
        try:
            text = (await _read_body(request)).decode()
        except UnicodeDecodeError:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "a flow file must be UTF-8") from None
        try:
            return _text(self.files.write(name, text, mark=mark))
        except Changed as error:
            return _text(error.text, HTTPStatus.PRECONDITION_FAILED, error=str(error))

    async def draft(self, request: Request) -> Response:
        """What is wrong with a text, and what the last messages would become with it."""
        self._must_write()
        asked = await _read_json(request)
        text = asked.get("text")
        if not isinstance(text, str):
            raise HTTPException(HTTPStatus.BAD_REQUEST, "`text` is missing")
        path = self.files.path(str(asked.get("file")))
        board = self.board
        known = [file for root in self.paths if root.exists() for file in find_files(root)]
        contents, recent = board.library.contents, board.recent
        found = await check_draft(text, path, contents=contents, files=known, runs=board.runs, recent=recent)
        return _json(found)

    async def case(self, request: Request) -> Response:
        """A message that somebody sees, as a test case in YAML."""
        asked = await _read_json(request)
        number = asked.get("message")
        if not isinstance(number, int):
            raise HTTPException(HTTPStatus.BAD_REQUEST, "`message` must be the number of a message")
        return _json({"yaml": case_of(self.board, str(asked.get("flow")), number)})

    async def publish(self, request: Request) -> Response:
        """Publish a message."""
        if self.is_read_only:
            raise HTTPException(HTTPStatus.FORBIDDEN, "this page is for looking only")
        await publish(self.board.runs, await _read_json(request))
        return _json({"ok": True})

    def _must_write(self) -> None:
        if self.is_read_only:
            raise HTTPException(HTTPStatus.FORBIDDEN, "this page is for looking only")


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
            await _json({"error": _REFUSALS[refusal], "reason": refusal}, status)(scope, receive, answer)
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


def _json(value: Any, status: int = HTTPStatus.OK) -> Response:
    return Response(dumps(value), status, media_type="application/json")


def _text(found: Text, status: int = HTTPStatus.OK, **more: str) -> Response:
    answer = _json({"name": found.name, "text": found.text, "mark": found.mark, **more}, status)
    answer.headers["etag"] = f'"{found.mark}"'
    return answer


async def _read_body(request: Request) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BODY:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "that is too much")
    return bytes(data)


async def _read_json(request: Request) -> dict[str, Any]:
    try:
        value = orjson.loads(await _read_body(request))
    except orjson.JSONDecodeError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body must be JSON") from None
    if not isinstance(value, dict):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body must be a JSON object")
    return value


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail}, error.status_code)


async def _explain(_: Request, error: Exception) -> Response:
    status = HTTPStatus.NOT_FOUND if isinstance(error, NoSuchFile) else HTTPStatus.UNPROCESSABLE_ENTITY
    if isinstance(error, NotEditable):
        status = HTTPStatus.FORBIDDEN
    elif isinstance(error, BadMessage):
        status = HTTPStatus.BAD_REQUEST
    return _json({"error": str(error)}, status)


def _read_all(folder: Any, before: str) -> Any:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _read_all(entry, f"{before}{entry.name}/")
        else:
            yield f"{before}{entry.name}", entry.read_bytes()
