"""Reads wait a moment where many small ones come, and never where that would hold anybody up."""

from collections import deque
from itertools import pairwise
from random import Random
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.run import reader, wire
from flowrunner.run.links import make_link
from flowrunner.run.moderation import LARGE, LONGEST_PAUSE, PAUSE, SMALL, SUSPICIONS, TURNS, WAIT, Moderation
from flowrunner.run.router import Router
from flowrunner.run.wire import WireLink
from flowrunner.run.wire_socket import WireSocket
from tests.run.peer import Peer, publish

MESSAGE = 90  # bytes
OVERSLEPT = 50e-6  # what a system adds to a wait
TURN, EACH = 30e-6, 2e-6  # what it costs to wake up, and to handle a message


class Sender(Protocol):
    """Sends messages to somebody who reads and answers; all times are in seconds."""

    def next(self) -> float:
        """When the next one is there."""

    def take(self, now: float) -> int:
        """How many have come until now."""

    def answer(self, now: float, count: int) -> None:
        """So many are answered."""


class Independent:
    """Sends at a rate, whatever is answered."""

    def __init__(self, rate: float, random: Random | None = None) -> None:
        self.gap = 1 / rate
        self.random = random
        self.at = self.gap

    def next(self) -> float:
        return self.at

    def take(self, now: float) -> int:
        count = 0
        while self.at <= now:
            count += 1
            self.at += self.gap * (self.random.expovariate(1) if self.random else 1)
        return count

    def answer(self, now: float, count: int) -> None:
        pass


class Waiting:
    """Sends one for each answer, so many being under way; it takes a moment for each, and the way takes longer."""

    def __init__(self, window: int, way: float, each: float) -> None:
        self.way = way
        self.each = each
        self.under_way: deque[float] = deque()
        self.last = 0.0
        self.answer(0.0, window)

    def next(self) -> float:
        return self.under_way[0]

    def take(self, now: float) -> int:
        count = 0
        while self.under_way and self.under_way[0] <= now:
            self.under_way.popleft()
            count += 1
        return count

    def answer(self, now: float, count: int) -> None:
        for _ in range(count):
            self.last = max(self.last + self.each, now + self.way)
            self.under_way.append(self.last)


def play(sender: Sender, seconds: float, moderation: Moderation | None) -> tuple[float, float]:
    """Messages and turns a second, over this time."""
    now, turns, messages = 0.0, 0, 0
    while now < seconds:
        now = max(now, sender.next())
        if moderation is not None and moderation.wait:
            now += moderation.wait + OVERSLEPT
        count = sender.take(now)
        if moderation is not None:
            moderation.turn(now, count * MESSAGE)
        now += TURN + EACH * count
        turns += 1
        messages += count
        sender.answer(now, count)
    return messages / now, turns / now


def turns_of(moderation: Moderation, count: int, interval: float, size: int, begin: float = 0.0) -> float:
    """Have so many turns, one every so often; returns the moment of the last one."""
    now = begin
    for _ in range(count):
        now += interval
        moderation.turn(now, size)
    return now


@given(rate=st.floats(1, 8_000))
@settings(max_examples=25, deadline=None)
def test_nobody_waits_where_messages_come_slowly(rate: float) -> None:
    sender, moderation = Independent(rate), Moderation()
    for _ in range(2_000):
        moderation.turn(sender.next(), sender.take(sender.next()) * MESSAGE)
        assert moderation.wait == 0


@pytest.mark.parametrize("rate", [15_000, 28_000, 60_000])
@pytest.mark.parametrize("is_even", [True, False])
def test_many_small_messages_come_in_fewer_turns(rate: int, is_even: bool) -> None:
    with_it, without = (
        play(Independent(rate, None if is_even else Random(rate)), 1.0, moderation)
        for moderation in (Moderation(), None)
    )
    assert with_it[0] > 0.99 * without[0]
    assert with_it[1] < 0.45 * without[1]


@pytest.mark.parametrize("members", [2, 4])
def test_members_of_a_group_wake_up_no_more_often_than_one_process(members: int) -> None:
    one, each = (play(Independent(40_000 / count), 1.0, Moderation(count))[1] for count in (1, members))
    assert members * each < 1.1 * one


