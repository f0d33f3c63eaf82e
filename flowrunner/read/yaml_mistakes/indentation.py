"""Turns lines that begin in the wrong column into diagnostics."""

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.read.yaml_mistakes.advice import cut
from flowrunner.read.yaml_mistakes.fault import Fault
from flowrunner.read.yaml_mistakes.lines import Line


def uneven(fault: Fault) -> Diagnostic | None:
    """For a line that begins in a column in which nothing above it begins."""
    line = fault.line
    columns = _open_columns(fault.lines_above(line))
    fitting = [place for place in columns if place[2] == bool(line.dashes)] or columns
    if not fitting:
        return None
    goal, above, _ = min(fitting, key=lambda place: (abs(place[0] - line.indent), -place[0]))
    if goal == line.indent:
        return None
    return misplaced(line, goal, above)


def _open_columns(lines: list[Line]) -> list[tuple[int, Line, bool]]:
    """The columns in which the lines above a place begin their lists and maps, the deepest first."""
    found: list[tuple[int, Line, bool]] = []
    least = 1_000_000
    for line in lines:
        starts = [(line.indent, bool(line.dashes))]
        if line.dashes and (line.key or line.value):
            starts.insert(0, (line.key_start - line.start, False))
        for column, is_dash in starts:
            if column < least:
                found.append((column, line, is_dash))
                least = column
    return found


def misplaced(line: Line, goal: int, above: Line) -> Diagnostic:
    """For a line that must begin in the column `goal`, in which the line above begins a list or a map."""
    word = line.source.span(line.indent_end, line.indent_end + 1) if line.dashes else line.word
    name = cut(word.text, 16)
    place = above.indent_end if word.text == "-" and above.dashes else above.key_start
    if above.dashes and goal == above.indent:
        place = above.indent_end
    reference = above.source.span(place, place + 1) if place < above.key_start else above.word
    this = "this dash" if name == "-" else f"`{name}`"
    other = "the dash" if reference.text == "-" else f"`{cut(reference.text, 16)}`"
    message = f"{this} is indented by {count(line.indent)}, {other} above by {goal or 'none'}"
    labels = (Label(reference, count(goal)),)
    help = f"{shift(goal - line.indent)}, so that it lines up with {other}{' above' * (other == 'the dash')}"
    return Diagnostic("uneven-indentation", message, word, count(line.indent), labels=labels, helps=(help,))


def begins_indented(fault: Fault) -> Diagnostic | None:
    """For a file whose first key is indented, and another is not."""
    line = fault.line
    first = next((above for above in reversed(fault.lines_above(line))), None)
    if not first or not first.indent > line.indent:
        return None
    span = fault.source.span(first.start, first.indent_end)
    first_word, word = cut(first.word.text, 16), cut(line.word.text, 16)
    message = f"`{first_word}` is indented by {count(first.indent)}, `{word}` below by {line.indent or 'none'}"
    help = f"remove the spaces before `{first_word}`, or indent all keys of the file alike"
    return Diagnostic("uneven-indentation", message, span, labels=(Label(line.word),), helps=(help,))


def count(spaces: int) -> str:
    """So many spaces, in words."""
    return "1 space" if spaces == 1 else f"{spaces or 'no'} spaces"


def shift(change: int) -> str:
    """What to do with the spaces before a line that has `change` too few."""
    return f"add {count(change)}" if change > 0 else f"remove {count(-change)}"
