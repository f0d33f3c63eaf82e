"""Turns messages into what a flow publishes, for people who test flows in Python.

    from flowrunner.testing import run_flow


    def test_a_warm_room_raises_an_alert():
        (alert,) = run_flow("flows/overheat.yaml", [("sensors/kitchen/climate", {"temperature": 26})])
        assert alert.topic == "alerts/kitchen"
        assert alert.value["level"] == "warm"

The fixture `mqtt_broker` comes with the pytest plug-in: see `flowrunner.pytest_plugin`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowrunner.diagnostics import Diagnostic, has_errors, suggest
from flowrunner.errors import FlowError, FlowrunnerError, StepError
from flowrunner.jsons import to_payload
from flowrunner.quantities import parse_duration
from flowrunner.read.cases import After, Given
from flowrunner.read.flow import Flow
from flowrunner.read.mocks import Answer, Mock, is_answerable, named
from flowrunner.step import walk
from flowrunner.text import Source, Span
from flowrunner.topics import BadTopic, check_topic
from flowrunner.trial.host import Published

__all__ = ["FlowFailed", "Message", "Published", "run_flow"]


@dataclass(frozen=True, slots=True)
class Message:
    """A message that the broker delivers.

    `payload` is sent as `publish` would send it: bytes as they are, text as UTF-8, None as the empty payload,
    everything else as JSON.
    """

    topic: str
    payload: Any = b""
    qos: int = 0
    retain: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)


class FlowFailed(FlowrunnerError):
    """Steps of a flow failed on messages; `diagnostics` says which, and the text of the error shows it."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        from flowrunner.diagnostics import render

        self.diagnostics = tuple(diagnostics)
        super().__init__("\n" + render(self.diagnostics))


def run_flow(
    path: str | Path,
    messages: "Iterable[Message | tuple[str, Any] | float | str]" = (),
    *,
    flow: str = "",
    mocks: Mapping[str, Any] | None = None,
    vars: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    errors: bool = True,
) -> list[Published]:
    """Give a flow messages, without a broker, and return what it publishes.

    Between messages time may pass, on a virtual clock that starts at 2000-01-01T00:00:00Z: seconds as a number, or a
    duration such as `"5m"`. Where the file holds several flows, `flow` is the name of the one that is meant.

    `mocks` says, by `id` or kind, what steps come to that ask or change the world outside: a payload, an exception
    (the step fails with its text), or a list of these, one for each time. `vars` and `env` replace constants of the
    flow and what it reads of the environment.

    Raises FlowError where the file holds mistakes, FlowFailed where a step fails (unless `errors` is false; what
    `on_error` of the flow takes care of is no failure), and ValueError for an argument that cannot be.
    """
    from flowrunner.compile import compile_flow
    from flowrunner.trial.beside import Beside
    from flowrunner.trial.case import run_given

    found = _flow(Path(path), flow)
    span = found.span
    given = [_given(one, span) for one in messages]
    with Beside() as beside:
        outcome = run_given(
            compile_flow(found), given, beside, mocks=_mocks(mocks or {}, found), constants=vars, env=env
        )
    missing = [error for error in outcome.errors if error.code == "missing-mock"]
    if outcome.errors and (errors or missing):
        raise FlowFailed(outcome.errors if errors else missing)
    return list(outcome.published)


def _flow(path: Path, name: str) -> Flow:
    from flowrunner.read.load import load

    folder = next((above for above in path.resolve().parents if (above / "flowrunner.yaml").is_file()), path.parent)
    loaded = load([path], allow=frozenset({"exec"}), beside=folder)
    flows = {flow.name: flow for flow in loaded.flows}
    mistakes = [diagnostic for diagnostic in loaded.diagnostics if diagnostic.severity == "error"]
    if name in flows or (not name and len(flows) == 1 and not mistakes):
        return flows[name] if name else next(iter(flows.values()))
    if has_errors(mistakes):
        raise FlowError(mistakes)
    if not name:
        raise ValueError(f"`{path}` holds {len(flows)} flows: name one with `flow=`")
    near = suggest(name, flows)
    raise ValueError(f"`{path}` holds no flow `{name}`" + (f"; did you mean `{near}`?" if near else ""))


def _given(one: "Message | tuple[str, Any] | float | str", span: Span) -> Given | After:
    if isinstance(one, str):
        return After(parse_duration(one), span)
    if isinstance(one, int | float):
        if one < 0:
            raise ValueError("time does not go back")
        return After(float(one), span)
    message = one if isinstance(one, Message) else Message(*one)
    try:
        check_topic(message.topic)
        payload = to_payload(message.payload)
    except BadTopic as bad:
        raise ValueError(f"`{message.topic}` is no topic: {bad.message}") from None
    except StepError as error:
        raise ValueError(error.message) from None
    return Given(message.topic, payload, message.qos, message.retain, dict(message.properties), span)


def _mocks(mocks: Mapping[str, Any], flow: Flow) -> tuple[Mock, ...]:
    steps = [*flow.steps, *flow.on_error.steps]
    for name in mocks:
        if not any(is_answerable(step) for step in named(name, steps)):
            known = dict.fromkeys(step.at.id or step.KEY for step in walk(steps) if is_answerable(step))
            raise ValueError(f"no step `{name}` can have a mock; there are: {', '.join(known) or 'none'}")
    return tuple(_mock(name, given) for name, given in mocks.items())


def _mock(name: str, given: Any) -> Mock:
    span = Source("mocks", name).span(0, len(name))
    answers = tuple(_answer(one, span) for one in (given if isinstance(given, list) else [given]))
    return Mock(name, answers, isinstance(given, list), span)


def _answer(given: Any, span: Span) -> Answer:
    if isinstance(given, BaseException):
        return Answer(None, str(given) or type(given).__name__, None, {}, 0.0, span)
    return Answer((given,), None, None, {}, 0.0, span)
