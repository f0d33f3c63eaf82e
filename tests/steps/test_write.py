"""`write`: lines that are whole, in files that are where they should be."""

import asyncio
import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from threading import Event, Timer
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowrunner.clock import VirtualClock
from flowrunner.errors import StepError
from flowrunner.outside import files as module
from flowrunner.outside.files import Files, Rotation, old_files
from tests.flow_host import FlowHost, read, refused


@pytest.fixture
def files() -> Iterator[Files]:
    made = Files()
    yield made
    asyncio.run(made.aclose())


def flow(folder: Path, write: str) -> FlowHost:
    return FlowHost(read(f"subscribe: in/+k\nsteps:\n  - json\n  - write: {write}\n  - publish: out\n", folder=folder))


def test_a_line_is_in_the_file_when_the_message_goes_on(tmp_path: Path) -> None:
    host = flow(tmp_path, "data/${k}.jsonl")
    for key, value in (("a", {"x": 1}), ("b", [1, "ü"]), ("a", None)):
        host.get(f"in/{key}", value) if value is not None else host.get(f"in/{key}", b"null")
        assert (tmp_path / "data" / f"{key}.jsonl").read_bytes().endswith(b"\n")
    assert (tmp_path / "data" / "a.jsonl").read_text() == '{"x":1}\nnull\n'
    assert (tmp_path / "data" / "b.jsonl").read_text() == '[1,"ü"]\n'
    assert len(host.outcome.published) == 3


def test_the_value_instead_of_the_payload(tmp_path: Path) -> None:
    host = flow(tmp_path, '{file: x.ndjson, value: {at: "${now()}", k: "${k}"}}')
    host.get("in/a", 1)
    assert json.loads((tmp_path / "x.ndjson").read_text()) == {"at": VirtualClock.START, "k": "a"}


def test_what_json_cannot_hold_is_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    host = flow(tmp_path, '{file: x.jsonl, value: {n: "${2 ** 70}"}}')
    host.get("in/a", 1)
    assert host.outcome.error.code == "not-json-able"
    assert not (tmp_path / "x.jsonl").exists()


def test_csv_has_the_fields_of_the_first_message_as_columns(tmp_path: Path) -> None:
    host = flow(tmp_path, "x.csv")
    for value in ({"a": 1, "b": "x, y"}, {"b": None, "a": True}, {"a": "two\nlines", "b": [1]}):
        host.get("in/a", value)
    assert (tmp_path / "x.csv").read_text() == 'a,b\n1,"x, y"\ntrue,\ntwo lines,[1]\n'
    host.get("in/a", {"c": 1})
    assert (host.outcome.error.code, host.outcome.error.message) == ("bad-columns", "the file has no column for `c`")


