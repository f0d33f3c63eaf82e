"""Turns an expression into the names that it reads from outside."""

import ast
from collections.abc import Iterator

LITERALS = frozenset({"true", "false", "null"})


def free_names(tree: ast.expr) -> frozenset[str]:
    """The variables that a checked tree reads from outside, and `now` if it calls it."""
    return frozenset(node.id for node in free_name_nodes(tree, frozenset()))


def free_name_nodes(node: ast.AST, bound: frozenset[str]) -> Iterator[ast.Name]:
    """The nodes of all free variables of a checked tree, and of `now`."""
    if isinstance(node, ast.Name):
        if node.id not in bound and node.id not in LITERALS:
            yield node
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id != "now":
        for child in (*node.args, *node.keywords):
            yield from free_name_nodes(child, bound)
    elif isinstance(node, ast.ListComp | ast.DictComp | ast.GeneratorExp):
        yield from _free_in_comprehension(node, bound)
    else:
        for child in ast.iter_child_nodes(node):
            yield from free_name_nodes(child, bound)


def _free_in_comprehension(
    node: ast.ListComp | ast.DictComp | ast.GeneratorExp, bound: frozenset[str]
) -> Iterator[ast.Name]:
    for loop in node.generators:
        yield from free_name_nodes(loop.iter, bound)
        bound |= {name.id for name in target_names(loop.target)}
        for condition in loop.ifs:
            yield from free_name_nodes(condition, bound)
    for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
        yield from free_name_nodes(part, bound)


def target_names(target: ast.expr) -> Iterator[ast.Name]:
    """The names that the target of a loop gives."""
    return (node for node in ast.walk(target) if isinstance(node, ast.Name))
