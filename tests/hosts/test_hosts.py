"""Three runners on three hosts share a stream at QoS 1; one host is cut off, one runner is killed: nothing is lost."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosts.places import Hosts, Namespaces, Proxies, why_no_namespaces
from tests.hosts.plant import IN_FLIGHT, Plant, plant, wait

pytestmark = pytest.mark.broker

Make = Callable[[int], Hosts]


def namespaces(count: int) -> Hosts:
    if reason := why_no_namespaces():
        pytest.skip(f"no network namespaces here: {reason}")
    return Namespaces(count)


def whatever_is_allowed(count: int) -> Hosts:
    return Proxies(count) if why_no_namespaces() else Namespaces(count)


def share_through_trouble(place: Plant, count: int) -> None:
    """While a quarter is on its way host 2 is cut off; when the broker has given it up, the runner of host 3 is killed.

    It is started again as a service manager does, and the cable of host 2 is put in again.
    """
    cut, killed = place.runners[2], place.runners[3]
    quarter = count // 4
    place.send(0, quarter)
    place.hears(quarter // 2)
    place.hosts.cut(2)
    place.send(quarter, 2 * quarter)
    wait(cut.is_given_up, place.logs)
    place.send(2 * quarter, 3 * quarter)
    place.hears(quarter)
    killed.kill()
    place.send(3 * quarter, count)
    killed.start()
    wait(killed.is_connected, place.logs)
    place.hosts.heal(2)
    place.hears(count)


def lose_nothing(folder: Path, make: Make, count: int, keepalive: float, workers: int = 1) -> None:
    with plant(folder, make, keepalive=keepalive, workers=workers) as place:
        share_through_trouble(place, count)
        place.log.count("")
        again, repeated, by_host = place.ear.again, place.log.repeated, dict(place.ear.by_host)
    print(f"{count} messages, a cut and a kill: 0 lost, {again} came again; by host {by_host}; sent again {repeated}")
    assert len(place.ear.heard) == count
    # each of them was on its way to a host that was cut off or killed, or from it, and says so (DUP)
    assert again <= sum(repeated.values())
    # in flight: to the killed runner, to the one that was cut off, and what that one sends again
    assert again <= 3 * IN_FLIGHT * workers
    assert min(by_host.values()) > count // (4 if workers == 1 else 10)  # each has done its share


def test_three_hosts_lose_nothing(tmp_path: Path) -> None:
    lose_nothing(tmp_path, whatever_is_allowed, count=2_000, keepalive=1)


@pytest.mark.soak
@pytest.mark.parametrize(("make", "workers"), [(namespaces, 1), (Proxies, 1), (whatever_is_allowed, 2)])
def test_fifty_thousand_messages_over_three_hosts(tmp_path: Path, make: Make, workers: int) -> None:
    lose_nothing(tmp_path, make, count=50_000, keepalive=2, workers=workers)


def test_what_waits_for_a_member_that_does_not_return_is_lost_with_its_session(tmp_path: Path) -> None:
    """What mosquitto does, and docs/how-to/scale-out.md says: each member has a queue of its own, in turn."""
    with plant(tmp_path, Proxies, 2, keep="2s") as place:
        gone = place.runners[2]
        gone.kill()
        wait(lambda: place.log.count(f"Client {gone.name} closed its connection"), place.logs)
        place.send(0, 200)
        place.hears(100)
        wait(lambda: place.log.count(f"Expiring client {gone.name}"), place.logs)
        place.send(200, 300)  # the group has one member now
        place.hears(200)
        assert place.ear.by_host == {"1": 200}


def test_who_ends_in_good_order_leaves_nothing_behind_and_nobody_works_twice(tmp_path: Path) -> None:
    with plant(tmp_path, Proxies) as place:
        leaving = place.runners[2]
        place.send(0, 3_000)
        place.hears(500)
        leaving.stop()
        place.send(3_000, 3_300)
        place.hears(3_300)  # although its session lives, and it does not come back
        assert place.ear.again == 0
        before = place.ear.by_host["2"]
        leaving.start()
        wait(leaving.is_subscribed, place.logs)
        place.send(3_300, 3_600)
        place.hears(3_600)
        assert (place.ear.again, place.ear.by_host["2"]) == (0, before + 100)  # its turn, from the SUBACK


def test_the_last_member_that_leaves_takes_the_group_with_it(tmp_path: Path) -> None:
    """What docs/how-to/scale-out.md warns of: nobody is subscribed any more, although the session lives."""
    with plant(tmp_path, Proxies, 1) as place:
        last = place.runners[1]
        place.send(0, 50)
        place.hears(50)
        last.stop()
        place.send(50, 60)
        last.start()
        wait(last.is_subscribed, place.logs)
        place.send(60, 70)
        place.hears(60)
        assert sorted(map(int, place.ear.heard)) == [*range(50), *range(60, 70)]
