"""The tutorial, walked from top to bottom: every file saved, every command typed, every output seen."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.lesson import Desk, Ports, blocks_of
from tests.docs.markdown import ROOT
from tests.mosquitto import require_mosquitto

PAGES = sorted((ROOT / "docs" / "tutorial").glob("[0-9]*.md"))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    require_mosquitto()
    (tmp_path / "desk").mkdir()
    desk = Desk(tmp_path / "desk", Ports(1883, 8883, 1880))
    yield desk
    desk.clear()


def test_a_walk_through_all_of_it(desk: Desk) -> None:
    for page in PAGES:
        desk.give(page)


def test_every_page_has_something_to_do() -> None:
    assert PAGES
    for page in PAGES:
        assert list(blocks_of(page.read_text(encoding="utf-8"))), page.name
