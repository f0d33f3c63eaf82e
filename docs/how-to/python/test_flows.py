from pathlib import Path

from flowrunner.testing import run_flow

FLOWS = Path(__file__).parent / "flows"


def test_a_warm_room_raises_an_alert():
    (alert,) = run_flow(FLOWS / "overheat.yaml", [("sensors/kitchen/climate", {"temperature": 26})])
    assert alert.topic == "alerts/kitchen"
    assert alert.value == {"temperature": 26, "level": "warm"}


def test_the_light_goes_out_three_minutes_later():
    on, off = run_flow(FLOWS / "motion.yaml", [("zigbee2mqtt/hall_motion", {"occupancy": True}), "3m"])
    assert (on.value, off.value) == ({"state": "ON"}, {"state": "OFF"})
    assert off.time - on.time == 180
