"""Turns requests into what is done and answered: the page, its events, JSON, metrics."""

from functools import cached_property
from http import HTTPStatus
from importlib.resources import files as resources
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from flowrunner import __version__
from flowrunner.errors import FlowrunnerError
from flowrunner.read.load import find_files
from flowrunner.web.access import Access
from flowrunner.web.answers import as_file, as_json, explain, read_body, read_json, refuse
from flowrunner.web.board import Board
from flowrunner.web.cases import case_of
from flowrunner.web.drafts import check_draft
from flowrunner.web.files import Changed, Files
from flowrunner.web.guard import Guard
from flowrunner.web.looks import Look
from flowrunner.web.metrics import Metrics
from flowrunner.web.publishing import publish

#: Flows that one viewer may look at.
_MOST_LOOKS = 60
_LONGEST_NAME = 64

_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}


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
        app = Starlette(routes=routes, exception_handlers={HTTPException: refuse, FlowrunnerError: explain})
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
        return as_json({"status": "ok", "version": __version__})

    async def ready(self, _: Request) -> Response:
        """Whether every flow gets its messages: each client has its broker, which granted every subscription."""
        await self.board.runs.refresh()
        waiting = {name: one for name, one in self.board.runs.connections.items() if not one.is_subscribed}
        if not waiting:
            return as_json({"status": "ready", "flows": len(self.board.runs.flows)})
        is_away = any(one.clients[0] < one.clients[1] for one in waiting.values())
        told = {"status": "away" if is_away else "subscribing", "flows": len(self.board.runs.flows)}
        return as_json({**told, "connections": sorted(waiting)}, HTTPStatus.SERVICE_UNAVAILABLE)

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
        return as_json({"version": __version__, "can_edit": may, "can_publish": may, "why": why})

    async def state(self, _: Request) -> Response:
        """All that is known, once."""
        await self.board.refresh()
        return as_json(self.board.state())

    async def events(self, request: Request) -> Response:
        """All that is known, and then whatever changes, as server-sent events."""
        viewer = request.query_params.get("viewer", "")[:_LONGEST_NAME] or token_urlsafe(8)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self.board.watch(viewer), media_type="text/event-stream", headers=headers)

    async def look(self, request: Request) -> Response:
        """Say what is on the screen of a viewer."""
        asked = await read_json(request)
        flows = [name for name in asked.get("flows") or () if isinstance(name, str)][:_MOST_LOOKS]
        look = Look(frozenset(flows), str(asked.get("flow") or ""), str(asked.get("step") or ""))
        is_known = self.board.look(str(asked.get("viewer"))[:_LONGEST_NAME], look)
        return as_json({"ok": is_known}, HTTPStatus.OK if is_known else HTTPStatus.NOT_FOUND)

    async def schema(self, _: Request) -> Response:
        """What may stand in a flow file: for completion."""
        from flowrunner.read.schema import flow_schema
        from flowrunner.steps import all_steps

        return as_json(flow_schema(all_steps()))

    async def list_files(self, _: Request) -> Response:
        """The names of all flow files."""
        return as_json({"files": self.files.names()})

    async def file(self, request: Request) -> Response:
        """What a flow file holds; with PUT and `If-Match`, what it is to hold from now on (RFC 9110 section 13.1.1)."""
        name = request.path_params["name"]
        if request.method in {"GET", "HEAD"}:
            return as_file(self.files.read(name))
        self._must_write()
        mark = request.headers.get("if-match", "").strip().strip('"')
        if not mark:
            raise HTTPException(HTTPStatus.PRECONDITION_REQUIRED, "say with `If-Match` which text you replace")
        try:
            text = (await read_body(request)).decode()
        except UnicodeDecodeError:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "a flow file must be UTF-8") from None
        try:
            return as_file(self.files.write(name, text, mark=mark))
        except Changed as error:
            return as_file(error.text, HTTPStatus.PRECONDITION_FAILED, error=str(error))

    async def draft(self, request: Request) -> Response:
        """What is wrong with a text, and what the last messages would become with it."""
        self._must_write()
        asked = await read_json(request)
        text = asked.get("text")
        if not isinstance(text, str):
            raise HTTPException(HTTPStatus.BAD_REQUEST, "`text` is missing")
        path = self.files.path(str(asked.get("file")))
        board = self.board
        known = [file for root in self.paths if root.exists() for file in find_files(root)]
        contents, recent = board.library.contents, board.recent
        found = await check_draft(text, path, contents=contents, files=known, runs=board.runs, recent=recent)
        return as_json(found)

    async def case(self, request: Request) -> Response:
        """A message that somebody sees, as a test case in YAML."""
        asked = await read_json(request)
        number = asked.get("message")
        if not isinstance(number, int):
            raise HTTPException(HTTPStatus.BAD_REQUEST, "`message` must be the number of a message")
        return as_json({"yaml": case_of(self.board, str(asked.get("flow")), number)})

    async def publish(self, request: Request) -> Response:
        """Publish a message."""
        if self.is_read_only:
            raise HTTPException(HTTPStatus.FORBIDDEN, "this page is for looking only")
        await publish(self.board.runs, await read_json(request))
        return as_json({"ok": True})

    def _must_write(self) -> None:
        if self.is_read_only:
            raise HTTPException(HTTPStatus.FORBIDDEN, "this page is for looking only")


def _read_all(folder: Any, before: str) -> Any:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _read_all(entry, f"{before}{entry.name}/")
        else:
            yield f"{before}{entry.name}", entry.read_bytes()
