"""Turns annotated classes into dataclasses with slots whose methods are written when they are first used.

A start makes some two hundred of them and calls few of their methods, but `dataclasses` compiles all of these at once:
that was nearly half of the time from the command to the first subscription. Here a class costs a tenth of it, and an
instance of a frozen one half. Steps, and what is no part of a start, keep to `dataclasses`.
"""

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from inspect import get_annotations
from typing import Any, ClassVar, Literal, NamedTuple, NoReturn, TypeVar, dataclass_transform, get_origin

T = TypeVar("T")

_PARTS = "__record_parts__"
_NOT_COPIED = ("__dict__", "__weakref__")
_ALWAYS = ("__repr__", "__dataclass_fields__", "__dataclass_params__")
_ORDER = ("__lt__", "__le__", "__gt__", "__ge__")


class _Absent:
    """Stands for what a factory makes, in a signature."""

    def __repr__(self) -> str:
        return "<factory>"


_ABSENT = _Absent()


class _Part(NamedTuple):
    """One field of a class."""

    name: str
    kind: Any
    field: dataclasses.Field[Any]
    is_keyword: bool


class _Late:
    """Stands for something of a class until it is asked for the first time."""

    __slots__ = ("_make", "_name", "_owner")

    def __init__(self, make: Callable[[type, str], Any]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner, self._name = owner, name

    def __get__(self, instance: object, owner: type) -> Any:
        made = self._make(self._owner, self._name)
        setattr(self._owner, self._name, made)
        return made.__get__(instance, owner) if hasattr(made, "__get__") else made


@dataclass_transform(field_specifiers=(dataclasses.field,))
def dataclass(
    *,
    slots: Literal[True],  # noqa: ARG001 - it is said where a class is made, as with the other `dataclass`
    frozen: bool = False,
    eq: bool = True,
    order: bool = False,
    kw_only: bool = False,
) -> Callable[[type[T]], type[T]]:
    """Make of a class what `dataclasses.dataclass` makes of it with the same arguments; `InitVar` is not known.

    `fields`, `replace` and `asdict` take it as any other, and either kind may inherit from the other. Raises ValueError
    for a default that all instances would change.
    """
    return partial(_remade, frozen=frozen, eq=eq, order=order, kw_only=kw_only)


def _remade(plain: type[T], *, eq: bool, frozen: bool, order: bool, kw_only: bool) -> type[T]:
    def standard(_: type, name: str) -> Any:
        if "__dataclass_fields__" not in vars(plain):
            dataclasses.dataclass(frozen=frozen, eq=eq, order=order, kw_only=kw_only)(plain)
        return vars(plain)[name]

    parts = _parts_of(plain, are_keywords=kw_only)
    names = [*_ALWAYS, *(["__eq__"] if eq else ()), *(_ORDER if order else ())]
    late: dict[str, Any] = {name: _Late(standard) for name in names} | {"__init__": _Late(_initializer)}
    if eq:
        late["__hash__"] = _Late(standard) if frozen else None
    if frozen:
        late |= _FROZEN
    own = {name: value for name, value in vars(plain).items() if name not in parts and name not in _NOT_COPIED}
    if eq and own.get("__hash__", ...) is None:  # so says Python where there is an `__eq__`
        del own["__hash__"]
    slots_of_bases = {slot for base in plain.__mro__[1:-1] for slot in vars(base).get("__slots__", ())}
    namespace = {
        "__match_args__": tuple(part.name for part in parts.values() if part.field.init and not part.is_keyword),
        **late,
        **own,
        "__slots__": tuple(name for name in parts if name not in slots_of_bases),
        _PARTS: parts,
    }
    kind: Any = type(plain)
    made: type[T] = kind(plain.__name__, plain.__bases__, namespace)
    made.__qualname__ = plain.__qualname__
    return made


def _parts_of(plain: type, *, are_keywords: bool) -> dict[str, _Part]:
    """The fields by name, those of the bases first."""
    found: dict[str, _Part] = {}
    for base in plain.__mro__[-2:0:-1]:
        found |= {part.name: part for part in _parts_of_base(base)}
    for name, kind in get_annotations(plain).items():
        if ClassVar in {kind, get_origin(kind)}:
            continue
        default = vars(plain).get(name, dataclasses.MISSING)
        field = default if isinstance(default, dataclasses.Field) else dataclasses.field(default=default)
        if isinstance(field.default, list | dict | set):
            raise ValueError(f"the default of `{name}` can be changed: give a `default_factory`")  # noqa: TRY004 - as `dataclasses`
        is_keyword = are_keywords if field.kw_only is dataclasses.MISSING else field.kw_only
        found[name] = _Part(name, kind, field, is_keyword)
    return found


def _parts_of_base(base: type) -> Iterator[_Part]:
    known = vars(base).get(_PARTS)
    if known is not None:
        yield from known.values()
    elif "__dataclass_fields__" in vars(base):
        for field in dataclasses.fields(base):
            yield _Part(field.name, field.type, field, bool(field.kw_only))


def _initializer(owner: type, name: str) -> Any:
    """Write `__init__`. It sets fields by the members of the class, which no `__setattr__` can refuse."""
    parts = list(vars(owner)[_PARTS].values())
    known: dict[str, Any] = {"_absent": _ABSENT}
    lines = []
    for part in parts:
        known[f"_set_{part.name}"] = getattr(owner, part.name).__set__
        if value := _value_of(part, known):
            lines.append(f"_set_{part.name}(self, {value})")
    if hasattr(owner, "__post_init__"):
        lines.append("self.__post_init__()")
    taken = [part for part in parts if part.field.init]
    keywords = [_parameter(part) for part in taken if part.is_keyword]
    positional = [_parameter(part) for part in taken if not part.is_keyword]
    parameters = ", ".join(["self", *positional, *(["*", *keywords] if keywords else ())])
    body = "\n  ".join(lines or ["pass"])
    text = f"def make({', '.join(known)}):\n def {name}({parameters}):\n  {body}\n return {name}"
    namespace: dict[str, Any] = {}
    exec(compile(text, f"<{name} of {owner.__qualname__}>", "exec"), namespace)  # noqa: S102 - as `dataclasses` does
    made = namespace["make"](**known)
    made.__module__, made.__qualname__ = owner.__module__, f"{owner.__qualname__}.{name}"
    made.__annotations__ = {part.name: part.kind for part in taken} | {"return": None}
    return made


def _value_of(part: _Part, known: dict[str, Any]) -> str:
    """What a field is set to, as code; empty if to nothing."""
    factory, default = part.field.default_factory, part.field.default
    if factory is not dataclasses.MISSING:
        known[f"_make_{part.name}"] = factory
        made = f"_make_{part.name}()"
        return f"{made} if {part.name} is _absent else {part.name}" if part.field.init else made
    if default is not dataclasses.MISSING:
        known[f"_default_{part.name}"] = default
        return part.name if part.field.init else f"_default_{part.name}"
    return part.name if part.field.init else ""


def _parameter(part: _Part) -> str:
    if part.field.default_factory is not dataclasses.MISSING:
        return f"{part.name}=_absent"
    return part.name if part.field.default is dataclasses.MISSING else f"{part.name}=_default_{part.name}"


def _refuse_to_set(_: object, name: str, value: object) -> NoReturn:  # noqa: ARG001 - as it is called
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_: object, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)


_FROZEN = {
    "__setattr__": _refuse_to_set,
    "__delattr__": _refuse_to_delete,
    "__getstate__": _state,
    "__setstate__": _restore,
}
