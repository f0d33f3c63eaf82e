"""Turns values and mistakes into answers in JSON, and the bodies of requests into values."""

from http import HTTPStatus
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from flowrunner.jsons import dumps
from flowrunner.web.files import NoSuchFile, NotEditable, Text
from flowrunner.web.publishing import BadMessage

#: Bytes of the largest body: a file, and JSON around it.
MOST_BODY = 2_097_152


def as_json(value: Any, status: int = HTTPStatus.OK) -> Response:
    """An answer in JSON."""
    return Response(dumps(value), status, media_type="application/json")


def as_file(found: Text, status: int = HTTPStatus.OK, **more: str) -> Response:
    """A flow file as an answer, with its mark as the tag of its contents (RFC 9110 section 8.8.3)."""
    answer = as_json({"name": found.name, "text": found.text, "mark": found.mark, **more}, status)
    answer.headers["etag"] = f'"{found.mark}"'
    return answer


async def read_body(request: Request) -> bytes:
    """The body of a request. Raises HTTPException for more than `MOST_BODY` bytes."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BODY:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "that is too much")
    return bytes(data)


async def read_json(request: Request) -> dict[str, Any]:
    """The object that a request brings. Raises HTTPException for anything else."""
    try:
        value = orjson.loads(await read_body(request))
    except orjson.JSONDecodeError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body must be JSON") from None
    if not isinstance(value, dict):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body must be a JSON object")
    return value


async def refuse(_: Request, error: Exception) -> Response:
    """What could not be asked so."""
    assert isinstance(error, HTTPException)
    return as_json({"error": error.detail}, error.status_code)


async def explain(_: Request, error: Exception) -> Response:
    """What went wrong with what was asked."""
    status = HTTPStatus.NOT_FOUND if isinstance(error, NoSuchFile) else HTTPStatus.UNPROCESSABLE_ENTITY
    if isinstance(error, NotEditable):
        status = HTTPStatus.FORBIDDEN
    elif isinstance(error, BadMessage):
        status = HTTPStatus.BAD_REQUEST
    return as_json({"error": str(error)}, status)
