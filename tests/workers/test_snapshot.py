from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.compile import Program, compile_flow
from flowrunner.read.library import Library
from flowrunner.workers.crew import digest_of
from flowrunner.workers.snapshot import Copies, Delta, GivenSettings, History, Snapshot

GOOD = """subscribe: in/%d
steps:
  - python: who.py:who
  - publish: out
"""
BROKEN = "subscribe: in/%d\nsteps: [nothing]\n"
SEVERAL = "flows:\n  d: {subscribe: in/%d, steps: [{publish: out}]}\n  e: {subscribe: in/x, steps: [{call: c}]}\n"
CALLED = "subscribe: in/c/%d\nsteps: [{publish: 'out/${number}'}]\n"
WHO = "def who(message):\n    return %d\n"
SETTINGS = "vars: {number: %d}\nconnections: {default: mqtt://localhost}\n"
BAD_SETTINGS = "vars: {number: %d}\nconnection: 7\n"

FLOWS = [GOOD, BROKEN, CALLED, "", None]
TEXTS: dict[str, list[str | None]] = {
    "a.yaml": [*FLOWS, SEVERAL],
    "b.yaml": list(FLOWS),
    "c.yaml": [CALLED, BROKEN, None],
    "who.py": [WHO, "def who(:\n  %d", None],
    "flowrunner.yaml": [SETTINGS, BAD_SETTINGS, None],
}
EDITS = st.lists(
    st.sampled_from([(name, text) for name, texts in TEXTS.items() for text in texts]), min_size=1, max_size=3
)


class Follower:
    """A library that knows of files by deltas only."""

    def __init__(self, folder: Path, deltas: Iterable[Delta]) -> None:
        self.files = Snapshot()
        self.given = GivenSettings()
        self.library: Library[Program] = Library([folder], compile_flow, files=self.files, settings=self.given)
        for delta in deltas:
            self.follow(delta)

    def follow(self, delta: Delta) -> None:
        self.files.take(delta)
        self.given.take(delta)
        self.library.refresh()


def what_runs(library: Library[Program]) -> dict[str, tuple[bytes, bool, str]]:
    """Each flow with its texts, whether it is stale, and its code."""
    versions = library.contents.versions.values()
    used = {one.flow.name: one.flow.constants if "number" in one.flow.source.text else {} for one in versions}
    return {one.flow.name: (digest_of(one.flow), one.is_stale, repr(used[one.flow.name])) for one in versions}


def edit(folder: Path, name: str, text: str | None, number: int) -> None:
    if text is None:
        (folder / name).unlink(missing_ok=True)
    else:
        (folder / name).write_text(text % number if "%d" in text else text)


@settings(max_examples=30, deadline=None)
@given(rounds=st.lists(EDITS, min_size=1, max_size=6))
def test_whoever_follows_runs_the_same_from_whatever_time_on(rounds: list[list[tuple[str, str | None]]]) -> None:
    with TemporaryDirectory() as place:
        folder = Path(place)
        copies, history = Copies(), History()
        library: Library[Program] = Library([folder], compile_flow, files=copies)
        followers: list[Follower] = []
        for number, edits in enumerate(rounds):
            for name, text in edits:
                edit(folder, name, text, number)
            library.refresh([folder / name for name, _ in edits])
            delta = copies.take(library.contents.settings, 0.0)
            history.add(delta, library.contents)
            for follower in followers:
                follower.follow(delta)
            followers.append(Follower(folder, history.deltas))
            for follower in followers:
                assert what_runs(follower.library) == what_runs(library)


def test_only_what_changed_is_sent_and_old_deltas_are_melted(tmp_path: Path) -> None:
    copies, history = Copies(), History()
    library: Library[Program] = Library([tmp_path], compile_flow, files=copies)

    def take(**edits: str) -> Delta:
        for name, text in edits.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        library.refresh()
        delta = copies.take(library.contents.settings, 0.0)
        history.add(delta, library.contents)
        return delta

    first = take(flowrunner=SETTINGS % 1, a=CALLED % 1, b=CALLED % 2)
    found = {path.name for path, content in first.files.items() if isinstance(content, bytes)}
    assert found == {"a.yaml", "b.yaml", "flowrunner.yaml"}
    second = take(a=CALLED % 3)
    assert [path.name for path in second.files] == ["a.yaml"]
    assert second.flow_files is None
    assert [delta.number for delta in history.deltas] == [2]
    take(a=BROKEN % 4)
    take(b=CALLED % 5)
    assert [delta.number for delta in history.deltas] == [2, 4]
    take(a=CALLED % 6)
    assert [delta.number for delta in history.deltas] == [5]


def test_a_flow_that_was_gone_and_is_back_with_a_mistake_runs_for_nobody(tmp_path: Path) -> None:
    copies, history = Copies(), History()
    library: Library[Program] = Library([tmp_path], compile_flow, files=copies)
    rounds: list[dict[str, str | None]] = [
        {"flowrunner": SETTINGS % 0, "a": CALLED % 1, "b": CALLED % 2},
        {"a": None, "b": BROKEN % 3},
        {"a": BROKEN % 4},
    ]
    for number, edits in enumerate(rounds):
        for name, text in edits.items():
            edit(tmp_path, f"{name}.yaml", text, number)
        library.refresh()
        history.add(copies.take(library.contents.settings, number), library.contents)
    late = Follower(tmp_path, history.deltas)
    assert list(what_runs(late.library)) == ["b"]
    assert what_runs(late.library) == what_runs(library)
    edit(tmp_path, "b.yaml", CALLED, 5)
    library.refresh()
    history.add(copies.take(library.contents.settings, 5), library.contents)
    assert len(history.deltas) == 1


def test_of_two_flows_with_one_name_the_first_one_runs_for_whoever_comes_late_too(tmp_path: Path) -> None:
    copies, history = Copies(), History()
    library: Library[Program] = Library([tmp_path], compile_flow, files=copies)
    plain = "subscribe: in/%d\nsteps: [{publish: out}]\n"
    for number, edits in enumerate(
        [{"b": plain % 1}, {"a": "flows: {b: {subscribe: x, steps: [json]}}"}, {"b": plain % 2}]
    ):
        for name, text in edits.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        library.refresh()
        history.add(copies.take(library.contents.settings, number), library.contents)
    late = Follower(tmp_path, history.deltas)
    assert what_runs(late.library) == what_runs(library)
    assert late.library.contents.versions["b"].file.name == "b.yaml"


def test_a_file_that_cannot_be_read_cannot_be_read_there_either(tmp_path: Path) -> None:
    copies = Copies()
    (tmp_path / "folder").mkdir()
    errors: list[OSError] = []
    for name in ("folder", "missing"):
        with pytest.raises(OSError, match=name) as raised:
            copies.read(tmp_path / name)
        errors.append(raised.value)
    snapshot = Snapshot()
    library: Library[Program] = Library([tmp_path], compile_flow)
    snapshot.take(copies.take(library.contents.settings, 0.0))
    for error, name in zip(errors, ("folder", "missing"), strict=True):
        with pytest.raises(type(error)) as again:
            snapshot.read(tmp_path / name)
        assert again.value.errno == error.errno
    assert snapshot.stamp(tmp_path / "folder") is not None
    assert snapshot.stamp(tmp_path / "missing") is None
