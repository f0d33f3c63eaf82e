"""A runner that answers other processes: how it is, and what its flows do right now."""

import asyncio
import json
import os
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flowrunner.connections import ConnectionSettings
from flowrunner.message import NO_PROPERTIES, Message
from flowrunner.read.flow import Flow
from flowrunner.run import local, local_place, viewing
from flowrunner.run.local import Desk, listen
from flowrunner.run.report import Report
from flowrunner.run.tapping import Watcher
from tests.run.fakes import Told, until
from tests.run.workshop import Workshop, workshop

NOWHERE = ConnectionSettings(host="127.0.0.1", port=1)
PATIENCE = 20.0
WARM = """
    subscribe: sensors/+room
    steps:
      - json
      - filter: payload.t > 25
      - set: {level: warm}
      - publish: alerts/${room}
"""


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A private folder for sockets, with a short name."""
    with tempfile.TemporaryDirectory(prefix="fr") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
        yield Path(folder)


@dataclass
class Caller:
    """Another process, at the other end of the socket."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, **request: Any) -> None:
        self.writer.write(json.dumps(request).encode() + b"\n")

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            line = await self.reader.readline()
        assert line, "the runner has nothing more to say"
        found: dict[str, Any] = json.loads(line)
        return found

    async def ask(self, **request: Any) -> dict[str, Any]:
        self.say(**request)
        return await self.hear()

    async def hear_of(self, event: str) -> dict[str, Any]:
        while (told := await self.hear())["event"] != event:
            pass
        return told


@dataclass
class Office:
    """A runner whose desk is open."""

    shop: Workshop
    path: Path
    report: Told
    callers: list[Caller] = field(default_factory=list)

    async def call(self) -> Caller:
        caller = Caller(*await asyncio.open_unix_connection(self.path, limit=1 << 24))
        self.callers.append(caller)
        return caller

    async def tap(self, flow: str, step: str = "") -> Caller:
        caller = await self.call()
        assert (await caller.ask(ask="tap", flow=flow, step=step))["event"] == "tapped"
        return caller

    def deliver(self, flow: str, *payloads: bytes, topic: str = "sensors/attic") -> None:
        live = self.shop.runner.flows[flow]
        for payload in payloads:
            live.received += 1
            try:
                live.handler(topic, payload, 0, False, NO_PROPERTIES, 0)
            except Exception as error:  # noqa: BLE001 - as a router does
                self.shop.runner.failures.failed(live, error, Message(topic, payload))

    def is_tapped(self, flow: str) -> bool:
        return self.shop.runner.flows[flow].tapped is not None


@asynccontextmanager
async def office(folder: Path, **flows: str) -> AsyncIterator[Office]:
    files = {f"{name}.yaml": text for name, text in flows.items()}
    async with workshop(folder / "flows", NOWHERE, files, is_ready=False, is_watched=False) as shop:
        told = Told()
        desk = Desk(shop.runner, shop.library, folder=shop.folder, exchanged=shop.following.watch)
        async with listen(desk, shop.folder, Report(told.lines.append)) as path:
            assert path is not None
            found = Office(shop, path, told)
            try:
                yield found
            finally:
                for caller in found.callers:
                    caller.writer.transport.abort()


