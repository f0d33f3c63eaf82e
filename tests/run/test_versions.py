"""Which version of MQTT is tried next, and how long another client of our name is given way."""

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from flowrunner.run.refusals import Refused
from flowrunner.run.rival import FIGHTS, LONGEST_SURRENDER, SURRENDER, Rival
from flowrunner.run.versions import Versions

V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311


class Broker:
    """Accepts some versions, and refuses others for a reason."""

    def __init__(self, **refusals: str) -> None:
        self.refusals = refusals
        self.asked: list[MQTTProtocolVersion] = []

    async def connect(self, version: MQTTProtocolVersion) -> str:
        self.asked.append(version)
        kind = self.refusals.get(version.name)
        if kind is not None:
            raise Refused(f"{version.name} is refused", kind)  # type: ignore[arg-type]
        return version.name


async def test_the_version_that_worked_last_comes_first() -> None:
    versions, broker = Versions("auto"), Broker(MQTTv5="version")
    assert [await versions.attempt(broker.connect) for _ in range(2)] == ["MQTTv311", "MQTTv311"]
    assert broker.asked == [V5, V311, V311]


@pytest.mark.parametrize(
    ("refusals", "words", "asked"),
    [
        ({"MQTTv5": "absent"}, "MQTTv5 is refused", [V5]),
        ({"MQTTv5": "version", "MQTTv311": "version"}, "MQTTv5 is refused", [V5, V311]),
        ({"MQTTv5": "closed", "MQTTv311": "absent"}, "MQTTv311 is refused", [V5, V311]),
    ],
)
async def test_the_refusal_that_says_most_is_told(
    refusals: dict[str, str], words: str, asked: list[MQTTProtocolVersion]
) -> None:
    broker = Broker(**refusals)
    with pytest.raises(Refused, match=words):
        await Versions("auto").attempt(broker.connect)
    assert broker.asked == asked


async def test_only_the_version_of_the_settings_is_tried() -> None:
    broker = Broker(MQTTv5="version")
    with pytest.raises(Refused):
        await Versions("5").attempt(broker.connect)
    assert broker.asked == [V5]


async def test_a_broker_that_is_being_restarted_is_not_asked_for_another_version_at_once() -> None:
    versions, broker = Versions("auto"), Broker(MQTTv5="closed")
    versions.accept()
    for _ in range(2):
        with pytest.raises(Refused):
            await versions.attempt(broker.connect)
    assert broker.asked == [V5, V5]
    assert await versions.attempt(broker.connect) == "MQTTv311"


def test_a_rival_is_given_way_when_it_is_sure_or_after_some_fights_and_longer_each_time() -> None:
    rival = Rival()
    assert [rival.give_way(is_sure=False, is_fight=True) for _ in range(FIGHTS)] == [None, None, SURRENDER]
    assert rival.give_way(is_sure=True, is_fight=False) == 2 * SURRENDER
    waits = [rival.give_way(is_sure=True, is_fight=False) for _ in range(8)]
    assert waits[-1] == LONGEST_SURRENDER
    rival.forget()
    assert rival.give_way(is_sure=True, is_fight=False) == SURRENDER


def test_fights_count_in_a_row_only() -> None:
    rival = Rival()
    for _ in range(2 * FIGHTS):
        for _ in range(FIGHTS - 1):
            assert rival.give_way(is_sure=False, is_fight=True) is None
        rival.pause()
    rival.give_way(is_sure=False, is_fight=True)
    rival.give_way(is_sure=False, is_fight=False)
    assert rival.give_way(is_sure=False, is_fight=True) is None
