"""Turns comprehensions into ones whose rounds, and what they make, are counted where that could get out of hand."""

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable

from flowrunner.expressions.kinds import inside, is_number
from flowrunner.expressions.methods import METHODS
from flowrunner.expressions.model import Scope
from flowrunner.expressions.names import LITERALS, target_names

Comprehension = ast.ListComp | ast.DictComp | ast.GeneratorExp

_BUDGET = "_budget"


def call(name: str, arguments: list[ast.expr], at: ast.expr) -> ast.expr:
    """The call of a helper, standing where a user's node stands."""
    function = ast.copy_location(ast.Name(name, ast.Load()), at)
    return ast.copy_location(ast.Call(function, arguments, []), at)


class Counting(ABC):
    """The part of lowering that knows of comprehensions.

    A comprehension inside another, one with several loops, and one that makes or searches texts and lists in every
    round could do work that grows with the product of sizes. Such a one gets a budget: its outermost loop brings it
    (`for _budget, p in _rounds(payload)`), every other loop and every such operation spends from it. All others are
    Python's own comprehensions without anything added.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.loops = 0  # comprehensions around the place
        self.items: frozenset[str] = frozenset()  # names of the items, where there is one loop only
        self.is_counting = False  # whether the outermost of them needs a budget

    @abstractmethod
    def lower(self, node: ast.expr) -> ast.expr:
        """What is compiled of a part of the user's expression."""

    def charged(self, value: ast.expr, user: ast.expr, *, by: str = "_charged") -> ast.expr:
        """Inside a comprehension the value with its size counted, elsewhere the value."""
        if not self.loops or is_number(user) or isinstance(user, ast.Constant | ast.GeneratorExp):
            return value
        return call(by, [self.budget(user), value], user)

    def kept(self, value: ast.expr, user: ast.expr) -> ast.expr:
        """What every round of a comprehension adds to its result, with all that is inside of it counted.

        A reference costs nothing here, but everything where the result is written as JSON: `{"device": payload.device}`
        for each of many items.
        """
        match value:
            case ast.Call(func=ast.Name(id="_charged") as function):
                function.id = "_kept"
                return value
        return call("_kept", [self.budget(user), value], user)

    def is_own(self, user: ast.expr) -> bool:
        """Whether a part is (a part of) the item of the only loop: all rounds together take each item once."""
        return self.loops == 1 and _root(user) in self.items

    def budget(self, at: ast.expr) -> ast.expr:
        """The budget of the outermost comprehension, which has one from now on."""
        self.is_counting = True
        return ast.copy_location(ast.Name(_BUDGET, ast.Load()), at)

    def comprehension(
        self, node: Comprehension, build: Callable[[list[ast.comprehension]], Comprehension]
    ) -> Comprehension:
        """The comprehension, `build` making its items inside of it."""
        first, outside = self.lower(node.generators[0].iter), (self.scope, self.items)
        self.loops += 1
        targets = [target_names(loop.target) for loop in node.generators]
        self.items = frozenset(name.id for name in targets[0]) if len(targets) == 1 else frozenset()
        loops = [self._loop(loop, None if index else first) for index, loop in enumerate(node.generators)]
        done = build(loops)
        self.loops -= 1
        self.scope, self.items = outside
        if self.is_counting or self.loops or len(loops) > 1:
            self._count(loops, node)
        if not self.loops:
            self.is_counting = False
        return done

    def _loop(self, loop: ast.comprehension, first: ast.expr | None) -> ast.comprehension:
        items = first or self.lower(loop.iter)
        self.scope = inside([loop], self.scope)
        return ast.comprehension(loop.target, items, [self.lower(condition) for condition in loop.ifs], 0)

    def _count(self, loops: list[ast.comprehension], node: Comprehension) -> None:
        for index, (loop, user) in enumerate(zip(loops, node.generators, strict=True)):
            if index or self.loops:
                loop.iter = call("_each", [self.budget(user.iter), loop.iter], user.iter)
                continue
            budget = ast.copy_location(ast.Name(_BUDGET, ast.Store()), loop.target)
            loop.target = ast.copy_location(ast.Tuple([budget, loop.target], ast.Store()), loop.target)
            loop.iter = call("_rounds", [loop.iter], user.iter)


def _root(node: ast.expr) -> str:
    """The name of which a part of an expression reads a field, an item, or a field of a field."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value) | ast.Subscript(value=value):
            return _root(value)
        case ast.Call(func=ast.Attribute(attr="get", value=value), args=[_]):
            return _root(value)
    return ""


def is_small_or_counted(node: ast.expr) -> bool:
    """Whether a result is small, or was counted when it was made."""
    match node:
        case ast.Constant() | ast.Compare() | ast.ListComp() | ast.DictComp():
            return True
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return all(is_small_or_counted(part) for part in parts)
        case ast.Name(id=name):
            return name in LITERALS
        case ast.Call(func=ast.Attribute(attr=name)):
            return name != "get" and not METHODS[name].helper
    return is_number(node)