def changes(told: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
    """Each step of a message, how it went, and the names of what it changed."""
    return [(step["step"], step["result"], [change["name"] for change in step["changes"]]) for step in told["steps"]]


async def test_each_step_tells_what_it_changed_and_published(tmp_path: Path) -> None:
    async with office(tmp_path, f=WARM) as desk:
        caller = await desk.tap("f")
        desk.deliver("f", b'{"t": 30}', b'{"t": 20}')
        first, second = await caller.hear(), await caller.hear()
        assert changes(first) == [
            ("json 1", "passed", ["payload"]),
            ("filter 1", "passed", []),
            ("set 1", "passed", ["payload.level"]),
            ("publish 1", "passed", []),
        ]
        assert first["steps"][1]["read"] == {"payload.t": 30}
        (effect,) = first["steps"][3]["effects"]
        assert effect["published"]["topic"] == "alerts/attic"
        assert (first["given"]["payload"], first["names"], first["message"]) == ('{"t": 30}', {"room": "attic"}, 1)
        assert changes(second)[-1] == ("filter 1", "ended", [])
        assert second["steps"][-1]["reason"] == "dropped: the condition is false"


async def test_a_failure_is_told_where_it_happened_with_its_frame(tmp_path: Path) -> None:
    async with office(tmp_path, f=WARM) as desk:
        caller = await desk.tap("f")
        desk.deliver("f", b"{}")
        told = await caller.hear()
        assert changes(told)[-1] == ("filter 1", "failed", [])
        failed = told["steps"][-1]["effects"][0]["failed"]
        assert failed["code"] == "missing-field"
        assert "^^^^^^^^^" in failed["frame"]
        assert desk.shop.runner.flows["f"].dropped == 1


async def test_failures_that_are_handled_what_is_logged_and_what_is_stopped_are_told(tmp_path: Path) -> None:
    text = "{subscribe: a, steps: [{json: , on_error: [{log: odd}, {stop: broken}]}]}"
    async with office(tmp_path, f=text) as desk:
        caller = await desk.tap("f")
        desk.deliver("f", b"{", topic="a")
        told = await caller.hear()
        assert [(step["step"], [*effect]) for step in told["steps"] for effect in step["effects"]] == [
            ("json 1", ["handled"]),
            ("log 1", ["logged"]),
            ("stop 1", ["stopped"]),
        ]


async def test_one_step_is_shown_with_those_inside_it(tmp_path: Path) -> None:
    text = """
        subscribe: a
        steps:
          - json
          - switch:
              - {when: payload > 1, steps: [{log: big}]}
              - {else: [{log: small}]}
          - publish: out
    """
    async with office(tmp_path, f=text) as desk:
        caller = await desk.tap("f", "switch")
        desk.deliver("f", b"2", topic="a")
        assert [step["step"] for step in (await caller.hear())["steps"]] == ["switch 1", "log 1"]


async def test_what_is_held_is_told_when_it_goes_on(tmp_path: Path) -> None:
    text = "{subscribe: a, steps: [json, {delay: 20ms}, {set: {late: true}}]}"
    async with office(tmp_path, f=text) as desk:
        caller = await desk.tap("f")
        desk.deliver("f", b"{}", topic="a")
        told = [await caller.hear()]
        if not told[0]["steps"][-1]["step"].startswith("set"):  # else all of it was told at once
            told.append(await caller.hear())
            assert (told[1]["message"], told[1]["is_continued"]) == (1, True)
        steps = [(step["step"], step["result"]) for one in told for step in one["steps"]]
        assert steps[-2:] == [("delay 1", "later"), ("set 1", "passed")]
        assert told[-1]["steps"][-1]["at"] >= 0.02


async def test_a_failure_in_the_background_is_told_of_its_own_message(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "slow.py").write_text(
        "import asyncio\n\nasync def work(message):\n    await asyncio.sleep(0.01)\n    return 1 / message.payload\n"
    )
    text = """
        subscribe: a
        steps:
          - json
          - python: slow.py:work
    """
    async with office(tmp_path, f=text) as desk:
        caller = await desk.tap("f")
        desk.deliver("f", b"0", b"4", topic="a")
        failed: dict[int, str] = {}
        passed: set[int] = set()
        while not (failed and passed):
            told = await caller.hear()
            for step in told["steps"]:
                if any("failed" in effect for effect in step["effects"]):
                    failed[told["message"]] = step["step"]
                if step["step"] == "python 1" and step["changes"]:
                    passed.add(told["message"])
        assert (failed, passed) == ({1: "python 1"}, {2})


async def test_a_flow_goes_back_to_what_it_was_when_the_viewer_goes(tmp_path: Path) -> None:
    async with office(tmp_path, f=WARM, g=WARM) as desk:
        before = desk.shop.runner.flows["g"]
        first, second = await desk.tap("f"), await desk.tap("f", "filter")
        assert desk.is_tapped("f")
        live = desk.shop.runner.flows["f"]
        first.writer.close()
        desk.deliver("f", b'{"t": 30}')
        assert [step["step"] for step in (await second.hear())["steps"]] == ["filter 1"]
        assert desk.shop.runner.flows["f"] is live  # two who look share the taps
        second.writer.transport.abort()
        await until(lambda: not desk.is_tapped("f"))
        assert desk.shop.runner.flows["g"] is before
        desk.deliver("f", b'{"t": 30}')
        assert desk.shop.runner.flows["f"].received == 2


async def test_the_page_and_a_tap_do_not_disturb_each_other(tmp_path: Path) -> None:
    class Page(Watcher):
        seen = 0

        def see(self, *_: object) -> None:
            self.seen += 1

    async with office(tmp_path, f=WARM, g=WARM) as desk:
        flow = desk.shop.runner.flows["f"].program.flow
        assert isinstance(flow, Flow)
        caller = await desk.tap("f")
        page = Page(flow, 1)
        assert await desk.shop.runner.tap({"f": page}) == {"f"}
        desk.deliver("f", b'{"t": 1}', b'{"t": 1}')
        assert [(await caller.hear())["message"] for _ in range(2)] == [1, 2]
        assert (page.seen, page.entered) == (6, 2)
        assert await desk.shop.runner.tap({}) == frozenset()
        assert desk.is_tapped("f")
        desk.deliver("f", b'{"t": 1}')
        assert (await caller.hear())["message"] == 3
        assert page.seen == 6


async def test_a_tap_stays_on_the_next_version(tmp_path: Path) -> None:
    async with office(tmp_path, f=WARM) as desk:
        caller = await desk.tap("f", "set")
        desk.shop.save("f.yaml", WARM.replace("level", "grade"))
        await desk.shop.following.reload()
        desk.deliver("f", b'{"t": 30}')  # the taps are there with the new version, not a moment later
        assert (await caller.hear())["event"] == "edited"
        assert changes(await caller.hear()) == [("set 1", "passed", ["payload.grade"])]

        desk.shop.save("f.yaml", WARM.replace("- set: {level: warm}", "- log: hi"))
        await desk.shop.following.reload()
        told = await caller.hear()
        assert (told["event"], told["step"]) == ("step-gone", "set")
        desk.shop.save("f.yaml", WARM)
        await desk.shop.following.reload()
        assert (await caller.hear())["event"] == "edited"
        desk.deliver("f", b'{"t": 30}')
        assert changes(await caller.hear()) == [("set 1", "passed", ["payload.level"])]


async def test_a_flow_that_goes_is_said_and_so_is_that_it_came_back(tmp_path: Path) -> None:
    async with office(tmp_path, f=WARM, g=WARM) as desk:
        caller = await desk.tap("f")
        (desk.shop.folder / "f.yaml").unlink()
        await desk.shop.following.reload()
        assert (await caller.hear())["event"] == "gone"
        desk.shop.save("f.yaml", WARM)
        await desk.shop.following.reload()
        assert (await caller.hear())["event"] == "edited"
        desk.deliver("f", b'{"t": 30}')
        assert (await caller.hear())["event"] == "message"


async def test_a_comment_more_keeps_the_tap_and_moves_the_lines(tmp_path: Path) -> None:
    async with office(tmp_path, f=WARM) as desk:
        caller = await desk.tap("f", "set")
        since = desk.shop.runner.flows["f"].since
        desk.shop.save("f.yaml", f"# more\n{WARM.lstrip(chr(10))}".replace("\n    ", "\n"))
        await desk.shop.following.reload()
        desk.deliver("f", b'{"t": 30}')
        told = await caller.hear_of("message")
        assert told["steps"][0]["line"] == 6
        assert desk.shop.runner.flows["f"].since == since


async def test_messages_that_are_too_many_are_counted(tmp_path: Path) -> None:
    async with office(tmp_path, f=WARM) as desk:
        caller = await desk.tap("f", "json")
        desk.deliver("f", *[b'{"t": 1}'] * (viewing.MOST + 70))
        told = [await caller.hear() for _ in range(viewing.MOST + 1)]
        assert [one["event"] for one in told[:-1]] == ["message"] * viewing.MOST
        assert (told[-1]["event"], told[-1]["count"]) == ("missed", 70)
        assert desk.shop.runner.flows["f"].received == viewing.MOST + 70


async def test_a_viewer_that_reads_nothing_never_holds_up_the_flow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "MOST_BEHIND", 1_000)
    monkeypatch.setattr(local, "TICK", 0.001)
    text = "{subscribe: a, steps: [{decode: utf-8}, {publish: out}]}"
    async with office(tmp_path, f=text) as desk:
        caller = await desk.tap("f")
        caller.writer.transport.pause_reading()  # type: ignore[attr-defined]
        tapped = desk.shop.runner.flows["f"].tapped
        watcher = tapped.watchers[0]  # type: ignore[union-attr]
        delivered, idle = 0, 0
        while idle < 20:  # turns in which nobody looked
            before = watcher.entered
            desk.deliver("f", *[b"x" * 5_000] * 10, topic="a")
            delivered += 10
            await asyncio.sleep(0.002)
            idle = idle + 1 if watcher.entered == before else 0
        assert desk.shop.runner.flows["f"].received == delivered
        entered = watcher.entered
        desk.deliver("f", *[b"x"] * 100, topic="a")
        assert watcher.entered == entered  # the plain way
        caller.writer.transport.resume_reading()  # type: ignore[attr-defined]
        missed = (await caller.hear_of("missed"))["count"]
        assert missed > 100
        assert desk.shop.runner.flows["f"].dropped == 0


