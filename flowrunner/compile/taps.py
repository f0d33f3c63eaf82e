"""Turns places in a flow into calls that show what a message is there; where nobody looks, the code holds nothing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from flowrunner.code import Block, Segment
from flowrunner.expressions import Scope
from flowrunner.records import dataclass
from flowrunner.step import ANY_NAME, Step

if TYPE_CHECKING:
    from flowrunner.compile.function import FlowWriter

Where = Literal["in", "out", "skipped"]


class See(Protocol):
    """Looks at a message where a flow is tapped."""

    def __call__(self, where: Where, step: str, origin: tuple[Any, ...], values: dict[str, Any], /) -> object:
        """Look; raise nothing, change nothing, and be quick: the flow waits.

        `step` is what the step is called in its flow (see `name_steps`). A message is `in` before the step and `out`
        each time that it is handed on, perhaps later, or several times; `skipped` says that the step's `when` was
        false. `origin` is what arrived (see `flowrunner.code.ORIGIN`), the same object on all ways of one message;
        `values` are the names that have a value of their own for this message, `payload` and `topic` among them.
        """


@dataclass(frozen=True, slots=True)
class Taps:
    """Where to look into a flow: at steps by their names (see `name_steps`), None for all, and who looks.

    The function that looks becomes part of the compiled code: whoever binds and runs it need not know.
    """

    see: See
    steps: frozenset[str] | None = None


class TapWriter:
    """Writes the taps of one flow."""

    def __init__(self, writer: "FlowWriter", taps: Taps | None) -> None:
        self.writer = writer
        self.taps = taps

    def wants(self, step: Step) -> bool:
        """Whether somebody looks at a step."""
        taps = self.taps
        return taps is not None and (taps.steps is None or self.writer.name_of(step) in taps.steps)

    def write(self, where: Where, step: Step, block: Block, scope: Scope | None = None) -> None:
        """Write a look at the message, if somebody looks at the step; `scope` is what is known here."""
        if self.taps is None or not self.wants(step):
            return
        self.writer.guards.is_used = True  # that is, there is an `_origin`
        hidden = {ANY_NAME, *self.writer.calls.frame.globals}
        names = [name for name in (scope or block.scope).names if name not in hidden]
        block.run(
            "SEE(WHERE, STEP, _origin, VALUES)",
            SEE=block.shared("tap", self.taps.see),
            WHERE=block.constant(where),
            STEP=block.constant(self.writer.name_of(step)),
            VALUES=block.display(None, [(name, block.name(name)) for name in names]),
        )

    def write_skipped(self, step: Step, block: Block) -> Block:
        """A block with a look at a message for which the step's `when` is false."""
        inner = block.inner()
        self.write("skipped", step, inner)
        return inner

    def segment(self, step: Step, rest: Sequence[Step], block: Block, then: Segment | None) -> Segment | None:
        """A look at what comes out of a cut step that is the last one of its list, before the message goes on."""
        if not self.wants(step):
            return then
        scope = self.behind(step, rest, block.scope)

        def write(inner: Block) -> None:
            self.write("out", step, inner, scope)
            if then is not None:
                inner.call(then)

        return self.writer.segment(block, scope, write)

    def behind(self, step: Step, rest: Sequence[Step], scope: Scope) -> Scope:
        """What is known for sure behind a step; `rest` are the steps that follow in its list."""
        scopes = self.writer.flow.scopes
        if rest and id(rest[0]) in scopes:
            return scopes[id(rest[0])]
        may_be_unset = step.at.when is not None or self.writer.guards.is_own(step)
        return scope if may_be_unset else step.after(scope)
