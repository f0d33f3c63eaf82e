from pathlib import Path
from typing import Any

import pytest

from flowrunner.diagnostics import Diagnostic
from tests.flow_host import read, refused, run, run_steps


def found_in(folder: Path, name: str, content: bytes, key: Any) -> Any:
    (folder / name).write_bytes(content)
    text = f"subscribe: in\nsteps:\n  - json\n  - lookup: {{key: payload, file: {name}}}\n  - publish: out\n"
    outcome = run(read(text, folder=folder), ("in", key))
    assert not outcome.errors, outcome.shown()
    return outcome.published[0].payload.decode()


def refused_table(folder: Path, name: str, content: bytes) -> Diagnostic:
    (folder / name).write_bytes(content)
    found = refused(f"subscribe: in\nsteps:\n  - lookup: {{key: topic, file: {name}}}\n", folder=folder)
    assert found.code == "bad-table"
    assert found.message == f"the table `{name}` cannot be read"
    assert found.span.text == name
    return found


def test_csv_of_two_columns_gives_the_second(tmp_path: Path) -> None:
    assert found_in(tmp_path, "rooms.csv", b"id,room\na1,kitchen\nb2,attic\n", '"b2"') == "attic"


def test_csv_of_three_columns_gives_a_map_of_the_others(tmp_path: Path) -> None:
    content = 'id,room,"floor, number"\r\na1,"Küche",0\r\n'.encode()
    assert found_in(tmp_path, "rooms.csv", content, '"a1"') == '{"room":"Küche","floor, number":"0"}'


def test_byte_order_mark_empty_lines_and_capital_endings_are_fine(tmp_path: Path) -> None:
    assert found_in(tmp_path, "ROOMS.CSV", b"\xef\xbb\xbfid,room\n\n\na1,kitchen\n\n", '"a1"') == "kitchen"


def test_cells_over_several_lines_are_cells(tmp_path: Path) -> None:
    assert found_in(tmp_path, "a.csv", b'id,text\na1,"one\ntwo"\n', '"a1"') == "one\ntwo"


def test_json_and_yaml_hold_values_of_any_kind(tmp_path: Path) -> None:
    assert found_in(tmp_path, "a.json", b'{"a": {"b": [1]}}', '"a"') == '{"b":[1]}'
    assert found_in(tmp_path, "a.yaml", b"a:\n  b: [1]\n010: x\n", '"a"') == '{"b":[1]}'
    assert found_in(tmp_path, "b.yml", b"010: x\n", '"010"') == "x"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"\n\n", "it is empty"),
        (b"id\na\n", "it has one column, without values"),
        (b"id;room\na;b\n", "a comma must stand between two cells"),
        (b"id,room\na\n", "line 2 has 1 cells, the first has 2"),
        (b"id,room\n\na,b,c\n", "line 3 has 3 cells, the first has 2"),
        (b"id,room\na,b\na,c\n", "line 3 has the key `a` again"),
        (b'id,room\n"a,b\n', "unexpected end of data"),
        (b"id,room\na,\xe4\n", "it is not UTF-8: byte 0xe4 at position 10"),
    ],
)
def test_csv_that_is_no_table_is_refused_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    assert refused_table(tmp_path, "a.csv", content).label == reason


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", b"[1]", "it holds a list, not a map"),
        ("a.json", b"{", "unexpected end"),
        ("a.json", b"", "empty"),
        ("a.yaml", b"- 1", "it holds a list, not a map"),
        ("a.yaml", b"", "it is empty"),
        ("a.yaml", b"a: b: c", "must stand on a line of its own"),
        ("a.yaml", b"a: 1\na: 2", "`a` is set twice"),
    ],
)
def test_other_files_that_are_no_table_are_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    assert reason in refused_table(tmp_path, name, content).label


def test_missing_file_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "rooms.csv").write_text("id,room\n")
    found = refused("subscribe: in\nsteps:\n  - lookup: {key: topic, file: room.csv}\n", folder=tmp_path)
    assert (found.code, found.label) == ("missing-file", "there is no such file")
    assert found.helps == ("did you mean `rooms.csv`?",)


