"""The command `import`: what it writes, tells and refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import Run
from tests.docs.markdown import ROOT, blocks

EXPORT: list[dict[str, Any]] = [
    {"id": "t", "type": "tab", "label": "Lamps"},
    {"id": "i", "type": "mqtt in", "z": "t", "name": "switches", "topic": "in", "datatype": "utf8", "wires": [["f"]]},
    {"id": "f", "type": "function", "z": "t", "name": "magic", "func": "return magic(msg);", "wires": [["o"]]},
    {"id": "o", "type": "mqtt out", "z": "t", "name": "", "topic": "out", "wires": []},
]


@pytest.fixture
def export(folder: Path) -> Path:
    file = folder / "export.json"
    file.write_text(json.dumps(EXPORT), encoding="utf-8")
    return file


def test_it_writes_flows_that_check_likes(run: Run, export: Path) -> None:
    result = run("import", export)
    assert (result.code, result.err) == (0, "")
    assert "function magic" in result.out
    assert "4 nodes: 3 done, 0 approximated, 1 not done" in result.out
    assert {path.name for path in Path("flows").iterdir()} == {"lamps.yaml", "lamps.py"}
    assert run("check").code == 0


def test_it_reports_for_programs(run: Run, export: Path) -> None:
    found = json.loads(run("import", export, "-o", "made", "--json").out)
    assert found["files"] == ["made/lamps.yaml", "made/lamps.py"]
    assert found["counts"] == {"done": 3, "approximated": 0, "not done": 1}
    assert [node["id"] for node in found["nodes"]] == ["t", "i", "f", "o"]
    magic = found["nodes"][2]
    assert (magic["type"], magic["name"], magic["tab"], magic["result"]) == ("function", "magic", "Lamps", "not done")
    assert "lamps.py:magic" in magic["notes"][0]
    assert magic["flows"] == ["lamps"]


def test_it_overwrites_only_by_force(run: Run, export: Path) -> None:
    run("import", export)
    Path("flows/lamps.yaml").write_text("mine", encoding="utf-8")
    result = run("import", export)
    assert result.code == 2
    assert "`flows/lamps.yaml`" in result.err
    assert "--force" in result.err
    assert Path("flows/lamps.yaml").read_text(encoding="utf-8") == "mine"
    assert run("import", export, "--force").code == 0
    assert "subscribe: " in Path("flows/lamps.yaml").read_text(encoding="utf-8")


def test_nothing_is_written_where_one_file_is_there(run: Run, export: Path) -> None:
    Path("flows").mkdir()
    Path("flows/lamps.py").touch()
    assert run("import", export).code == 2
    assert [path.name for path in Path("flows").iterdir()] == ["lamps.py"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON: line 1"),
        (b"\xff\xfe", "is not text in UTF-8"),
        (b"[]", "no node of Node-RED"),
        (b"3", "a single value"),
        (b'{"a": 1}', "this is a map"),
        (b"[1, [2]]", "no node of Node-RED"),
        (b'[{"type": "tab", "id": "t"}]', "holds no flow"),
        (b"[" * 100_000, "is not JSON"),
        (b'[{"type": "tab", "x": NaN}]', "is not JSON"),
        (b'[{"type": "tab", "x": ' + b"[" * 200 + b"]" * 200 + b"}]", "nested too deep"),
    ],
)
def test_a_file_that_is_no_export_is_refused(run: Run, folder: Path, text: bytes, said: str) -> None:
    (folder / "x.json").write_bytes(text)
    result = run("import", "x.json")
    assert result.code == 2
    assert said in result.err
    assert "Traceback" not in result.err
    assert not Path("flows").exists()


def test_a_file_that_is_not_there_is_refused(run: Run, folder: Path) -> None:
    result = run("import", "nothing.json")
    assert result.code == 2
    assert "`nothing.json` cannot be read: no such file" in result.err
    assert run("import", folder).code == 2


def test_a_folder_that_is_a_file_is_refused(run: Run, export: Path) -> None:
    result = run("import", export, "-o", export)
    assert result.code == 2
    assert "cannot be written" in result.err


def test_the_how_to_page_shows_what_is_printed(run: Run, folder: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "from-node-red.md").read_text(encoding="utf-8")
    (shown,) = blocks(page, "text")
    command, _, printed = shown.partition("\n")
    (folder / "climate.json").write_bytes((ROOT / "docs" / "how-to" / "node-red" / "climate.json").read_bytes())
    assert run(*command.removeprefix("$ flowrunner ").split()).out == printed
