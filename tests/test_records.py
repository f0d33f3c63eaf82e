"""A record is what `dataclasses` makes of the same class; only later."""

import copy
import dataclasses
import inspect
import pickle
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar, Generic, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowrunner
from flowrunner import records

T = TypeVar("T")
Maker = Callable[..., Any]
MAKERS = pytest.mark.parametrize("make", [dataclasses.dataclass, records.dataclass], ids=["standard", "record"])


@records.dataclass(slots=True, frozen=True)
class Point:
    """A point."""

    x: int
    y: int = 0
    notes: list[str] = dataclasses.field(default_factory=list, compare=False, repr=False)

    KIND: ClassVar[str] = "point"

    def mirrored(self) -> "Point":
        """The other one."""
        return Point(self.y, self.x)


@dataclasses.dataclass(frozen=True, slots=True)
class Deep(Point):
    """A usual dataclass on a record."""

    z: int = 7


@records.dataclass(slots=True, frozen=True, kw_only=True)
class Named(Deep):
    """A record on a usual dataclass on a record."""

    name: str
    y: int = 5


def same(make: Maker, **arguments: Any) -> tuple[Any, Any]:
    """One class made by `make`, with an instance."""

    class Box(Generic[T]):
        """A box."""

        content: T
        count: int = 1
        tags: list[str] = dataclasses.field(default_factory=list)
        secret: str = dataclasses.field(default="s", repr=False, compare=False)
        total: int = dataclasses.field(default=9, init=False)
        last: str = dataclasses.field(default="last", kw_only=True)

    box: Any = make(slots=True, **arguments)(Box)
    return box, box("a", 2)


