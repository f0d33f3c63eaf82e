"""Turns the fields of a step's dataclass into the options that its users write."""

import dataclasses
from functools import cache
from typing import Any

from flowrunner.options.kind import Kind
from flowrunner.records import dataclass

_ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a step: the key in YAML, what may stand there, and its prose."""

    name: str
    field: str
    kind: Kind[Any]
    help: str
    default: Any
    is_main: bool
    is_only: bool

    @property
    def is_required(self) -> bool:
        """Whether the step cannot be written without it."""
        return self.default is _ABSENT


def option(
    kind: Kind[Any],
    help: str,
    *,
    name: str = "",
    default: Any = _ABSENT,
    main: bool = False,
    only: bool = False,
) -> Any:
    """Declare a field of a step as an option.

    `name` is the key in YAML where the field cannot be called so (`if`, `from`, `as`). The main option is what the
    short form fills; `only` says that there is no long form, because the keys below the step are the user's own.
    """
    metadata = {"name": name, "kind": kind, "help": help, "main": main or only, "only": only}
    if default is _ABSENT:
        return dataclasses.field(metadata={"option": metadata})
    return dataclasses.field(default=default, metadata={"option": metadata})


@cache
def options_of(owner: type) -> tuple[Option, ...]:
    """The options of a step's class, in the order of their declaration."""
    found = []
    for field in dataclasses.fields(owner):
        if declared := field.metadata.get("option"):
            default = _ABSENT if field.default is dataclasses.MISSING else field.default
            name = declared["name"] or field.name
            rest = (declared["kind"], declared["help"], default, declared["main"], declared["only"])
            found.append(Option(name, field.name, *rest))
    return tuple(found)


def main_option(owner: type) -> Option | None:
    """The option that the short form of a step fills."""
    return next((option for option in options_of(owner) if option.is_main), None)
