"""Turns flows into ones that can be looked into: some messages take a way with taps, the others the plain one."""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from types import CodeType, TracebackType
from typing import Any, NamedTuple

from flowrunner.code import Host, Publish
from flowrunner.compile import Program, Taps, compile_flow
from flowrunner.compile.taps import Where
from flowrunner.diagnostics import Diagnostic
from flowrunner.errors import FlowError
from flowrunner.message import NO_PROPERTIES, Message, Properties
from flowrunner.read.flow import Flow
from flowrunner.run.live import Handler
from flowrunner.run.live import Program as Running


class Moment(NamedTuple):
    """When something happened: by the clock of the flows, and in seconds since 1970."""

    time: float
    now: float


class Watcher:
    """Looks into one version of a flow.

    `left` is how many messages may still take the tapped way for it, `entered` how many took it since, whoever they
    were for; `passed` took the plain one. It `counts` what meets steps, and `looks` at some of it.

    What happens elsewhere it may be told later: then `at` is when that was, and `turn_to` says what a note is about.
    """

    def __init__(self, flow: Flow, left: int = 0) -> None:
        self.flow = flow
        self.left = left
        self.entered = 0
        self.passed = 0
        self.at: Moment | None = None

    @property
    def closely(self) -> frozenset[str] | None:
        """The steps at which it needs to look, None for all; only then it needs notes as well."""
        return None

    def see(self, where: Where, step: str, origin: tuple[Any, ...], values: dict[str, Any], /) -> None:
        """See `flowrunner.compile.taps.See`."""
        self.count(where, step, 1)
        self.look(where, step, origin, values)

    def count(self, where: Where, step: str, times: int, /) -> None:
        """Learn that so many messages met a step."""

    def look(self, where: Where, step: str, origin: tuple[Any, ...], values: dict[str, Any], /) -> None:
        """Look at a message at a step."""

    def turn_to(self, origin: tuple[Any, ...], /) -> None:
        """Learn that what is noted next is about this message, at which it looked before."""

    def note(self, kind: str, about: dict[str, Any], /) -> None:
        """Learn what happened on the tapped way, besides: `published logged failed handled stopped`, and about it."""

    def heir(self, flow: Flow, /) -> "Watcher | None":  # noqa: ARG002 - for those who have one
        """What looks into the next version of the flow; None if somebody will see to that."""
        return None


class Tapped:
    """A flow with two ways through it, on one and the same state. Raises FlowError where it cannot be compiled."""

    def __init__(self, flow: Flow, *watchers: Watcher, is_remote: bool = False) -> None:
        self.flow = flow
        self.watchers: tuple[Watcher, ...] = watchers
        self.program: Program = compile_flow(flow, taps=Taps(self.see), is_remote=is_remote)
        self._codes = frozenset(_all_code(self.program.code))

    def see(self, where: Where, step: str, origin: tuple[Any, ...], values: dict[str, Any], /) -> None:
        """Show a message to all who look."""
        for watcher in self.watchers:
            watcher.see(where, step, origin, values)

    def note(self, kind: str, /, **about: Any) -> None:
        """Tell all who look what happened; of an error also what explains it."""
        if "error" in about:
            about["explain"] = self.program.explain
        for watcher in self.watchers:
            watcher.note(kind, about)

    def bind(self, program: Running, host: Host, /) -> Handler:
        """See `flowrunner.run.live.Tapped`."""
        common = _Common(host)
        common.has_turns = False
        plain = program.bind(common)
        common.has_turns = True
        tapped = self.program.bind(_Noting(common, self.note))  # this one works on the state when its time comes

        def handle(
            topic: str,
            payload: Any,
            qos: int,
            retain: bool,  # noqa: FBT001 - the signature of a handler
            properties: Properties,
            entry: int,
            /,
        ) -> None:
            if not self._takes():
                plain(topic, payload, qos, retain, properties, entry)
                return
            try:
                tapped(topic, payload, qos, retain, properties, entry)
            except Exception as error:
                self.note("failed", error=error, origin=None)
                raise

        handle.__wrapped__ = plain  # type: ignore[attr-defined]  # see `inspect.unwrap` and `relocate`
        return handle

    def explain(self, error: Exception, origin: Message, /) -> Diagnostic | None:
        """See `flowrunner.run.live.Tapped`."""
        trace: TracebackType | None = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code in self._codes:
                return self.program.explain(error, origin)
            trace = trace.tb_next
        return None

    def _takes(self) -> bool:
        """Whether somebody wants to see one more message."""
        watchers = self.watchers
        for watcher in watchers:
            if watcher.left > 0:
                break
        else:
            for watcher in watchers:
                watcher.passed += 1
            return False
        for watcher in watchers:
            watcher.left -= 1
            watcher.entered += 1
        return True


