"""Turns a flow into the Python that it is compiled to, for people to read."""

import ast
from dataclasses import dataclass, field

from flowrunner.compile.function import FlowWriter
from flowrunner.read.flow import Flow
from flowrunner.step import Step

_MARK = "_mark_"


@dataclass(slots=True)
class _Marks:
    """Statements that stand where a comment shall be: Python's own printer knows no comments."""

    flow: Flow
    comments: list[str] = field(default_factory=list)

    def mark(self, step: Step) -> ast.stmt:
        """A stand-in for the line of a step."""
        span = step.at.span
        line = span.source.lines[span.line - 1].strip()
        self.comments.append(f"# {span.source.name}:{span.line}  {line}")
        return ast.Expr(ast.Name(f"{_MARK}{len(self.comments) - 1}", ast.Load()))

    def restore(self, line: str) -> str:
        """The line, or the comment for which it stands."""
        text = line.strip()
        if not text.startswith(_MARK):
            return line
        return line[: len(line) - len(line.lstrip())] + self.comments[int(text.removeprefix(_MARK))]


def list_flow(flow: Flow) -> str:
    """The functions of a flow as Python source, each step below a comment with its file, line and text."""
    marks = _Marks(flow)
    writer = FlowWriter(flow, mark=marks.mark)
    functions = [ast.unparse(ast.fix_missing_locations(part.definition())) for part in writer.write()]
    lines = "\n\n\n".join(functions).split("\n")
    return "\n".join(marks.restore(line) for line in lines) + "\n"
