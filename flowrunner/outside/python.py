"""Turns a function in a Python file beside a flow into one that can be called with messages."""

import builtins
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO
from itertools import islice
from pathlib import Path
from tokenize import detect_encoding
from types import ModuleType, TracebackType
from typing import Any

from flowrunner.errors import StepError
from flowrunner.text import Source, Span


@dataclass(slots=True)
class Message:
    """What a function gets. It is a copy: whatever the function does to it changes no other message.

    `payload` is what the step before made of it; `names` are the named levels of the topic and what `let` has set.
    """

    topic: str
    payload: Any
    qos: int = 0
    retain: bool = False
    properties: dict[str, Any] = field(default_factory=dict)
    names: Mapping[str, Any] = field(default_factory=dict)

    def copy(self, **changes: Any) -> "Message":
        """The message with other values: `message.copy(payload=1, topic="a/b")`."""
        return replace(self, **changes)


@dataclass(frozen=True, eq=False)
class PythonFile:
    """A Python file as it was read; `name` is its path as people write it."""

    name: str
    path: Path
    content: bytes = field(repr=False)

    @cached_property
    def source(self) -> Source:
        """The text of the file, for frames."""
        try:
            encoding, _ = detect_encoding(BytesIO(self.content).readline)
            return Source(self.name, self.content.decode(encoding, "replace"))
        except SyntaxError:
            return Source(self.name, self.content.decode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a Python file, and the files beside it that it imports, by module name."""

    file: PythonFile
    name: str
    beside: Mapping[str, PythonFile] = field(default_factory=dict)


def load(function: Function) -> Callable[[Message], Any]:
    """Run the file in a fresh module and return the function; raises whatever the file raises.

    Every step has modules of its own, so that none sees what another one has changed. Nothing is added to `sys.path`.
    """
    modules = _Modules(function)
    module = modules.run(function.file, function.file.path.stem)
    found = getattr(module, function.name)
    if not callable(found):
        raise TypeError(f"`{function.name}` is no function")
    result: Callable[[Message], Any] = found
    return result


class _Modules:
    """The modules of one function: its file, and those beside it, which are run when they are imported."""

    def __init__(self, function: Function) -> None:
        self.beside = function.beside
        self.known: dict[str, ModuleType] = {}

    def run(self, file: PythonFile, name: str) -> ModuleType:
        """Run a file in a module."""
        module = ModuleType(f"_flowrunner_{name}")
        module.__file__ = str(file.path)
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": self.find}
        self.known[name] = module
        sys.modules[module.__name__] = (
            module  # dataclasses look up their module by name; the last one is as good as any
        )
        try:
            exec(compile(file.content, str(file.path), "exec", dont_inherit=True), vars(module))  # noqa: S102
        except BaseException:
            del self.known[name]
            raise
        return module

    def find(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """What an `import` in these files gives: a file beside the flow before anything installed."""
        if level == 0 and name in self.beside:
            return self.known.get(name) or self.run(self.beside[name], name)
        return builtins.__import__(name, globals, locals, fromlist or (), level)


def place_of(error: BaseException, function: Function) -> Span | None:
    """The last place in the user's files through which an exception came; None if it came through none."""
    files = {str(file.path): file for file in [function.file, *function.beside.values()]}
    found: tuple[PythonFile, TracebackType] | None = None
    trace = error.__traceback__
    while trace is not None:
        if file := files.get(trace.tb_frame.f_code.co_filename):
            found = file, trace
        trace = trace.tb_next
    return None if found is None else _span_of(*found)


def _span_of(file: PythonFile, trace: TracebackType) -> Span:
    source = file.source
    positions = trace.tb_frame.f_code.co_positions()
    line, end_line, column, end_column = next(islice(positions, trace.tb_lasti // 2, None))
    if line is None or end_line is None or column is None or end_column is None:
        start = source.offset_of(line=trace.tb_lineno, column=1)
        return source.span(start, start + len(source.lines[trace.tb_lineno - 1]))
    start = source.offset_of_bytes(line=line, byte_column=column)
    return source.span(start, source.offset_of_bytes(line=end_line, byte_column=end_column))


def describe(error: BaseException) -> str:
    """An exception of the user's code as its type and the first line of its text."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def results_of(result: Any, function: str) -> Iterator[dict[str, Any]]:
    """What changes in each message that goes on: none for None, one for a value or message, many for a list of these.

    Raises StepError for what no flow can work with.
    """
    if result is None:
        return
    if not isinstance(result, Message):
        yield {"payload": plain(result, function)}
        return
    if not isinstance(result.topic, str) or not result.topic:
        raise _refuse(function, "a message whose topic is no text")
    if result.qos not in (0, 1, 2) or not isinstance(result.properties, Mapping):
        raise _refuse(function, "a message whose `qos` or `properties` are none")
    properties = plain(dict(result.properties), function)
    rest = {"qos": int(result.qos), "retain": bool(result.retain), "properties": properties}
    yield {"topic": result.topic, "payload": plain(result.payload, function), **rest}


def plain(value: Any, function: str = "") -> Any:
    """A copy that shares nothing with the value: null, bools, numbers, texts, bytes, and lists and maps of these."""
    match value:
        case None | bool():
            return value
        case int():
            return int(value)
        case float():
            return float(value)
        case str():
            return str.__str__(value)
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case list() | tuple():
            return [plain(item, function) for item in value]
        case Mapping() if all(isinstance(key, str | int | float | None) for key in value):
            return {plain(key): plain(item, function) for key, item in value.items()}
    if hasattr(value, "tolist"):  # numbers and arrays of numpy and its relatives
        return plain(value.tolist(), function)
    raise _refuse(function, f"a value of the type `{type(value).__name__}`")


def _refuse(function: str, what: str) -> StepError:
    help = "return numbers, texts, bytes, lists or maps with texts as keys: `str(value)`, `dataclasses.asdict(value)`"
    return StepError(f"`{function}` returned {what}", code="bad-result", help=help)