def test_csv_goes_on_with_the_columns_that_the_file_has(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("\ufeffb,a\n1,2\n", encoding="utf-8")
    host = flow(tmp_path, "x.csv")
    host.get("in/a", {"a": "A", "b": "B"})
    assert (tmp_path / "x.csv").read_text(encoding="utf-8-sig") == "b,a\n1,2\nB,A\n"


def test_csv_with_columns_and_lists(tmp_path: Path) -> None:
    host = flow(tmp_path, "{file: x.csv, columns: [k, v]}")
    for value in ({"v": 1}, ["x", 2]):
        host.get("in/a", value)
    assert (tmp_path / "x.csv").read_text() == "k,v\n,1\nx,2\n"
    host.get("in/a", [1, 2, 3])
    assert host.outcome.error.message == "a line of 3 cells does not fit 2 columns"


def test_csv_that_has_other_columns_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n")
    host = flow(tmp_path, "{file: x.csv, columns: [b, a]}")
    host.get("in/a", {"a": 1})
    assert host.outcome.error.message == "`x.csv` has other columns than `columns` says"
    assert (tmp_path / "x.csv").read_text() == "a,b\n"


@pytest.mark.parametrize("value", [5, "x", True])
def test_csv_is_made_of_maps(tmp_path: Path, value: Any) -> None:
    host = flow(tmp_path, "x.csv")
    host.get("in/a", json.dumps(value).encode())
    assert host.outcome.error.code == "not-a-map"


@pytest.mark.parametrize("name", ["..", ".", "a/b", "../x", "a\\b", "a\0b", "", "/etc/passwd"])
@pytest.mark.parametrize("path", ["data/${payload.n}/x.jsonl", "${payload.n}/x.jsonl"])
def test_what_is_inserted_is_a_name(tmp_path: Path, name: str, path: str) -> None:
    host = flow(tmp_path, f"'{path}'")
    host.get("in/a", {"n": name})
    assert host.outcome.error.code == "bad-path"
    assert [*tmp_path.rglob("*")] == []


def test_two_points_made_of_two_parts_are_no_way_out(tmp_path: Path) -> None:
    host = flow(tmp_path, "'data/${payload.a}${payload.b}/x.jsonl'")
    host.get("in/a", {"a": ".", "b": "."})
    assert host.outcome.error.message == "what is inserted makes a way out of the folder: `data/../x.jsonl`"
    host.get("in/a", {"a": ".", "b": "b"})
    assert [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.jsonl")] == ["data/.b/x.jsonl"]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text("./\\\0ab", max_size=4), min_size=2, max_size=2))
def test_no_name_leads_out_of_the_folder(tmp_path: Path, names: list[str]) -> None:
    host = flow(tmp_path / "flows", "'data/${payload[0]}x/${payload[1]}.jsonl'")
    host.get("in/a", names)
    inside = tmp_path / "flows" / "data"
    for file in tmp_path.rglob("*.jsonl"):
        assert file.resolve().is_relative_to(inside)
    assert len(host.outcome.published) + len(host.outcome.errors) == 1


def test_a_step_writes_a_bounded_number_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowrunner.steps.write.MOST_KEYS", 3)
    host = flow(tmp_path, "${k}.jsonl")
    for key in "abcda":
        host.get(f"in/{key}", 1)
    assert len(host.outcome.published) == 4
    assert host.outcome.error.message == "this step has written 3 different files, which is the most"


def test_an_absolute_path_and_one_beside_the_flows(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    host = flow(tmp_path / "flows", "../out.jsonl")
    host.get("in/a", 1)
    assert (tmp_path / "out.jsonl").read_text() == "1\n"
    host = flow(tmp_path / "flows", f"{tmp_path}/abs.jsonl")
    host.get("in/a", 1)
    assert (tmp_path / "abs.jsonl").read_text() == "1\n"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("x.txt", "wrong-value"),
        ("x", "wrong-value"),
        (".jsonl", "wrong-value"),
        ("'x.${payload.e}'", "wrong-value"),
        ("{file: x.jsonl, columns: [a]}", "wrong-value"),
        ("{file: x.csv, columns: a}", "wrong-value"),
        ("{file: x.csv, columns: [a, a]}", "wrong-value"),
        ("{file: x.jsonl, rotate: 10}", "wrong-value"),
        ("{file: x.jsonl, rotate: weekly}", "wrong-value"),
        ("{file: x.jsonl, rotate: {keep: 3}}", "wrong-value"),
        ("{file: x.jsonl, rotate: {size: 10MB, keep: 0}}", "wrong-value"),
        ("{file: x.jsonl, rotate: {every: day}}", "wrong-value"),
        ("{rotate: daily}", "missing-key"),
    ],
)
def test_options(options: str, code: str) -> None:
    assert refused(f"subscribe: in\nsteps:\n  - json\n  - write: {options}\n  - publish: out\n").code == code


def test_bytes_are_found_by_check() -> None:
    assert refused("subscribe: in\nsteps:\n  - write: x.jsonl\n  - publish: out\n").code == "bytes-payload"


def test_a_file_that_grows_too_large_is_put_aside(tmp_path: Path) -> None:
    host = flow(tmp_path, "{file: x.jsonl, rotate: {size: 20B, keep: 2}}")
    for number in range(12):
        host.get("in/a", {"n": number})
        host.after(1)
    assert (tmp_path / "x.jsonl").read_text() == '{"n":10}\n{"n":11}\n'
    aside = old_files(tmp_path / "x.jsonl")
    assert [file.read_text() for file in aside] == ['{"n":6}\n{"n":7}\n', '{"n":8}\n{"n":9}\n']
    assert len([*tmp_path.iterdir()]) == 3


def test_files_put_aside_within_one_second_are_numbered(tmp_path: Path, files: Files) -> None:
    path = tmp_path / "x.jsonl"
    for number in range(25):
        files.append(path, b"%d\n" % number, 0.0, rotation=Rotation(size=1))
    found = [int(file.read_text()) for file in [*old_files(path), path]]
    assert found == list(range(25))


@pytest.mark.parametrize(("period", "seconds", "stamp"), [("daily", 86_400, 8), ("hourly", 3_600, 11)])
def test_another_day_or_hour_begins_another_file(
    tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch, period: Any, seconds: int, stamp: int
) -> None:
    path = tmp_path / "x.jsonl"
    start = 1_700_000_000.0 // seconds * seconds  # the beginning of one, in a time zone without half hours
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        for offset in (0, seconds - 1, seconds, seconds + 5, 3 * seconds):
            files.append(path, b"%d\n" % offset, start + offset, rotation=Rotation(period=period))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [file.read_text().split() for file in [*old_files(path), path]] == [
        ["0", str(seconds - 1)],
        [str(seconds), str(seconds + 5)],
        [str(3 * seconds)],
    ]
    assert {len(file.name.split(".")[1]) for file in old_files(path)} == {stamp}


def test_a_new_file_of_csv_begins_with_the_names_after_a_rotation(tmp_path: Path) -> None:
    host = flow(tmp_path, "{file: x.csv, rotate: 8B}")
    for number in range(4):
        host.get("in/a", {"n": 10 + number})
    assert (tmp_path / "x.csv").read_text() == "n\n12\n13\n"


def test_other_files_of_the_folder_are_none_that_were_put_aside(tmp_path: Path) -> None:
    for name in (
        "x.jsonl",
        "x.20240101.jsonl",
        "x.2024.jsonl",
        "x.backup.jsonl",
        "xy.20240101.jsonl",
        "x.20240101-07.jsonl",
        "x.20240101.csv",
    ):
        (tmp_path / name).touch()
    assert [file.name for file in old_files(tmp_path / "x.jsonl")] == ["x.20240101.jsonl", "x.20240101-07.jsonl"]


def test_what_somebody_else_moves_away_or_deletes_is_begun_anew(tmp_path: Path, files: Files) -> None:
    path = tmp_path / "x.jsonl"
    files.append(path, b"1\n", 0.0)
    path.rename(tmp_path / "moved")
    files.append(path, b"2\n", 0.0)
    path.unlink()
    files.append(path, b"3\n", 0.0)
    assert (path.read_text(), (tmp_path / "moved").read_text()) == ("3\n", "1\n")


def test_what_others_append_stays(tmp_path: Path, files: Files) -> None:
    path = tmp_path / "x.jsonl"
    files.append(path, b"1\n", 0.0)
    with path.open("a") as other:
        other.write("2\n")
    files.append(path, b"3\n", 0.0)
    assert path.read_text() == "1\n2\n3\n"


def test_few_files_are_open(tmp_path: Path) -> None:
    files = Files()
    for turn in range(3):
        for number in range(200):
            files.append(tmp_path / f"{number}.jsonl", b"%d\n" % turn, 0.0)
    assert len(files._open) == module.MOST_OPEN
    assert len(files._leaving) <= module.MOST_OPEN
    asyncio.run(files.aclose())
    assert files._open == {}
    assert {file.read_text() for file in tmp_path.iterdir()} == {"0\n1\n2\n"}


@pytest.mark.parametrize(
    ("before", "kept", "torn"),
    [
        (b'{"a":1}\n{"b', b'{"a":1}\n', b'{"b\n'),
        (b'{"a":1}\n\0\0\0', b'{"a":1}\n', b"\0\0\0\n"),
        (b'{"a"', b"", b'{"a"\n'),
        (b"x" * 200_000, b"", b"x" * 200_000 + b"\n"),
        (b"1\n" + b"x" * 200_000, b"1\n", b"x" * 200_000 + b"\n"),
        (b"", b"", None),
        (b"1\n", b"1\n", None),
    ],
)
def test_a_torn_last_line_is_put_aside(
    tmp_path: Path, files: Files, before: bytes, kept: bytes, torn: bytes | None
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(before)
    files.append(path, b"2\n", 0.0)
    assert path.read_bytes() == kept + b"2\n"
    aside = tmp_path / "x.jsonl.torn"
    assert (aside.read_bytes() if aside.exists() else None) == torn


def test_a_full_disk_leaves_nothing_of_the_line(tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.jsonl"
    files.append(path, b"1\n", 0.0)
    write = os.write
    monkeypatch.setattr("os.write", lambda descriptor, data: write(descriptor, data[:3]))
    with pytest.raises(StepError) as raised:
        files.append(path, b'{"long":true}\n', 0.0)
    assert (raised.value.code, raised.value.help) == ("not-written", "make room on the disk")
    assert raised.value.message == "`x.jsonl` cannot be written: no space left on device"

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.write", refuse)
    with pytest.raises(StepError, match="no space left on device"):
        files.append(path, b"2\n", 0.0)
    monkeypatch.undo()
    files.append(path, b"3\n", 0.0)
    assert path.read_bytes() == b"1\n3\n"


def test_what_cannot_be_opened_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").mkdir()
    host = flow(tmp_path, "x.jsonl")
    host.get("in/a", 1)
    assert (host.outcome.error.code, host.outcome.error.span.text) == ("not-written", "write")
    host = flow(tmp_path, "${k * 100}.jsonl")
    host.get("in/abc", 1)
    assert "file name too long" in host.outcome.error.message
    (tmp_path / "file").touch()
    host = flow(tmp_path, "file/x.jsonl")
    host.get("in/a", 1)
    assert "not a directory" in host.outcome.error.message


def test_two_flows_write_into_one_file(tmp_path: Path) -> None:
    text = "subscribe: in\nsteps:\n  - json\n  - fork:\n      - - write: x.jsonl\n      - - write: ./x.jsonl\n"
    host = FlowHost(read(text, folder=tmp_path))
    for number in range(3):
        host.get("in", number)
    assert (tmp_path / "x.jsonl").read_text() == "0\n0\n1\n1\n2\n2\n"


def test_what_was_written_is_forced_to_the_disk_by_and_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FORCE", 0.001)
    forced = Event()
    monkeypatch.setattr("os.fsync", lambda _: forced.set())
    files = Files()
    files.append(tmp_path / "x.jsonl", b"1\n", 0.0)
    assert forced.wait(10)
    asyncio.run(files.aclose())


CHILD = dedent(
    """
    import os, sys
    from pathlib import Path
    from flowrunner.outside.files import Files, Rotation

    files, path = Files(), Path(sys.argv[1])
    rotation = Rotation(size=int(sys.argv[2])) if sys.argv[2] else None
    number = 0
    while True:
        line = b'{"n":%d,"x":"%s"}\\n' % (number, b"y" * (number % 9000))
        files.append(path, line, 1_700_000_000.0 + number / 1000, rotation=rotation)
        os.write(1, b"%d\\n" % number)
        number += 1
    """
)


def kill_often(folder: Path, times: int) -> None:
    """Kill a program that writes lines, at random moments: all lines that it called written are there, and no half one."""
    for turn in range(times):
        path = folder / str(turn) / "x.jsonl"
        size = random.choice(["", "100000"])
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path), size], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        with child.stdout as output:
            first = output.readline()
            assert first, "the child ended by itself"
            timer = Timer(random.random() * 0.1, child.kill)
            timer.start()
            last = int([first, *output.read().splitlines()][-1])
            timer.join()
        assert child.wait(10) == -signal.SIGKILL
        files = Files()
        files.append(path, b'{"n":-1}\n', 1_700_000_000.0)
        asyncio.run(files.aclose())
        content = b"".join(file.read_bytes() for file in [*old_files(path), path])
        numbers = [json.loads(line)["n"] for line in content.splitlines()]
        assert numbers == [*range(len(numbers) - 1), -1]
        assert len(numbers) - 2 >= last


def test_a_kill_at_any_moment_loses_no_line(tmp_path: Path) -> None:
    kill_often(tmp_path, 5)


@pytest.mark.soak
def test_fifty_kills_lose_no_line(tmp_path: Path) -> None:
    kill_often(tmp_path, 50)
