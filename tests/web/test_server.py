"""The page as `flowrunner run` serves it: where, with what, and until when."""

import json
import signal
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from flowrunner.broker import BrokerThread
from flowrunner.cli import main
from flowrunner.web.place import NotServed, Place
from flowrunner.web.server import serve
from tests.web.browser import PATIENCE, runner
from tests.web.served import WARM


def test_a_runner_serves_its_page_and_ends_at_once_although_somebody_looks(tmp_path: Path) -> None:
    with BrokerThread() as broker, runner(tmp_path, {"warm.yaml": WARM}, broker.url) as found:
        host, _, token = found.url.partition("?token=")
        assert host.startswith("http://127.0.0.1:")
        assert (found.folder / ".flowrunner" / "web-token").read_text() == token
        with urllib.request.urlopen(f"{host}health", timeout=PATIENCE) as answer:
            assert json.load(answer)["status"] == "ok"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(f"{host}api/publish", b"{}", method="POST"), timeout=PATIENCE)
        assert refused.value.code == 403
        refused.value.close()
        with urllib.request.urlopen(f"{host}api/events?viewer=me", timeout=PATIENCE) as events:
            assert events.readline() == b"event: state\n"
            found.process.send_signal(signal.SIGTERM)
            assert events.read().endswith(b"\n\n")
        assert found.process.wait(PATIENCE) == 0


def test_a_port_that_was_asked_for_and_is_taken_leaves_the_flows_running(tmp_path: Path) -> None:
    with BrokerThread() as broker, socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        with runner(tmp_path, {"warm.yaml": WARM}, broker.url, "--web", place, awaited="no-page") as found:
            assert found.process.poll() is None
            lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
            told = next(line for line in lines if line["event"] == "no-page")
            assert f"the page cannot be served on {place}" in told["message"]


@pytest.mark.parametrize("part", ["uvicorn", "starlette"])
async def test_a_part_that_is_missing_is_named_with_how_to_get_it(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == part or name == "flowrunner.web.routes"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, part, None)
    with pytest.raises(NotServed, match=f"pip install {part}"):
        async with serve(None, Place(port=0), paths=[], folder=None):  # type: ignore[arg-type]  # it never comes so far
            pass


def test_an_address_that_is_none_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "warm.yaml").write_text(WARM)
    assert main(["run", str(tmp_path), "--web", "nowhere:x"]) == 2
    assert "HOST:PORT" in capsys.readouterr().err
