"""Flows are added, edited, broken, mended, renamed and deleted while messages run: each message meets one version."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from flowrunner.broker import Broker
from flowrunner.compile import Program, compile_flow
from flowrunner.connections import ConnectionSettings
from flowrunner.read.library import Library
from flowrunner.run.following import Edits, Following
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from tests.run.fakes import Hand, Told, ready, until

NAMES = st.sampled_from(["a", "b", "c"])
FILTERS = st.sampled_from(["in/#", "in/+", "in/x", "+/x", "[in/+, in/#]"])
STEPS = st.sampled_from(["", "  - let: {y: 1}\n", "  - throttle: 100000/s\n"])
COUNTS = st.integers(1, 12)


class Folder(RuleBasedStateMachine):
    """A folder of flows, what runs of it, and a model of both: the stamp of the version of each flow that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.running: dict[str, int] = {}
        self.broken: set[str] = set()
        self.stamp = 0
        self.sent = 0
        self.told = Told()

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.run(work)

    @initialize(protocol=st.sampled_from(["5", "3.1.1"]))
    def begin(self, protocol: str) -> None:
        self.do(self.start(protocol))

    async def start(self, protocol: str) -> None:
        self.broker = Broker(port=0)
        await self.broker.start()
        connection = ConnectionSettings(host="127.0.0.1", port=self.broker.port, protocol=protocol)  # type: ignore[arg-type]
        (self.folder / "keep.yaml").write_text(self.text("in/#", ""))
        self.running["keep"] = self.stamp
        self.library: Library[Program] = Library([self.folder], compile_flow, environment={})
        report = Report(self.told.lines.append)
        self.runner = Runner({"default": connection}, report)
        await self.runner.apply(version.program for version in self.library.refresh().versions.values())
        await ready(self.runner, self.told)
        self.following = Following(Edits(self.library, [self.folder], is_watched=False), self.runner, report)
        self.hand = Hand(connection, "out/#")
        await self.hand.__aenter__()

    def text(self, source: str, step: str) -> str:
        self.stamp += 1
        listed = source if source.startswith("[") else f"[{source}]"
        sources = ", ".join(f"{{topic: {one.strip()}, qos: 1}}" for one in listed[1:-1].split(","))
        topic = f"'out/${{flow}}/{self.stamp}'"
        return f"subscribe: [{sources}]\nsteps:\n{step}  - publish: {{topic: {topic}, qos: 1}}\n"

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.yaml"

    @rule(name=NAMES, source=FILTERS, step=STEPS, count=COUNTS)
    def save(self, name: str, source: str, step: str, count: int) -> None:
        """Add a flow, edit it, or mend it."""
        self.path(name).write_text(self.text(source, step))
        self.broken.discard(name)
        self.do(self.reload(count, {**self.running, name: self.stamp}))

    @rule(name=NAMES, source=FILTERS, count=COUNTS)
    def save_all(self, name: str, source: str, count: int) -> None:
        """Edit several flows at once."""
        after = dict(self.running)
        for one in ("keep", name):
            self.path(one).write_text(self.text(source if one == name else "in/#", ""))
            self.broken.discard(one)
            after[one] = self.stamp
        self.do(self.reload(count, after))

    @precondition(lambda self: len(self.running) > 1)
    @rule(data=st.data(), count=COUNTS, words=st.sampled_from(["steps: [", "steps:\n  - nothing: 1\n", "a: \tb"]))
    def spoil(self, data: st.DataObject, count: int, words: str) -> None:
        """Save a mistake: the old version goes on."""
        name = data.draw(st.sampled_from(sorted(set(self.running) - {"keep"})))
        self.path(name).write_text(words)
        self.broken.add(name)
        self.do(self.reload(count, dict(self.running)))

    @precondition(lambda self: len(self.running) > 1)
    @rule(data=st.data(), count=COUNTS)
    def delete(self, data: st.DataObject, count: int) -> None:
        name = data.draw(st.sampled_from(sorted(set(self.running) - {"keep"})))
        self.path(name).unlink()
        self.broken.discard(name)
        self.do(self.reload(count, {one: stamp for one, stamp in self.running.items() if one != name}))

    @precondition(lambda self: set(self.running) - self.broken - {"keep"})
    @rule(data=st.data(), count=COUNTS)
    def rename(self, data: st.DataObject, count: int) -> None:
        """The flow takes the name of its new file."""
        name = data.draw(st.sampled_from(sorted(set(self.running) - self.broken - {"keep"})))
        new = data.draw(NAMES)
        self.path(name).rename(self.path(new))
        after = {one: stamp for one, stamp in self.running.items() if one != name}
        self.broken.discard(new)
        self.do(self.reload(count, {**after, new: self.running[name]}))

    @rule(count=COUNTS)
    def comment(self, count: int) -> None:
        """A comment more changes nothing."""
        with self.path("keep").open("a") as file:
            file.write("# more\n")
        live = self.runner.flows["keep"]
        self.do(self.reload(count, dict(self.running)))
        assert self.runner.flows["keep"] is live

    async def reload(self, count: int, after: dict[str, int]) -> None:
        """Reload in the middle of a stream of messages, and compare what came of each of them."""
        before, self.running = self.running, after
        first = self.sent
        begun = len(self.hand.got)
        self.send(count)
        reloading = asyncio.create_task(self.following.reload())
        self.send(count)
        await asyncio.sleep(0)
        self.send(count)
        await reloading
        for number in range(2):  # what comes of this comes behind all the rest
            self.send(1)
            ends = {f"out/{name}" for name in after}
            last = b"%d" % self.sent
            await until(
                lambda last=last, ends=ends: (
                    ends <= {name_of(one.topic) for one in self.hand.got if one.payload == last}
                ),  # type: ignore[misc]
                what=f"{number} {before} {after} {self.told}",
            )
        found: dict[str, list[tuple[int, int]]] = {}
        for message in self.hand.got[begun:]:
            _, name, stamp = message.topic.split("/")
            found.setdefault(name, []).append((int(message.payload), int(stamp)))
        every = list(range(first + 1, self.sent + 1))
        for name, met in found.items():
            numbers = [number for number, _ in met]
            assert numbers == sorted(set(numbers)), f"{name} got a message twice, or out of order: {met}"
            known = [both[name] for both in (before, after) if name in both]
            is_ours = {stamp for _, stamp in met} <= set(known)
            assert is_ours, f"{name} ran another version than {known}: {met}"
            assert [stamp for _, stamp in met] == sorted(stamp for _, stamp in met) or name not in before
        for name in before.keys() & after.keys():
            assert [number for number, _ in found[name]] == every, f"{name} lost a message: {found[name]}\n{self.told}"

    def send(self, count: int) -> None:
        for _ in range(count):
            self.sent += 1
            self.hand.client.publish("in/x", b"%d" % self.sent, 1)

    @invariant()
    def runs_what_the_model_says(self) -> None:
        if hasattr(self, "runner"):
            assert set(self.runner.flows) == set(self.running)
            assert sum(flow.dropped for flow in self.runner.flows.values()) == 0

    def teardown(self) -> None:
        async def end() -> None:
            if hasattr(self, "hand"):
                await self.hand.__aexit__()
                await self.following.aclose()
                await self.runner.close()
                await self.broker.stop()

        self.do(end())
        self.loop.close()
        shutil.rmtree(self.folder)


def name_of(topic: str) -> str:
    """The topic without the stamp."""
    return topic.rpartition("/")[0]


def how_long(examples: int, steps: int) -> settings:
    """Without smaller examples of a failure: each would wait in vain for what does not come."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )


def test_every_message_meets_exactly_one_version_whatever_is_edited() -> None:
    run_state_machine_as_test(Folder, settings=how_long(5, 8))


@pytest.mark.soak
def test_every_message_meets_exactly_one_version_for_minutes() -> None:
    run_state_machine_as_test(Folder, settings=how_long(60, 25))
