"""The tutorial, walked from top to bottom: every file saved, every command typed, every output seen."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.lesson import Desk, Ports, blocks_of, pattern_of
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


def lesson_of(tmp_path: Path, text: str) -> Path:
    page = tmp_path / "01-page.md"
    page.write_text(text, encoding="utf-8")
    return page


def test_a_page_that_shows_what_is_not_so_fails_with_its_line(desk: Desk, tmp_path: Path) -> None:
    page = lesson_of(tmp_path, "# Page\n\n```{terminal} 1\n$ echo one\n```\n\n```{terminal} 1\ntwo\n```\n")
    with pytest.raises(AssertionError, match=r"01-page\.md:7: terminal 1 should show\ntwo\nbut it shows\none"):
        desk.give(page)


def test_a_page_that_does_not_show_all_fails_with_its_line(desk: Desk, tmp_path: Path) -> None:
    page = lesson_of(
        tmp_path, "```{terminal} 1\n$ printf 'one\\ntwo\\n'\none\n```\n\n```{terminal} 1\n$ echo three\n```\n"
    )
    with pytest.raises(AssertionError, match=r"01-page\.md:6: terminal 1 shows what the page does not:\ntwo"):
        desk.give(page)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("13:38:39 shout", "07:01:00 shout"),
        ("reloaded in 9.6 ms: 1 added", "reloaded in 12 ms: 1 added"),
        ("2 passed in 0.00s ===", "2 passed in 0.13s ==="),
        ("flowrunner 0.1.0 runs", "flowrunner 1.12.3 runs"),
        ("a ... b", "a is not b"),
    ],
)
def test_what_is_another_one_each_day_may_be_another_one(shown: str, printed: str) -> None:
    assert re.match(pattern_of([shown]), f"{printed}\n")


@pytest.mark.parametrize(("shown", "printed"), [("2 passed", "3 passed"), ("limit is 25", "limit is 20"), ("a", "b")])
def test_everything_else_is_as_the_page_shows_it(shown: str, printed: str) -> None:
    assert not re.match(pattern_of([shown]), f"{printed}\n")
