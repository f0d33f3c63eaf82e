"""Turns comprehensions into ones that stop with a StepError when all their rounds together do too much."""

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

from flowrunner.errors import StepError
from flowrunner.expressions.limits import MAX_WORK, ROUND_COST
from flowrunner.expressions.listed import digest as hash_of
from flowrunner.expressions.values import canonical, size_of


class Budget:
    """What is left of the work that all rounds of one comprehension may do."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_WORK

    def spend(self, work: int) -> None:
        """Count some work; raises StepError when there was too much."""
        self.left -= work
        if self.left < 0:
            raise StepError("this comprehension has too much to do", code="too-large")


def rounds(items: Any, /) -> Iterator[tuple[Budget, Any]]:
    """The items of the outermost loop, each with the budget of all its rounds."""
    budget = Budget()
    return zip(repeat(budget), each(budget, items), strict=False)


def each(budget: Budget, items: Any, /) -> Iterable[Any]:
    """The items of a loop, its rounds being counted."""
    iterator: Iterable[Any] = iter(items)
    budget.spend(len(items) * ROUND_COST)
    return iterator


def charged(budget: Budget, value: Any, /) -> Any:
    """The value, its size being counted."""
    if isinstance(value, str | list | dict | bytes | tuple):
        budget.spend(len(value))
    return value


def kept(budget: Budget, value: Any, /) -> Any:
    """The value, the size of everything inside of it being counted."""
    kind = type(value)
    if kind is str:
        budget.spend(len(value))
    elif kind is not int and kind is not float:
        budget.spend(size_of(value, budget.left))
    return value


def sought(budget: Budget, place: Any, /) -> Any:
    """What `in` searches, the search being counted: a map finds at once, a text is fast."""
    if isinstance(place, list | tuple):
        budget.spend(len(place))
    elif isinstance(place, str | bytes):
        budget.spend(len(place) // 16)
    return place


def digest(budget: Budget, value: Any, /) -> str:
    """`hash(value)` inside a comprehension, the size of its JSON being counted."""
    data = value if isinstance(value, bytes) else canonical(value)
    budget.spend(len(data))
    return hash_of(data)