@given(rate=st.floats(1, 5_000), members=st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_no_member_waits_where_messages_come_slowly_to_all_of_them(rate: float, members: int) -> None:
    sender, moderation = Independent(rate / members), Moderation(members)
    for _ in range(2_000):
        moderation.turn(sender.next(), sender.take(sender.next()) * MESSAGE)
        assert moderation.wait == 0


@given(
    window=st.integers(1, 300),
    way=st.floats(5e-6, 1e-3),
    each=st.floats(1e-6, 1e-4),
    members=st.integers(1, 4),
)
@settings(max_examples=40, deadline=None)
def test_a_sender_that_waits_for_answers_is_not_slowed_down(window: int, way: float, each: float, members: int) -> None:
    with_it, without = (play(Waiting(window, way, each), 0.5, moderation) for moderation in (Moderation(members), None))
    assert with_it[0] > (0.7 if members == 1 else 0.6) * without[0]


def test_one_that_waits_for_each_answer_is_soon_left_in_peace() -> None:
    with_it, without = (play(Waiting(1, 10e-6, 5e-6), 3.0, moderation) for moderation in (Moderation(), None))
    assert with_it[0] > 0.98 * without[0]


@pytest.mark.parametrize("size", [SMALL, LARGE, 65_536])
def test_large_reads_never_wait(size: int) -> None:
    moderation = Moderation()
    turns_of(moderation, 1_000, 20e-6, size)
    assert moderation.wait == 0


def waiting() -> tuple[Moderation, float]:
    """One that has its reads wait, and the time."""
    moderation = Moderation()
    now = turns_of(moderation, 200, 20e-6, MESSAGE)
    assert moderation.wait == WAIT
    return moderation, now


def test_the_waiting_ends_when_reads_have_become_large() -> None:
    moderation, now = waiting()
    turns_of(moderation, 2 * TURNS, 200e-6, LARGE, now)
    assert moderation.wait == 0


def test_one_large_read_among_small_ones_changes_nothing() -> None:
    moderation, now = waiting()
    moderation.turn(now + 200e-6, 2 * LARGE)
    turns_of(moderation, TURNS - 1, 200e-6, MESSAGE, now + 200e-6)
    assert moderation.wait == WAIT


def test_the_waiting_ends_when_little_comes() -> None:
    moderation, now = waiting()
    turns_of(moderation, 1, 1.0, MESSAGE, now)
    assert moderation.wait == 0


def test_after_a_silence_it_begins_as_it_did_before() -> None:
    moderation, now = waiting()
    now = turns_of(moderation, 3, 10.0, MESSAGE, now)
    turns_of(moderation, 200, 20e-6, MESSAGE, now)
    assert moderation.wait == WAIT


def test_from_time_to_time_nobody_waits_to_see_what_comes_then() -> None:
    moderation = Moderation()
    seen = set()
    now = turns_of(moderation, 1_000, 20e-6, MESSAGE)
    for _ in range(5_000):
        now += 150e-6 if moderation.wait else 20e-6
        moderation.turn(now, 7 * MESSAGE if moderation.wait else MESSAGE)
        seen.add(moderation.wait)
    assert seen == {0.0, WAIT}


def test_pauses_grow_with_every_harm_and_have_an_end() -> None:
    moderation = Moderation()
    now, begins, was_waiting = 0.0, [], False
    while now < 25:
        now += 200e-6 if moderation.wait else 50e-6  # one message in each turn, however long it takes
        moderation.turn(now, MESSAGE)
        if moderation.wait and not was_waiting:
            begins.append(now)
        was_waiting = bool(moderation.wait)
    gaps = [later - earlier for earlier, later in pairwise(begins)]
    assert all(gap < PAUSE for gap in gaps[: SUSPICIONS - 1])
    grown = gaps[SUSPICIONS - 1 :]
    assert PAUSE < grown[0] < 2 * PAUSE
    assert all(later > 1.5 * earlier or later > LONGEST_PAUSE for earlier, later in pairwise(grown))
    assert LONGEST_PAUSE < gaps[-1] < LONGEST_PAUSE + 0.1


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a wire does with its socket, and when it sleeps."""
    found: list[str] = []
    fill = WireSocket.fill

    def filled(socket: WireSocket) -> bytes:
        found.append("read")
        return fill(socket)

    monkeypatch.setattr(WireSocket, "fill", filled)
    monkeypatch.setattr(wire, "sleep", lambda seconds: found.append(f"sleep {seconds}"))
    return found


def moderated() -> tuple[Peer, Moderation]:
    peer, moderation = Peer(), Moderation()
    peer.link._moderation = moderation  # type: ignore[attr-defined]
    return peer.connect(), moderation


def test_the_wire_sleeps_before_a_read_that_is_to_wait(calls: list[str]) -> None:
    peer, moderation = moderated()
    peer.say(publish("t"))
    moderation.wait = WAIT
    peer.say(publish("t"))
    assert calls == ["read", f"sleep {WAIT}", "read"]
    assert len(peer.got) == 2


def test_what_was_read_and_not_handled_does_not_wait_again(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "SLICE", -1.0)
    peer, moderation = moderated()
    moderation.wait = WAIT
    peer.say(b"".join(publish("t", b"%d" % number) for number in range(3)))
    assert len(peer.got) == 3
    assert calls == [f"sleep {WAIT}", "read"]


def test_connections_are_moderated_each_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWRUNNER_WIRE", raising=False)
    links = [make_link(Router(lambda *_: None), lambda *_: None) for _ in range(2)]
    assert all(isinstance(link, WireLink) for link in links)
    first, second = (link._moderation for link in links)  # type: ignore[attr-defined]
    assert isinstance(first, Moderation)
    assert first is not second
