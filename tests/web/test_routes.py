"""What the page answers: refusals, files, drafts, publishing, metrics, and nothing from a message as HTML."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from flowrunner.broker import AccessList
from tests.run.fakes import until
from tests.web.served import HOST, TOKEN, WARM, Site, site

FILES = {"warm.yaml": WARM, "late.yaml": "subscribe: alerts/+room\nsteps:\n  - debounce: 1h\n  - log: late\n"}


@pytest.fixture
async def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.chdir(tmp_path)
    async with site(tmp_path / "flows", FILES) as found:
        yield found


@pytest.fixture
async def beamer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.chdir(tmp_path)
    async with site(tmp_path / "flows", FILES, is_read_only=True) as found:
        yield found


async def test_the_page_allows_no_script_but_its_own(page: Site) -> None:
    answer = await page.get("/")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert f'content="{nonce}"' in answer.text
    assert "<script>" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await page.get("/")).headers["content-security-policy"] != policy


async def test_the_token_of_the_address_becomes_a_cookie_and_leaves_the_address(page: Site) -> None:
    answer = await page.get(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"flowrunner-1880={TOKEN};")
    assert "httponly" in cookie.lower()
    assert "samesite=strict" in cookie.lower()
    assert "set-cookie" not in (await page.get("/?token=wrong")).headers
    rights = (await page.get("/api/session", cookie=f"flowrunner-1880={TOKEN}")).json()
    assert (rights["can_edit"], rights["can_publish"], rights["why"]) == (True, True, "")
    page.client.cookies.clear()
    assert (await page.get("/api/session")).json()["why"] == "token"


async def test_requests_of_others_are_refused(page: Site) -> None:
    message = {"topic": "a", "payload": "b"}
    assert (await page.post("/api/publish", message, token="")).status_code == 403
    assert (await page.post("/api/publish", message, token="wrong")).status_code == 403
    assert (await page.post("/api/publish", message, origin="http://evil.example")).status_code == 403
    assert (await page.post("/api/publish", message, host="evil.example:1880")).status_code == 421
    assert (await page.get("/api/state", host="evil.example")).status_code == 421
    assert (await page.get("/api/events", origin="http://evil.example")).status_code == 403
    assert (await page.put("flows/warm.yaml", "x", "y", token="")).status_code == 403
    assert (await page.post("/api/publish", message, origin=f"http://{HOST}")).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../routes.py", "/assets/..%2froutes.py", "/assets/%2e%2e/routes.py", "/assets//etc/passwd", "/assets/index.html",
        "/api/files/../../secret.yaml", "/api/files/..%2fsecret.yaml", "/api/files/%2e%2e%2fsecret.yaml",
        "/api/files/flows/../flows/flowrunner.yaml", "/api/files/flows/flowrunner.yaml", "/api/files//etc/passwd", "/api/files/",
    ],
)  # fmt: skip
async def test_paths_that_climb_out_lead_nowhere(page: Site, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.yaml").write_text("a: 1\n")
    assert (await page.get(path)).status_code in {404, 405}
    answer = await page.client.put(path, content=b"x", headers={"authorization": f"Bearer {TOKEN}", "if-match": '"x"'})
    assert answer.status_code in {404, 405}


async def test_a_file_is_read_saved_and_taken_up(page: Site) -> None:
    found = (await page.get("/api/files/flows/warm.yaml")).json()
    text = found["text"].replace("> 25", "> 20  # cooler")
    saved = await page.put("flows/warm.yaml", text, found["mark"])
    assert saved.status_code == 200
    assert saved.headers["etag"] == f'"{saved.json()["mark"]}"'
    await page.shop.runs("warm", text)
    again = await page.put("flows/warm.yaml", "mine", found["mark"])
    assert (again.status_code, again.json()["text"]) == (412, text)
    without = await page.client.put(
        "/api/files/flows/warm.yaml", content=b"x", headers={"authorization": f"Bearer {TOKEN}"}
    )
    assert without.status_code == 428
    assert (page.shop.folder / "warm.yaml").read_text() == text


async def test_a_page_for_looking_changes_nothing_even_with_the_token(beamer: Site) -> None:
    found = (await beamer.get("/api/files/flows/warm.yaml")).json()
    assert (await beamer.put("flows/warm.yaml", "x", found["mark"])).status_code == 403
    assert (await beamer.post("/api/publish", {"topic": "a"})).status_code == 403
    assert (await beamer.post("/api/draft", {"file": "flows/warm.yaml", "text": ""})).status_code == 403
    assert (beamer.shop.folder / "warm.yaml").read_text() == found["text"]


async def test_a_draft_is_checked_and_tried_with_the_last_messages(page: Site) -> None:
    page.deliver("warm", b'{"t": 22}')
    page.deliver("warm", b'{"t": 30}')
    text = page.shop.folder.joinpath("warm.yaml").read_text()
    found = (await page.post("/api/draft", {"file": "flows/warm.yaml", "text": text.replace("25", "20")})).json()
    assert found["diagnostics"] == []
    (preview,) = found["previews"]
    assert (preview["flow"], preview["messages"], preview["differing"]) == ("warm", 2, 1)
    first = preview["pairs"][0]
    assert (first["before"], first["is_same"]) == ([], False)
    assert first["after"][0].startswith("→ alerts/attic")
    bad = (await page.post("/api/draft", {"file": "flows/warm.yaml", "text": text.replace("filter", "filtr")})).json()
    (mistake,) = bad["diagnostics"]
    assert (mistake["code"], mistake["line"], mistake["help"]) == ("unknown-step", 4, "did you mean `filter`?")
    assert (page.shop.folder / "warm.yaml").read_text() == text


@pytest.mark.parametrize(
    "text", ["", "a: [", "\0", "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"), "- " * 5000]
)
async def test_a_draft_may_be_anything(page: Site, text: str) -> None:
    answer = await page.post("/api/draft", {"file": "flows/warm.yaml", "text": text})
    assert answer.status_code == 200
    assert answer.json()["previews"] == []


async def test_messages_are_published_and_bad_ones_explained(page: Site) -> None:
    await page.post("/api/publish", {"topic": "sensors/kitchen", "payload": '{"t": 40}', "qos": 1})
    await until(lambda: page.shop.runner.flows["late"].received == 1)
    bad: list[tuple[dict[str, Any], str]] = [
        ({"topic": "a/+"}, "wildcard"),
        ({"topic": ""}, "empty"),
        ({"topic": "a", "qos": 3}, "qos"),
        ({"topic": "a", "qos": True}, "qos"),
        ({"topic": "a", "payload": {"x": 1}}, "texts"),
        ({"topic": "a", "connection": "nowhere"}, "connection"),
        ({"topic": "a", "payload": "x" * 300_000}, "too large"),
    ]
    for message, words in bad:
        answer = await page.post("/api/publish", message)
        assert (answer.status_code, words in answer.json()["error"]) == (400, True), message
    broken = await page.client.post("/api/publish", content=b"{", headers={"authorization": f"Bearer {TOKEN}"})
    assert broken.status_code == 400


async def test_what_somebody_sees_becomes_a_test(page: Site) -> None:
    told = page.board.watch("me")
    await anext(told)
    await page.look("warm", flow="warm", step="filter 1")
    page.deliver("warm", b'{"t":30}')
    answer = await page.post("/api/case", {"flow": "warm", "message": 1})
    assert answer.json()["yaml"].splitlines()[1:] == [
        "  given:",
        "    - {topic: sensors/attic, payload: {t: 30}}",
        "  expect:",
        "    - {topic: alerts/attic, payload: {t: 30, level: warm}}",
    ]
    assert (await page.post("/api/case", {"flow": "warm", "message": 77})).status_code == 422
    await told.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_health_readiness_and_metrics(page: Site) -> None:
    assert (await page.get("/health")).json()["status"] == "ok"
    await page.shop.runner.heard()
    assert (await page.get("/ready")).json() == {"status": "ready", "flows": 2}
    page.deliver("warm", b'{"t": 30}')
    page.deliver("warm", b"{}")
    page.deliver("warm", b"{}")
    assert page.board.recent is not None
    page.board.recent.measure()
    page.deliver("warm", b"{}")
    text = (await page.get("/metrics")).text
    for line in (
        'flowrunner_messages_received_total{flow="warm"} 4.0',
        'flowrunner_messages_dropped_total{flow="warm"} 3.0',
        'flowrunner_errors_total{code="missing-field",flow="warm",step="filter 1"} 3.0',
        'flowrunner_connection_up{connection="default"} 1.0',
        'flowrunner_reloads_total{result="taken-up"} 0.0',
        'flowrunner_flow_stale{flow="warm"} 0.0',
        'flowrunner_message_seconds_count{flow="warm"} 1.0',
    ):
        assert f"\n{line}\n" in text, line
    page.shop.save("warm.yaml", "nothing: good\n")
    await until(lambda: page.board.reloads["refused"])
    assert '\nflowrunner_flow_stale{flow="warm"} 1.0\n' in (await page.get("/metrics")).text


async def test_it_is_not_ready_while_the_broker_is_away(page: Site) -> None:
    await page.shop.runner.heard()
    await page.broker.stop()
    await until(lambda: not any(one.terms for one in page.shop.runner.connections.values()))
    answer = await page.get("/ready")
    assert answer.status_code == 503
    assert answer.json() == {"status": "away", "flows": 2, "connections": ["default"]}
    assert (await page.get("/health")).status_code == 200


async def test_it_is_not_ready_while_a_subscription_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acl").write_text("topic read sensors/#\ntopic write #\n")
    files = {"warm.yaml": WARM, "late.yaml": WARM.replace("sensors", "secrets")}
    async with site(tmp_path / "flows", files, access=AccessList.load(tmp_path / "acl")) as page:
        await page.shop.runner.heard()
        answer = await page.get("/ready")
        assert (answer.status_code, answer.json()["status"]) == (503, "subscribing")
        page.shop.save("late.yaml", WARM.replace("level", "degree"))
        await until(lambda: "degree" in page.shop.runner.flows["late"].program.flow.source.text)  # type: ignore[attr-defined]
        assert (await page.get("/ready")).status_code == 200


async def test_the_schema_and_the_state_are_there_for_programs(page: Site) -> None:
    schema = (await page.get("/api/schema")).json()
    assert "publish" in orjson.dumps(schema).decode()
    state = (await page.get("/api/state")).json()
    assert [card["name"] for card in state["cards"]] == ["late", "warm"]
    assert state["joins"] == [{"flow": "warm", "step": "publish 1", "topic": "alerts/${room}", "to": "late"}]
    assert (await page.get("/api/files")).json() == {"files": ["flows/late.yaml", "flows/warm.yaml"]}
