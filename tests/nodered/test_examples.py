"""The examples that come with Node-RED: each is imported, passes `check`, and leaves little to do."""

from collections import Counter
from pathlib import Path

import pytest

from flowrunner.nodered import translate
from tests.nodered.node_red import installed
from tests.nodered.test_any_export import written

pytestmark = pytest.mark.clients


def test_all_examples_of_node_red_become_flows_that_pass_check(tmp_path: Path) -> None:
    examples = sorted((installed().parents[1] / "@node-red" / "nodes" / "examples").rglob("*.json"))
    assert len(examples) > 50
    counted: Counter[str] = Counter()
    for place, example in enumerate(examples):
        folder = tmp_path / str(place)
        folder.mkdir()
        translation = translate(example.read_text(encoding="utf-8"))
        assert not translation.broken, example.name
        assert written(translation, folder) == [], example.name
        counted.update(translation.counts)
    assert counted["not done"] < 0.12 * counted.total()
