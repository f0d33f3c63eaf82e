"""What the example of the step `python` calls."""

from typing import Any


def celsius(message: Any) -> float:
    return float((message.payload - 32) / 1.8)
