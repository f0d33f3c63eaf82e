"""What viewers are told: all that there is, then what changes, and only as long as they look."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowrunner.web.board import _MOST_BEHIND
from flowrunner.web.figures import Rate
from tests.run.fakes import PATIENCE, until
from tests.web.served import WARM, Site, parse_event, site


@pytest.fixture
async def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.chdir(tmp_path)
    async with site(tmp_path / "flows", {"warm.yaml": WARM}) as found:
        yield found


class Viewer:
    """Somebody who looks at the page."""

    def __init__(self, page: Site, name: str = "me") -> None:
        self.events = page.board.watch(name)

    async def next(self, wanted: str) -> Any:
        """The next event of a name."""
        async with asyncio.timeout(PATIENCE):
            while True:
                name, data = parse_event(await anext(self.events))
                if name == wanted:
                    return data

    async def leave(self) -> None:
        await self.events.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_a_viewer_gets_the_whole_picture_first_and_then_numbers(page: Site) -> None:
    viewer = Viewer(page)
    state = await viewer.next("state")
    (card,) = state["cards"]
    assert (card["name"], card["status"], card["file"], card["frames"]) == ("warm", "running", "flows/warm.yaml", [])
    assert [step["name"] for step in card["picture"]["steps"]] == ["json 1", "filter 1", "set 1", "publish 1"]
    await page.look("warm")
    page.deliver("warm", b'{"t": 30}')
    page.deliver("warm", b"{}")
    numbers = (await viewer.next("tick"))["flows"]["warm"]
    assert numbers["steps"]["filter 1"][2:] == [2, 1, 0]
    (error,) = numbers["errors"]
    assert (error["step"], error["count"], error["code"]) == ("filter 1", 1, "missing-field")
    assert error["frame"].startswith("error[missing-field]")
    await viewer.leave()


async def test_a_reload_is_told_at_once_and_a_mistake_with_its_frame(page: Site) -> None:
    viewer = Viewer(page)
    await viewer.next("state")
    page.shop.save("warm.yaml", WARM.replace("> 25", "> 20"))
    change = await viewer.next("change")
    assert change["reload"]["changed"] == ["warm"]
    assert change["cards"][0]["picture"]["steps"][1]["label"] == "payload.t > 20"
    page.shop.save("warm.yaml", WARM.replace("filter", "filtr"))
    card = (await viewer.next("change"))["cards"][0]
    assert card["status"] == "stale"
    assert "did you mean `filter`?" in card["frames"][0]["frame"]
    assert card["picture"]["steps"][1]["label"] == "payload.t > 20"
    page.shop.save("other.yaml", "subscribe: [")
    change = await viewer.next("change")
    assert {(card["name"], card["status"]) for card in change["cards"]} == {("warm", "stale"), ("other", "broken")}
    await viewer.leave()


async def test_flows_are_tapped_only_while_somebody_looks_and_again_after_an_edit(
    page: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowrunner.web.looks.LINGER", 0.1)
    live = page.shop.runner.flows
    assert live["warm"].tapped is None
    first, second = Viewer(page, "a"), Viewer(page, "b")
    await first.next("state")
    await second.next("state")
    assert live["warm"].tapped is None
    await page.look("warm", viewer="a")
    await page.look("warm", viewer="b")
    await until(lambda: page.shop.runner.flows["warm"].tapped is not None)
    await first.leave()
    page.shop.save("warm.yaml", WARM.replace("> 25", "> 20"))
    await page.shop.says("reloaded in")
    await until(lambda: page.shop.runner.flows["warm"].tapped is not None)
    await second.leave()
    await until(lambda: page.shop.runner.flows["warm"].tapped is None)


async def test_messages_go_to_those_who_look_at_the_step(page: Site) -> None:
    one, other = Viewer(page, "one"), Viewer(page, "other")
    await one.next("state")
    await other.next("state")
    await page.look("warm", flow="warm", step="set 1", viewer="one")
    await page.look("warm", flow="warm", step="json 1", viewer="other")
    page.deliver("warm", b'{"t": 30, "x": "<script>alert(1)</script>"}')
    told = await one.next("messages")
    assert [(record["step"], record["where"]) for record in told["records"]] == [("set 1", "in"), ("set 1", "out")]
    assert "<script>" in told["records"][0]["payload"]["text"]
    told = await other.next("messages")
    assert {record["step"] for record in told["records"]} == {"json 1"}
    await one.leave()
    await other.leave()


async def test_a_viewer_that_is_too_slow_gets_the_whole_picture_anew(page: Site) -> None:
    viewer = Viewer(page)
    await viewer.next("state")
    for number in range(2 * _MOST_BEHIND):
        page.board._tell("news", {"text": str(number)})
    assert "cards" in await viewer.next("state")
    await viewer.leave()


async def test_at_the_end_viewers_are_let_go(page: Site) -> None:
    viewer = Viewer(page)
    await viewer.next("state")
    await page.board.aclose()
    page.board._report.listeners.append(page.board._heard)  # `site` closes it once more
    with pytest.raises(StopAsyncIteration):
        await viewer.next("never")


async def test_looking_without_listening_changes_nothing(page: Site) -> None:
    answer = await page.post("/api/look", {"viewer": "nobody", "flows": ["warm"]}, token="")
    assert answer.status_code == 404
    assert page.board.looks.sights == {}


def test_a_rate_is_taken_over_the_last_looks() -> None:
    rate = Rate()
    assert rate.add(0.0, 0) == 0.0
    assert rate.add(0.5, 5) == 10.0
    for look in range(2, 40):
        rate.add(look * 0.5, 5)
    assert rate.last == 0.0
    assert rate.add(30.0, 1) == 0.0  # a total that shrinks begins anew