@pytest.mark.parametrize(
    ("payload", "event"),
    [(b"[" * 900 + b"]" * 900, None), (b'"' + b"x" * 1_500_000 + b'"', "too-large"), (b"\xff\xfe", "message")],
)
async def test_hostile_payloads_cost_a_tap_nothing_but_themselves(
    tmp_path: Path, payload: bytes, event: str | None
) -> None:
    text = "{subscribe: a, steps: [{json: , on_error: continue}, {set: {x: '${2 ** 70}'}, on_error: continue}]}"
    async with office(tmp_path, f=text) as desk:
        caller = await desk.tap("f")
        desk.deliver("f", payload, topic="a")
        if event is not None:
            assert (await caller.hear())["event"] == event
        desk.deliver("f", b'{"fine": 1}', topic="a")
        while "fine" not in (await caller.hear()).get("given", {}).get("payload", ""):
            pass


@pytest.mark.parametrize(
    ("flow", "step", "message", "help"),
    [
        ("warn", "", "no flow `warn` runs here", "did you mean `warm`?"),
        ("xyzzy", "", "no flow `xyzzy` runs here", "there are `two`, `warm`"),
        ("off", "", "`off` does not run: its `enabled` is false", ""),
        ("warm", "fliter", "there is no step `fliter` in `warm`", "did you mean `warm/filter 1`?"),
        ("two", "log", "there are 2 steps `log` in `two`", "say which: `two/log 1` (line 1), `two/log 2` (line 1)"),
    ],
)
async def test_what_is_not_there_is_said_with_what_is(
    tmp_path: Path, flow: str, step: str, message: str, help: str
) -> None:
    off = "{enabled: false, subscribe: a, steps: [json]}"
    async with office(tmp_path, warm=WARM, off=off, two="{subscribe: a, steps: [{log: a}, {log: b}]}") as desk:
        caller = await desk.call()
        error = (await caller.ask(ask="tap", flow=flow, step=step))["error"]
        assert (error["message"], error["help"]) == (message, help)
        assert (await caller.ask(ask="status"))["process"] == os.getpid()  # it may ask on


