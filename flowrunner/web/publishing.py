"""Turns what somebody typed into a message that is published."""

from typing import Any

from flowrunner.errors import FlowrunnerError, StepError
from flowrunner.run.shown import Published
from flowrunner.topics import BadTopic, check_topic

#: Bytes of a payload that is typed into a page.
MOST = 262_144


class BadMessage(FlowrunnerError):
    """What was typed cannot be published; the message says why."""


async def publish(runs: Published, typed: Any) -> None:
    """Publish a message: `topic`, `payload` (a text), `qos`, `retain`, `connection`. Raises BadMessage."""
    if not isinstance(typed, dict):
        raise BadMessage("a message must be a JSON object")
    topic, payload = typed.get("topic"), typed.get("payload", "")
    qos, retain, connection = typed.get("qos", 0), typed.get("retain", False), typed.get("connection", "default")
    if not isinstance(topic, str) or not isinstance(payload, str):
        raise BadMessage("`topic` and `payload` must be texts")
    if type(qos) is not int or qos not in (0, 1, 2) or not isinstance(retain, bool):
        raise BadMessage("`qos` must be 0, 1 or 2, and `retain` true or false")
    if connection not in runs.connections:
        raise BadMessage("there is no such connection in use")
    try:
        check_topic(topic)
        data = payload.encode()
        if len(data) > MOST:
            raise BadMessage("the payload is too large for the page")
        await runs.publish(connection, topic, data, qos, retain)
    except BadTopic as error:
        raise BadMessage(f"{error.message}{f' ({error.help})' if error.help else ''}") from None
    except UnicodeEncodeError:
        raise BadMessage("the payload must be valid Unicode") from None
    except StepError as error:
        raise BadMessage(error.message) from None
