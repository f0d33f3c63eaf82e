"""Turns a checked flow into a code object whose positions are those of the YAML file, ready to be bound and run."""

import ast
from collections.abc import Callable, Mapping
from dataclasses import field
from types import CodeType
from typing import Any, Protocol

from flowrunner.code import Host
from flowrunner.compile.entrance import connect
from flowrunner.compile.failure import describe_failure, explain_failure
from flowrunner.compile.function import FlowWriter, Part
from flowrunner.compile.taps import Taps
from flowrunner.compile.waits import WaitPlan
from flowrunner.diagnostics import Diagnostic
from flowrunner.errors import FlowError, StepError
from flowrunner.expressions import NAMESPACE
from flowrunner.jsons import to_payload
from flowrunner.message import Message, Properties
from flowrunner.read.flow import Flow
from flowrunner.records import dataclass
from flowrunner.step import Step


class Handler(Protocol):
    """The compiled function of a flow.

    It gets the topic, the payload (bytes from a broker; a value from a tick), QoS, retain flag, properties, and the
    index of the flow's source through which the message came. An Exception means that a step failed on the message.
    """

    def __call__(
        self,
        topic: str,
        payload: Any,
        qos: int,
        retain: bool,  # noqa: FBT001 - positional, because it is called for every message
        properties: Properties,
        entry: int,
        /,
    ) -> None:
        """Run the flow on one message."""


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled flow: pure, without a socket or a clock; `bind` gives it to a host."""

    flow: Flow
    code: CodeType
    name: str
    shared: Mapping[str, object]
    bound: Mapping[str, Callable[[Host], object]] = field(repr=False)
    resumes: Mapping[str, str] = field(default_factory=dict)
    waits: WaitPlan = field(default_factory=WaitPlan)
    is_remote: bool = False

    def bind(self, host: Host) -> Handler:
        """The function that handles a message, with what it needs of the host in its globals."""
        flow = self.flow
        namespace: dict[str, Any] = {**NAMESPACE, **self.shared, **flow.constants}
        namespace |= {name: make(host) for name, make in self.bound.items()}
        namespace |= {
            "flow": flow.name,
            "env": flow.env,
            "now": host.now,
            "_failed": lambda name, error, origin: host.failed(name, error, as_message(origin)),
            "_handled": host.handled,
            "_describe": lambda error: describe_failure(flow, self.code, error),
        }
        exec(self.code, namespace)  # noqa: S102 - compiled from the flow file's own ast, from a whitelist
        for holder, resume in self.resumes.items():
            namespace[holder].resume = namespace[resume]
        if self.waits.hooks:
            return connect(self.waits, flow, namespace, self.resumes, self.name, host)
        handler: Handler = namespace[self.name]
        return handler

    def explain(self, error: Exception, origin: Message) -> Diagnostic:
        """The frame of an error that happened in this flow, with the topic and the payload's beginning."""
        return explain_failure(self.flow, self.code, error, origin)


class Watch(Protocol):
    """Writes into the code of a flow what tells where its messages come: see `flowrunner.trial.coverage`."""

    def begin(self, writer: FlowWriter) -> None:
        """Share what the code will call."""

    def mark(self, step: Step) -> ast.stmt:
        """A statement to stand before a step."""

    def edit(self, part: Part) -> None:
        """Change a function that is written; every node of it has the place in the file that it comes from."""


def compile_to_run(flow: Flow) -> Program:
    """Compile a flow as it is to run: with the memory of its steps where its settings want it. Raises FlowError."""
    return compile_flow(flow, is_remote=flow.is_remote)


def compile_flow(
    flow: Flow, *, taps: Taps | None = None, watch: Watch | None = None, is_remote: bool = False
) -> Program:
    """Compile a flow that was read without errors. Raises FlowError where Python's own limits do not allow it.

    Its steps remember in this process; if it `is_remote`, in Redis, which the host has to `share` as `state`.

    With `taps` it shows what messages are at some of its steps, and does the same with them; its state fits that of the
    flow without taps, so that one can be swapped for the other as an edit is.
    """
    try:
        return compiled(flow, taps, watch, is_remote=is_remote)
    except (RecursionError, SyntaxError):  # SyntaxError: more than twenty `try` inside each other
        message = f"the flow `{flow.name}` is too large, or nested too deeply, to be compiled"
        helps = ("make several flows of it",)
        raise FlowError([Diagnostic("too-deep", message, flow.span.first_line(), helps=helps)]) from None


def compiled(flow: Flow, taps: Taps | None = None, watch: Watch | None = None, *, is_remote: bool = False) -> Program:
    """See `compile_flow`."""
    writer = FlowWriter(flow, mark=watch.mark if watch else None, taps=taps, is_remote=is_remote)
    if watch:
        watch.begin(writer)
    parts = writer.write()
    if watch:
        for part in parts:
            watch.edit(part)
    functions: list[ast.stmt] = [part.definition() for part in parts]
    module = ast.Module(functions, [])
    try:
        code = compile(module, flow.source.name, "exec", dont_inherit=True)
    except TypeError:  # a step left a node without its place; giving all of them one takes a third of the time
        code = compile(ast.fix_missing_locations(module), flow.source.name, "exec", dont_inherit=True)
    code = place_in_files(code, {part.name: part.span.source.name for part in parts})
    waits = writer.waits.plan()
    return Program(flow, code, writer.name, writer.shared, writer.bound, writer.resumes, waits, bool(writer.remotes))


def place_in_files(code: CodeType, files: Mapping[str, str], file: str = "") -> CodeType:
    """The code with its functions in the files that they come from: a flow may hold the steps of others."""
    constants = tuple(
        place_in_files(one, files, files.get(one.co_name, file)) if isinstance(one, CodeType) else one
        for one in code.co_consts
    )
    return code.replace(co_consts=constants, co_filename=file or code.co_filename)


def as_message(origin: tuple[Any, ...]) -> Message:
    """What arrived, as a Message; the value of a tick is shown as it would be published."""
    topic, payload, qos, retain, properties = origin
    try:
        return Message(topic, to_payload(payload), qos, retain, properties)
    except StepError:
        return Message(topic, repr(payload).encode(), qos, retain, properties)
