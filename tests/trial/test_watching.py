"""`--watch`: what an edit touches is run again."""

from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest

from flowrunner.read.load import load
from flowrunner.trial.watching import Watching

FLOW = "subscribe: in\nsteps: [{step}]\ntests:\n  - {{name: {name}, given: [], expect: []}}\n"


def write(folder: Path, name: str, step: str = "json") -> None:
    (folder / f"{name}.yaml").write_text(FLOW.format(name=name, step=step), encoding="utf-8")


async def turns(folder: Path, *changes: Collection[str]) -> list[list[str]]:
    """The names of the tests that are run after each change."""

    async def told() -> AsyncIterator[Collection[Path]]:
        for touched in changes:
            yield frozenset(folder / name for name in touched)

    watching = Watching([folder], lambda: load([folder]))
    return [[test.case.name for test in tests] async for _, tests in watching.turns(told())]


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    write(tmp_path, "a")
    write(tmp_path, "b", "'call': judge".join("{}"))
    write(tmp_path, "c", "{lookup: {key: topic, file: table.csv, as: x}}")
    (tmp_path / "judge.yaml").write_text("steps: [{log: x}]\n", encoding="utf-8")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "more.test.yaml").write_text(
        "flow: a\ntests: [{name: more, given: [], expect: []}]\n", encoding="utf-8"
    )
    return tmp_path


async def test_at_first_all_and_then_what_an_edit_touches(flows: Path) -> None:
    everything = ["a", "b", "c", "more"]
    found = await turns(
        flows, [], ["a.yaml"], ["judge.yaml"], ["table.csv"], ["more.test.yaml"], ["other.yaml"], ["flowrunner.yaml"]
    )
    assert found == [everything, ["a", "more"], ["b"], ["c"], ["more"], [], everything]


async def test_all_that_is_read_is_watched(flows: Path) -> None:
    watching = Watching([flows], lambda: load([flows]))

    async def told() -> AsyncIterator[Collection[Path]]:
        yield ()

    async for _ in watching.turns(told()):
        pass
    assert watching.places.folders == (flows,)
    assert {path.name for path in watching.places.files} >= {
        "a.yaml", "judge.yaml", "table.csv", "more.test.yaml", "flowrunner.yaml",
    }  # fmt: skip


async def test_a_path_that_is_gone_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"

    async def told() -> AsyncIterator[Collection[Path]]:
        yield ()
        write(tmp_path, "a")
        yield (file,)

    watching = Watching([file], lambda: load([file]))
    assert file in watching.places.files
    assert [[test.case.name for test in tests] async for _, tests in watching.turns(told())] == [["a"]]