class Wanted:
    """Who wants to look into which flows."""

    def __init__(self) -> None:
        self._watchers: dict[str, dict[str, Watcher]] = {}

    def want(self, by: str, watchers: Mapping[str, Watcher]) -> None:
        """Have these flows looked into, by name, and no others for whoever it is by."""
        self._watchers[by] = dict(watchers)
        if not watchers:
            del self._watchers[by]

    def __bool__(self) -> bool:
        return bool(self._watchers)

    def by(self, by: str) -> Mapping[str, Watcher]:
        """Those of one, by the names of their flows."""
        return self._watchers.get(by, {})

    def of(self, flow: Any) -> tuple[Watcher, ...]:
        """Those who look into a flow; who looked into the version before has its heir look into this one."""
        found = []
        for wanted in self._watchers.values():
            watcher = wanted.get(flow.name)
            if watcher is not None and watcher.flow is not flow:
                watcher = watcher.heir(flow)
                if watcher is not None:
                    wanted[flow.name] = watcher
            if watcher is not None:
                found.append(watcher)
        return tuple(found)


class Tapping:
    """Who looks into which flows. All who look into one flow share its taps."""

    def __init__(self) -> None:
        self._wanted = Wanted()
        self._tapped: dict[str, Tapped] = {}

    def want(self, by: str, watchers: Mapping[str, Watcher]) -> None:
        """Have these flows looked into, by name, and no others for whoever it is by."""
        self._wanted.want(by, watchers)

    def of(self, flow: object) -> Tapped | None:
        """The taps of this very version of a flow."""
        tapped = self._tapped.get(getattr(flow, "name", ""))
        return tapped if tapped is not None and tapped.flow is flow else None

    async def prepare(self, programs: Iterable[Running]) -> None:
        """Make the taps of flows that are about to run. Each is compiled once, and others get their turn in between."""
        flows = {program.flow.name: program.flow for program in programs} if self._wanted else {}
        remote = {program.flow.name for program in programs if getattr(program, "is_remote", False)}
        watchers = {name: found for name, flow in flows.items() if (found := self._wanted.of(flow))}
        before, self._tapped = self._tapped, {}
        for name, found in watchers.items():
            flow, known = flows[name], before.get(name)
            if known is not None and known.flow is flow:
                known.watchers = found
                self._tapped[name] = known
            elif isinstance(flow, Flow):
                await asyncio.sleep(0)
                try:
                    self._tapped[name] = Tapped(flow, *found, is_remote=name in remote)
                except FlowError:  # a flow at the limit of Python's nesting, which the taps are too much for
                    continue

    def names(self, by: str) -> frozenset[str]:
        """The flows that are really looked into, by name."""
        wanted = self._wanted.by(by)
        return frozenset(
            name for name, watcher in wanted.items() if name in self._tapped and self._tapped[name].flow is watcher.flow
        )


class _Common:
    """The host of two programs that share every state. Timers ring for one of them only."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._states: dict[tuple[str, Hashable], object] = {}
        self.has_turns = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    def keep(self, name: str, shape: Hashable, make: Callable[[], Any]) -> Any:
        """See `Host`."""
        place = (name, shape)
        if place not in self._states:
            self._states[place] = self._host.keep(name, shape, make)
        return self._states[place]

    def on_turn(self, start: Callable[[], object], stop: Callable[[], object]) -> None:
        """See `Host`."""
        if self.has_turns:
            self._host.on_turn(start, stop)


class _Noting:
    """The host of the tapped way: what is done there is noted."""

    def __init__(self, host: Any, note: Callable[..., object]) -> None:
        self._host = host
        self._note = note

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    def publisher(self, connection: str) -> Publish:
        """See `Host`."""
        publish: Publish = self._host.publisher(connection)
        note = self._note

        def publish_and_tell(
            topic: str,
            payload: bytes,
            qos: int = 0,
            retain: bool = False,  # noqa: FBT001, FBT002 - the signature of `Publish`
            properties: Properties = NO_PROPERTIES,
            /,
        ) -> None:
            publish(topic, payload, qos, retain, properties)
            note("published", message=Message(topic, payload, qos, retain, properties), connection=connection)

        return publish_and_tell

    def log(self, flow: str, level: str, text: str) -> None:
        """See `Host`."""
        self._host.log(flow, level, text)
        self._note("logged", level=level, text=text)

    def failed(self, flow: str, error: Exception, origin: Message) -> None:
        """See `Host`."""
        self._host.failed(flow, error, origin)
        self._note("failed", error=error, origin=origin)

    def handled(self, flow: str, error: Exception) -> None:
        """See `Host`."""
        self._host.handled(flow, error)
        self._note("handled", error=error, origin=None)

    def stopped(self, flow: str, reason: str) -> None:
        """See `Host`."""
        self._host.stopped(flow, reason)
        self._note("stopped", reason=reason)

    def queue_dropped(self, flow: str, place: str) -> None:
        """See `Host`."""
        self._host.queue_dropped(flow, place)
        self._note("queue", place=place)


def _all_code(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _all_code(constant)
