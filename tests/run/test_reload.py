"""Files are edited while flows run: what is taken up, what goes on, and what is said of it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flowrunner.clock import VirtualClock
from flowrunner.compile import Program, compile_flow
from flowrunner.compile.outline import Outline, Subscription, outline
from flowrunner.compile.plan import Change, Difference
from flowrunner.connections import ConnectionSettings
from flowrunner.diagnostics import Diagnostic
from flowrunner.read.library import Library
from flowrunner.run.reload import Reloader
from flowrunner.run.reload_report import Reload, as_json, clock_time, line_of, mended_line, stale_line
from flowrunner.run.report import Report
from flowrunner.run.running import Running, read_running, shown_paths, write_running
from flowrunner.text import Source
from tests.flow_host import read
from tests.run.fake_runner import FakeRunner
from tests.run.fakes import Told

NOW = VirtualClock.START


@dataclass
class Workshop:
    """A folder of flows that run."""

    folder: Path
    told: Told = field(default_factory=Told)
    published: list[dict[str, Any]] = field(default_factory=list)
    runner: FakeRunner = field(default_factory=FakeRunner)
    reconnected: list[Collection[str]] = field(default_factory=list)

    async def start(self, *, is_json: bool = False, has_reconnect: bool = True) -> "Workshop":
        clock = self.runner.clock
        self.library: Library[Program] = Library([self.folder], compile_flow, environment={}, now=clock.now)
        self.library.refresh()
        self.report = Report(self.told.lines.append, format="json" if is_json else "text")
        self.reloader = Reloader(
            self.library,
            self.runner,
            self.report,
            paths=[self.folder],
            folder=self.folder,
            recent=self.runner.recent,
            publish=self.published.append,
            reconnect=self.reconnect if has_reconnect else None,
        )
        programs = [version.program for version in self.library.contents.versions.values()]
        await self.runner.apply(program for program in programs if program.flow.is_enabled)
        self.runner.recent.watch(self.runner.flows.values())
        await self.reloader.note()
        self.told.lines.clear()
        return self

    async def reconnect(self, _: Mapping[str, ConnectionSettings], names: Collection[str]) -> tuple[str, ...]:
        self.reconnected.append(names)
        return tuple(names)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    async def edit(self, name: str, text: str) -> Reload | None:
        self.runner.clock.advance(60)
        self.told.lines.clear()
        self.write(name, text)
        return await self.reloader.reload()

    @property
    def lines(self) -> list[str]:
        return [line for line in self.told.text.splitlines() if "reloaded in" in line]


FLOW = "subscribe: in\nsteps:\n  - json\n  - debounce: 2s\n  - publish: out/${payload.x}\n"


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.chdir(tmp_path)
    folder = Path("flows")
    folder.mkdir()
    made = Workshop(folder)
    made.write("heat.yaml", FLOW)
    made.write("light.yaml", FLOW.replace("in", "light", 1))
    return made


def without_time(line: str) -> str:
    return " ".join(["reloaded", *line.split(" ms: ")[1:]])


async def test_edited_flow_is_exchanged_and_the_others_go_on(workshop: Workshop) -> None:
    await workshop.start()
    before = workshop.runner.flows["light"]
    found = await workshop.edit("heat.yaml", FLOW.replace("2s", "3s"))
    assert found is not None
    assert workshop.runner.turns[-1] == {"heat"}
    assert workshop.runner.flows["light"] is before
    assert [without_time(line) for line in workshop.lines] == [
        "reloaded 1 changed (heat), 1 kept; state kept: debounce 1"
    ]
    assert workshop.published[-1]["changed"] == ["heat"]
    assert workshop.published[-1]["state"] == {"kept": {"heat": ["debounce 1"]}, "reset": {}}


async def test_nothing_is_said_where_nothing_changed(workshop: Workshop) -> None:
    await workshop.start()
    assert await workshop.reloader.reload() is None
    workshop.write("notes.txt", "nothing")
    workshop.write("heat.yaml", FLOW)
    assert await workshop.reloader.reload([Path("flows/heat.yaml")]) is None
    assert workshop.told.lines == []
    assert workshop.published == []


async def test_cosmetic_edit_restarts_nothing_and_moves_the_lines_of_errors(workshop: Workshop) -> None:
    await workshop.start()
    live = workshop.runner.flows["heat"]
    assert workshop.runner.deliver("heat", b"{") == ["not-json 3"]
    for number in range(3):
        await workshop.edit("heat.yaml", "# one more line\n" * (number + 1) + FLOW)
        assert workshop.runner.flows["heat"] is live
        assert workshop.runner.turns[-1] == set()
        assert workshop.runner.deliver("heat", b"{") == [f"not-json {number + 4}"]
    assert [without_time(line) for line in workshop.lines] == ["reloaded heat does the same as before, 2 kept"]


async def test_broken_edit_leaves_the_old_version_and_says_from_when_it_is(workshop: Workshop) -> None:
    await workshop.start()
    live = workshop.runner.flows["heat"]
    await workshop.edit("heat.yaml", FLOW.replace("json", "jsn"))
    assert workshop.runner.flows["heat"] is live
    since = time.strftime("%H:%M:%S", time.localtime(NOW))
    assert "error[unknown-step]" in workshop.told.text
    assert f"warning: the running version of `heat` is from {since}\n" in workshop.told.text
    assert workshop.lines == []
    (error,) = workshop.published[-1]["errors"]
    assert (error["file"], error["line"], error["code"]) == ("flows/heat.yaml", 3, "unknown-step")
    assert list(workshop.published[-1]["stale"]) == ["heat"]
    await workshop.edit("light.yaml", FLOW.replace("in", "dark", 1))
    assert "heat" not in workshop.told.text
    await workshop.edit("heat.yaml", FLOW)
    assert "mended: flows/heat.yaml\n" in workshop.told.text
    assert workshop.published[-1]["errors"] == []
    assert workshop.runner.flows["heat"] is live


async def test_new_file_with_mistakes_runs_when_they_are_mended(workshop: Workshop) -> None:
    await workshop.start()
    await workshop.edit("new.yaml", "subscribe: a/#/b\nsteps: []\n")
    assert "mistakes in `flows/new.yaml`: what they concern does not run" in workshop.told.text
    await workshop.edit("new.yaml", "subscribe: new\nsteps: [json]\n")
    assert "new" in workshop.runner.flows
    assert [without_time(line) for line in workshop.lines] == ["reloaded 1 added (new), 2 kept; subscriptions +1 -0"]


async def test_flow_that_is_switched_off_or_deleted_ends(workshop: Workshop) -> None:
    await workshop.start()
    await workshop.edit("heat.yaml", f"enabled: false\n{FLOW}")
    assert [without_time(line) for line in workshop.lines] == ["reloaded 1 removed (heat), 1 kept; subscriptions +0 -1"]
    (workshop.folder / "light.yaml").unlink()
    await workshop.reloader.reload()
    assert workshop.runner.flows == {}


async def test_version_that_cannot_begin_is_tried_again_at_the_next_edit(workshop: Workshop) -> None:
    await workshop.start()
    workshop.runner.refused = {"heat"}
    found = await workshop.edit("heat.yaml", FLOW.replace("2s", "3s"))
    assert found is not None
    assert found.difference.is_empty
    assert list(workshop.published[-1]["stale"]) == ["heat"]
    workshop.runner.refused = set()
    found = await workshop.edit("light.yaml", FLOW.replace("in", "dark", 1))
    assert found is not None
    assert set(found.difference.changed) == {"heat", "light"}


async def test_broken_settings_change_nothing(workshop: Workshop) -> None:
    workshop.write("flowrunner.yaml", "vars: {a: 1}\n")
    await workshop.start()
    await workshop.edit("flowrunner.yaml", "vras: {a: 1}\n")
    assert "error[unknown-key]" in workshop.told.text
    assert "the settings stay as they were" in workshop.told.text


@pytest.mark.parametrize("has_reconnect", [True, False])
async def test_other_settings_of_a_connection_are_handed_on_or_refused(workshop: Workshop, has_reconnect: bool) -> None:
    workshop.write("flowrunner.yaml", "connections: {default: mqtt://a.example.org}\n")
    await workshop.start(has_reconnect=has_reconnect)
    await workshop.edit("flowrunner.yaml", "connections: {default: mqtt://b.example.org}\n")
    if has_reconnect:
        assert workshop.reconnected == [("default",)]
        assert [without_time(line) for line in workshop.lines] == ["reloaded 2 kept; connected anew: default"]
    else:
        assert "`default` cannot be connected anew while flows run" in workshop.told.text


async def test_another_group_is_refused_where_nobody_takes_it(workshop: Workshop) -> None:
    await workshop.start()
    await workshop.edit("flowrunner.yaml", "group: hall\n")
    assert "`group` cannot change while flows run: it stays as it was until the end" in workshop.told.text


async def test_another_state_is_refused_after_the_mistakes_and_with_what_stays(workshop: Workshop) -> None:
    workshop.write("flowrunner.yaml", "state: redis://ada:secret@a.example.org\n")
    workshop.write("heat.yaml", FLOW)
    await workshop.start()
    workshop.write("heat.yaml", FLOW.replace("publish", "pubish"))
    await workshop.edit("flowrunner.yaml", "state: redis://b.example.org\n")
    assert workshop.told.text.index("error[unknown-step]") < workshop.told.text.index("warning: `state`")
    assert workshop.told.text.endswith(
        "warning: `state` cannot change while flows run: steps go on remembering in redis://a.example.org:6379/0"
        " until `flowrunner run` is started again\n"
    )


async def test_redis_is_not_begun_with_while_flows_run(workshop: Workshop) -> None:
    await workshop.start()
    await workshop.edit("flowrunner.yaml", "state: redis://b.example.org\n")
    assert "steps go on remembering without Redis until `flowrunner run` is started again" in workshop.told.text


async def test_mended_settings_are_told(workshop: Workshop) -> None:
    await workshop.start()
    await workshop.edit("flowrunner.yaml", "states: redis://b.example.org\n")
    assert "warning: the settings stay as they were" in workshop.told.text
    await workshop.edit("flowrunner.yaml", "vars: {x: 1}\n")
    assert workshop.told.text.endswith("mended: flows/flowrunner.yaml\n")


async def test_last_messages_are_shown_under_the_edited_flow(workshop: Workshop) -> None:
    workshop.write("heat.yaml", "subscribe: in\nsteps:\n  - publish: out\n")
    await workshop.start()
    workshop.runner.deliver("heat", b"26")
    await workshop.edit("heat.yaml", "subscribe: in\nsteps:\n  - publish: other\n")
    assert "← in  26\n-   → out  26\n+   → other  26\n" in workshop.told.text
    assert workshop.runner.deliver("heat", b"27") == ["other"]


async def test_preview_that_fails_spoils_nothing(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await workshop.start()
    monkeypatch.setattr("flowrunner.run.previews.compare", lambda *_, **__: 1 / 0)
    assert await workshop.edit("heat.yaml", FLOW.replace("2s", "3s")) is not None
    assert "the preview of `heat` failed" in caplog.text
    assert len(workshop.published) == 1


async def test_lines_for_programs_hold_everything(workshop: Workshop) -> None:
    await workshop.start(is_json=True)
    await workshop.edit("heat.yaml", FLOW.replace("2s", "3s"))
    events = [json.loads(line) for line in workshop.told.lines]
    assert [event["event"] for event in events] == ["reloaded"]
    assert events[0]["changed"] == ["heat"]
    assert events[0]["kept"] == 1


async def test_edits_are_followed_until_nobody_tells_any_more(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    await workshop.start()

    async def changes() -> AsyncIterator[Collection[Path]]:
        yield frozenset()
        workshop.write("heat.yaml", FLOW.replace("2s", "3s"))
        yield {workshop.folder / "heat.yaml"}
        workshop.runner.failure = RuntimeError("out of order")
        workshop.write("heat.yaml", FLOW.replace("2s", "4s"))
        yield {workshop.folder / "heat.yaml"}
        workshop.runner.failure = None
        workshop.write("heat.yaml", FLOW.replace("2s", "5s"))
        yield {workshop.folder / "heat.yaml"}
        raise OSError("the disk is gone")

    await workshop.reloader.follow(changes())
    assert [bool(published["changed"]) for published in workshop.published] == [True, True]
    assert "out of order" in caplog.text
    assert "could not be taken up" in workshop.told.text
    assert "files are not watched any more (the disk is gone)" in workshop.told.text


async def test_two_reloads_at_once_are_two_in_a_row(workshop: Workshop) -> None:
    await workshop.start()
    workshop.write("heat.yaml", FLOW.replace("2s", "3s"))
    found = await asyncio.gather(*(workshop.reloader.reload() for _ in range(5)))
    assert sum(one is not None for one in found) == 1


async def test_what_runs_is_noted_for_a_plan(workshop: Workshop) -> None:
    await workshop.start()
    before = read_running(workshop.folder)
    assert before is not None
    assert before.is_alive
    assert [flow.name for flow in before.flows] == ["heat", "light"]
    assert before.paths == shown_paths([workshop.folder])
    assert before.times["heat"] == NOW
    await workshop.edit("heat.yaml", FLOW.replace("2s", "3s"))
    after = read_running(workshop.folder)
    assert after is not None
    assert after.flows[0] != before.flows[0]
    assert after.flows[1] == before.flows[1]
    assert after.times == {"heat": NOW + 60, "light": NOW}
    workshop.reloader.note_end()
    ended = read_running(workshop.folder)
    assert ended is not None
    assert ended.flows == after.flows
    assert not ended.is_alive


async def test_where_nothing_can_be_noted_everything_else_works(workshop: Workshop) -> None:
    (workshop.folder / ".flowrunner").write_text("in the way")
    await workshop.start()
    assert await workshop.edit("heat.yaml", FLOW.replace("2s", "3s")) is not None
    assert read_running(workshop.folder) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', '{"version": 1, "flows": [1], "ended": null}'])
def test_file_that_is_none_of_ours_is_no_note(tmp_path: Path, text: str) -> None:
    (tmp_path / ".flowrunner").mkdir()
    (tmp_path / ".flowrunner" / "running.json").write_text(text)
    assert read_running(tmp_path) is None


@pytest.mark.parametrize(("process", "is_alive"), [(1, True), (2**22 + 1, False), (2**70, False)])
def test_runner_that_was_killed_is_not_taken_for_alive(tmp_path: Path, process: int, is_alive: bool) -> None:
    running = Running(min(process, 2**62), 1.0, "/", ("/flows",))
    write_running(tmp_path, running)
    assert read_running(tmp_path) == running
    assert running.is_alive is is_alive
    assert (tmp_path / ".flowrunner" / "running.json").stat().st_mode & 0o777 == 0o600


# What is said

OLD = outline(read("subscribe: a/+x\nsteps:\n  - debounce: 1s\n  - window: {count: 5, by: topic}\n  - publish: out\n"))
NEW = outline(read("subscribe: b/+x\nsteps:\n  - debounce: 2s\n  - window: {count: 5, by: x}\n  - publish: out\n"))


CHANGE = Change(OLD, NEW)


def outlines(*names: str) -> dict[str, Outline]:
    return dict.fromkeys(names, OLD)


BOTH = "state kept: x debounce 1, y debounce 1; reset: x window 1 (`by` changed), y window 1 (`by` changed)"

LINES: list[tuple[Difference, str]] = [
    (
        Difference(
            changed={"overheat": CHANGE},
            same=frozenset("abcdefghi"),
            subscribed=frozenset({Subscription("default", "b/+")}),
        ),
        "1 changed (overheat), 9 kept; subscriptions +1 -0; state kept: debounce 1; reset: window 1 (`by` changed)",
    ),
    (
        Difference(added=outlines("b", "a"), removed=outlines("c"), changed={"x": CHANGE, "y": CHANGE}),
        f"2 added (a, b), 2 changed (x, y), 1 removed (c), 0 kept; {BOTH}",
    ),
    (Difference(added=outlines(*"abcdef")), "6 added (a, b, c, d and 2 more), 0 kept"),
    (Difference(moved=outlines("a"), same=frozenset("b")), "a does the same as before, 2 kept"),
    (Difference(moved=outlines("a", "b")), "all do the same as before, 2 kept"),
]


@pytest.mark.parametrize(("difference", "text"), LINES)
def test_one_line_tells_what_a_reload_did(difference: Difference, text: str) -> None:
    assert line_of(Reload(difference, 0.0123, NOW)) == f"reloaded in 12 ms: {text}"


def test_short_times_are_told_exactly() -> None:
    assert line_of(Reload(Difference(), 0.00234, NOW)) == "reloaded in 2.3 ms: 0 kept"


def test_connections_that_are_new_are_told() -> None:
    assert line_of(Reload(Difference(), 0.1, NOW, reconnected=("cloud",))).endswith("0 kept; connected anew: cloud")


def test_state_that_is_only_lost_is_told_as_such() -> None:
    gone = Change(OLD, outline(read("subscribe: a/+x\nsteps: [json]")))
    assert line_of(Reload(Difference(changed={"a": gone}), 0.1, NOW)).endswith(
        "state reset: debounce 1 (the step is gone), window 1 (the step is gone)"
    )


def test_object_of_a_reload_holds_all_of_it() -> None:
    text = Source("flows/a.yaml", "subscribe: x\nsteps: y\n")
    error = Diagnostic("wrong-value", "`steps` must be a list", text.span(20, 21))
    difference, _ = LINES[0]
    found = as_json(Reload(difference, 0.0123, NOW, {"heat": NOW - 5}, ("flows/b.yaml",), (error,) * 30, ("cloud",)))
    assert found | {"errors": found["errors"][:1]} == {
        "time": "2000-01-01T00:00:00.000+00:00",
        "milliseconds": 12,
        "added": [],
        "changed": ["overheat"],
        "removed": [],
        "kept": 9,
        "subscriptions": {"added": [{"connection": "default", "filter": "b/+"}], "removed": []},
        "state": {
            "kept": {"overheat": ["debounce 1"]},
            "reset": {"overheat": {"window 1": "`by` changed"}},
        },
        "reconnected": ["cloud"],
        "stale": {"heat": "1999-12-31T23:59:55.000+00:00"},
        "mended": ["flows/b.yaml"],
        "errors": [
            {
                "file": "flows/a.yaml",
                "line": 2,
                "column": 8,
                "code": "wrong-value",
                "message": "`steps` must be a list",
            }
        ],
    }
    assert len(found["errors"]) == 20


def test_day_is_told_where_it_is_another_one() -> None:
    now = time.mktime((2026, 11, 22, 12, 0, 0, 0, 0, -1))
    earlier = time.mktime((2026, 11, 22, 10, 32, 7, 0, 0, -1))
    assert stale_line("heat", earlier, now=now) == "the running version of `heat` is from 10:32:07"
    assert clock_time(earlier - 86_400, now=now) == "2026-11-21 10:32:07"
    assert mended_line(["a", "b"]) == "mended: a, b"
