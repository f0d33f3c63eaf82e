"""The moving picture of an edit is one of a real run, and can be drawn."""

import xml.etree.ElementTree as ET
from itertools import pairwise

from docs.record_edit import ACTS, END, FLOW, MENDED, draw, record
from tests.docs.markdown import ROOT

_SVG = "{http://www.w3.org/2000/svg}"


def words(svg: str) -> str:
    """All that is written in a picture, a line for each text."""
    texts = ET.fromstring(svg).iter(f"{_SVG}text")
    return "\n".join("".join(text.itertext()) for text in texts)


def test_a_run_can_be_recorded_and_drawn() -> None:
    recording = record()
    assert [text for _, text in recording.files][:: len(recording.files) - 1] == [FLOW, MENDED]
    assert all(before <= after for (before, _), (after, _) in pairwise(recording.lines))
    assert max(at for at, _ in recording.lines) < END
    shown = words(draw(recording))
    for line in (
        "connected to mqtt://localhost:1883",
        "error[unknown-step]",
        "help: did you mean `filter`?",
        "mended: ",
    ):
        assert line in shown
    assert shown.count("reloaded in ") == 2


def test_the_picture_in_the_readme_is_such_a_recording() -> None:
    shown = words((ROOT / "docs" / "hot-edit.svg").read_text(encoding="utf-8"))
    assert "reloaded in " in shown
    assert "help: did you mean `filter`?" in shown
    for act in ACTS:
        assert all(line in shown for line in act.flow.splitlines())
    assert "](docs/hot-edit.svg)" in (ROOT / "README.md").read_text(encoding="utf-8")
