"""Every flow that people see is run by `flowrunner test`: the samples, and the examples of the steps."""

import json
from pathlib import Path

import pytest

from flowrunner.cli import main
from flowrunner.steps import own_steps
from tests.docs.markdown import ROOT, blocks
from tests.trial.example_files import write_examples


def test_the_examples_of_all_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = write_examples(tmp_path)
    assert all("\ntests:" in text or "\n    tests:" in text for text in texts.values())
    assert {name.rpartition("_")[0] for name in texts} == set(own_steps())
    before = {path.name for path in tmp_path.rglob("*")}
    code = main(["test", str(tmp_path), "--json", "--coverage"])
    found = json.loads(capsys.readouterr().out)
    assert [test["name"] for test in found["tests"] if test["outcome"] != "passed"] == []
    assert (code, found["failed"], found["mistakes"]) == (0, 0, [])
    assert {Path(test["file"]).stem for test in found["tests"]} == set(texts)
    assert {path.name for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("folder", ["flows", "tests/data/flows"])
def test_the_samples(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["test", str(ROOT / folder), "--json", "--coverage"])
    found = json.loads(capsys.readouterr().out)
    assert (code, found["failed"], found["mistakes"]) == (0, 0, [])
    tested = {Path(test["file"]).name for test in found["tests"]}
    assert tested == {path.name for path in (ROOT / folder).glob("*.yaml")}
    assert sum(file["missed_steps"] for file in found["coverage"]) == 0


def markdown() -> list[Path]:
    folders = ("tutorial", "how-to", "explanation")
    return sorted([*ROOT.glob("*.md"), *(path for name in folders for path in (ROOT / "docs" / name).rglob("*.md"))])


@pytest.mark.parametrize("file", markdown(), ids=lambda file: file.stem)
def test_the_flows_in_the_docs(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, text in enumerate(blocks(file.read_text(encoding="utf-8"))):
        (tmp_path / f"flow_{number}.yaml").write_text(text, encoding="utf-8")
    for path in sorted(tmp_path.glob("*.yaml")):
        code = main(["test", str(path)])
        assert code == 0, capsys.readouterr().out


def test_what_the_how_to_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "how-to" / "test-flows.md").read_text(encoding="utf-8")
    (tests,) = blocks(text, "yaml tests")
    (tmp_path / "rooms.yaml").write_text((ROOT / "flows" / "rooms.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "rooms.test.yaml").write_text(tests, encoding="utf-8")
    assert main(["test", str(tmp_path)]) == 0, capsys.readouterr().out
    (script,) = blocks(text, "python")
    namespace: dict[str, object] = {}
    exec(script.replace("flows/", f"{ROOT}/flows/"), namespace)
    test = namespace["test_a_warm_room_raises_an_alert"]
    assert callable(test)
    test()
    for line in [line for block in blocks(text, "sh") for line in block.splitlines()]:
        program, command, *_ = line.split()
        assert program == "flowrunner"
        assert command in {"test", "record"}
