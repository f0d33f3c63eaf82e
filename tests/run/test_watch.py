"""Whatever way an editor saves in, what runs is the new text, and never nothing."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from flowrunner.read.contents import Places
from flowrunner.read.library import Library
from flowrunner.run import disk as disk_module
from flowrunner.run import watch as watch_module
from flowrunner.run.disk import SystemDisk
from flowrunner.run.sight import look_around
from flowrunner.run.watch import GONE, MOST_PATIENCE, QUIET, Changes, Wanted

PATIENCE = 20.0

Batches = list[Collection[str]]


class FakeDisk:
    """Tells what a test says; an empty batch is silence."""

    def __init__(self, *batches: Collection[str]) -> None:
        self.batches = list(batches)
        self.watched: list[list[str]] = []
        self.patience: list[float | None] = []
        self.missing = 0

    async def watch(self, folders: Collection[str], _wanted: Wanted) -> None:
        if self.missing:
            self.missing -= 1
            raise FileNotFoundError
        self.watched.append(sorted(folders))

    async def changes(self, patience: float | None) -> Collection[str]:
        self.patience.append(patience)
        return self.batches.pop(0)

    async def aclose(self) -> None:
        self.watched.append([])


def places(folder: Path, *files: Path) -> Places:
    return Places((folder,), frozenset(files))


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "a.yaml").write_text("a")
    (folder / "b.yaml").write_text("b")
    return folder


async def test_first_turn_tells_that_anything_may_have_changed(flows: Path) -> None:
    disk = FakeDisk()
    changes = Changes(lambda: places(flows), disk)
    assert await anext(changes) == frozenset()
    assert disk.watched == [sorted([str(flows), str(flows.parent)])]


async def test_changes_are_gathered_until_it_is_quiet(flows: Path) -> None:
    one, other = str(flows / "a.yaml"), str(flows / "b.yaml")
    disk = FakeDisk([one], [other], [one], [])
    changes = Changes(lambda: places(flows, flows / "a.yaml", flows / "b.yaml"), disk)
    await anext(changes)
    assert await anext(changes) == {flows / "a.yaml", flows / "b.yaml"}
    assert disk.patience == [None, QUIET, QUIET, QUIET]


async def test_file_that_is_gone_is_waited_for_longer(flows: Path) -> None:
    path = flows / "a.yaml"
    disk = FakeDisk([str(path)], [])
    changes = Changes(lambda: places(flows, path), disk)
    await anext(changes)
    path.unlink()
    assert await anext(changes) == {path}
    assert disk.patience == [None, GONE]


async def test_disk_that_is_never_quiet_does_not_hold_up_an_edit(flows: Path) -> None:
    path = str(flows / "a.yaml")
    disk = FakeDisk(*[[path]] * (MOST_PATIENCE + 5))
    changes = Changes(lambda: places(flows, flows / "a.yaml"), disk)
    await anext(changes)
    assert await anext(changes) == {flows / "a.yaml"}
    assert len(disk.batches) == 4


async def test_edit_of_a_known_file_looks_at_no_folder_again(flows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FakeDisk([str(flows / "a.yaml")], [], [str(flows / "b.yaml")], [])
    changes = Changes(lambda: places(flows, flows / "a.yaml", flows / "b.yaml"), disk)
    await anext(changes)
    monkeypatch.setattr(watch_module, "look_around", None)
    await anext(changes)
    await anext(changes)


async def test_new_folder_is_watched_and_looked_into(flows: Path) -> None:
    disk = FakeDisk([str(flows / "new")], [])
    changes = Changes(lambda: places(flows), disk)
    await anext(changes)
    (flows / "new").mkdir()
    assert await anext(changes) == {flows / "new"}
    assert await anext(changes) == frozenset()
    assert str(flows / "new") in disk.watched[-1]


async def test_other_places_are_watched_as_soon_as_they_are_known(flows: Path) -> None:
    outside = flows.parent / "tables"
    outside.mkdir()
    known = [places(flows)]
    disk = FakeDisk([str(flows / "a.yaml")], [])
    changes = Changes(lambda: known[-1], disk)
    await anext(changes)
    await anext(changes)
    known.append(places(flows, outside / "rooms.csv"))
    assert await anext(changes) == frozenset()
    assert str(outside) in disk.watched[-1]


async def test_folder_that_goes_while_it_is_about_to_be_watched_is_no_failure(flows: Path) -> None:
    disk = FakeDisk()
    disk.missing = 2
    changes = Changes(lambda: places(flows), disk)
    for _ in range(3):
        assert await anext(changes) == frozenset()
    assert len(disk.watched) == 1


async def test_end_is_handed_on(flows: Path) -> None:
    disk = FakeDisk()
    await Changes(lambda: places(flows), disk).aclose()
    assert disk.watched == [[]]


NOISE = [
    "a.yaml~", ".a.yaml.swp", ".a.yaml.swx", "4913", "a.yaml___jb_tmp___", "a.yaml___jb_old___", "#a.yaml#",
    ".#a.yaml", ".goutputstream-XYZ", "a.yaml.tmp", "sedXYZ", "out.jsonl", ".hidden.yaml", ".git", "__pycache__",
]  # fmt: skip


@pytest.mark.parametrize("name", NOISE)
def test_what_editors_and_sinks_leave_behind_does_not_matter(flows: Path, name: str) -> None:
    (flows / name).write_text("x")
    assert not look_around(places(flows, flows / "a.yaml")).matters(str(flows / name))


@pytest.mark.parametrize("folder", [".git", ".flowrunner", "__pycache__"])
def test_what_happens_in_hidden_folders_does_not_matter(flows: Path, folder: str) -> None:
    (flows / folder).mkdir()
    sight = look_around(places(flows))
    assert not sight.matters(str(flows / folder))
    assert not sight.matters(str(flows / folder / "a.yaml"))
    assert str(flows / folder) not in {watched for watched, _, _ in sight.folders}


@pytest.mark.parametrize("name", ["a.yaml", "new.yaml", "new.yml", "flowrunner.yaml", "new folder", "rooms.csv"])
def test_flow_files_folders_and_what_flows_refer_to_matter(flows: Path, name: str) -> None:
    (flows / "new folder").mkdir()
    assert look_around(places(flows, flows / "rooms.csv")).matters(str(flows / name))


def test_folder_that_is_gone_matters(flows: Path) -> None:
    (flows / "garden").mkdir()
    sight = look_around(places(flows))
    (flows / "garden").rmdir()
    assert sight.matters(str(flows / "garden"))


def test_beside_a_single_file_nothing_matters(flows: Path) -> None:
    sight = look_around(Places((), frozenset({flows / "a.yaml"})))
    assert sight.matters(str(flows / "a.yaml"))
    assert not sight.matters(str(flows / "b.yaml"))
    assert [folder for folder, _, _ in sight.folders] == [str(flows)]


def test_way_to_a_file_that_is_not_there_is_watched_as_far_as_it_goes(flows: Path) -> None:
    missing = flows.parent / "data" / "tables" / "rooms.csv"
    sight = look_around(places(flows, missing))
    assert sight.matters(str(flows.parent / "data"))
    assert not sight.matters(str(flows.parent / "other"))
    missing.parent.mkdir(parents=True)
    assert str(missing.parent) in {folder for folder, _, _ in look_around(places(flows, missing)).folders}


def test_links_on_the_way_and_what_they_lead_to_matter(tmp_path: Path) -> None:
    real = tmp_path / "v1" / "flows"
    real.mkdir(parents=True)
    (real / "a.yaml").write_text("a")
    (tmp_path / "now").symlink_to("v1")
    (tmp_path / "flows").symlink_to("now/flows")
    sight = look_around(places(tmp_path / "flows", tmp_path / "flows" / "a.yaml"))
    for path in ("flows", "now", "v1/flows/a.yaml", "flows/a.yaml", "v1/flows/new.yaml"):
        assert sight.matters(str(tmp_path / path)), path
    watched = {os.path.realpath(folder) for folder, _, _ in sight.folders}
    assert {str(tmp_path), str(real)} <= watched


def test_links_that_lead_in_a_circle_have_an_end(flows: Path) -> None:
    (flows / "x.yaml").symlink_to("y.yaml")
    (flows / "y.yaml").symlink_to("x.yaml")
    assert look_around(places(flows, flows / "x.yaml")).matters(str(flows / "y.yaml"))


def test_folder_under_the_same_name_is_another_one(flows: Path) -> None:
    before = look_around(places(flows))
    flows.rename(flows.parent / "old")
    flows.mkdir()
    assert look_around(places(flows)) != before


# From here on it is the real disk.


def text_of(out: str) -> str:
    return f"subscribe: in\nsteps:\n  - publish: {out}\n"


class Watched:
    """A folder of flows as a runner sees it: the texts of the flows that run, at every turn."""

    def __init__(self, folder: Path, changes: Changes, library: Library[str]) -> None:
        self.folder = folder
        self.changes = changes
        self.library = library
        self.turns: list[dict[str, str]] = []
        self.touched: list[frozenset[Path]] = []

    async def until(self, condition: Callable[[dict[str, str]], object]) -> None:
        """Follow the changes until what runs is as expected."""
        async with asyncio.timeout(PATIENCE):
            while not self.turns or not condition(self.turns[-1]):
                await self.turn()

    async def turn(self) -> None:
        self.touched.append(await anext(self.changes))
        contents = self.library.refresh(self.touched[-1])
        self.turns.append({name: version.program for name, version in contents.versions.items()})


@asynccontextmanager
async def watching(folder: Path, *paths: Path) -> AsyncIterator[Watched]:
    """What runs out of a folder, followed from now on."""
    library: Library[str] = Library(paths or [folder], lambda flow: flow.source.text)
    library.refresh()
    changes = Changes(lambda: library.contents.places, SystemDisk())
    watched = Watched(folder, changes, library)
    try:
        async with asyncio.timeout(PATIENCE):
            await watched.turn()
        yield watched
    finally:
        await changes.aclose()


def by_vim(path: Path, text: str) -> None:
    """The old file becomes the backup, the text goes into a new one."""
    swap = path.with_name(f".{path.name}.swp")
    swap.write_text("b0VIM")
    test = path.with_name("4913")
    test.touch()
    test.unlink()
    backup = path.with_name(f"{path.name}~")
    path.rename(backup)
    path.write_text(text)
    backup.unlink()
    swap.unlink()


def by_vim_with_a_copy(path: Path, text: str) -> None:
    """`backupcopy=yes`: the old text goes into the backup, the new one into the file."""
    path.with_name(f"{path.name}~").write_bytes(path.read_bytes())
    by_nano(path, text)


def by_nano(path: Path, text: str) -> None:
    """The file is cut to nothing and written."""
    lock = path.with_name(f".{path.name}.swp")
    lock.write_text("nano")
    with path.open("w") as file:
        file.flush()
        file.write(text[:10])
        file.flush()
        file.write(text[10:])
    lock.unlink()


def by_vs_code(path: Path, text: str) -> None:
    """A new file takes the place of the old one."""
    new = path.with_name(f"{path.name}.vsctmp")
    new.write_text(text)
    new.rename(path)


def by_pycharm(path: Path, text: str) -> None:
    """The safe write: a new file, and two renames."""
    new, old = path.with_name(f"{path.name}___jb_tmp___"), path.with_name(f"{path.name}___jb_old___")
    new.write_text(text)
    path.rename(old)
    new.rename(path)
    old.unlink()


def by_emacs(path: Path, text: str) -> None:
    """A lock that is a link to nowhere, a backup by rename, an automatic copy."""
    lock, auto = path.with_name(f".#{path.name}"), path.with_name(f"#{path.name}#")
    lock.symlink_to("me@here.4711:1")
    auto.write_text(text)
    path.rename(path.with_name(f"{path.name}~"))
    path.write_text(text)
    auto.unlink()
    lock.unlink()


def by_sed(path: Path, text: str) -> None:
    new = path.with_name("sedQwErTy")
    new.write_text(text)
    new.rename(path)


def by_git(path: Path, text: str) -> None:
    """As in a checkout: the file goes and comes back."""
    path.unlink()
    path.write_text(text)


def by_a_link(path: Path, text: str) -> None:
    """The file becomes a link to one in a hidden folder."""
    (path.parent / ".versions").mkdir()
    (path.parent / ".versions" / path.name).write_text(text)
    new = path.with_name("link")
    new.symlink_to(f".versions/{path.name}")
    new.rename(path)


WAYS = [by_vim, by_vim_with_a_copy, by_nano, by_vs_code, by_pycharm, by_emacs, by_sed, by_git, by_a_link]


@pytest.mark.parametrize("save", WAYS)
async def test_every_way_of_saving_is_one_edit(tmp_path: Path, save: Callable[[Path, str], None]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text_of("old"))
    async with watching(tmp_path) as watched:
        save(path, text_of("new"))
        await watched.until(lambda flows: flows["a"] == text_of("new"))
        assert {turn["a"] for turn in watched.turns} == {text_of("old"), text_of("new")}


@pytest.mark.parametrize("save", WAYS[:-1])
async def test_twenty_saves_end_with_the_last(tmp_path: Path, save: Callable[[Path, str], None]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text_of("old"))
    async with watching(tmp_path) as watched:
        for number in range(20):
            save(path, text_of(f"out/{number}"))
        await watched.until(lambda flows: flows["a"] == text_of("out/19"))
        assert all(list(turn) == ["a"] for turn in watched.turns)


async def test_file_that_is_moved_is_a_new_flow(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text_of("out"))
    async with watching(tmp_path) as watched:
        (tmp_path / "a.yaml").rename(tmp_path / "b.yaml")
        await watched.until(lambda flows: list(flows) == ["b"])
        (tmp_path / "b.yaml").unlink()
        await watched.until(lambda flows: not flows)
        (tmp_path / "a.yaml").write_text(text_of("again"))
        await watched.until(lambda flows: flows == {"a": text_of("again")})


async def test_link_that_moves_is_an_edit(tmp_path: Path) -> None:
    """As Kubernetes exchanges the files of a ConfigMap."""
    for number in (1, 2, 3):
        (tmp_path / f"..v{number}").mkdir()
        (tmp_path / f"..v{number}" / "a.yaml").write_text(text_of(f"out/{number}"))
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    async with watching(tmp_path) as watched:
        for number in (2, 3):
            (tmp_path / "..data_tmp").symlink_to(f"..v{number}")
            (tmp_path / "..data_tmp").rename(tmp_path / "..data")
            await watched.until(lambda flows, number=number: flows["a"] == text_of(f"out/{number}"))  # type: ignore[misc]


async def test_new_folders_and_linked_ones_are_watched(tmp_path: Path) -> None:
    flows, elsewhere = tmp_path / "flows", tmp_path / "elsewhere"
    flows.mkdir()
    elsewhere.mkdir()
    async with watching(flows) as watched:
        (flows / "garden" / "roses").mkdir(parents=True)
        (flows / "garden" / "roses" / "a.yaml").write_text(text_of("1"))
        await watched.until(lambda running: running == {"a": text_of("1")})
        (flows / "garden" / "roses" / "a.yaml").write_text(text_of("2"))
        await watched.until(lambda running: running == {"a": text_of("2")})
        (flows / "link").symlink_to(elsewhere)
        (elsewhere / "b.yaml").write_text(text_of("3"))
        await watched.until(lambda running: running == {"a": text_of("2"), "b": text_of("3")})
        (elsewhere / "b.yaml").write_text(text_of("4"))
        await watched.until(lambda running: running["b"] == text_of("4"))


async def test_folder_that_goes_and_comes_back_is_watched_again(tmp_path: Path) -> None:
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "a.yaml").write_text(text_of("1"))
    async with watching(flows) as watched:
        flows.rename(tmp_path / "away")
        await watched.until(lambda running: not running)
        flows.mkdir()
        (flows / "b.yaml").write_text(text_of("2"))
        await watched.until(lambda running: running == {"b": text_of("2")})
        (flows / "b.yaml").write_text(text_of("3"))
        await watched.until(lambda running: running == {"b": text_of("3")})


async def test_table_outside_of_the_folder_is_watched(tmp_path: Path) -> None:
    flows, table = tmp_path / "flows", tmp_path / "tables" / "rooms.json"
    flows.mkdir()
    text = "subscribe: in\nsteps:\n  - lookup: {key: topic, file: ../tables/rooms.json}\n"
    (flows / "a.yaml").write_text(text)
    async with watching(flows) as watched:
        assert watched.turns == [{}]
        table.parent.mkdir()
        table.write_text("{}")
        await watched.until(lambda running: running == {"a": text})
        table.write_text("no table")
        await watched.turn()
        assert watched.library.contents.stale


async def test_single_file_is_watched_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text_of("1"))
    async with watching(tmp_path, path) as watched:
        (tmp_path / "b.yaml").write_text(text_of("other"))
        by_vim(path, text_of("2"))
        await watched.until(lambda running: running == {"a": text_of("2")})
        assert set(watched.touched) <= {frozenset(), frozenset({path})}


async def test_noise_beside_the_flows_wakes_nobody(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text_of("1"))
    (tmp_path / ".flowrunner").mkdir()
    async with watching(tmp_path) as watched:
        for number in range(50):
            with (tmp_path / "out.jsonl").open("a") as file:
                file.write(f"{number}\n")
            (tmp_path / ".flowrunner" / "client-ids.json").write_text(f"{number}")
            (tmp_path / f".a.yaml.sw{number}").write_text("x")
        path.write_text(text_of("2"))
        await watched.until(lambda running: running["a"] == text_of("2"))
        assert frozenset[Path]().union(*watched.touched) == {path}


async def test_where_the_system_cannot_watch_files_are_looked_at_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(*folders: str, **_: object) -> AsyncIterator[set[tuple[int, str]]]:
        if folders:
            raise OSError("OS file watch limit reached")
        yield set()

    monkeypatch.setattr("watchfiles.awatch", refuse)
    monkeypatch.setattr(disk_module, "POLLING", 0.01)
    path = tmp_path / "a.yaml"
    path.write_text(text_of("1"))
    async with watching(tmp_path) as watched:
        for save in WAYS:
            save(path, text_of(save.__name__))
            await watched.until(lambda running, save=save: running["a"] == text_of(save.__name__))  # type: ignore[misc]
        path.unlink()
        await watched.until(lambda running: not running)
    assert "the system watches no more files" in caplog.text


async def test_end_of_the_watching_is_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> AsyncIterator[set[tuple[int, str]]]:
        yield {(1, str(tmp_path / "a.yaml"))}
        raise RuntimeError("the thread is gone")

    monkeypatch.setattr("watchfiles.awatch", broken)
    disk = SystemDisk()
    await disk.watch([str(tmp_path)], lambda _: True)
    assert await disk.changes(PATIENCE) == {str(tmp_path / "a.yaml")}
    with pytest.raises(RuntimeError, match="the thread is gone"):
        await disk.changes(PATIENCE)
    await disk.aclose()


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WATCHFILES_FORCE_POLLING", "WATCHFILES_POLL_DELAY_MS", "WATCHFILES_DEBUG"):
        monkeypatch.delenv(name, raising=False)
