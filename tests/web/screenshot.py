"""Takes the picture of the page that the README shows: `python tests/web/screenshot.py` writes docs/page.png.

It runs the samples of `flows/` against an embedded broker, with sensors that report a little faster, and looks at them
with the system's chromium (`pip install '.[browser]'`, `apt-get install chromium`).
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import sync_playwright  # noqa: E402

from flowrunner.broker import BrokerThread  # noqa: E402
from tests.web.browser import CHROMIUM, runner  # noqa: E402

SHOWN = ("overheat", "rooms", "switches")
DOORS = """
description: Say that a door has settled, and nothing before
subscribe: doors/+door
steps:
  - decode: utf-8
  - debounce: {for: 20s, by: door}
  - changed: {value: payload, by: door}
  - publish: doors/${door}/settled
"""


def main() -> None:
    """Write the picture."""
    files = {f"{name}.yaml": (ROOT / "flows" / f"{name}.yaml").read_text() for name in SHOWN}
    files["rooms.yaml"] = files["rooms.yaml"].replace("every: 3s", "every: 700ms")
    files["doors.yaml"] = DOORS
    with (
        TemporaryDirectory() as folder,
        BrokerThread() as broker,
        runner(Path(folder), files, broker.url) as found,
        sync_playwright() as play,
    ):
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1360, "height": 850}, color_scheme="light")
        page.goto(found.url)
        page.click('[data-flow="overheat"] [data-step="set 1"]')
        page.click("#open-publish")
        page.fill("#publish-topic", "doors/front")
        page.fill("#publish-payload", "open")
        page.click("#publish button[type=submit]")
        page.wait_for_selector("#publish .note.good")
        page.keyboard.press("Escape")
        page.wait_for_selector("li.message >> nth=4")
        page.wait_for_timeout(4000)  # so that the rates are those of several seconds
        page.mouse.move(5, 5)
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        page.screenshot(path=str(ROOT / "docs" / "page.png"))
        browser.close()


if __name__ == "__main__":
    main()
