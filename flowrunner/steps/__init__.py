"""Turns the files of this folder, and installed plug-ins, into the steps of the language: nothing lists them."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules

from flowrunner.errors import PluginError
from flowrunner.plugins import find_plugins
from flowrunner.step import Step


@cache
def own_steps() -> Mapping[str, type[Step]]:
    """Every step of flowrunner itself by its key, in the order of the alphabet."""
    found: dict[str, type[Step]] = {}
    for info in iter_modules(__path__):
        module = import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            is_step = isinstance(value, type) and issubclass(value, Step) and not isabstract(value)
            if is_step and value.__module__ == module.__name__:
                found[value.KEY] = value
    return dict(sorted(found.items()))


@cache
def _plugins() -> tuple[Mapping[str, type[Step]], tuple[PluginError, ...]]:
    steps, errors = find_plugins(own_steps())
    return steps, tuple(errors)


@cache
def all_steps() -> Mapping[str, type[Step]]:
    """Every step by its key, in the order of the alphabet: those of flowrunner and of all plug-ins that work."""
    return dict(sorted({**own_steps(), **_plugins()[0]}.items()))


def plugin_errors() -> tuple[PluginError, ...]:
    """What is wrong with installed plug-ins that cannot be used."""
    return _plugins()[1]
