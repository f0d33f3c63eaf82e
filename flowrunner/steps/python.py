"""Turns a message into what a Python function makes of it: the step `python`."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowrunner.code import ORIGIN, Block, Host
from flowrunner.diagnostics import Diagnostic, name_list, suggest
from flowrunner.errors import FlowError
from flowrunner.expressions import Scope
from flowrunner.options import Duration, Kind, Place, option
from flowrunner.outside.python import Function, Message, PythonFile, describe, load, place_of
from flowrunner.read.nodes import Node, Scalar
from flowrunner.text import Span
from flowrunner.waiting import Outcome, WaitingStep, WaitingWorker


@dataclass(frozen=True)
class FunctionKind(Kind[Function]):
    """A function of a Python file beside the flow: the file is parsed here, and run when the flow starts."""

    phrase: str = "a file and a function, such as `convert.py:celsius`"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"\.py:[A-Za-z_][A-Za-z0-9_]*$", "examples": ["convert.py:celsius"]}

    def read(self, node: Node, place: Place) -> Function:
        scalar = place.scalar(node, self.phrase)
        path, colon, name = scalar.text.rpartition(":")
        if not colon or not path.endswith(".py") or not name.isidentifier():
            raise place.refuse(node, self.phrase, label="" if isinstance(scalar.value, str) else None)
        spans = scalar.passage.span(0, len(path)), scalar.passage.span(len(path) + 1)
        file = read_python(path, spans[0], place)
        tree = parse(file, scalar, place)
        refuse_wrong_function(tree, name, file, spans[1], place)
        return Function(file, name, dict(files_beside(tree, file, spans[0], place)))


def read_python(path: str, span: Span, place: Place) -> PythonFile:
    """Read a Python file, which must lie in the folder of the flow. Raises Refused."""
    folder = place.context.folder
    inside = folder.resolve()
    if Path(path).is_absolute() or not (folder / path).resolve().is_relative_to(inside):
        help = "put the Python file beside the flow, or into a folder there"
        message = f"`{path}` lies outside of the flow's folder"
        raise place.report.refuse(Diagnostic("file-outside", message, span, helps=(help,)))
    content = place.context.read_file(path, span)
    return PythonFile((folder / path).as_posix(), inside / path, content)


def parse(file: PythonFile, caller: Scalar, place: Place) -> ast.Module:
    """The tree of a file. Raises Refused where it is no Python."""
    try:
        return ast.parse(file.content, file.name)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line, column = getattr(error, "lineno", None) or 1, getattr(error, "offset", None) or 1
        start = file.source.offset_of(line=line, column=column)
        end = min(start + 1, len(file.source.text))
        message = f"the Python file cannot be read: {getattr(error, 'msg', None) or error}"
        note = f"`python` in {caller.span.source.name}:{caller.span.line} calls a function of this file"
        found = Diagnostic("bad-python", message, file.source.span(start, end).first_line(), notes=(note,))
        raise place.report.refuse(found) from None


def refuse_wrong_function(tree: ast.Module, name: str, file: PythonFile, span: Span, place: Place) -> None:
    """Refuse a name that the file does not set, and a function that cannot be called with a message alone."""
    names = dict(names_of(tree.body))
    if name not in names:
        functions = [known for known, node in names.items() if isinstance(node, _FUNCTIONS)]
        near = suggest(name, functions)
        help = f"did you mean `{near}`?" if near else f"it has {name_list(functions)}" if functions else ""
        message = f"`{file.name}` has no function `{name}`"
        raise place.report.refuse(Diagnostic("missing-function", message, span, helps=(help,) if help else ()))
    node = names[name]
    if isinstance(node, _FUNCTIONS) and not takes_one(node.args):
        start = file.source.offset_of_bytes(line=node.lineno, byte_column=node.col_offset)
        note = f"`python` in {span.source.name}:{span.line} calls it"
        message, help = f"`{name}` must take one argument, the message", f"write `def {name}(message):`"
        found = file.source.span(start, len(file.source.text)).first_line()
        raise place.report.refuse(Diagnostic("bad-function", message, found, helps=(help,), notes=(note,)))


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def names_of(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """The names that a file sets at its top level, each with what sets it."""
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from ((alias.asname or alias.name.partition(".")[0], node) for alias in aliases)
            case _:
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                        yield inner.id, node
                for block in ("body", "orelse", "finalbody"):
                    yield from names_of(getattr(node, block, []))
                for handler in getattr(node, "handlers", []):
                    yield from names_of(handler.body)


def takes_one(arguments: ast.arguments) -> bool:
    """Whether a function can be called with one argument."""
    positional = len(arguments.posonlyargs) + len(arguments.args)
    needed = positional - len(arguments.defaults)
    is_free = all(default is not None for default in arguments.kw_defaults)
    return needed <= 1 and (positional >= 1 or arguments.vararg is not None) and is_free


def files_beside(tree: ast.Module, file: PythonFile, span: Span, place: Place) -> Iterator[tuple[str, PythonFile]]:
    """The files in the same folder that a file imports, and those that these import."""
    known = {file.path.stem}
    waiting = [tree]
    while waiting:
        for name in imports_of(waiting.pop()):
            path = file.path.with_name(f"{name}.py")
            if name in known or name in sys.stdlib_module_names or not place.context.is_file(path):
                continue
            known.add(name)
            other = Path(file.name).with_name(path.name).relative_to(place.context.folder.as_posix())
            found = read_python(other.as_posix(), span, place)
            yield name, found
            try:
                waiting.append(ast.parse(found.content))
            except (SyntaxError, ValueError):  # shown with its place when the flow starts
                continue


def imports_of(tree: ast.Module) -> Iterator[str]:
    """The first names of all modules that a file imports, wherever it does."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                yield from (alias.name.partition(".")[0] for alias in aliases)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Python(WaitingStep):
    """Call a function of a Python file that lies beside the flow.

    The function gets the message: `message.payload`, `.topic`, `.qos`, `.retain`, `.properties`, and `.names` with the
    named levels and what `let` has set. It is a copy, which the function may change. What it returns becomes the
    payload; a message that it returns (`message.copy(topic="a/b")`) goes on instead of the old one; a list gives one
    message for each of its items, and a function that returns nothing ends the message. A list that shall be one
    payload is returned in a message, or as `[[1, 2]]`.

    An `async` function runs beside everything else. Any other one runs in a thread that the flow has for this: it may
    block, and nobody but the messages behind it waits. After `timeout` it is given up, although a thread cannot be
    ended. The file is run once when the flow starts, and again when it or the flow was edited; it can import what is
    installed, and files that lie beside it. What the function raises is a step error, shown with its line.
    """

    KEY = "python"
    IS_OUTSIDE = False
    EXAMPLES = (
        """
        subscribe: sensors/+room/fahrenheit
        steps:
          - json
          - python: convert.py:celsius      # def celsius(message): return (message.payload - 32) / 1.8
          - publish: sensors/${room}/celsius
        tests:
          - given: {topic: sensors/attic/fahrenheit, payload: 212}
            expect: {topic: sensors/attic/celsius, payload: 100}
        """,
    )

    function: Function = option(FunctionKind(), "the file, relative to the flow, and its function", main=True)
    timeout: float = option(Duration(), "how long one call may take", default=60.0)

    def after(self, scope: Scope) -> Scope:
        return scope.with_(payload="any", qos="data", retain="data", properties="any")

    def worker(self, host: Host) -> "_Caller":
        return _Caller(host, self)

    def emit(self, to: Block) -> None:
        names = [name for name in to.scope.names if name not in {*ORIGIN, "env", "flow"}]
        display = to.display(None, [(name, to.name(name)) for name in names])
        message = {"MESSAGE": to.helper(Message), "NAMES": display}
        self.job(to, to.expression("MESSAGE(topic, payload, qos, retain, properties, NAMES)", **message))