@pytest.mark.parametrize("name", ["rooms.txt", "csv", "rooms", '"a\\0.csv"', "."])
def test_file_without_a_known_ending_is_refused(tmp_path: Path, name: str) -> None:
    found = refused(f"subscribe: in\nsteps:\n  - lookup: {{key: topic, file: {name}}}\n", folder=tmp_path)
    assert found.code in {"wrong-value", "missing-file"}


def test_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    found = refused("subscribe: in\nsteps:\n  - lookup: {key: topic, file: a.csv}\n", folder=tmp_path)
    assert (found.code, found.label) == ("missing-file", "is a directory")


def test_file_is_known_to_the_flow(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,room\n")
    flow = read("subscribe: in\nsteps:\n  - lookup: {key: topic, file: a.csv}\n", folder=tmp_path)
    assert flow.files == (tmp_path / "a.csv",)


@pytest.mark.parametrize("options", ["key: topic", "key: topic, table: {a: 1}, file: a.csv"])
def test_table_or_file_must_be_there_and_not_both(tmp_path: Path, options: str) -> None:
    (tmp_path / "a.csv").write_text("id,room\n")
    found = refused(f"subscribe: in\nsteps:\n  - lookup: {{{options}}}\n", folder=tmp_path)
    assert found.message == "`lookup` needs `table` or `file`, and not both"


TABLE = "- json\n- lookup: {key: payload.k, table: {'1': one, '1.5': more, 'true': yes, a: {b: 2}}, as: found}"


@pytest.mark.parametrize(("key", "value"), [(1, "one"), ("1", "one"), (1.5, "more"), (True, "yes"), ("a", {"b": 2})])
def test_number_or_bool_is_looked_up_as_its_text(key: Any, value: Any) -> None:
    assert run_steps(TABLE, {"k": key}).sent == [("out", {"k": key, "found": value})]


def test_key_that_is_missing_is_an_error_with_near_ones() -> None:
    outcome = run_steps("- json\n- lookup: {key: payload, table: {kitchen: 1, attic: 2}}", '"kitchn"', '"x"')
    near, far = outcome.errors
    assert (near.code, near.message) == ("not-in-table", "the table has no key `kitchn`")
    assert near.helps == ("did you mean `kitchen`?",)
    assert far.helps == ("the table has `kitchen`, `attic`",)
    assert near.span.text == "lookup"


@pytest.mark.parametrize(("key", "kind"), [(None, "null"), ([1], "a list"), ({}, "a map")])
def test_key_of_another_kind_is_an_error(key: Any, kind: str) -> None:
    error = run_steps("- json\n- lookup: {key: payload.k, table: {a: 1}}", {"k": key}).error
    assert error.message == f"the key to look up is {kind}, not a text or number"


def test_long_key_is_cut_in_the_error() -> None:
    error = run_steps("- json\n- lookup: {key: payload, table: {a: 1}}", f'"{"k" * 100_000}"').error
    assert len(error.message) < 80


@pytest.mark.parametrize(("default", "value"), [("none", "none"), ("null", None), ('"${payload.d}"', 5), ("[1]", [1])])
def test_default_may_be_any_value(default: str, value: Any) -> None:
    steps = f"- json\n- lookup: {{key: payload.k, table: {{a: 1}}, as: f, default: {default}}}"
    assert run_steps(steps, {"k": "z", "d": 5}).sent == [("out", {"k": "z", "d": 5, "f": value})]


def test_failing_default_of_a_key_that_is_there_is_no_trouble() -> None:
    steps = "- json\n- lookup: {key: payload.k, table: {a: 1}, as: f, default: '${payload.nothing}'}"
    assert run_steps(steps, {"k": "a"}).sent == [("out", {"k": "a", "f": 1})]


def test_what_is_found_can_be_used_without_changing_the_table() -> None:
    steps = "- json\n- lookup: {key: payload, table: {a: {n: 1}}}\n- set: {n: '${payload.n + 1}'}"
    assert [value for _, value in run_steps(steps, '"a"', '"a"').sent] == [{"n": 2}, {"n": 2}]
