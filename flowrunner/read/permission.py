"""Turns beginnings of topics into what a flow may publish to."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from flowrunner.diagnostics import Diagnostic, name_list
from flowrunner.expressions import Template
from flowrunner.options import Kind, Place
from flowrunner.read.nodes import List, Node, Scalar
from flowrunner.records import dataclass
from flowrunner.step import Step, walk
from flowrunner.topics import BadTopic, check_topic

Beginnings = tuple[str, ...]
"""A topic is allowed if it is one of these, or lies below one."""


@dataclass(frozen=True, slots=True)
class TopicBeginnings(Kind["Beginnings | None"]):
    """A beginning of topics, or a list of them."""

    phrase: str = "a list of beginnings of topics, such as `[rooms/]`"

    def schema(self) -> dict[str, Any]:
        """A text or a list of texts."""
        text = {"type": ["string", "number", "boolean"]}
        return {"anyOf": [text, {"type": "array", "items": text}]}

    def read(self, node: Node, place: Place) -> Beginnings:
        """The beginnings; an empty list means that nothing may be published."""
        if not isinstance(node, List):
            return (self._one(place.scalar(node, self.phrase), place),)
        return tuple(self._one(place.scalar(item, self.phrase), place) for item in node.items)

    def _one(self, node: Scalar, place: Place) -> str:
        try:
            check_topic(node.text)
        except BadTopic as bad:
            raise place.refuse(node, self.phrase, help=bad.message) from None
        return node.text


def is_allowed(topic: str, permissions: Iterable[Beginnings]) -> bool:
    """Whether every one of these lets a message be published to a topic."""
    return all(any(_is_below(topic, one) for one in beginnings) for beginnings in permissions)


def _is_below(topic: str, beginning: str) -> bool:
    whole = beginning.removesuffix("/")
    return topic == whole or topic.startswith(f"{whole}/")


def find_forbidden(steps: Sequence[Step], permissions: Sequence[Beginnings]) -> Iterator[Diagnostic]:
    """A diagnostic for every `publish` to a topic that can be seen not to be allowed."""
    for step in walk(steps):
        topic = getattr(step, "topic", None)
        if step.KEY != "publish" or not isinstance(topic, Template):
            continue
        beginning = topic.parts[0] if topic.parts and isinstance(topic.parts[0], str) else ""
        whole = topic.constant if topic.is_constant else None
        for beginnings in permissions:
            if not any(_may_be_below(whole, beginning, one) for one in beginnings):
                message = "the flow may not publish there"
                helps = (f"`publish_only` allows {name_list(list(beginnings)) or 'nothing'}",)
                yield Diagnostic("not-allowed", message, topic.passage.span().first_line(), helps=helps)
                break


def _may_be_below(whole: str | None, beginning: str, allowed: str) -> bool:
    if whole is not None:
        return _is_below(whole, allowed)
    slashed = f"{allowed.removesuffix('/')}/"
    return beginning.startswith(slashed) or slashed.startswith(beginning)
