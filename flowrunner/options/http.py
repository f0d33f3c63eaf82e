"""Turns addresses, headers and statuses of HTTP into checked values."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from flowrunner.diagnostics import Diagnostic
from flowrunner.expressions import Template
from flowrunner.options.computed import TemplateKind
from flowrunner.options.kind import Kind, Place
from flowrunner.options.numbers import Integer
from flowrunner.read.nodes import List, Map, Node, Scalar

_BEFORE_PATH = re.compile(r"https?://[^/?#\s]+", re.IGNORECASE)


@dataclass(frozen=True)
class Url(TemplateKind):
    """The address of a server; path and query may hold `${...}`, and nothing before them."""

    phrase: str = "an address such as `https://example.com/api/${room}`"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[hH][tT][tT][pP][sS]?://", "examples": ["https://example.com/${room}"]}

    def read(self, node: Node, place: Place) -> Template:
        say_if_missing(node, place)
        template = super().read(node, place)
        first = template.parts[0] if template.parts else ""
        literal = first if isinstance(first, str) else ""
        found = _BEFORE_PATH.match(literal)
        if not template.is_constant and (found is None or found.end() == len(literal)):
            message = "scheme, host and port of an `http` address must be written out"
            helps = ("only path and query may hold `${}`: nobody shall choose the server by a message",)
            raise place.report.refuse(Diagnostic("bad-url", message, template.holes[0].span, helps=helps))
        if found is None:
            raise place.refuse(node, "an address that begins with `http://` or `https://`", label="")
        self.check_host(found.group(), node, place)
        return template

    def check_host(self, text: str, node: Node, place: Place) -> None:
        """Refuse a bad port, and a user name in the address."""
        if "@" in text:
            message = "a user name does not belong into an address"
            helps = ('send it: `headers: {Authorization: "Basic ..."}`',)
            raise place.report.refuse(Diagnostic("bad-url", message, node.span.first_line(), helps=helps))
        try:
            is_fine = bool(urlsplit(text).hostname) and urlsplit(text).port != 0
        except ValueError:
            is_fine = False
        if not is_fine:
            message = "host or port of this address are none"
            raise place.report.refuse(Diagnostic("bad-url", message, node.span.first_line()))


def say_if_missing(node: Node, place: Place) -> None:
    """Report that the package for HTTP is not installed. Raises Refused."""
    if find_spec("httpx") is None:
        message = "`http` needs a package that is not installed"
        span = place.owner_span or node.span.first_line()
        helps = ("install it: `pip install 'flowrunner[http]'`",)
        raise place.report.refuse(Diagnostic("missing-extra", message, span, helps=helps))


@dataclass(frozen=True, slots=True)
class Header:
    """One header of a request."""

    name: str
    value: Template


@dataclass(frozen=True)
class Headers(Kind[tuple[Header, ...]]):
    """A map of header names and texts."""

    phrase: str = "a map of header names and texts"

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {"type": ["string", "number"]}}

    def read(self, node: Node, place: Place) -> tuple[Header, ...]:
        if not isinstance(node, Map):
            raise place.refuse(node, self.phrase, help='write `headers: {Accept: "text/plain"}`')
        return tuple(self.read_one(entry.key, entry.value, place) for entry in node)

    def read_one(self, key: Scalar, value: Node, place: Place) -> Header:
        """One header. Raises Refused for a name that is none, or that the client sets itself."""
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", key.text):
            raise place.report.refuse(Diagnostic("wrong-value", f"`{key.text}` is no name of a header", key.span))
        if key.text.lower() in _OWN_HEADERS:
            message = f"the header `{key.text}` is set by flowrunner itself"
            raise place.report.refuse(Diagnostic("wrong-value", message, key.span))
        return Header(key.text, TemplateKind().read(value, place.inside(key.text)))


_OWN_HEADERS = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding"}


@dataclass(frozen=True)
class Statuses(Kind[tuple[int, ...]]):
    """Statuses of an answer: `200`, `2xx`, or a list of these. `2xx` is read as 2."""

    phrase: str = "a status such as `200` or `2xx`, or a list of these"

    def schema(self) -> dict[str, Any]:
        one = {"anyOf": [Integer(100, 599).schema(), {"type": "string", "pattern": "^[1-5](xx|[0-9][0-9])$"}]}
        return {"anyOf": [*one["anyOf"], {"type": "array", "items": one, "minItems": 1}]}

    def read(self, node: Node, place: Place) -> tuple[int, ...]:
        items = node.items if isinstance(node, List) else (node,)
        if not items:
            raise place.refuse(node, self.phrase)
        return tuple(self.read_one(item, place) for item in items)

    def read_one(self, node: Node, place: Place) -> int:
        """One status, or the first digit of a hundred of them."""
        text = place.scalar(node, self.phrase).text
        if not re.fullmatch(r"[1-5](xx|\d\d)", text, re.ASCII):
            raise place.refuse(node, self.phrase)
        return int(text.removesuffix("xx"))