class _Caller(WaitingWorker):
    """Calls the function of one step."""

    def __init__(self, host: Host, step: Python) -> None:
        super().__init__(host)
        from flowrunner.outside.calls import Calls  # brings asyncio, which `check` does without

        self.calls = Calls(step.function, import_function(step), step.timeout)

    async def work(self, job: Message) -> Outcome:
        from flowrunner.outside.thread import WorkThread

        thread = self.waits.once("python", lambda: WorkThread("flowrunner-python"))
        return await self.calls.results(job, thread)


def import_function(step: Python) -> Any:
    """Run the file of a step. Raises FlowError, with the place in the file, for all that it raises, SystemExit too."""
    function = step.function
    try:
        return load(function)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        span = place_of(error, function) or syntax_place(error, function) or step.at.key_span
        note = f"called by `python` in {step.at.span.source.name}:{step.at.span.line}"
        diagnostic = Diagnostic("python-failed", describe(error), span.first_line(), notes=(note,))
        raise FlowError([diagnostic]) from error


def syntax_place(error: BaseException, function: Function) -> Span | None:
    """The place of a syntax error in one of the files."""
    if isinstance(error, SyntaxError) and error.lineno:
        for file in (function.file, *function.beside.values()):
            if str(file.path) == error.filename:
                start = file.source.offset_of(line=error.lineno, column=error.offset or 1)
                return file.source.span(start, start + 1)
    return None
