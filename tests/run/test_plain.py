import pytest

from flowrunner.errors import StepError
from flowrunner.run import plain
from flowrunner.run.buffered_socket import BufferedSocket
from flowrunner.run.links import SWITCH
from flowrunner.run.outbox import Outbox
from flowrunner.run.plain import PlainLink
from tests.mosquitto import Mosquitto
from tests.run.fakes import FakeProgram, Told, running, until
from tests.run.peer import Peer, numbers, publish


@pytest.fixture(autouse=True)
def plain_paho(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "off")


async def test_publishes_without_a_broker_are_bounded_and_say_so() -> None:
    link = PlainLink(lambda *_: None, lambda *_: None, outbox=Outbox(most_messages=2))
    link.publish("a", b"")
    link.publish("a", b"", 1)
    link.publish("a", b"", 2)
    assert (link.dropped, link.pending) == (1, 2)
    with pytest.raises(StepError, match="2 publishes wait for the broker already"):
        link.publish("a", b"", 1)


@pytest.mark.broker
async def test_a_slow_network_costs_publishes_at_qos_0_and_not_the_memory(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain, "MOST_UNSENT", 100_000)
    told = Told()
    async with running(mosquitto.settings(), FakeProgram("flow", "a"), told=told) as runner:
        link = runner.connections["default"].link
        for _ in range(1000):
            link.publish("out", b"x" * 1000)
        assert 850 < link.dropped < 950
        await until(lambda: not link.write())
        link.publish("out", b"x")
        assert link.dropped < 950
    assert told.count("was dropped: the network does not keep up") == 1


class Pieces:
    """A socket that gives what is in a list: bytes, or an exception to raise."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = list(pieces)

    def recv(self, _size: int) -> bytes:
        if not self.pieces:
            raise BlockingIOError
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece


def test_a_buffered_socket_gives_every_byte_in_order_and_then_the_end() -> None:
    socket = BufferedSocket(Pieces(b"abc", b"de", b""))  # type: ignore[arg-type]
    news = [socket.has_news]
    with pytest.raises(BlockingIOError):
        socket.recv(1)
    for size, expected in ((2, b"ab"), (10, b"cde"), (1, b"")):
        socket.fill()
        news.append(socket.has_news)
        assert socket.recv(size) == expected
        news.append(socket.has_news)
    assert news == [False, True, True, True, False, True, True]


def test_a_buffered_socket_gives_what_came_before_an_error() -> None:
    socket = BufferedSocket(Pieces(b"abc", ConnectionResetError("gone")))  # type: ignore[arg-type]
    socket.fill()
    socket.fill()
    assert socket.recv(10) == b"abc"
    with pytest.raises(ConnectionResetError):
        socket.recv(1)


@pytest.mark.broker
async def test_paho_reads_and_writes_through_the_link(mosquitto: Mosquitto) -> None:
    async with running(mosquitto.settings(), FakeProgram("flow", "a")) as runner:
        client = runner.connections["default"]._client
        assert client is not None
        assert isinstance(client.socket(), BufferedSocket)


def test_a_delivery_that_is_held_holds_back_the_acknowledgements_behind_it() -> None:
    peer = Peer("plain").connect()
    peer.flow.work = lambda *_: holds.append(peer.link.hold()) if len(peer.got) == 1 else None
    holds: list[object] = []
    peer.say(*(publish("a", b"", 0x32, number) for number in (1, 2)))
    assert numbers(peer.heard(), 0x40) == []
    (hold,) = holds
    hold.release()  # type: ignore[attr-defined]
    assert numbers(peer.heard(), 0x40) == [1, 2]
