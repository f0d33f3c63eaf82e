"""Turns installed packages with the entry point `flowrunner.steps` into steps, and those that are broken into words."""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import PathFinder
from inspect import isabstract
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flowrunner.diagnostics import Diagnostic
from flowrunner.errors import PluginError
from flowrunner.options import options_of
from flowrunner.step import Step
from flowrunner.text import Source

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "flowrunner.steps"

_KEY = re.compile(r"[a-z][a-z0-9_]*")
#: Words that stand beside a step, or at the top of a flow.
_RESERVED = {"id", "when", "on_error", "steps", "subscribe", "every", "cron", "at_start", "flows", "tests", "vars"}


def find_plugins(
    built_in: Mapping[str, type[Step]], found: "Iterable[EntryPoint] | None" = None
) -> tuple[dict[str, type[Step]], list[PluginError]]:
    """The steps of all plug-ins by key, and what is wrong with the plug-ins that cannot be used.

    An entry point names a subclass of Step, or a module with some. One that is broken does not concern the others.
    """
    points = installed() if found is None else found
    steps: dict[str, type[Step]] = {}
    errors: list[PluginError] = []
    for point in sorted(points, key=lambda point: (name_of(point), point.name)):
        try:
            own = {step.KEY: step for step in steps_of(point)}
            for key in own:
                check_free(key, point, built_in, steps)
        except PluginError as error:
            errors.append(error)
        else:
            steps |= own
    return steps, errors


def installed() -> "Iterable[EntryPoint]":
    """The entry points of all packages there are.

    Only where one may have some is asked for them: `importlib.metadata` and what it reads take a tenth of a start.
    """
    has_other_places = any(hasattr(one, "find_distributions") for one in sys.meta_path if one is not PathFinder)
    if not has_other_places and not any(map(_may_hold_plugins, dict.fromkeys(sys.path))):
        return ()
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


def _may_hold_plugins(folder: str) -> bool:
    """Whether a place that Python imports from may hold a package with steps; an archive may."""
    try:
        names = os.listdir(folder or ".")  # noqa: PTH208 - one of these folders may hold a thousand
    except NotADirectoryError:
        return True
    except OSError:
        return False
    packages = (f"{folder or '.'}/{name}" for name in names if name.endswith((".dist-info", ".egg-info", ".egg")))
    return any(map(_tells_of_steps, packages))


def _tells_of_steps(package: str) -> bool:
    if package.endswith(".egg"):
        return True
    try:
        with open(f"{package}/entry_points.txt", "rb") as opened:  # noqa: PTH123 - as above
            return GROUP.encode() in opened.read()
    except OSError:
        return False


def name_of(point: "EntryPoint") -> str:
    """The plug-in as people know it: the name and version of its package."""
    package = point.dist
    return point.value if package is None else f"{package.name} {package.version}"


def steps_of(point: "EntryPoint") -> list[type[Step]]:
    """The steps of one entry point. Raises PluginError."""
    try:
        value = point.load()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise _broken(point, f"it cannot be imported ({reason[:200]})") from error
    except SystemExit as error:
        raise _broken(point, "it ends the program when it is imported") from error
    candidates = list(_classes_in(value)) if isinstance(value, ModuleType) else [value]
    if not candidates:
        raise _broken(point, f"the module `{point.value}` holds no step")
    for step in candidates:
        check_step(step, point)
    return candidates


def _classes_in(module: ModuleType) -> Iterator[Any]:
    for value in vars(module).values():
        is_own = isinstance(value, type) and issubclass(value, Step) and value.__module__ == module.__name__
        if is_own and not isabstract(value):
            yield value


def check_step(step: Any, point: "EntryPoint") -> None:
    """Raise PluginError for what cannot be a step."""
    if not (isinstance(step, type) and issubclass(step, Step)):
        raise _broken(point, f"`{point.value}` is no subclass of `flowrunner.step.Step`")
    name = step.__name__
    if isabstract(step):
        missing = ", ".join(f"`{method}`" for method in sorted(step.__abstractmethods__))
        raise _broken(point, f"`{name}` lacks {missing}")
    key = getattr(step, "KEY", None)
    if not isinstance(key, str) or not _KEY.fullmatch(key) or key in _RESERVED:
        raise _broken(point, f"the `KEY` of `{name}` must be a word in small letters that means nothing else")
    try:
        options_of(step)
    except TypeError:
        raise _broken(
            point, f"`{name}` must be a dataclass: `@dataclass(frozen=True, slots=True, kw_only=True)`"
        ) from None
    if not step.prose().strip():
        raise _broken(point, f"`{name}` says nothing about itself: its docstring is the page of the step")


def check_free(
    key: str, point: "EntryPoint", built_in: Mapping[str, type[Step]], others: Mapping[str, type[Step]]
) -> None:
    """Raise PluginError for a key that another step has."""
    if key in built_in:
        raise _broken(point, f"it brings a step `{key}`, which flowrunner has itself")
    if key in others:
        raise _broken(point, f"it brings a step `{key}`, as does `{others[key].__module__}`")


def _broken(point: "EntryPoint", reason: str) -> PluginError:
    return PluginError(f"the plug-in `{name_of(point)}` cannot be used: {reason}", plugin=name_of(point), reason=reason)


def as_diagnostic(error: PluginError) -> Diagnostic:
    """A broken plug-in as a warning: flows that do not need it run all the same."""
    place = Source(f"plug-in {error.plugin}", "").span(0, 0)
    helps = ("mend or uninstall the package; what it brings is missing until then",)
    return Diagnostic(
        "broken-plugin", f"this plug-in cannot be used: {error.reason}", place, helps=helps, severity="warning"
    )
