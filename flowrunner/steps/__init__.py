"""Turns the files of this folder, and installed plug-ins, into the steps of the language: nothing lists them."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules

from flowrunner.errors import PluginError
from flowrunner.plugins import find_plugins
from flowrunner.step import Step


class _OwnSteps(Mapping[str, type[Step]]):
    """The steps of this folder by key, which is the name of the file; one is imported when it is asked for."""

    def __init__(self) -> None:
        self._keys = dict.fromkeys(sorted(info.name for info in iter_modules(__path__)))

    def __getitem__(self, key: str) -> type[Step]:
        if key not in self._keys:
            raise KeyError(key)
        module = import_module(f"{__name__}.{key}")
        for value in vars(module).values():
            is_step = isinstance(value, type) and issubclass(value, Step) and not isabstract(value)
            if is_step and value.__module__ == module.__name__ and key == value.KEY:
                found: type[Step] = value
                return found
        raise AssertionError(f"{module.__file__} holds no step with the key `{key}`")

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


class _AllSteps(_OwnSteps):
    """The same with those of plug-ins, which are there already."""

    def __init__(self, plugged: Mapping[str, type[Step]]) -> None:
        super().__init__()
        self._plugged = plugged
        self._keys = dict.fromkeys(sorted({*self._keys, *plugged}))

    def __getitem__(self, key: str) -> type[Step]:
        return self._plugged[key] if key in self._plugged else super().__getitem__(key)


@cache
def own_steps() -> Mapping[str, type[Step]]:
    """Every step of flowrunner itself by its key, in the order of the alphabet."""
    return _OwnSteps()


@cache
def _plugins() -> tuple[Mapping[str, type[Step]], tuple[PluginError, ...]]:
    steps, errors = find_plugins(own_steps())
    return steps, tuple(errors)


@cache
def all_steps() -> Mapping[str, type[Step]]:
    """Every step by its key, in the order of the alphabet: those of flowrunner and of all plug-ins that work."""
    return _AllSteps(_plugins()[0])


def plugin_errors() -> tuple[PluginError, ...]:
    """What is wrong with installed plug-ins that cannot be used."""
    return _plugins()[1]
