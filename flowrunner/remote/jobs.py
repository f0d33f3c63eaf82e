"""Turns what compiled code knows of a message into the texts that a script gets."""

from typing import Any

from flowrunner.jsons import dumps
from flowrunner.memory import Held
from flowrunner.remote.packing import both_keys, key_text, pack, pack_held, value_text
from flowrunner.remote.place import microseconds

Job = tuple[str | bytes, ...]


def key_job(key: Any) -> Job:
    """The key alone."""
    return (key_text(key),)


def dedupe_job(by: Any, own: Any, within: float) -> Job:
    """Both keys, and for how long."""
    return both_keys(key_text(by), key_text(own)), microseconds(within)


def changed_job(key: Any, value: Any, deadband: float, max_age: float | None) -> Job:
    """The key, what must have changed, by how much, and after what time it need not."""
    return key_text(key), value_text(value), repr(float(deadband)), microseconds(max_age)


def latest_job(key: Any, held: Held) -> Job:
    """The key and the message."""
    return key_text(key), pack_held(held)


def window_job(key: Any, held: Held, every: float | None, last: float | None, gap: float | None) -> Job:
    """The key, the payload, the message without it, and when the window ends."""
    rest = {name: value for name, value in held.items() if name != "payload"}
    return key_text(key), pack(held["payload"]), pack_held(rest), *(microseconds(one) for one in (every, last, gap))


def timeout_job(key: Any, held: Held, seconds: float) -> Job:
    """The key, the message, and how long the next one may take."""
    return key_text(key), pack_held(held), microseconds(seconds)


def get_job(key: Any, ttl: float | None, default: Any) -> tuple[Any, ...]:
    """The key, the age that a value may have, and the value where there is none."""
    return key_text(key), microseconds(ttl), default


def set_job(key: Any, value: Any, ttl: float | None) -> tuple[Any, ...]:
    """The key, the value in JSON, and how long it holds. Raises StepError for what JSON cannot hold."""
    return key_text(key), dumps(value), microseconds(ttl), None


def increment_job(key: Any, amount: float, default: Any, ttl: float | None) -> tuple[Any, ...]:
    """The key, how much is added to what, and how long it holds."""
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    return key_text(key), dumps(amount), dumps(default) if is_number else b"", microseconds(ttl), default
