"""Turns what leads to what into columns, from left to right, in which few lines cross."""

from collections.abc import Sequence

_SWEEPS = 8


def place_in_columns(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """The names in columns: each one right of all that lead to it, as far as they do not go round in circles."""
    forward = without_circles(names, edges)
    column = dict.fromkeys(names, 0)
    for _ in names:  # the longest way to each; there are no circles, so it ends
        moved = False
        for one, other in forward:
            if column[other] <= column[one]:
                column[other], moved = column[one] + 1, True
        if not moved:
            break
    for name in names:  # what nothing leads to stands right before what it leads to
        after = [column[other] for one, other in forward if one == name]
        if after and not any(other == name for _, other in forward):
            column[name] = min(after) - 1
    columns: list[list[str]] = [[] for _ in range(max(column.values(), default=-1) + 1)]
    for name in names:
        columns[column[name]].append(name)
    return with_few_crossings([one for one in columns if one], forward)


def without_circles(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The edges without those that lead back to where one came from."""
    following: dict[str, list[str]] = {name: [] for name in names}
    for one, other in edges:
        following[one].append(other)
    done: set[str] = set()
    kept: list[tuple[str, str]] = []
    for start in names:
        if start in done:
            continue
        path = [start]
        waiting = {start: iter(following[start])}
        while path:
            here = path[-1]
            step = next(waiting[here], None)
            if step is None:
                done.add(path.pop())
                del waiting[here]
            elif step not in waiting:
                kept.append((here, step))
                if step not in done:
                    path.append(step)
                    waiting[step] = iter(following[step])
    return kept


def with_few_crossings(columns: list[list[str]], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """The columns, each sorted by the middle of what its names are joined to, to and fro a few times."""
    beside: dict[str, list[str]] = {}
    for one, other in edges:
        beside.setdefault(one, []).append(other)
        beside.setdefault(other, []).append(one)
    for _ in range(_SWEEPS):
        height = {name: index / len(column) for column in columns for index, name in enumerate(column)}

        def middle(name: str, height: dict[str, float] = height) -> float:
            near = beside.get(name, [])
            return sum(height[one] for one in near) / len(near) if near else height[name]

        columns = [sorted(column, key=middle) for column in columns]
    return columns
