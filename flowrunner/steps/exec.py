"""Turns a message into what a program of this machine makes of it: the step `exec`."""

import ast
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block, Host
from flowrunner.diagnostics import Diagnostic, Severity
from flowrunner.errors import StepError
from flowrunner.expressions import Expression, Scope, Template
from flowrunner.jsons import to_payload
from flowrunner.options import Duration, Kind, Place, Size, TemplateKind, option
from flowrunner.read.nodes import List, Node
from flowrunner.text import Span
from flowrunner.waiting import Foretold, Outcome, WaitingStep, WaitingWorker


@dataclass(frozen=True, slots=True)
class Command:
    """A program and its arguments, and the folder in which it runs."""

    arguments: tuple[Template, ...]
    folder: str


@dataclass(frozen=True)
class CommandKind(Kind[Command]):
    """An argument list. Whoever starts flowrunner has to allow it."""

    phrase: str = "a list: the program and its arguments"

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": ["string", "number"]}, "minItems": 1}

    def read(self, node: Node, place: Place) -> Command:
        say_if_refused(node.span, place)
        if not isinstance(node, List) or not node.items:
            help = 'there is no shell: write `[program, argument, "${payload.x}"]`'
            raise place.refuse(node, self.phrase, help=help)
        arguments = tuple(TemplateKind().read(item, place) for item in node.items)
        program = arguments[0]
        if not program.is_constant or not program.constant:
            span = node.items[0].span.first_line()
            message = "the program of `exec` must be written out, without `${}`"
            raise place.report.refuse(Diagnostic("wrong-value", message, span))
        return Command(arguments, str(place.context.folder))


def say_if_refused(span: Span, place: Place) -> None:
    """Report that programs may not be run; where nothing will be run, as a warning. Raises Refused."""
    allow = place.context.allow
    if allow is not None and "exec" in allow:
        return
    message = "`exec` runs a program of this machine, which has to be allowed"
    help = "start flowrunner with `flowrunner run --allow exec`"
    severity: Severity = "warning" if allow is None else "error"
    found = Diagnostic("not-allowed", message, place.owner_span or span.first_line(), helps=(help,), severity=severity)
    if allow is None:
        place.report.add(found)
    else:
        raise place.report.refuse(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exec(WaitingStep):
    """Run a program of this machine. Nothing runs unless flowrunner was started with `--allow exec`.

    The program gets the payload on its standard input, as `publish` would send it, and what it writes to its standard
    output becomes the payload, in bytes: put `decode: utf-8` or `json` behind it. There is no shell: every item of the
    list is one argument, whatever it holds, and what is inserted at the beginning of one must not start with `-`. It
    runs in the folder of the flow.

    An exit code other than 0 is a step error that shows the beginning of what the program wrote to its standard error.
    After `timeout`, or with more output than `max_output`, it is killed, with all that it has started.
    """

    KEY = "exec"
    IS_OUTSIDE = True
    EXAMPLES = (
        """
        subscribe: shout/+room
        steps:
          - exec: [tr, a-z, A-Z]
          - publish: loud/${room}
        tests:
          - given: {topic: shout/attic, payload: hello}
            expect: {topic: loud/attic, payload: HELLO}
            mocks: {exec: {payload: HELLO}}
        """,
        """
        subscribe: cameras/+id/snap
        steps:
          - exec:
              command: [./snapshot.sh, "--camera=${id}"]
              timeout: 20s
              max_output: 10MB
            on_error: {publish: "cameras/${id}/failed"}
          - publish: cameras/${id}/image
        tests:
          - given: {topic: cameras/door/snap}
            mocks: {exec: {payload_hex: FFD8FF}}
            expect: {topic: cameras/door/image, payload_hex: FFD8FF}
          - name: without a camera
            given: {topic: cameras/door/snap, payload: now}
            mocks: {exec: {error: the program ended with exit code 1}}
            expect: {topic: cameras/door/failed, payload: now}
        """,
    )

    command: Command = option(CommandKind(), "the program and its arguments", main=True)
    timeout: float = option(Duration(), "how long it may take", default=10.0)
    max_output: int = option(Size(), "how much it may write", default=1_000_000)

    def parts(self) -> Iterator[Expression | Template]:
        yield from self.command.arguments

    def after(self, scope: Scope) -> Scope:
        return scope.with_(payload="bytes")

    def foretell(self, job: tuple[list[str], bytes]) -> Foretold:
        return Foretold(f"run {shlex.join(job[0])}")

    def worker(self, host: Host) -> "_Programs":
        return _Programs(host, self)

    def emit(self, to: Block) -> None:
        arguments = [emit_argument(to, argument) for argument in self.command.arguments]
        holes: dict[str, Any] = {"ARGUMENTS": ast.copy_location(ast.List(arguments, ast.Load()), to.constant(None))}
        self.job(to, to.expression("(ARGUMENTS, TO_PAYLOAD(payload))", TO_PAYLOAD=to.helper(to_payload), **holes))


def emit_argument(to: Block, argument: Template) -> ast.expr:
    """What computes one argument; where something is inserted, it is checked."""
    if argument.is_constant:
        return to.constant(argument.constant)
    check: Callable[[str], str] = check_text if isinstance(argument.parts[0], str) else check_argument
    at = Block(to.writer, to.scope, argument.passage.span())
    return at.expression("CHECK(TEXT)", CHECK=at.helper(check), TEXT=at.text(argument))


def check_argument(text: str) -> str:
    """An argument that begins with what was inserted. Raises StepError for one that a program takes for an option."""
    if text.startswith("-"):
        help = "where it is meant, write the `-` into the flow"
        raise StepError(f"an inserted argument must not begin with `-`: `{text[:60]}`", code="bad-argument", help=help)
    return check_text(text)


def check_text(text: str) -> str:
    """A text as an argument. Raises StepError for what the system cannot pass on."""
    try:
        if b"\0" not in text.encode():
            return text
    except UnicodeEncodeError:
        pass
    raise StepError("an argument must be a text without NUL and half surrogate pairs", code="bad-argument")


class _Programs(WaitingWorker):
    """Runs the program of one step."""

    def __init__(self, host: Host, step: Exec) -> None:
        super().__init__(host)
        self.step = step

    async def work(self, job: tuple[list[str], bytes]) -> Outcome:
        arguments, given = job
        step = self.step
        from flowrunner.outside.programs import run_program  # brings asyncio, which `check` does without

        output = await run_program(
            arguments, given, folder=step.command.folder, seconds=step.timeout, most=step.max_output
        )
        return ({"payload": output},)
