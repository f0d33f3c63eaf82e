"""Files change; what shall run follows, as far as nothing is wrong."""

import os
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.diagnostics import Diagnostic, render
from flowrunner.errors import FlowError
from flowrunner.read import files
from flowrunner.read import index as index_module
from flowrunner.read.contents import Contents
from flowrunner.read.digests import Look
from flowrunner.read.flow import Flow
from flowrunner.read.library import Library

BROKEN = "subscribe: a/#/b\nsteps: []\n"
SPOILT = "subscribe: [a\n"


def flow(topic: str = "in", *, out: str = "out", more: str = "") -> str:
    return f"subscribe: {topic}\nsteps:\n  - publish: {out}\n{more}"


class Shelf:
    """A folder of flow files, its library, and what was compiled."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.compiled: list[str] = []
        self.time = 100.0
        self.refused: set[str] = set()
        environment = environment or {}
        self.library = Library([folder], self.compile, environment=environment, now=lambda: self.time)

    def compile(self, flow: Flow) -> str:
        if flow.name in self.refused:
            raise FlowError([Diagnostic("cannot-be-built", "this cannot be built", flow.span.first_line())])
        self.compiled.append(flow.name)
        return flow.source.text

    def write(self, **texts: str) -> None:
        for name, text in texts.items():
            (self.folder / f"{name}.yaml").write_text(dedent(text), encoding="utf-8")

    def remove(self, name: str) -> None:
        (self.folder / f"{name}.yaml").unlink()

    def refresh(self, *touched: str) -> Contents[str]:
        self.compiled.clear()
        self.time += 1
        return self.library.refresh([self.folder / f"{name}.yaml" for name in touched])


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "flows")


def names(contents: Contents[str]) -> list[str]:
    return sorted(contents.versions)


def codes(diagnostics: tuple[Diagnostic, ...]) -> list[str]:
    return [diagnostic.code for diagnostic in diagnostics]


def test_first_look_reads_everything(shelf: Shelf) -> None:
    shelf.write(a=flow(), b=flow(), c=BROKEN)
    found = shelf.refresh()
    assert names(found) == ["a", "b"]
    assert codes(found.diagnostics) == codes(found.news) == ["bad-topic-filter"]
    assert [version.since for version in found.versions.values()] == [101.0, 101.0]


def test_nothing_is_read_again_where_nothing_changed(shelf: Shelf) -> None:
    shelf.write(a=flow(), b=BROKEN)
    before = shelf.refresh()
    after = shelf.refresh("a", "b")
    assert shelf.compiled == []
    assert after.read == after.edited == ()
    assert after.news == ()
    assert after.versions == before.versions
    assert after.diagnostics == before.diagnostics


def test_saving_the_same_text_again_is_no_edit(shelf: Shelf) -> None:
    shelf.write(a=flow())
    shelf.refresh()
    shelf.write(a=flow())
    assert shelf.refresh("a").edited == ()
    assert shelf.compiled == []


def test_one_edit_of_many_files_touches_only_that_one(shelf: Shelf) -> None:
    shelf.write(**{f"flow{number}": flow(f"in/{number}") for number in range(50)})
    before = shelf.refresh()
    shelf.write(flow7=flow("in/7", out="other"))
    after = shelf.refresh("flow7")
    assert shelf.compiled == ["flow7"]
    assert after.read == after.edited == (shelf.folder / "flow7.yaml",)
    assert {name for name in before.versions if before.versions[name] is not after.versions[name]} == {"flow7"}


def test_edit_is_seen_without_being_told_which_file(shelf: Shelf) -> None:
    shelf.write(a=flow(), b=flow())
    shelf.refresh()
    shelf.write(a=flow(out="other/topic"))
    assert "other/topic" in shelf.refresh().versions["a"].program
    assert shelf.compiled == ["a"]


def test_broken_edit_changes_nothing(shelf: Shelf) -> None:
    shelf.write(a=flow(), b=flow())
    before = shelf.refresh()
    shelf.write(a=BROKEN)
    broken = shelf.refresh("a")
    assert broken.versions["a"].program == before.versions["a"].program
    assert broken.versions["a"].since == 101.0
    assert [version.flow.name for version in broken.stale] == ["a"]
    assert codes(broken.news) == ["bad-topic-filter"]
    assert broken.mended == ()


@pytest.mark.parametrize("text", [SPOILT, "", "- a list\n", "a: 1\na: 2\n", "flows: 7\n", "\xff"])
def test_file_in_which_nobody_finds_a_flow_ends_none(shelf: Shelf, text: str) -> None:
    shelf.write(a=flow())
    shelf.refresh()
    (shelf.folder / "a.yaml").write_bytes(text.encode("latin-1"))
    found = shelf.refresh("a")
    assert found.versions["a"].program == flow()
    assert found.stale
    assert found.news


def test_mended_file_runs_anew(shelf: Shelf) -> None:
    shelf.write(a=flow())
    shelf.refresh()
    shelf.write(a=BROKEN)
    shelf.refresh()
    shelf.write(a=flow(out="new"))
    found = shelf.refresh()
    assert found.mended == (shelf.folder / "a.yaml",)
    assert found.versions["a"].since == 103.0
    assert found.diagnostics == ()
    assert found.stale == ()


def test_second_broken_edit_keeps_the_version_and_its_time(shelf: Shelf) -> None:
    shelf.write(a=flow())
    shelf.refresh()
    for text in (BROKEN, SPOILT):
        shelf.write(a=text)
        found = shelf.refresh()
        assert found.versions["a"].since == 101.0
        assert len(found.diagnostics) == len(found.news) == 1


def test_old_version_goes_on_where_the_new_one_cannot_be_built(shelf: Shelf) -> None:
    shelf.write(a=flow())
    shelf.refresh()
    shelf.refused = {"a"}
    shelf.write(a=flow(out="new"))
    found = shelf.refresh()
    assert found.versions["a"].program == flow()
    assert codes(found.news) == ["cannot-be-built"]


SEVERAL = """
    flows:
      heat: {subscribe: heat, steps: [publish: %s]}
      light: {subscribe: light, steps: [publish: %s]}
    """


def test_only_the_broken_flow_of_a_file_stays_as_it_was(shelf: Shelf) -> None:
    shelf.write(house=SEVERAL % ("a", "b"))
    shelf.refresh()
    shelf.write(house=SEVERAL % ("new", "'#'"))
    found = shelf.refresh()
    assert {name: version.is_stale for name, version in found.versions.items()} == {"heat": False, "light": True}
    assert "publish: new" in found.versions["heat"].program
    assert "publish: b" in found.versions["light"].program


def test_flow_that_is_taken_out_of_a_file_ends(shelf: Shelf) -> None:
    shelf.write(house=SEVERAL % ("a", "b"))
    shelf.refresh()
    shelf.write(house="flows:\n  heat: {subscribe: heat, steps: [publish: '#']}\n")
    found = shelf.refresh()
    assert names(found) == ["heat"]


def test_flow_that_is_renamed_and_broken_at_once_goes_on_under_its_old_name(shelf: Shelf) -> None:
    shelf.write(house=SEVERAL % ("a", "b"))
    shelf.refresh()
    renamed = (SEVERAL % ("a", "'#'")).replace("light:", "lamp:", 1)
    shelf.write(house=renamed)
    assert names(shelf.refresh()) == ["heat", "light"]
    shelf.write(house=renamed.replace("'#'", "b"))
    assert names(shelf.refresh()) == ["heat", "lamp"]


def test_deleted_file_ends_its_flows(shelf: Shelf) -> None:
    shelf.write(a=flow(), b=BROKEN, c=flow())
    shelf.refresh()
    shelf.remove("a")
    shelf.remove("b")
    found = shelf.refresh()
    assert names(found) == ["c"]
    assert found.diagnostics == ()
    assert set(found.edited) == {shelf.folder / "a.yaml", shelf.folder / "b.yaml"}
    assert found.mended == ()
    assert shelf.compiled == []


def test_broken_file_that_is_deleted_ends_its_flows_too(shelf: Shelf) -> None:
    shelf.write(a=flow())
    shelf.refresh()
    shelf.write(a=BROKEN)
    shelf.refresh()
    shelf.remove("a")
    assert names(shelf.refresh()) == []


def test_renamed_file_is_another_flow(shelf: Shelf) -> None:
    shelf.write(a=flow())
    shelf.refresh()
    (shelf.folder / "a.yaml").rename(shelf.folder / "b.yaml")
    found = shelf.refresh("a", "b")
    assert names(found) == ["b"]


def test_file_that_moves_into_a_folder_keeps_its_flow(shelf: Shelf) -> None:
    shelf.write(a=flow())
    shelf.refresh()
    (shelf.folder / "new").mkdir()
    (shelf.folder / "a.yaml").rename(shelf.folder / "new" / "a.yaml")
    found = shelf.refresh()
    assert names(found) == ["a"]
    assert found.versions["a"].file == shelf.folder / "new" / "a.yaml"
    assert found.diagnostics == ()


def test_of_two_flows_with_one_name_the_one_stays_that_was_there(shelf: Shelf) -> None:
    shelf.write(z="flows: {heat: {subscribe: old, steps: [publish: a]}}")
    shelf.refresh()
    shelf.write(b="flows: {heat: {subscribe: new, steps: [publish: a]}}")
    found = shelf.refresh()
    assert found.versions["heat"].file.name == "z.yaml"
    assert codes(found.news) == ["duplicate-flow"]
    assert found.news[0].span.source.name.endswith("b.yaml")
    assert codes(shelf.refresh().news) == []
    shelf.remove("z")
    found = shelf.refresh()
    assert found.versions["heat"].file.name == "b.yaml"
    assert found.diagnostics == ()


def test_of_two_new_flows_with_one_name_the_first_file_counts(shelf: Shelf) -> None:
    shelf.write(b="flows: {heat: {subscribe: b, steps: [publish: a]}}", a="flows: {heat: {subscribe: a, steps: []}}")
    found = shelf.refresh()
    assert found.versions["heat"].file.name == "a.yaml"
    assert "the other one is in" in render(found.diagnostics)


LOOKUP = "subscribe: in\nsteps:\n  - lookup: {key: topic, file: rooms.csv}\n  - publish: out\n"


def test_edit_of_a_table_concerns_the_flows_that_read_it(shelf: Shelf) -> None:
    (shelf.folder / "rooms.csv").write_text("id,room\na,kitchen\n")
    shelf.write(a=LOOKUP, b=flow(), c=LOOKUP)
    before = shelf.refresh()
    assert shelf.folder / "rooms.csv" in before.places.files
    (shelf.folder / "rooms.csv").write_text("id,room\na,attic\n")
    found = shelf.refresh()
    assert shelf.compiled == ["a", "c"]
    assert found.edited == ()
    assert found.versions["a"] is not before.versions["a"]
    assert shelf.refresh().read == ()


def test_missing_table_is_waited_for(shelf: Shelf) -> None:
    shelf.write(a=LOOKUP)
    found = shelf.refresh()
    assert codes(found.diagnostics) == ["missing-file"]
    assert shelf.folder / "rooms.csv" in found.places.files
    (shelf.folder / "rooms.csv").write_text("id,room\na,kitchen\n")
    found = shelf.refresh()
    assert names(found) == ["a"]
    assert found.mended == (shelf.folder / "a.yaml",)


def test_table_that_is_broken_leaves_the_flow_as_it_was(shelf: Shelf) -> None:
    (shelf.folder / "rooms.csv").write_text("id,room\na,kitchen\n")
    shelf.write(a=LOOKUP)
    shelf.refresh()
    (shelf.folder / "rooms.csv").unlink()
    found = shelf.refresh()
    assert found.versions["a"].is_stale
    assert codes(found.news) == ["missing-file"]


def settings_of(shelf: Shelf, text: str) -> None:
    (shelf.folder / "flowrunner.yaml").write_text(text)


def test_edit_of_a_constant_concerns_the_flows_that_name_it(shelf: Shelf) -> None:
    settings_of(shelf, "vars: {site: graz, limit: 5}\n")
    shelf.write(a=flow(out="${site}/out"), b=flow(), c=flow(out="${limit}/out"))
    shelf.refresh()
    settings_of(shelf, "vars: {site: wien, limit: 5}\n")
    found = shelf.refresh()
    assert shelf.compiled == ["a"]
    assert found.versions["a"].flow.constants["site"] == "wien"
    assert found.settings.vars["site"] == "wien"


def test_number_that_becomes_a_bool_is_an_edit(shelf: Shelf) -> None:
    settings_of(shelf, "vars: {site: 1}\n")
    shelf.write(a=flow(out="${site}/out"))
    shelf.refresh()
    settings_of(shelf, "vars: {site: true}\n")
    shelf.refresh()
    assert shelf.compiled == ["a"]


def test_constant_that_is_missed_mends_the_flow(shelf: Shelf) -> None:
    shelf.write(a=flow(out="${site}/out"), b=flow())
    assert codes(shelf.refresh().diagnostics) == ["unknown-name"]
    settings_of(shelf, "vars: {site: graz}\n")
    found = shelf.refresh()
    assert names(found) == ["a", "b"]
    assert shelf.compiled == ["a"]


def test_name_that_is_written_with_an_escape_is_found(shelf: Shelf) -> None:
    settings_of(shelf, "vars: {site: graz}\n")
    shelf.write(a='subscribe: in\nsteps:\n  - publish: "${\\x73ite}/out"\n')
    shelf.refresh()
    settings_of(shelf, "vars: {site: wien}\n")
    shelf.refresh()
    assert shelf.compiled == ["a"]


def test_variable_of_the_environment_concerns_the_flows_that_read_it(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "flows", {"SITE": "graz", "ROOM": "attic"})
    settings_of(shelf, "env: [SITE]\n")
    shelf.write(a=flow(out="${env.SITE}/out"), b=flow(), c=flow(out="${env.ROOM}/out"))
    assert names(shelf.refresh()) == ["a", "b"]
    settings_of(shelf, "env: [SITE, ROOM]\n")
    assert names(shelf.refresh()) == ["a", "b", "c"]
    assert "b" not in shelf.compiled


def test_new_connection_concerns_the_flows_that_name_one(shelf: Shelf) -> None:
    shelf.write(a="subscribe: {topic: in, connection: cloud}\nsteps: [json]\n", b=flow())
    assert names(shelf.refresh()) == ["b"]
    settings_of(shelf, "connections: {cloud: mqtt://cloud.example.org}\n")
    found = shelf.refresh()
    assert names(found) == ["a", "b"]
    assert found.reconnect == frozenset()
    assert found.settings.connections["cloud"].host == "cloud.example.org"


def test_connection_with_other_settings_is_named(shelf: Shelf) -> None:
    settings_of(shelf, "connections: {default: mqtt://a.example.org, cloud: mqtt://b.example.org}\n")
    shelf.write(a=flow())
    assert shelf.refresh().reconnect == frozenset()
    settings_of(shelf, "connections: {default: mqtt://a.example.org, cloud: mqtt://c.example.org}\n")
    assert shelf.refresh().reconnect == {"cloud"}
    assert shelf.compiled == []
    assert shelf.refresh().reconnect == frozenset()


@pytest.mark.parametrize("key", ["tls: {ca: secret}", 'password: ${file("secret")}'])
def test_new_certificate_or_secret_is_an_edit_of_its_connection(shelf: Shelf, key: str) -> None:
    (shelf.folder / "secret").write_text("one")
    settings_of(
        shelf,
        dedent(f"""\
        connections:
          default: {{url: mqtts://a.example.org, username: me}}
          cloud:
            url: mqtts://b.example.org
            {key}
        """),
    )
    shelf.write(a=flow())
    found = shelf.refresh()
    assert found.diagnostics == ()
    assert shelf.folder / "secret" in found.places.files
    (shelf.folder / "secret").write_text("two")
    assert shelf.refresh().reconnect == {"cloud"}
    assert shelf.refresh().reconnect == frozenset()


def test_broken_settings_leave_the_old_ones(shelf: Shelf) -> None:
    settings_of(shelf, "vars: {site: graz}\n")
    shelf.write(a=flow(out="${site}/out"))
    shelf.refresh()
    settings_of(shelf, "vars: {site: wien}\nconections: {}\n")
    found = shelf.refresh()
    assert found.settings.vars["site"] == "graz"
    assert codes(found.news) == ["unknown-key"]
    assert shelf.compiled == []
    settings_of(shelf, "vars: {site: wien}\n")
    found = shelf.refresh()
    assert found.settings.vars["site"] == "wien"
    assert shelf.compiled == ["a"]


def test_settings_that_are_gone_are_those_of_nothing(shelf: Shelf) -> None:
    settings_of(shelf, "connections: {default: mqtt://a.example.org}\n")
    shelf.write(a=flow())
    shelf.refresh()
    (shelf.folder / "flowrunner.yaml").unlink()
    found = shelf.refresh()
    assert found.settings.connections["default"].host == "localhost"
    assert found.reconnect == {"default"}


def test_link_that_moves_to_another_folder_is_an_edit(shelf: Shelf) -> None:
    """As Kubernetes exchanges the files of a ConfigMap."""
    for number in (1, 2):
        (shelf.folder / f"..v{number}").mkdir()
        (shelf.folder / f"..v{number}" / "a.yaml").write_text(flow(out=f"out/{number}"))
    (shelf.folder / "..data").symlink_to("..v1")
    (shelf.folder / "a.yaml").symlink_to("..data/a.yaml")
    found = shelf.refresh()
    assert "out/1" in found.versions["a"].program
    assert found.versions["a"].flow.source.name.endswith("flows/a.yaml")
    (shelf.folder / "..new").symlink_to("..v2")
    (shelf.folder / "..new").rename(shelf.folder / "..data")
    assert "out/2" in shelf.refresh().versions["a"].program


def test_folder_that_links_to_itself_is_read_once(shelf: Shelf) -> None:
    shelf.write(a=flow())
    (shelf.folder / "again").symlink_to(shelf.folder)
    found = shelf.refresh()
    assert names(found) == ["a"]
    assert found.diagnostics == ()


def test_new_folder_with_flows_is_found(shelf: Shelf) -> None:
    shelf.refresh()
    (shelf.folder / "garden" / "roses").mkdir(parents=True)
    (shelf.folder / "garden" / "roses" / "water.yml").write_text(flow())
    (shelf.folder / ".hidden").mkdir()
    (shelf.folder / ".hidden" / "no.yaml").write_text(flow())
    assert names(shelf.refresh()) == ["water"]


def test_whole_folder_may_go_and_come_back(shelf: Shelf) -> None:
    shelf.write(a=flow())
    shelf.refresh()
    away = shelf.folder.rename(shelf.folder.with_name("away"))
    found = shelf.refresh()
    assert names(found) == []
    assert found.places.folders == (shelf.folder,)
    away.rename(shelf.folder)
    assert names(shelf.refresh()) == ["a"]


def test_single_file_may_go_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(flow())
    library = Library([path], lambda flow: flow.name)
    assert list(library.refresh().versions) == ["a"]
    path.unlink()
    found = library.refresh()
    assert list(found.versions) == []
    assert path in found.places.files
    path.write_text(flow())
    assert list(library.refresh().versions) == ["a"]


CALLER = "subscribe: in\nsteps:\n  - json\n  - call: judge\n"
JUDGE = "steps:\n  - filter: payload.t > %s\n  - publish: out\n"


def test_flow_that_calls_an_edited_one_is_compiled_again(shelf: Shelf) -> None:
    shelf.write(a=CALLER, b=flow(), judge=JUDGE % 5)
    assert names(shelf.refresh()) == ["a", "b"]
    shelf.write(judge=JUDGE % 6)
    found = shelf.refresh()
    assert shelf.compiled == ["a"]
    assert found.edited == (shelf.folder / "judge.yaml",)
    assert shelf.refresh().read == ()


def test_flow_that_calls_one_through_another_is_compiled_again(shelf: Shelf) -> None:
    shelf.write(a=CALLER, judge="steps: [{call: last}]\n", last=JUDGE % 5)
    assert names(shelf.refresh()) == ["a"]
    shelf.write(last=JUDGE % 6)
    shelf.refresh()
    assert shelf.compiled == ["a"]


def test_flow_that_calls_a_broken_one_goes_on_as_it_was(shelf: Shelf) -> None:
    shelf.write(a=CALLER, judge=JUDGE % 5)
    shelf.refresh()
    shelf.write(judge=JUDGE % ">")
    found = shelf.refresh()
    assert [version.flow.name for version in found.stale] == ["a"]
    assert [diagnostic.span.source.name[-10:] for diagnostic in found.news] == ["judge.yaml"]
    shelf.write(judge=JUDGE % 6)
    found = shelf.refresh()
    assert shelf.compiled == ["a"]
    assert found.stale == ()
    assert found.diagnostics == ()


def test_flow_that_is_called_may_come_later_and_move(shelf: Shelf) -> None:
    shelf.write(a=CALLER)
    assert codes(shelf.refresh().diagnostics) == ["unknown-flow"]
    shelf.write(judge=JUDGE % 5)
    assert names(shelf.refresh()) == ["a"]
    shelf.remove("judge")
    shelf.write(several=f"flows:\n  judge:\n    {'    '.join((JUDGE % 7).splitlines(keepends=True))}")
    found = shelf.refresh()
    assert names(found) == ["a"]
    assert found.stale == ()
    assert shelf.compiled == ["a"]


def test_constant_in_a_called_flow_concerns_the_caller(shelf: Shelf) -> None:
    settings_of(shelf, "vars: {limit: 5}\n")
    shelf.write(a=CALLER, judge=JUDGE % "limit")
    shelf.refresh()
    settings_of(shelf, "vars: {limit: 6}\n")
    shelf.refresh()
    assert shelf.compiled == ["a"]


def test_flow_without_a_source_ends_where_others_call_it(shelf: Shelf) -> None:
    shelf.write(judge=f"subscribe: own\n{JUDGE % 5}".replace("payload.t > 5", "topic > 'a'"))
    assert names(shelf.refresh()) == ["judge"]
    shelf.write(judge=JUDGE % 5)
    found = shelf.refresh()
    assert codes(found.diagnostics) == ["missing-source"]
    assert [version.flow.name for version in found.stale] == ["judge"]
    shelf.write(a=CALLER)
    found = shelf.refresh()
    assert names(found) == ["a"]
    assert found.diagnostics == ()


def test_flow_that_moves_away_beside_one_without_a_source_ends(shelf: Shelf) -> None:
    shelf.write(house=SEVERAL % ("a", "b"), a=CALLER.replace("judge", "light"))
    assert names(shelf.refresh()) == ["a", "heat", "light"]
    shelf.write(house="flows:\n  light: {steps: [publish: b]}\n")
    found = shelf.refresh()
    assert names(found) == ["a"]
    assert found.diagnostics == ()


def test_index_of_names_looks_again_only_into_files_that_changed(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    names_in = index_module.names_in

    def look(path: Path, at: Look) -> tuple[str, ...]:
        looked.append(path.stem)
        return names_in(path, at)

    monkeypatch.setattr(index_module, "names_in", look)
    shelf.write(a=CALLER, judge=JUDGE % 5, other=SEVERAL % ("a", "b"))
    shelf.refresh()
    assert sorted(looked) == ["a", "judge", "other"]
    looked.clear()
    shelf.write(judge=JUDGE % 6)
    shelf.refresh()
    assert looked == ["judge"]


def test_pieces_of_a_refresh_leave_the_contents_alone_until_the_end(shelf: Shelf) -> None:
    shelf.write(a=flow(), b=flow())
    before = shelf.refresh()
    shelf.write(a=flow(out="new"), b=flow(out="new"))
    pieces = 0
    for _ in shelf.library.refreshing():
        pieces += 1
        assert shelf.library.contents is before
    assert pieces >= 4
    assert shelf.library.contents is not before


def test_file_with_the_same_size_and_times_is_compared_when_it_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "stamp_of", lambda path: (1, 1, 1, 1, 1) if path.exists() else None)
    path = tmp_path / "a"
    path.write_text("one")
    look = Look()
    first = look.digest(path)
    path.write_text("two")
    assert look.digest(path) == first
    look.begin([])
    assert look.digest(path) == first
    look.begin([path])
    assert look.digest(path) != first


def test_file_that_cannot_be_read_has_an_empty_digest(tmp_path: Path) -> None:
    look = Look()
    noted: dict[Path, bytes | None] = {}
    read = look.recorder(noted)
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(OSError, match=r"."):
            read(path)
    assert noted == {tmp_path: b"", tmp_path / "missing": None}
    look.begin([])
    assert [look.digest(path) for path in noted] == [b"", None]


TEXTS = [flow(), flow(out="new"), flow("other"), SEVERAL % ("a", "b"), BROKEN, SPOILT, "", None]


@settings(max_examples=60, deadline=None)
@given(edits=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(TEXTS)), max_size=12))
def test_what_runs_is_the_last_good_version_of_every_file(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, str | None]]
) -> None:
    shelf = Shelf(tmp_path_factory.mktemp("any") / "flows")
    good: dict[str, str] = {}
    for name, text in edits:
        if text is None:
            (shelf.folder / f"{name}.yaml").unlink(missing_ok=True)
            good.pop(name, None)
        else:
            shelf.write(**{name: text})
            good |= {} if text in (BROKEN, SPOILT, "") else {name: dedent(text)}
        found = shelf.refresh()
        ran = {version.program for version in found.versions.values()}
        assert ran <= set(good.values())
        single = {file: known for file, known in good.items() if "flows:" not in known}
        assert {file: found.versions[file].program for file in single} == single
        fresh = Library([shelf.folder], lambda flow: flow.source.text).refresh()
        if not found.stale:
            assert set(found.versions) == set(fresh.versions)
        assert sorted(codes(found.diagnostics)) == sorted(codes(fresh.diagnostics)) or "duplicate-flow" in codes(
            found.diagnostics
        )


def test_relative_paths_stay_as_they_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("flows").mkdir()
    Path("flows/a.yaml").write_text(flow())
    library: Library[str] = Library([Path("flows")], lambda flow: flow.name)
    found = library.refresh()
    assert found.versions["a"].file == Path("flows/a.yaml")
    assert Path("flows/flowrunner.yaml") in found.places.files
    os.utime("flows/a.yaml", (1, 1))
    assert library.refresh().read == ()
