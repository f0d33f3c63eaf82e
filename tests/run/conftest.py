import pytest

from flowrunner.run.links import SWITCH
from tests.mosquitto import mosquitto

__all__ = ["each_link", "mosquitto", "on_the_wire"]


@pytest.fixture(params=["wire", "plain"])
def each_link(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test twice: with the wire, and with plain paho."""
    kind: str = request.param
    monkeypatch.setenv(SWITCH, "off" if kind == "plain" else "on")
    return kind


@pytest.fixture
def on_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with the wire, also where the suite runs with FLOWRUNNER_WIRE=off: plain paho does not do this."""
    monkeypatch.setenv(SWITCH, "on")
