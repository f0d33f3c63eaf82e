"""People look at the page, edit, and publish: chromium does what they would."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flowrunner.broker import BrokerThread
from tests.web.browser import PATIENCE, Runner, require_chromium, runner, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

pytestmark = pytest.mark.browser

FILES = {
    "warm.yaml": """
        description: Warn when a room gets too warm
        subscribe: sensors/+room
        steps:
          - json
          - filter: payload.t > 25     # not in summer
          - set: {level: warm}
          - publish: alerts/${room}
    """,
    "late.yaml": "subscribe: alerts/+room\nsteps:\n  - debounce: {for: 20s, by: room}\n  - log: late\n",
    "beat.yaml": "every: 200ms\nsteps:\n  - map: '{\"t\": 20 + payload % 10}'\n  - publish: sensors/cellar\n",
}

Open = Callable[..., "Page"]


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    path = require_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[1, 2], ids=["alone", "two workers"])
def flows(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Runner]:
    more = ["--workers", str(request.param)] if request.param > 1 else []
    with BrokerThread() as broker, runner(tmp_path, FILES, broker.url, *more) as found:
        yield found


@pytest.fixture
def open_page(chromium: "Browser", flows: Runner) -> Iterator[Open]:
    """A function that opens the page in a browser of its own. What the console complains of fails the test."""
    complaints: list[str] = []
    contexts = []

    def told(message: "ConsoleMessage") -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def open_it(*, has_token: bool = True, width: int = 1300, height: int = 900) -> "Page":
        context = chromium.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        page.on("console", told)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.goto(flows.url if has_token else flows.plain_url)
        page.wait_for_selector('[data-flow="warm"] [data-step="set 1"]')
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []


def publish(page: "Page", topic: str, payload: str) -> None:
    page.click("#open-publish")
    page.fill("#publish-topic", topic)
    page.fill("#publish-payload", payload)
    page.click("#publish button[type=submit]")
    page.wait_for_selector("#publish .note.good")
    page.keyboard.press("Escape")
    page.wait_for_selector("#publish", state="hidden")


def until(page: "Page", expression: str) -> None:
    """Wait until JavaScript says so (the page's own policy forbids `wait_for_function` to evaluate texts)."""
    wait_for(lambda: page.evaluate(expression), expression)


def step(flow: str, name: str) -> str:
    return f'[data-flow="{flow}"] [data-step="{name}"]'


def test_a_flow_is_seen_with_its_steps_its_joins_and_its_rates(open_page: Open) -> None:
    page = open_page()
    assert page.title() == "flowrunner"
    assert "?" not in page.url  # the token has become a cookie
    assert page.inner_text('[data-flow="warm"] h2') == "warm"
    assert "payload.t > 25" in page.text_content(step("warm", "filter 1") or "")  # type: ignore[operator]
    assert page.locator('[data-flow="warm"] .chip').all_text_contents() == ["◂ beat", "▸ late"]
    until(page, "document.querySelector('[data-flow=warm] .rates strong').textContent.endsWith('/s')")
    until(page, "[...document.querySelectorAll('[data-flow=warm] .rate')].every((rate) => rate.textContent)")
    until(
        page,
        "document.querySelector('[data-flow=late] [data-step=\"debounce 1\"] .state-text')?.textContent.includes('cellar')",
    )
    page.click('[data-flow="warm"] .chip:has-text("late")')
    page.wait_for_selector('[data-flow="late"].visited')


def test_how_many_workers_there_are_stands_beside_the_connections(open_page: Open, flows: Runner) -> None:
    page = open_page()
    until(page, "document.querySelector('#connections .there')")
    workers = page.locator("#connections .workers")
    if not flows.workers:
        assert workers.count() == 0
        return
    assert workers.inner_text() == "2 workers"
    os.kill(flows.workers[0], signal.SIGKILL)
    page.wait_for_selector('#connections .workers.there[title="started again: worker 1 1 ×"]')


def test_a_message_is_seen_as_it_passes_with_what_it_changed(open_page: Open) -> None:
    page = open_page()
    page.click(step("warm", "set 1"))
    page.wait_for_selector('li.message .plus:has-text(\'"level": "warm"\')')
    page.fill("#messages input[type=search]", "attic")
    publish(page, "sensors/attic", '{"t": 31, "id": 123456789012345678901}')
    page.click(step("warm", "set 1"))
    page.wait_for_selector("li.message .topic:has-text('sensors/attic')")
    shown = page.inner_text("li.message")
    assert "123456789012345678901" not in page.inner_text("#messages .yaml")
    assert "room" in shown
    page.click("#messages button:has-text('Pause')")
    page.wait_for_selector("#messages .note:has-text('paused')")
    page.click("li.message button:has-text('Copy as test')")
    page.wait_for_selector("li.message button:has-text('Copied')")


def test_what_came_over_the_network_is_shown_as_text(open_page: Open) -> None:
    page = open_page()
    hostile = '<script>document.title="hacked"</script><img src=x onerror="document.title=1"><b>bold</b>'
    page.click(step("warm", "json 1"))
    page.fill("#messages input[type=search]", "script")
    publish(page, "sensors/<b>x", f'{{"t": 30, "x": "{hostile.replace(chr(34), chr(92) + chr(34))}"}}')
    publish(page, "sensors/<img src=x>", hostile)
    page.click(step("warm", "json 1"))
    page.wait_for_selector("li.message:has-text('<script>document.title')")
    page.wait_for_selector("li.message .topic:has-text('sensors/<b>x')")
    page.click('[data-flow="warm"] .errors summary')
    page.wait_for_selector('[data-flow="warm"] .errors .frame:has-text("<script>")')
    assert page.title() == "flowrunner"
    assert page.locator("main img, main b:has-text('bold'), #panel img, #panel script, main script").count() == 0


def test_an_edit_on_disk_changes_the_picture_and_a_mistake_shows_its_frame(open_page: Open, flows: Runner) -> None:
    page = open_page()
    text = (flows.folder / "warm.yaml").read_text()
    flows.save("warm.yaml", text.replace("> 25", "> 22").replace("  - publish", "  - log: new\n  - publish"))
    page.wait_for_selector(f"{step('warm', 'log 1')}.added")
    page.wait_for_selector(f"{step('warm', 'filter 1')}.changed")
    assert page.locator(f"{step('warm', 'json 1')}.changed").count() == 0
    flows.save("warm.yaml", text.replace("filter:", "filtr:"))
    frame = page.wait_for_selector('[data-flow="warm"] .frame')
    assert frame is not None
    assert "did you mean `filter`?" in frame.inner_text()
    assert "the running version is from" in page.inner_text('[data-flow="warm"] .status')
    page.wait_for_selector(step("warm", "log 1"))
    flows.save("warm.yaml", text)
    page.wait_for_selector('[data-flow="warm"] .frame', state="detached")
    flows.save("fresh.yaml", "subscribe: x\nsteps: [log: hi]\n")
    page.wait_for_selector('[data-flow="fresh"]')
    (flows.folder / "fresh.yaml").unlink()
    page.wait_for_selector('[data-flow="fresh"]', state="detached")


def put_cursor_behind(page: "Page", text: str) -> None:
    """Click to the end of the first line of the editor that holds a text."""
    page.locator(f".cm-line:has-text('{text}')").first.click()
    page.keyboard.press("End")


def test_a_flow_is_edited_in_the_page_with_help_and_saved(open_page: Open, flows: Runner) -> None:
    page = open_page()
    before = (flows.folder / "warm.yaml").read_text()
    page.click('[data-flow="warm"] header button')
    page.wait_for_selector(".cm-line:has-text('filter')")
    put_cursor_behind(page, "level: warm")
    page.keyboard.press("Enter")
    page.keyboard.type("- pub")
    page.locator(".cm-tooltip-autocomplete li:has-text('publish')").first.click()
    page.wait_for_selector(".cm-line:has-text('- publish: ') >> nth=0")
    page.keyboard.type("a/+")
    page.wait_for_selector(".problems li.error:has-text('wildcard')")
    page.wait_for_selector(".cm-lintRange-error")
    page.keyboard.press("Backspace")
    page.keyboard.type("b")
    page.wait_for_selector(".problems li", state="detached")
    page.wait_for_selector(".preview .plus:has-text('→ a/b')")
    assert (flows.folder / "warm.yaml").read_text() == before
    page.keyboard.press("Control+s")
    page.wait_for_selector("#editor .note.good")
    line = "  - set: {level: warm}\n"
    assert (flows.folder / "warm.yaml").read_text() == before.replace(line, f"{line}  - publish: a/b\n")
    page.wait_for_selector(f"{step('warm', 'publish 2')}")


def test_a_file_that_was_changed_meanwhile_is_not_overwritten_unseen(open_page: Open, flows: Runner) -> None:
    page = open_page()
    before = (flows.folder / "warm.yaml").read_text()
    page.click('[data-flow="warm"] header button')
    page.wait_for_selector(".cm-line:has-text('filter')")
    put_cursor_behind(page, "not in summer")
    page.keyboard.type(" or in spring")
    theirs = before.replace("level: warm", "level: theirs")
    flows.save("warm.yaml", theirs)
    page.wait_for_selector(".conflict .minus:has-text('theirs')")
    page.keyboard.press("Control+s")
    page.wait_for_selector(".conflict .plus:has-text('spring')")
    assert (flows.folder / "warm.yaml").read_text() == theirs
    page.click(".conflict button:has-text('Overwrite it with mine')")
    page.wait_for_selector("#editor .note.good")
    assert (flows.folder / "warm.yaml").read_text() == before.replace("not in summer", "not in summer or in spring")


def test_two_viewers_see_the_same(open_page: Open, flows: Runner) -> None:
    one, other = open_page(), open_page(has_token=False)
    one.click(step("warm", "json 1"))
    other.click(step("warm", "publish 1"))
    publish(one, "sensors/attic", '{"t": 40}')
    one.click(step("warm", "json 1"))
    for page in (one, other):
        page.wait_for_selector("li.message .topic:has-text('sensors/attic')")
    flows.save("warm.yaml", (flows.folder / "warm.yaml").read_text().replace("> 25", "> 24"))
    for page in (one, other):
        page.wait_for_selector(f"{step('warm', 'filter 1')}.changed")


def test_without_the_token_people_look_and_change_nothing(open_page: Open, flows: Runner) -> None:
    page = open_page(has_token=False)
    page.wait_for_selector("#rights:has-text('looking only')")
    assert page.locator("#open-publish").is_hidden()
    page.click('[data-flow="warm"] header button')
    page.wait_for_selector(".cm-line:has-text('filter')")
    before = (flows.folder / "warm.yaml").read_text()
    page.locator(".cm-line").first.click()
    page.keyboard.type("x")
    page.keyboard.press("Control+s")
    assert page.locator("#editor button.main").is_disabled()
    status = page.evaluate(
        "fetch('/api/publish', {method: 'POST', body: '{\"topic\": \"a\"}'}).then((answer) => answer.status)"
    )
    assert status == 403
    assert (flows.folder / "warm.yaml").read_text() == before


def test_the_page_is_used_with_the_keyboard_and_told_to_screen_readers(open_page: Open) -> None:
    page = open_page()
    page.keyboard.press("/")
    page.keyboard.type("late")
    page.wait_for_selector('[data-flow="warm"]', state="hidden")
    page.keyboard.press("Escape")
    page.wait_for_selector('[data-flow="warm"]')
    page.focus(step("warm", "json 1"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("#messages h3:has-text('filter 1')")
    page.keyboard.press("Escape")
    page.wait_for_selector("#panel", state="hidden")
    assert page.evaluate("document.activeElement.dataset.step") == "filter 1"
    label = page.get_attribute(step("warm", "filter 1"), "aria-label") or ""
    assert label.startswith("filter 1: payload.t > 25")
    assert page.get_attribute("#news", "aria-live") == "polite"
    theme = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(theme)
    page.keyboard.press("t")
    assert page.evaluate(theme) != before
    page.keyboard.press("b")
    page.wait_for_selector("html.bigger")
    page.keyboard.press("?")
    page.wait_for_selector("#help h2")


@pytest.mark.parametrize("width", [360, 800, 1920])
def test_nothing_sticks_out_at_any_width(open_page: Open, width: int) -> None:
    page = open_page(width=width, height=800)
    out = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(out) <= 0
    page.click(step("warm", "set 1"))
    page.wait_for_selector("li.message")
    assert page.evaluate(out) <= 0
    if width < 600:
        assert page.evaluate("document.querySelector('#panel').getBoundingClientRect().width") == width
        page.click("#close-panel")


def test_a_runner_that_goes_away_is_missed(open_page: Open, flows: Runner) -> None:
    page = open_page()
    flows.process.terminate()
    page.wait_for_selector("#gone:has-text('does not answer')")
    wait_for(lambda: flows.process.poll() is not None, "the end of the runner")
