"""Every mistake that people make in flow files, with the frame that they see."""

from pathlib import Path

import pytest

from flowrunner.diagnostics import render
from flowrunner.read.flow import read_flows
from flowrunner.read.settings import Settings
from flowrunner.steps import all_steps
from flowrunner.text import Source
from tests.goldens_files import assert_golden, goldens_in, input_of


@pytest.mark.parametrize("golden", goldens_in("check"), ids=lambda golden: golden.stem)
def test_mistake_is_shown_as_in_its_golden(golden: Path) -> None:
    source = Source(f"flows/{golden.stem}.yaml", input_of(golden))
    settings = Settings()
    _, found = read_flows(source, name=golden.stem, folder=golden.parent, settings=settings, steps=all_steps())
    assert_golden(golden, render(found))


@pytest.mark.parametrize("golden", goldens_in("check"), ids=lambda golden: golden.stem)
def test_messages_are_short_and_lower_case(golden: Path) -> None:
    source = Source(f"flows/{golden.stem}.yaml", input_of(golden))
    _, found = read_flows(source, name="x", folder=golden.parent, settings=Settings(), steps=all_steps())
    for diagnostic in found:
        assert len(diagnostic.message) < 80
        assert not diagnostic.message.endswith(".")
        assert len(diagnostic.helps) <= 2
        assert not diagnostic.message[0].isupper()
