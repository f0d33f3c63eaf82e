"""Turns the plan of a fleet, its settings and who owns what into what each worker is told."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from secrets import token_hex

from flowrunner.connections import ConnectionSettings
from flowrunner.read.flow import Flow
from flowrunner.run.identity import client_id
from flowrunner.run.sharing import group_of
from flowrunner.sources import Subscribe
from flowrunner.workers.asking import Tap
from flowrunner.workers.orders import Apply, Begin, Part
from flowrunner.workers.owning import Owning
from flowrunner.workers.plan import Plan
from flowrunner.workers.snapshot import Delta, History


class Briefing:
    """What workers are told, now and when one begins later; `tap_of` is what each is to know of taps.

    `settings` are those of the connections, by name, with the client ids, which are made here: once for all workers.
    """

    def __init__(
        self, plan: Plan, connections: Mapping[str, ConnectionSettings], owning: Owning, tap_of: Callable[[int], Tap]
    ) -> None:
        self.group = plan.group
        self.settings: Mapping[str, ConnectionSettings] = {}
        self._plan = plan
        self._owning = owning
        self._tap_of = tap_of
        self._ids: dict[str, str] = {}
        self._history = History()
        self._family = token_hex(8)
        self.use(connections)

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to run until now."""
        return not self._history.deltas

    def use(self, connections: Mapping[str, ConnectionSettings]) -> None:
        """Use other settings of connections from now on."""
        found = {}
        for name, settings in {"default": ConnectionSettings(), **connections}.items():
            if settings.client_id is None and name not in self._ids:
                self._ids[name] = client_id(name, self._plan.folder)
            found[name] = replace(settings, client_id=settings.client_id or self._ids[name])
        self.settings = found

    def take(self, at: float) -> Delta:
        """What has changed in the library until this time, which is told to workers that are there."""
        contents = self._plan.library.contents
        delta = self._plan.copies.take(contents.settings, at)
        self._history.add(delta, contents)
        return delta

    def is_kept(self, flow: Flow) -> bool:
        """Whether a broker keeps for a flow what comes while its owner is away."""
        sources = [source for source in flow.sources if isinstance(source, Subscribe)]
        return any(self.settings[source.connection].keep is not None for source in sources)

    def begin(self, number: int) -> Begin:
        """What a worker is told first."""
        plan = self._plan
        return Begin(
            tuple(plan.paths),
            plan.folder,
            plan.allow,
            self.settings,
            self._history.deltas,
            self.part(number),
            self._tap_of(number),
            self._family,
            plan.is_explained,
            plan.state,
        )

    def apply(self, delta: Delta | None, number: int) -> Apply:
        """What a worker is told of a change; without a delta only its part is another one."""
        return Apply(delta, self.part(number), self._tap_of(number))

    def part(self, number: int) -> Part:
        """What a worker does of all there is to do."""
        group = self.group or group_of(self.settings["default"].client_id or "")
        owning, is_wide = self._owning, bool(self.group)
        return Part(group, owning.alone, owning.elsewhere(number), has_strangers=is_wide, members=self._plan.count)
