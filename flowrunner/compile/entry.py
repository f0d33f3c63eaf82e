"""Turns a topic into the named levels that a flow uses, at the beginning of its function."""

import ast
from collections.abc import Collection, Iterable, Iterator

from flowrunner.code import ORIGIN, Block
from flowrunner.read.flow import Flow
from flowrunner.sources import Subscribe

Captures = dict[str, tuple[int, bool]]


def write_entry(flow: Flow, block: Block, used: Collection[str], *, has_origin: bool) -> None:
    """Write what comes before the first step: what arrived, kept for errors, and the captures that are used."""
    if has_origin:
        block.run(f"_origin = ({', '.join(ORIGIN)})")
    write_levels(flow, block, used)


def write_levels(flow: Flow, block: Block, used: Collection[str]) -> None:
    """Take the captures that are used out of the topic; which they are may depend on the source, `_entry`."""
    captures = [captures_of(source, used) for source in flow.sources if isinstance(source, Subscribe)]
    if not any(captures):
        return
    if len({tuple(sorted(named.items())) for named in captures}) == 1 and len(captures) == len(flow.sources):
        write_captures(captures[0], block)
        return
    for index, source in enumerate(flow.sources):
        if isinstance(source, Subscribe) and (named := captures_of(source, used)):
            inner = block.inner()
            write_captures(named, inner)
            block.run("if _entry == INDEX:\n    NAMED", INDEX=block.constant(index), NAMED=inner.statements)


def captures_of(source: Subscribe, used: Collection[str]) -> Captures:
    """The named levels of a filter that the flow uses: name -> index of the level, and whether it takes the rest."""
    return {name: (index, is_rest) for name, index, is_rest in source.filter.captures if name in used}


def write_captures(captures: Captures, block: Block) -> None:
    """Take the topic apart: at once where one level is named, else once for all."""
    levels = "topic.split('/')"
    if len(captures) > 1:
        block.run(f"_levels = {levels}")
        levels = "_levels"
    for name, (index, is_rest) in captures.items():
        source = f"NAME = '/'.join({levels}[{index}:])" if is_rest else f"NAME = {levels}[{index}]"
        block.run(source, NAME=name)


def names_in(statements: Iterable[ast.stmt]) -> set[str]:
    """Every name that stands in the statements."""
    return {node.id for node in _name_nodes(statements)}


def names_set_in(statements: Iterable[ast.stmt]) -> set[str]:
    """Every name that is set in the statements."""
    return {node.id for node in _name_nodes(statements) if isinstance(node.ctx, ast.Store)}


def _name_nodes(statements: Iterable[ast.stmt]) -> Iterator[ast.Name]:
    pending: list[ast.AST] = list(statements)
    while pending:  # `ast.walk` takes three times as long
        node = pending.pop()
        if isinstance(node, ast.Name):
            yield node
            continue
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                pending += [inner for inner in value if isinstance(inner, ast.AST)]
            elif isinstance(value, ast.AST):
                pending.append(value)
