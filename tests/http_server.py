"""An HTTP server on a free port, in a thread, whose answers a test says."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What is sent back; `wait` is waited for before, in the thread of the request."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    type: str = "text/plain"
    wait: threading.Event | None = None
    pieces: int = 1


class Server:
    """Answers requests, by path, with what `answers` has for it; of a list, one after the other."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: dict[str, Answer | list[Answer] | Callable[[Asked], Answer]] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                size = int(self.headers.get("content-length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, self.rfile.read(size))
                server.asked.append(asked)
                self.send(server.answer(asked))

            do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_GET

            def send(self, answer: Answer) -> None:
                if answer.wait is not None:
                    answer.wait.wait(20)
                try:
                    self.send_response(answer.status)
                    if answer.type:
                        self.send_header("content-type", answer.type)
                    length = len(answer.body) * answer.pieces
                    for name, value in {"content-length": str(length), **answer.headers}.items():
                        if value:
                            self.send_header(name, value)
                    self.end_headers()
                    if self.command != "HEAD":
                        for _ in range(answer.pieces):
                            self.wfile.write(answer.body)
                except OSError:  # the client has gone
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def port(self) -> int:
        return int(self.http.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, asked: Asked) -> Answer:
        found = self.answers.get(asked.path.partition("?")[0], Answer(status=404, body=b"no such page"))
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found if isinstance(found, Answer) else found(asked)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join(5)


@contextmanager
def http_server() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.close()
