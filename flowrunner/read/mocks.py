"""Turns `mocks:` of a test into what steps come to instead of their work in the world outside."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flowrunner.diagnostics import Diagnostic, name_list, suggest
from flowrunner.options import Duration, Integer, Kind, Place, Text, option
from flowrunner.options.maps import nothing_more, read_options
from flowrunner.read.literal import BASE64, HEX, PAYLOADS, Literal, LiteralMap, payload_of
from flowrunner.read.nodes import List, Map, Node, Scalar, plain
from flowrunner.records import dataclass
from flowrunner.report import Report
from flowrunner.step import Step, walk
from flowrunner.text import Span
from flowrunner.waiting import WaitingStep


@dataclass(frozen=True, slots=True)
class Answer:
    """What a step comes to once. `payloads` is None where the test says nothing of the payload.

    `error` is the text of a failure, `after` the seconds until the answer is there; `status` and `headers` are those of
    an `http`.
    """

    payloads: tuple[Any, ...] | None
    error: str | None
    status: int | None
    headers: dict[str, str]
    after: float
    span: Span


@dataclass(frozen=True, slots=True)
class Mock:
    """The answers for the steps of one name: a single one for every time, or several, each for one time."""

    name: str
    answers: tuple[Answer, ...]
    is_in_turn: bool
    span: Span


@dataclass(frozen=True, slots=True)
class _Payloads(Kind[tuple[Any, ...]]):
    """A list of payloads: a message for each."""

    phrase: str = "a list of payloads, one for each message"

    def schema(self) -> dict[str, Any]:
        return {"type": "array"}

    def read(self, node: Node, place: Place) -> tuple[Any, ...]:
        if not isinstance(node, List):
            raise place.refuse(node, self.phrase)
        return tuple(plain(item) for item in node.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class _AnswerKeys:
    """The keys of an answer."""

    payload: Any = option(Literal(), "what the payload becomes", default=...)
    payload_hex: bytes | None = option(HEX, "the same as bytes, in hexadecimal digits", default=None)
    payload_base64: bytes | None = option(BASE64, "the same as bytes, in base64", default=None)
    payloads: tuple[Any, ...] | None = option(
        _Payloads(), "for `python`: several messages; `[]` ends the message", default=None
    )
    error: str | None = option(Text(), "the step fails, with this text", default=None)
    status: int | None = option(Integer(100, 599, "a status such as 200"), "for `http`: the status [200]", default=None)
    headers: dict[str, Any] = option(LiteralMap(), "for `http`: the headers of the answer", default=None)
    after: float = option(Duration(), "the answer takes so long, on the virtual clock", default=0.0)


@dataclass(frozen=True, slots=True)
class Mocks(Kind[tuple[Mock, ...]]):
    """A map from steps to what they answer."""

    phrase: str = "a map such as `{STEP: {payload: 5}}`"

    def schema(self) -> dict[str, Any]:
        one = {"anyOf": [{"$ref": "#/definitions/answer"}, {"type": "null"}]}
        return {"type": "object", "additionalProperties": {"anyOf": [*one["anyOf"], {"type": "array", "items": one}]}}

    def read(self, node: Node, place: Place) -> tuple[Mock, ...]:
        if not isinstance(node, Map):
            raise place.refuse(node, self.phrase)
        return tuple(self.read_mock(entry.key, entry.value, place) for entry in node)

    def read_mock(self, key: Scalar, node: Node, place: Place) -> Mock:
        """The answers for the steps of one name."""
        inside = Place(place.context, key.text, "mocks")
        items = node.items if isinstance(node, List) else (node,)
        answers = tuple(self.read_answer(item, inside) for item in items)
        return Mock(key.text, answers, isinstance(node, List), key.span)

    def read_answer(self, node: Node, place: Place) -> Answer:
        """One answer; nothing at all where the step has none to give, as `write`."""
        if isinstance(node, Scalar) and node.value is None:
            return Answer(None, None, None, {}, 0.0, node.span)
        if not isinstance(node, Map):
            help = f"write `{place.option}: {{payload: {node.text[:40]}}}`" if isinstance(node, Scalar) else ""
            raise place.refuse(node, "a map such as `{payload: 5}`, or a list of these", help=help)
        keys = read_options(_AnswerKeys, node, Place(place.context, "", place.option), nothing_more)
        payload, has_payload = payload_of(keys, node, place)
        payloads: tuple[Any, ...] | None = (payload,) if has_payload else keys["payloads"]
        given = [name for name in (*PAYLOADS, "payloads") if node.get(name)]
        if len(given) > 1 or (keys["error"] is not None and (given or keys["status"])):
            message = "an answer is an `error`, or has one payload"
            raise place.report.refuse(Diagnostic("wrong-value", message, node.span.first_line()))
        headers = {name.lower(): str(value) for name, value in (keys["headers"] or {}).items()}
        return Answer(payloads, keys["error"], keys["status"], headers, keys["after"], node.span)


ANSWER_KEYS = _AnswerKeys


def is_answerable(step: Step) -> bool:
    """Whether a test can say what a step comes to."""
    return step.IS_OUTSIDE or (isinstance(step, WaitingStep) and not step.tried())


def named(name: str, steps: Sequence[Step]) -> list[Step]:
    """The steps that a mock is meant for: those with this `id`, else those of this kind."""
    known = list(walk(steps))
    return [step for step in known if step.at.id == name] or [step for step in known if name == step.KEY]


def check_mocks(mocks: Sequence[Mock], steps: Sequence[Step], report: Report) -> None:
    """Report mocks that answer for no step, and answers that a step cannot give."""
    for mock in mocks:
        found = named(mock.name, steps)
        answerable = [step for step in found if is_answerable(step)]
        if not found:
            report.add(_unknown(mock, steps))
        elif not answerable:
            message = f"`{found[0].KEY}` needs no mock: in a test it does what it always does"
            report.say("needless-mock", message, mock.span, helps=(_choices(steps),))
        else:
            report.extend(list(_misfits(mock, answerable)))


def _unknown(mock: Mock, steps: Sequence[Step]) -> Diagnostic:
    names = [step.at.id or step.KEY for step in walk(steps) if is_answerable(step)]
    near = suggest(mock.name, names)
    help = f"did you mean `{near}`?" if near else _choices(steps)
    message = f"no step has the id `{mock.name}`"
    return Diagnostic("unknown-mock", message, mock.span, helps=(help,) if help else ())


def _choices(steps: Sequence[Step]) -> str:
    names = list(dict.fromkeys(step.at.id or step.KEY for step in walk(steps) if is_answerable(step)))
    return f"this flow can have mocks for {name_list(names)}" if names else "no step of this flow can have a mock"


def _misfits(mock: Mock, steps: Sequence[Step]) -> Iterator[Diagnostic]:
    """What an answer says that none of these steps has."""
    kinds = {step.KEY for step in steps}
    shown = steps[0].KEY
    for answer in mock.answers:
        span = answer.span.first_line()
        if (answer.status is not None or answer.headers) and "http" not in kinds:
            yield Diagnostic("wrong-value", f"only `http` has `status` and `headers`, not `{shown}`", span)
        if answer.payloads is not None and kinds == {"write"}:
            yield Diagnostic("wrong-value", "`write` leaves the payload as it is: its mock has none", span)
        if answer.payloads is not None and len(answer.payloads) != 1 and kinds & {"http", "exec", "sqlite"}:
            yield Diagnostic("wrong-value", f"`{shown}` gives one message: its mock has `payload`", span)


def answers_of(mocks: Sequence[Mock], step: Step) -> Mock | None:
    """The mock for a step: that of its `id`, else that of its kind."""
    by_name: Mapping[str, Mock] = {mock.name: mock for mock in mocks}
    return by_name.get(step.at.id) or by_name.get(step.KEY)
