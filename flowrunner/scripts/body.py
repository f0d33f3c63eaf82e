"""Holds what the writers of a script share: where a message goes at the end of its steps, and lines inside of lines."""

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

Lines = list[str]


@dataclass(frozen=True, slots=True)
class Way:
    """How steps go on: `end` ends the message, `last` stands behind the last step."""

    end: str = "return"
    last: tuple[str, ...] = ()

    def then(self, *lines: str) -> "Way":
        """The same with other lines at the end."""
        return replace(self, last=lines)


@dataclass(frozen=True, slots=True)
class Frame:
    """Whose steps are written: the names that are known everywhere in the script, and the constants that are not.

    The function of a called flow sets these itself.
    """

    globals: frozenset[str]
    constants: Mapping[str, object] = field(default_factory=dict)


def indented(lines: Iterable[str], by: int = 1) -> Lines:
    """Lines that stand inside of others; a line may be several."""
    pad = "    " * by
    return [f"{pad}{line}" if line else "" for text in lines for line in text.split("\n")]


def block(head: str, lines: Sequence[str]) -> Lines:
    """A head such as `if x:`, and what stands inside of it."""
    is_empty = not any(line.strip() and not line.strip().startswith("#") for line in lines)
    return [head, *indented([*lines, *(["pass"] if is_empty else [])])]


def names_in(lines: Iterable[str]) -> set[str]:
    """Every name that is read or set in lines of Python."""
    return {node.id for node in ast.walk(_tree(lines)) if isinstance(node, ast.Name)}


def names_read_first(lines: Iterable[str], known: Iterable[str]) -> list[str]:
    """Those of the known names that the lines use, in order."""
    used = names_in(lines)
    return [name for name in known if name in used]


def _tree(lines: Iterable[str]) -> ast.Module:
    return ast.parse("\n".join(["def steps():", *indented(lines), "    pass"]))


def broken(call: str, arguments: Sequence[str], width: int = 100) -> str:
    """A call in one line, or with an argument a line where that would be long."""
    line = f"{call}({', '.join(arguments)})"
    if len(line) <= width and "\n" not in line:
        return line
    inner = "".join(f"    {argument},\n".replace("\n", "\n    ").rstrip(" ") for argument in arguments)
    return f"{call}(\n{inner})"
