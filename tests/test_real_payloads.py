"""What 115 kinds of device really send, through sample flows: so much comes out, and so much is broken.

`data/payloads.jsonl` holds payloads from public test suites, documentation and issue reports, with their source.
"""

import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from flowrunner.message import Message
from flowrunner.read.flow import Flow
from flowrunner.read.load import load
from tests.flow_host import FlowHost, Outcome, run_cases

DATA = Path(__file__).parent / "data"
ROWS: list[dict[str, Any]] = [json.loads(line) for line in (DATA / "payloads.jsonl").read_text("utf-8").splitlines()]
LOADED = load([DATA / "flows"])
FLOWS = {flow.name: flow for flow in LOADED.flows}


def payload_of(row: dict[str, Any]) -> bytes:
    text: str | None = row.get("payload")
    return base64.b64decode(row["payload_base64"]) if text is None else text.encode()


MESSAGES = [Message(row["topic"], payload_of(row)) for row in ROWS]


def run(name: str) -> Outcome:
    """What a flow makes of all payloads."""
    host = FlowHost(FLOWS[name])
    for message in MESSAGES:
        host.arrive(message)
    host.after(3600)
    return host.outcome


def test_every_payload_is_there() -> None:
    assert len(MESSAGES) == 311
    assert LOADED.diagnostics == ()


@pytest.mark.parametrize("flow", LOADED.flows, ids=FLOWS)
def test_the_tests_of_a_sample_pass(flow: Flow) -> None:
    run_cases(flow)


#: Messages out, errors by their code, messages ended by their reason, errors that the flow took care of.
EXPECTED: dict[str, tuple[int, dict[str, int], dict[str, int], int]] = {
    "everything": (294, {"not-decodable": 12}, {}, 0),
    "lorawan": (8, {}, {}, 0),
    "numbers": (9, {"bad-value": 10, "not-decodable": 1}, {"no number at all": 2}, 0),
    "owntracks": (1, {}, {}, 0),
    "rtl_433": (27, {}, {}, 0),
    "strict": (311, {}, {}, 96),
    "table": (2, {}, {}, 0),
    "tasmota": (24, {"not-json": 2}, {}, 0),
    "tolerant": (311, {}, {}, 108),
    "zigbee2mqtt": (18, {"not-json": 1}, {"asked by somebody": 4}, 0),
}


@pytest.mark.parametrize("name", FLOWS)
def test_so_much_comes_out_and_so_much_is_broken(name: str) -> None:
    outcome = run(name)
    errors = Counter(error.code for error in outcome.errors)
    found = (len(outcome.published), dict(errors), dict(Counter(outcome.stopped)), len(outcome.handled))
    assert found == EXPECTED[name]
    assert outcome.logged == []


def is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_json(payload: bytes) -> bool:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(payload.decode(), parse_constant=refuse)
    except ValueError:
        return False
    return True


def test_every_message_is_json_or_text_or_bytes_as_python_says() -> None:
    topics = Counter(message.topic for message in run("tolerant").published)
    texts = [message for message in MESSAGES if is_text(message.payload)]
    jsons = [message for message in texts if is_json(message.payload)]
    assert topics == {
        "kept/json": len(jsons),
        "kept/text": len(texts) - len(jsons),
        "kept/bytes": len(MESSAGES) - len(texts),
    }


def test_a_letter_that_is_dead_holds_the_bytes_that_arrived() -> None:
    dead = [message.payload for message in run("strict").published if message.topic == "dead/letters"]
    assert dead == [message.payload for message in MESSAGES if not is_json(message.payload)]


def test_temperatures_of_rtl_433_are_those_that_a_line_of_python_finds() -> None:
    expected = []
    for message in MESSAGES:
        if message.topic.startswith("rtl_433/"):
            sent = json.loads(message.payload)
            celsius = sent.get("temperature_C", (sent.get("temperature_F", -1e9) - 32) / 1.8)
            if celsius > -1e8:
                expected.append((sent["model"], round(celsius, 1)))
    found = [(value["model"], value["celsius"]) for topic, value in run("rtl_433").sent if topic.startswith("weather/")]
    assert set(found) == set(expected)
    assert len(found) < len(expected)  # what did not change was left out


def test_bytes_of_lorawan_are_those_in_base64() -> None:
    sent = [json.loads(message.payload) for message in MESSAGES if message.topic.startswith("v3/")]
    frames = [one["uplink_message"]["frm_payload"] for one in sent if "frm_payload" in one.get("uplink_message", {})]
    found = [value for topic, value in run("lorawan").sent if topic != "lorawan/strange"]
    assert [value["raw"] for value in found] == [base64.b64decode(frame).hex() for frame in frames]
    assert all(value["bytes"] == len(value["raw"]) // 2 for value in found)


def test_every_error_names_a_place_and_shows_the_message() -> None:
    for name in FLOWS:
        for error in run(name).errors:
            assert error.span.source.name.endswith(f"{name}.yaml")
            assert error.notes[-1].startswith("topic `")
            assert len(error.message) < 120
