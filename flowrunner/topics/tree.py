"""Finds what stands under all the filters that a topic belongs to, level by level."""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from flowrunner.topics.filters import Filter

Value = TypeVar("Value", bound=Hashable)


class _Branch(Generic[Value]):
    """One level of a FilterTree: the values whose filters end here, and the branches below."""

    __slots__ = ("below", "ending", "plus", "rest")

    def __init__(self) -> None:
        self.ending: dict[Value, None] = {}
        self.below: dict[str, _Branch[Value]] = {}
        self.plus: _Branch[Value] | None = None
        self.rest: dict[Value, None] = {}


class FilterTree(Generic[Value]):
    """Values under topic filters; finding those of a topic costs the same however many others there are."""

    def __init__(self) -> None:
        self._root: _Branch[Value] = _Branch()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, topic_filter: Filter, value: Value) -> bool:
        """Put a value under a filter; false if it was there already."""
        branch = self._root
        for level in topic_filter.levels:
            if level == "#":
                break
            if level == "+":
                branch.plus = branch.plus or _Branch()
                branch = branch.plus
            else:
                below = branch.below.get(level)
                if below is None:
                    below = branch.below[level] = _Branch()
                branch = below
        values = branch.rest if topic_filter.levels[-1] == "#" else branch.ending
        is_new = value not in values
        values[value] = None
        self._size += is_new
        return is_new

    def remove(self, topic_filter: Filter, value: Value) -> bool:
        """Take a value away from a filter; false if it was not there."""
        path = self._path(topic_filter)
        if path is None:
            return False
        has_rest = topic_filter.levels[-1] == "#"
        values = path[-1].rest if has_rest else path[-1].ending
        if value not in values:
            return False
        del values[value]
        self._size -= 1
        for level, parent, branch in zip(
            reversed(topic_filter.levels[: len(path) - 1]), path[-2::-1], path[:0:-1], strict=True
        ):
            if branch.ending or branch.below or branch.plus is not None or branch.rest:
                break
            if level == "+":
                parent.plus = None
            else:
                del parent.below[level]
        return True

    def find(self, topic: str) -> list[Value]:
        """Return the values of all filters that a topic belongs to, once for each filter."""
        return list(self.iterate(topic))

    def iterate(self, topic: str) -> Iterator[Value]:
        """Iterate over what `find` returns; the tree must not change meanwhile."""
        branches = [self._root]
        are_wildcards_open = topic[:1] != "$"
        for level in topic.split("/"):
            following: list[_Branch[Value]] = []
            for branch in branches:
                if are_wildcards_open:
                    yield from branch.rest
                    if branch.plus is not None:
                        following.append(branch.plus)
                literal = branch.below.get(level)
                if literal is not None:
                    following.append(literal)
            if not following:
                return
            branches = following
            are_wildcards_open = True
        for branch in branches:
            yield from branch.ending
            yield from branch.rest

    def _path(self, topic_filter: Filter) -> list[_Branch[Value]] | None:
        path = [self._root]
        for level in topic_filter.levels:
            if level == "#":
                break
            branch = path[-1].plus if level == "+" else path[-1].below.get(level)
            if branch is None:
                return None
            path.append(branch)
        return path