ARGUMENTS: list[dict[str, bool]] = [
    {},
    {"frozen": True},
    {"kw_only": False, "order": True},
    {"eq": False},
    {"frozen": True, "eq": False},
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_all_that_can_be_seen_is_the_same(arguments: dict[str, bool]) -> None:
    (usual, one), (record, other) = same(dataclasses.dataclass, **arguments), same(records.dataclass, **arguments)
    assert repr(other) == repr(one)
    assert str(inspect.signature(record)) == str(inspect.signature(usual))
    assert record.__match_args__ == usual.__match_args__
    assert record.__slots__ == usual.__slots__
    assert [field.name for field in dataclasses.fields(record)] == [field.name for field in dataclasses.fields(usual)]
    assert dataclasses.asdict(other) == dataclasses.asdict(one)
    assert repr(dataclasses.replace(other, count=3)) == repr(dataclasses.replace(one, count=3))
    assert (record.__hash__ is None) == (usual.__hash__ is None)
    assert (record("a") == record("a")) == (usual("a") == usual("a"))
    assert (record.__name__, record.__qualname__, record.__doc__) == (usual.__name__, usual.__qualname__, usual.__doc__)


@MAKERS
def test_each_instance_gets_defaults_of_its_own(make: Maker) -> None:
    box, one = same(make)
    assert one.tags is not box("b").tags
    assert one.total == 9


@MAKERS
def test_an_order_is_that_of_the_fields(make: Maker) -> None:
    box, one = same(make, order=True)
    assert box("a", 1) < one < box("b", 0)


@MAKERS
def test_wrong_arguments_are_refused(make: Maker) -> None:
    box, _ = same(make)
    with pytest.raises(TypeError, match=r"__init__\(\) missing 1 required positional argument: 'content'"):
        box()
    with pytest.raises(TypeError, match="unexpected keyword argument 'nothing'"):
        box("a", nothing=1)
    with pytest.raises(TypeError, match="positional arguments"):
        box("a", 1, [], "s", "last")


@MAKERS
def test_a_default_that_all_would_change_is_refused(make: Maker) -> None:
    class Bad:
        """Bad."""

        names: list[str] = []  # noqa: RUF012 - what is refused

    with pytest.raises(ValueError, match="default_factory"):
        make(slots=True)(Bad)


def test_a_frozen_one_stays_as_it_is() -> None:
    point = Point(1, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 3  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del point.x
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.other = 1  # type: ignore[attr-defined]
    assert point == Point(1, 2)


def test_what_a_class_writes_itself_stays() -> None:
    @records.dataclass(slots=True, frozen=True)
    class Own:
        """Its own methods."""

        value: int
        seen: ClassVar[list[int]] = []

        def __post_init__(self) -> None:
            self.seen.append(self.value)

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own) and abs(self.value) == abs(other.value)

        def __hash__(self) -> int:
            return abs(self.value)

        def __repr__(self) -> str:
            return f"<{self.value}>"

    assert Own(3) == Own(-3)
    assert hash(Own(3)) == hash(Own(-3))
    assert repr(Own(4)) == "<4>"
    assert 4 in Own.seen


def test_either_kind_inherits_from_the_other() -> None:
    named = Named(1, z=2, name="n")
    assert repr(named) == "Named(x=1, y=5, z=2, name='n')"
    assert named == Named(1, name="n", z=2)
    assert Deep(1, 2) == Deep(1, 2, [], 7)
    assert vars(Named)["__slots__"] == ("name",)
    assert Named.KIND == "point"
    assert Deep(1, 2).mirrored() == Point(2, 1)


def test_an_abstract_base_asks_for_its_methods() -> None:
    @records.dataclass(slots=True, frozen=True)
    class Base(ABC):
        """A base."""

        name: str

        @abstractmethod
        def work(self) -> str:
            """Work."""

    @records.dataclass(slots=True, frozen=True)
    class Done(Base):
        """It works."""

        def work(self) -> str:
            """Work."""
            return self.name

    with pytest.raises(TypeError, match="abstract"):
        Base("a")  # type: ignore[abstract]
    assert Done("a").work() == "a"


@given(st.integers(), st.integers(), st.lists(st.text()))
def test_a_copy_is_equal(x: int, y: int, notes: list[str]) -> None:
    point = Point(x, y, notes)
    for other in (copy.copy(point), copy.deepcopy(point), pickle.loads(pickle.dumps(point))):
        assert other == point
        assert hash(other) == hash(point)
        assert other.notes == notes


def test_nothing_is_compiled_before_it_is_used() -> None:
    @records.dataclass(slots=True, frozen=True)
    class Late:
        """Late."""

        value: int

    written = {name for name in ("__init__", "__eq__", "__hash__", "__repr__") if inspect.isfunction(vars(Late)[name])}
    assert not written
    Late(1)
    assert inspect.isfunction(vars(Late)["__init__"])
    assert not inspect.isfunction(vars(Late)["__eq__"])


def records_of_the_package() -> list[type]:
    """Every class of flowrunner that is a record."""
    found = []
    for info in pkgutil.walk_packages(flowrunner.__path__, "flowrunner."):
        if not info.name.endswith("__main__"):
            module = import_module(info.name)
            own = (one for one in vars(module).values() if isinstance(one, type) and one.__module__ == info.name)
            found += [one for one in own if "__record_parts__" in vars(one)]
    return found


def test_each_record_takes_what_the_usual_dataclass_would_take() -> None:
    classes = records_of_the_package()
    assert len(classes) > 100
    for record in classes:
        fields = dataclasses.fields(record)
        usual = dataclasses.make_dataclass(
            record.__name__,
            [(one.name, one.type, _anew(one)) for one in fields],
        )
        assert str(inspect.signature(record)) == str(inspect.signature(usual)), record
        assert all(one.name in vars(record).get("__slots__", ()) or hasattr(record, one.name) for one in fields), record


def _anew(field: dataclasses.Field[Any]) -> Any:
    """The same field, for another class."""
    default: dict[str, Any] = {"default": field.default, "default_factory": field.default_factory}
    return dataclasses.field(**default, init=field.init, kw_only=field.kw_only)
