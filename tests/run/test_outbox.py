from flowrunner.run.outbox import MOST_LOSSES, SUSPICIOUS_LOSSES, Outbox, Outgoing


def outgoing(number: int, size: int = 1) -> Outgoing:
    return Outgoing(str(number), b"x" * size, 1, False, {})


def filled(count: int) -> Outbox:
    outbox = Outbox()
    for number in range(count):
        assert outbox.add(outgoing(number))
    return outbox


def test_there_is_room_for_so_many_messages() -> None:
    outbox = Outbox(most_messages=2)
    assert outbox.add(outgoing(0))
    assert outbox.add(outgoing(1))
    outbox.send(1)
    assert not outbox.add(outgoing(2))
    outbox.acknowledge(1)
    assert outbox.add(outgoing(2))


def test_there_is_room_for_so_many_bytes() -> None:
    outbox = Outbox(most_bytes=100)
    assert outbox.add(outgoing(0, 60))
    assert not outbox.add(outgoing(1, 60))
    outbox.take()
    assert outbox.add(outgoing(1, 60))


def test_what_was_in_flight_is_first_in_the_queue_again() -> None:
    outbox = filled(4)
    outbox.send(11)
    outbox.send(12)
    outbox.rewind()
    assert [message.topic for message in outbox.waiting] == ["0", "1", "2", "3"]
    assert not outbox.in_flight


def test_an_acknowledgement_that_nobody_waits_for_is_nothing() -> None:
    outbox = filled(1)
    assert outbox.acknowledge(5) is None
    assert len(outbox) == 1


def break_connection(outbox: Outbox, window: int) -> Outgoing | None:
    """Send what the window holds, lose the connection without an acknowledgement, and start anew."""
    for identifier in range(1, window + 1):
        outbox.send(identifier)
    given_up = outbox.count_loss()
    outbox.rewind()
    return given_up


def test_the_message_that_breaks_every_connection_is_found_and_given_up() -> None:
    outbox = filled(3)
    for _ in range(SUSPICIOUS_LOSSES):
        assert not outbox.is_suspicious
        assert break_connection(outbox, 3) is None
    given_up = None
    for _ in range(MOST_LOSSES):
        assert outbox.is_suspicious
        given_up = break_connection(outbox, 1)
    assert given_up is not None
    assert given_up.topic == "0"
    assert not outbox.is_suspicious
    assert [message.topic for message in outbox.waiting] == ["1", "2"]


def test_one_acknowledgement_ends_the_suspicion() -> None:
    outbox = filled(3)
    for _ in range(SUSPICIOUS_LOSSES):
        break_connection(outbox, 2)
    outbox.send(1)
    outbox.acknowledge(1)
    assert not outbox.is_suspicious


def test_a_connection_that_breaks_with_nothing_in_flight_counts_for_nothing() -> None:
    outbox = filled(1)
    for _ in range(10):
        assert outbox.count_loss() is None
    assert not outbox.is_suspicious
