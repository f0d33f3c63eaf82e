"""What becomes of exports, letter by letter. FLOWRUNNER_GOLDENS=write writes them anew."""

import json
import os
from pathlib import Path

import pytest

from flowrunner.cli.import_ import table
from flowrunner.nodered import translate
from flowrunner.nodered.translation import Translation
from tests.docs.markdown import ROOT
from tests.nodered.shapes import SHAPES, broker

GOLDENS = ROOT / "tests" / "goldens" / "nodered"
EXPORTS = sorted(Path(__file__).with_name("exports").glob("*.json"))
HOW_TO = ROOT / "docs" / "how-to"


def compare(golden: Path, text: str) -> None:
    if os.environ.get("FLOWRUNNER_GOLDENS") == "write":
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def together(translation: Translation) -> str:
    """All files and the report in one text."""
    parts = [f"===== {name}\n{text}" for name, text in translation.files.items()]
    return "\n".join([*parts, "===== report", *table(translation, color=False)]) + "\n"


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.stem)
def test_an_export_becomes_these_files(export: Path) -> None:
    translation = translate(export.read_text(encoding="utf-8"))
    assert not translation.broken
    compare(GOLDENS / f"{export.stem}.txt", together(translation))


def test_the_shapes_become_these_files() -> None:
    nodes = [broker(1883), *(node for shape in SHAPES for node in shape.export("P"))]
    compare(GOLDENS / "shapes.txt", together(translate(json.dumps(nodes))))


def test_the_flow_of_the_how_to_page_is_what_the_import_gives_with_tests_below() -> None:
    files = translate((HOW_TO / "node-red" / "climate.json").read_text(encoding="utf-8")).files
    folder = HOW_TO / "flows" / "from-node-red"
    assert set(files) == {path.name for path in folder.iterdir()}
    assert (folder / "flowrunner.yaml").read_text(encoding="utf-8") == files["flowrunner.yaml"]
    flow, mark, _ = (folder / "climate.yaml").read_text(encoding="utf-8").partition("tests:\n")
    assert flow == files["climate.yaml"]
    assert mark
