"""Values that are kept in a file: over a restart, a kill, a broken file, a full disk."""

import asyncio
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from threading import Timer
from typing import Any, Self

import pytest

from flowrunner.clock import VirtualClock
from flowrunner.errors import FlowrunnerError
from flowrunner.run.state_file import KeptStores, StateFile
from flowrunner.stores import MISSING, Store, key_of


class Kept:
    """A state file as a runner uses it, and what it told."""

    def __init__(self, path: Path, family: str = "") -> None:
        self.told: list[tuple[str, str]] = []
        self.file = StateFile(path, lambda event, text: self.told.append((event, text)), family=family)
        self.stores = KeptStores(VirtualClock(), self.file)

    def store(self, name: str = "v", flow: str = "flow") -> Store:
        return self.stores.use(flow, name, user=self, is_kept=True, max_keys=None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stores.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".flowrunner" / "state.db"


def rows(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database, database:
        return database.execute("SELECT flow, name, key, value FROM state ORDER BY 1, 2, 3").fetchall()


async def test_values_are_there_after_a_restart(path: Path) -> None:
    async with Kept(path) as kept:
        kept.store().set(b"a", {"t": 21.5})
        kept.store().set(b"b", "x", 60.0)
        kept.store("other").set(b"a", 1)
        kept.store(flow="").set(b"a", 2)
    async with Kept(path) as kept:
        assert kept.store().get(b"a") == {"t": 21.5}
        assert kept.store().get(b"b") == "x"
        assert kept.store("other").get(b"a") == 1
        assert kept.store(flow="").get(b"a") == 2
        assert kept.store("third").get(b"a") is MISSING
        assert kept.told == []


async def test_the_last_value_counts_and_what_was_forgotten_is_gone(path: Path) -> None:
    async with Kept(path) as kept:
        store = kept.store()
        for number in range(1000):
            store.set(b"a", number)
            store.set(b"%d" % (number % 7), number)
        store.memory.forget(b"3")
    assert [(key, value) for _, _, key, value in rows(path)] == [
        (b"0", b"994"), (b"1", b"995"), (b"2", b"996"), (b"4", b"998"), (b"5", b"999"), (b"6", b"993"), (b"a", b"999"),
    ]  # fmt: skip


async def test_nothing_is_made_where_nothing_is_kept(path: Path) -> None:
    async with Kept(path) as kept:
        kept.stores.use("flow", "v", user=kept, is_kept=False, max_keys=None).set(b"a", 1)
    assert not path.parent.exists()


async def test_only_its_owner_can_read_it(path: Path) -> None:
    old = os.umask(0)
    try:
        async with Kept(path) as kept:
            kept.store().set(b"a", 1)
            await kept.file.flush()
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(old)
    assert set(modes.values()) == {0o600}
    assert "state.db" in modes
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_file_that_anybody_could_read_is_closed(path: Path) -> None:
    path.parent.mkdir()
    path.touch(mode=0o644)
    async with Kept(path) as kept:
        kept.store().set(b"a", 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_what_is_put_in_one_turn_is_one_transaction(path: Path) -> None:
    async with Kept(path) as kept:
        store = kept.store()
        store.set(b"a", 1)
        store.set(b"b", 1)
        assert kept.file._pending == {}
        await asyncio.sleep(0)
        with kept.file._lock:
            assert len(kept.file._pending) in {0, 2}
        await kept.file.flush()
        assert len(rows_now(kept)) == 2


def rows_now(kept: Kept) -> list[Any]:
    return kept.file.read("flow", "v").result()


async def test_a_store_that_is_opened_again_sees_what_was_just_put(path: Path) -> None:
    async with Kept(path) as kept:
        store = kept.store()
        store.set(b"a", 1)
        store.release(kept)
        kept.stores.forget_unused()
        again = kept.store()
        assert again is not store
        assert again.get(b"a") == 1


BROKEN = {
    "no database": b"this is no database, whatever its name says" * 100,
    "cut": None,
    "zeros inside": None,
}


@pytest.mark.parametrize("how", BROKEN)
async def test_a_broken_file_is_moved_aside_and_said(path: Path, how: str) -> None:
    if BROKEN[how]:
        path.parent.mkdir()
        path.write_bytes(BROKEN[how] or b"")
    else:
        async with Kept(path) as kept:
            for number in range(3000):
                kept.store().set(key_of(number), "x" * 50)
        content = path.read_bytes()
        broken = content[: len(content) // 2] if how == "cut" else content[:8192] + bytes(20_000) + content[28_192:]
        path.write_bytes(broken)
    async with Kept(path) as kept:
        store = kept.store()
        assert len(store) == 0
        store.set(b"a", 1)
        await kept.file.flush()
        ((event, text),) = kept.told
        assert event == "state-broken"
        (aside,) = [file.name for file in path.parent.iterdir() if "broken" in file.name]
        assert aside in text
    async with Kept(path) as kept:
        assert kept.store().get(b"a") == 1


async def test_a_second_runner_is_told_that_there_is_one(path: Path) -> None:
    async with Kept(path) as kept:
        kept.store().set(b"a", 1)
        other = Kept(path)
        with pytest.raises(FlowrunnerError, match="another flowrunner uses it"):
            other.store()
        await other.stores.close()
    async with Kept(path) as kept:
        assert kept.store().get(b"a") == 1


async def test_the_workers_of_one_supervisor_use_it_together(path: Path) -> None:
    """Each value is written by one of them; who owns the flow afterwards reads what the one before has written."""
    async with Kept(path, "ours") as one, Kept(path, "ours") as two:
        one.store("v", "heat").set(b"a", 1)
        two.store("v", "cold").set(b"a", 2)
        await one.stores.flush()
        await two.stores.flush()
        assert two.store("v", "heat").get(b"a") == 1
        assert one.store("v", "cold").get(b"a") == 2
    assert [row[:2] for row in rows(path)] == [("cold", "v"), ("heat", "v")]
    assert not one.told
    assert not two.told


@pytest.mark.parametrize(("first", "second"), [("ours", "theirs"), ("ours", ""), ("", "ours")])
async def test_others_are_told_that_it_is_in_use(path: Path, first: str, second: str) -> None:
    async with Kept(path, first) as kept:
        kept.store().set(b"a", 1)
        other = Kept(path, second)
        with pytest.raises(FlowrunnerError, match="another flowrunner uses it"):
            other.store()
        await other.stores.close()
    async with Kept(path, second) as kept:
        assert kept.store().get(b"a") == 1


async def test_a_worker_that_was_killed_leaves_the_file_to_the_others(path: Path) -> None:
    script = (
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from tests.run.test_state_file import Kept\n"
        "async def main():\n"
        "    kept = Kept(Path(sys.argv[1]), sys.argv[2])\n"
        "    kept.store('v', sys.argv[3]).set(b'a', 1)\n"
        "    await kept.stores.flush()\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    async with Kept(path, "ours") as kept:
        kept.store("v", "cold").set(b"a", 2)
        for flow in ("one", "two"):
            done = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(path), "ours", flow)
            assert await done.wait() == -9
        assert kept.store("v", "one").get(b"a") == kept.store("v", "two").get(b"a") == 1
    async with Kept(path, "theirs") as other:
        assert other.store("v", "cold").get(b"a") == 2


async def test_a_broken_file_is_moved_aside_by_the_first_of_the_workers(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 1000)
    async with Kept(path, "ours") as one, Kept(path, "ours") as two:
        one.store("v", "heat").set(b"a", 1)
        two.store("v", "cold").set(b"a", 2)
        await one.stores.flush()
        assert two.store("v", "heat").get(b"a") == 1
    await until(lambda: one.told)
    assert [event for event, _ in one.told] == ["state-broken"]
    assert not two.told


async def test_a_file_of_a_newer_flowrunner_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(FlowrunnerError, match="made by a newer flowrunner"):
        Kept(path).store()
    assert [file.name for file in path.parent.iterdir()] == ["state.db"]


async def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    (tmp_path / ".flowrunner").write_text("a file where the folder should be")
    with pytest.raises(FlowrunnerError, match=r"values cannot be kept in .*state\.db: (file exists|not a directory)"):
        Kept(tmp_path / ".flowrunner" / "state.db").store()


async def test_a_row_that_is_no_json_is_skipped(path: Path) -> None:
    async with Kept(path) as kept:
        kept.store().set(b"a", 1)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT INTO state VALUES('flow', 'v', X'62', 'no json', 0, NULL)")
    async with Kept(path) as kept:
        assert list(kept.store().memory) == [b"a"]


async def test_a_full_disk_is_said_once_and_what_was_put_is_written_when_there_is_room(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowrunner.run.state_writer.RETRY", (0.01, 0.02))
    async with Kept(path) as kept:
        kept.store().set(b"a", 1)
        await kept.file.flush()
        monkeypatch.setattr("flowrunner.run.state_writer._PUT", "INSERT INTO no_such_table VALUES(?, ?, ?, ?, ?, ?)")
        for number in range(5):
            kept.store().set(b"a", number)
            kept.store().set(b"b", number)
            await until(lambda: bool(kept.told))
        assert [event for event, _ in kept.told] == ["state-failed"]
        monkeypatch.undo()
        await kept.file.flush()
        await until(lambda: len(kept.told) == 2)
        assert kept.told[1][0] == "state-kept"
    assert [value for _, _, _, value in rows(path)] == [b"4", b"4"]


async def until(is_so: Any) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.001)


async def test_what_could_not_be_kept_until_the_end_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(path)
    kept.store().set(b"a", 1)
    await kept.file.flush()
    monkeypatch.setattr("flowrunner.run.state_writer._PUT", "INSERT INTO no_such_table VALUES(?, ?, ?, ?, ?, ?)")
    kept.store().set(b"a", 2)
    await kept.stores.close()
    await asyncio.sleep(0)
    assert [event for event, _ in kept.told] == ["state-failed", "state-lost"]


CHILD = dedent(
    """
    import asyncio, os, sys
    from pathlib import Path
    from flowrunner.clock import VirtualClock
    from flowrunner.run.state_file import KeptStores, StateFile

    async def main() -> None:
        file = StateFile(Path(sys.argv[1]), lambda event, text: print(event, text, file=sys.stderr))
        store = KeptStores(VirtualClock(), file).use("flow", "v", user=0, is_kept=True, max_keys=None)
        number = store.get(b"a")
        number = number if isinstance(number, int) else 0
        while True:
            for _ in range(50):
                number += 1
                store.set(b"a", number)
                store.set(b"b", number)
                store.set(b"k%d" % (number % 500), number)
                await asyncio.sleep(0)
            await file.flush()
            os.write(1, b"%d\\n" % number)

    asyncio.run(main())
    """
)


def kill_often(path: Path, times: int) -> None:
    """Kill a program that keeps values, at random moments; what it called kept must be there."""
    for _ in range(times):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        with child.stdout as output:
            first = output.readline()
            assert first, "the child ended by itself"
            timer = Timer(random.random() * 0.2, child.kill)
            timer.start()
            last = int([first, *output.read().splitlines()][-1])
            timer.join()
        assert child.wait(10) == -signal.SIGKILL
        found = {key: int(value) for _, _, key, value in rows(path)}
        assert found[b"a"] == found[b"b"]
        assert found[b"a"] >= last
        assert all(found[b"k%d" % (number % 500)] >= number for number in range(max(1, last - 499), last + 1))
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_kill_at_any_moment_loses_nothing_that_was_kept(path: Path) -> None:
    kill_often(path, 5)


@pytest.mark.soak
def test_fifty_kills_lose_nothing_that_was_kept(path: Path) -> None:
    kill_often(path, 50)