async def test_nonsense_ends_its_connection_only(tmp_path: Path) -> None:
    async with office(tmp_path, f=WARM) as desk:
        tapper = await desk.tap("f")
        polite = await desk.call()
        assert (await polite.ask(ask="more"))["error"]["code"] == "unknown-request"
        assert (await polite.ask(ask="tap", flow=1))["error"]["code"] == "unknown-request"
        for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"x" * 200_000, b"\n", b"[]\n{"):
            rude = await desk.call()
            rude.writer.write(nonsense)
            rude.writer.write_eof()
            async with asyncio.timeout(PATIENCE):
                while await rude.reader.read(1_000):
                    pass
            rude.writer.close()
        desk.deliver("f", b'{"t": 30}')
        assert (await tapper.hear())["event"] == "message"


async def test_so_many_may_look_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MOST_VIEWERS", 2)
    async with office(tmp_path, f=WARM) as desk:
        first, second = await desk.tap("f"), await desk.tap("f")
        third = await desk.call()
        assert (await third.hear())["error"]["code"] == "too-many"
        first.writer.close()
        second.writer.close()
        await until(lambda: not desk.is_tapped("f"))
        await desk.tap("f")


async def test_status_tells_flows_connections_rates_and_what_is_wrong(tmp_path: Path) -> None:
    held = """
        subscribe: a/+key
        steps:
          - changed: {value: payload, by: key}
          - state: {increment: n, key: key}
          - delay: 1h
          - publish: out
    """
    async with office(tmp_path, held=held, warm=WARM, off="{enabled: false, subscribe: a, steps: [json]}") as desk:
        caller = await desk.call()
        first = await caller.ask(ask="status")
        assert first["seconds"] >= 0
        desk.deliver("held", b"1", b"1", b"2", topic="a/x")
        desk.deliver("held", b"1", topic="a/y")
        desk.deliver("warm", b"{}", b"{}")
        desk.shop.save("warm.yaml", WARM.replace("filter", "fliter"))
        desk.shop.save("new.yaml", "{subscribe: a/#/b, steps: []}")
        await desk.shop.following.reload()
        found = await caller.ask(ask="status")
        flows = {flow["name"]: flow for flow in found["flows"]}
        assert {name: flow["status"] for name, flow in flows.items()} == {
            "held": "running", "warm": "stale", "off": "off",
        }  # fmt: skip
        busy = flows["held"]
        assert (busy["received"], busy["waiting"], busy["keys"], busy["stores"]) == (4, 3, 4, {"n": 2})
        assert busy["states"]["delay 1"]["waiting"] == 3
        told = found["seconds"]  # to the millisecond, and there may be few of them
        assert 3.9 / (told + 0.0005) <= busy["rate"] <= 4.1 / max(told - 0.0005, 1e-6)
        (error,) = flows["warm"]["errors"]
        assert (error["code"], error["step"], error["count"], error["line"]) == ("missing-field", "filter 1", 2, 4)
        assert flows["warm"]["mistake"]["message"] == "there is no step `fliter`"
        assert [(one["line"], Path(one["file"]).name) for one in found["broken"]] == [(1, "new.yaml")]
        (connection,) = found["connections"]
        assert (connection["is_there"], connection["published"]) == (False, 0)
        assert found["folder"] == str(desk.shop.folder)
        assert (await caller.ask(ask="status"))["flows"][0]["rate"] == 0


