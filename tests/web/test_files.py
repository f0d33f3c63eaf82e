"""Which files can be read and written through the page, and what a save leaves alone."""

from pathlib import Path

import pytest

from flowrunner.web.files import MOST, Changed, Files, NoSuchFile, NotEditable

FLOW = "subscribe: a\nsteps:\n  - json   # a comment\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    flows = tmp_path / "flows"
    (flows / "deep").mkdir(parents=True)
    (flows / "a.yaml").write_text(FLOW)
    (flows / "deep" / "b.yml").write_text(FLOW)
    (flows / "flowrunner.yaml").write_text("vars: {x: 1}\n")
    (flows / "code.py").write_text("x = 1\n")
    (tmp_path / "secret.yaml").write_text("password: 1\n")
    return flows


def test_flow_files_below_the_paths_are_there_and_nothing_else(folder: Path) -> None:
    assert Files([folder]).names() == ["flows/a.yaml", "flows/deep/b.yml"]
    assert Files([folder / "a.yaml"]).names() == ["flows/a.yaml"]


@pytest.mark.parametrize(
    "name",
    [
        "flows/../secret.yaml", "../secret.yaml", "secret.yaml", "flows/flowrunner.yaml", "flows/code.py", "flows", "",
        "flows/.flowrunner/web-token", "/etc/passwd", "flows/a.yaml/", "flows//a.yaml", "flows/a.yaml\0", "%2e%2e/secret.yaml",
    ],
)  # fmt: skip
def test_no_other_name_leads_anywhere(folder: Path, name: str) -> None:
    files = Files([folder])
    with pytest.raises(NoSuchFile):
        files.read(name)
    with pytest.raises(NoSuchFile):
        files.write(name, "x", mark="y")
    assert (folder.parent / "secret.yaml").read_text() == "password: 1\n"


def test_a_link_that_leads_out_is_not_written(folder: Path) -> None:
    (folder / "out.yaml").symlink_to(folder.parent / "secret.yaml")
    files = Files([folder])
    known = files.read("flows/out.yaml")
    with pytest.raises(NotEditable):
        files.write("flows/out.yaml", "x", mark=known.mark)
    assert (folder.parent / "secret.yaml").read_text() == "password: 1\n"


def test_a_link_inside_stays_a_link(folder: Path) -> None:
    (folder / "same.yaml").symlink_to(folder / "a.yaml")
    files = Files([folder])
    files.write("flows/same.yaml", "subscribe: b\n", mark=files.read("flows/same.yaml").mark)
    assert (folder / "same.yaml").is_symlink()
    assert (folder / "a.yaml").read_text() == "subscribe: b\n"


def test_a_save_writes_these_bytes_and_keeps_the_rights(folder: Path) -> None:
    path = folder / "a.yaml"
    path.chmod(0o640)
    text = "\ufeffsubscribe: ä\r\nsteps: []\r\n"
    files = Files([folder])
    saved = files.write("flows/a.yaml", text, mark=files.read("flows/a.yaml").mark)
    assert path.read_bytes() == text.encode()
    assert path.stat().st_mode & 0o777 == 0o640
    assert files.read("flows/a.yaml") == saved
    assert sorted(path.name for path in folder.iterdir()) == ["a.yaml", "code.py", "deep", "flowrunner.yaml"]


def test_a_file_that_was_changed_meanwhile_is_not_overwritten(folder: Path) -> None:
    files = Files([folder])
    mark = files.read("flows/a.yaml").mark
    (folder / "a.yaml").write_text("subscribe: theirs\n")
    with pytest.raises(Changed) as found:
        files.write("flows/a.yaml", "subscribe: mine\n", mark=mark)
    assert found.value.text.text == "subscribe: theirs\n"
    assert (folder / "a.yaml").read_text() == "subscribe: theirs\n"
    files.write("flows/a.yaml", "subscribe: mine\n", mark=found.value.text.mark)
    assert (folder / "a.yaml").read_text() == "subscribe: mine\n"


def test_a_file_that_is_gone_is_not_made_anew(folder: Path) -> None:
    files = Files([folder])
    mark = files.read("flows/a.yaml").mark
    (folder / "a.yaml").unlink()
    with pytest.raises(NoSuchFile):
        files.write("flows/a.yaml", "x", mark=mark)
    assert not (folder / "a.yaml").exists()


def test_what_cannot_be_edited_says_so(folder: Path) -> None:
    files = Files([folder])
    (folder / "a.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(NotEditable, match="not UTF-8"):
        files.read("flows/a.yaml")
    (folder / "a.yaml").write_bytes(b"#" * (MOST + 1))
    with pytest.raises(NotEditable, match="too large"):
        files.read("flows/a.yaml")
    mark = files.read("flows/deep/b.yml").mark
    with pytest.raises(NotEditable, match="too large"):
        files.write("flows/deep/b.yml", "#" * (MOST + 1), mark=mark)
