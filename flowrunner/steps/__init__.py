"""Turns the files of this folder into the steps of the language: a step is found because its file is here."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules

from flowrunner.step import Step


@cache
def all_steps() -> Mapping[str, type[Step]]:
    """Every step by its key, in the order of the alphabet."""
    found: dict[str, type[Step]] = {}
    for info in iter_modules(__path__):
        module = import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            is_step = isinstance(value, type) and issubclass(value, Step) and not isabstract(value)
            if is_step and value.__module__ == module.__name__:
                found[value.KEY] = value
    return dict(sorted(found.items()))