async def test_only_the_user_can_reach_the_socket_and_it_goes_with_the_runner(tmp_path: Path, runtime: Path) -> None:
    async with office(tmp_path, f=WARM) as desk:
        assert desk.path.parent == runtime / "flowrunner"
        assert stat.S_IMODE(desk.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(desk.path.parent.stat().st_mode) == 0o700
        await desk.tap("f")
    assert list((runtime / "flowrunner").iterdir()) == []


async def test_sockets_of_dead_processes_are_cleared_away(tmp_path: Path, runtime: Path) -> None:
    place = runtime / "flowrunner"
    place.mkdir(mode=0o700)
    for name in (f"{'0' * 12}-4194999.sock", f"{local_place.name_of(tmp_path / 'flows')}-{os.getpid()}.sock"):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(place / name))
    async with office(tmp_path, f=WARM) as desk:
        assert list(place.iterdir()) == [desk.path]
        assert (await (await desk.call()).ask(ask="status"))["process"] == os.getpid()


async def test_folders_that_are_not_private_or_too_long_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: Path
) -> None:
    open_one = runtime / "flowrunner"
    open_one.mkdir(mode=0o755)
    temporary = runtime / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    path = local_place.own_path(tmp_path)
    assert path is not None
    assert path.parent == temporary / f"flowrunner-{os.geteuid()}"
    assert local_place.known_paths(tmp_path) == []

    long = runtime / ("x" * 90)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    path = local_place.own_path(tmp_path)
    assert path is not None
    assert path.parent.parent == temporary

    monkeypatch.setattr(tempfile, "tempdir", str(long))
    assert local_place.own_path(tmp_path) is None
    told = Told()
    async with listen(None, tmp_path, Report(told.lines.append)) as nowhere:  # type: ignore[arg-type]
        assert nowhere is None
    assert told.count("cannot reach this runner") == 1


async def test_nobody_finds_the_socket_before_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = asyncio.start_unix_server
    found: list[list[Path]] = []

    async def watched(*arguments: Any, **options: Any) -> asyncio.Server:
        server = await start(*arguments, **options)
        found.append(local_place.known_paths(tmp_path / "flows"))
        return server

    monkeypatch.setattr(asyncio, "start_unix_server", watched)
    async with office(tmp_path) as place:
        assert found == [[]]
        assert local_place.known_paths(tmp_path / "flows") == [place.path]
    assert list(place.path.parent.iterdir()) == []


async def test_without_local_sockets_flows_run_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    told = Told()
    async with listen(None, tmp_path, Report(told.lines.append)) as nowhere:  # type: ignore[arg-type]
        assert nowhere is None
    assert told.count("no such sockets on this system") == 1
