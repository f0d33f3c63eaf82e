"""MQTT over websockets: RFC 6455 and MQTT 5.0 section 6, spoken by hand."""

import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.broker import BrokerThread, Limits, Passwords
from flowrunner.broker.websocket import encode_frame, unmask
from tests.broker.wire import PATIENCE, Closed, Wire, packet, text

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPTED = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
MASK = b"\x37\xfa\x21\x3d"
HELLO = packet(0x10, text("MQTT"), b"\x04\x02\x00\x00", text("me"))
BINARY, TEXT, CLOSE, PING, PONG = 2, 1, 8, 9, 10


def request(**changes: str | None) -> bytes:
    fields: dict[str, str | None] = {
        "Host": "localhost:9001",
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "mqttv3.1, mqtt",
    }
    for name, value in changes.items():
        fields[name.replace("_", "-")] = value
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join(["GET /mqtt HTTP/1.1", *lines, "", ""]).encode()


def masked(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    first = (0x80 if fin else 0) | opcode
    if len(payload) < 126:
        size = bytes((0x80 | len(payload),))
    elif len(payload) < 65_536:
        size = b"\xfe" + struct.pack("!H", len(payload))
    else:
        size = b"\xff" + struct.pack("!Q", len(payload))
    return bytes((first,)) + size + MASK + bytes(byte ^ MASK[place % 4] for place, byte in enumerate(payload))


class Browser:
    """A client of websockets."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.data = b""

    def close(self) -> None:
        self.socket.close()

    def send(self, *data: bytes) -> None:
        self.socket.sendall(b"".join(data))

    def read(self, count: int) -> bytes:
        while len(self.data) < count:
            try:
                news = self.socket.recv(65_536)
            except ConnectionError:
                raise Closed from None
            if not news:
                raise Closed
            self.data += news
        found, self.data = self.data[:count], self.data[count:]
        return found

    def rest(self) -> bytes:
        """All that comes until the other side closes."""
        while True:
            try:
                self.read(len(self.data) + 1)
            except Closed:
                return self.data
            self.data = b""

    def headers(self) -> str:
        found = b""
        while not found.endswith(b"\r\n\r\n"):
            found += self.read(1)
        return found.decode()

    def frame(self) -> tuple[int, bytes]:
        first, size = self.read(2)
        assert first & 0x80, "the broker sends whole messages"
        if size == 126:
            (size,) = struct.unpack("!H", self.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.read(8))
        return first & 15, self.read(size)

    def join(self) -> None:
        self.send(request())
        assert "101 Switching Protocols" in self.headers()

    def connect(self) -> None:
        self.join()
        self.send(masked(BINARY, HELLO))
        assert self.frame() == (BINARY, b"\x20\x02\x00\x00")


@pytest.fixture
def broker() -> Iterator[BrokerThread]:
    with BrokerThread(websocket_port=0, status_interval=0) as running:
        yield running


@pytest.fixture
def browser(broker: BrokerThread) -> Iterator[Browser]:
    assert broker.websocket_port
    opened = Browser(broker.websocket_port)
    yield opened
    opened.close()


def test_the_handshake_of_the_standard(browser: Browser) -> None:
    browser.send(request())
    answer = browser.headers().split("\r\n")
    assert answer[0] == "HTTP/1.1 101 Switching Protocols"
    assert f"Sec-WebSocket-Accept: {ACCEPTED}" in answer
    assert "Sec-WebSocket-Protocol: mqttv3.1" in answer


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Upgrade": None}, "426"),
        ({"Sec_WebSocket_Version": "8"}, "426"),
        ({"Sec_WebSocket_Key": "short"}, "400"),
        ({"Sec_WebSocket_Key": "!" * 24}, "400"),
        ({"Connection": "close"}, "400"),
        ({"Sec_WebSocket_Protocol": "chat"}, "400"),
        ({"Sec_WebSocket_Protocol": None}, "400"),
        ({"Origin": "https://evil.example"}, "403"),
        ({"Origin": "http://evil.example", "Host": "evil.example:9001"}, "403"),
        ({"Origin": "null"}, "403"),
        ({"Origin": "http://[broken"}, "403"),
    ],
)
def test_what_is_no_upgrade_is_refused(browser: Browser, changes: dict[str, str | None], status: str) -> None:
    browser.send(request(**changes))
    assert browser.headers().startswith(f"HTTP/1.1 {status}")
    assert browser.rest()


def test_a_request_without_an_end_is_refused(browser: Browser) -> None:
    browser.send(request()[:-4] + b"y" * 20_000)
    assert browser.headers().startswith("HTTP/1.1 4")


@pytest.mark.parametrize(
    "changes",
    [
        {"Origin": "http://localhost:8080"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://[::1]:5"},
        {"Origin": "http://192.168.1.5:8000", "Host": "192.168.1.5:9001"},
        {"Origin": f"http://{socket.gethostname()}", "Host": f"{socket.gethostname()}:9001"},
        {"Upgrade": "WebSocket", "Connection": "upgrade"},
        {"Sec_WebSocket_Protocol": "mqtt"},
    ],
)
def test_pages_of_this_machine_and_programs_may_join(browser: Browser, changes: dict[str, str | None]) -> None:
    browser.send(request(**changes))
    assert "101" in browser.headers()


def test_where_a_password_is_asked_for_any_page_may_try() -> None:
    with BrokerThread(websocket_port=0, passwords=Passwords({"me": "secret"})) as broker:
        assert broker.websocket_port
        browser = Browser(broker.websocket_port)
        browser.send(request(Origin="https://dashboard.example"))
        assert "101" in browser.headers()
        browser.send(masked(BINARY, HELLO))
        assert browser.frame() == (BINARY, b"\x20\x02\x00\x05")
        browser.close()


def test_messages_go_both_ways(broker: BrokerThread, browser: Browser) -> None:
    browser.connect()
    with Wire(broker.port) as wire:
        wire.connect("wire")
        wire.subscribe("up")
        browser.send(masked(BINARY, b"\x82\x09\x00\x01\x00\x04down\x00"))
        assert browser.frame() == (BINARY, b"\x90\x03\x00\x01\x00")
        for size in (1, 200, 70_000):
            payload = b"x" * size
            browser.send(masked(BINARY, packet(0x30, text("up"), payload)))
            assert wire.message().payload == payload
            wire.publish("down", payload)
            assert browser.frame() == (BINARY, packet(0x30, text("down"), payload))


def test_mqtt_6_0_0_2_packets_need_not_fit_frames(broker: BrokerThread, browser: Browser) -> None:
    browser.join()
    stream = HELLO + packet(0x82, b"\x00\x01", text("t"), b"\x00") + packet(0x30, text("t"), b"abc")
    browser.send(masked(BINARY, stream[:1], fin=False))
    for place in range(1, len(stream) - 1):
        browser.send(masked(0, stream[place : place + 1], fin=False), masked(PING, b"hey"))
    browser.send(masked(0, stream[-1:], fin=True))
    got, pongs = b"", 0
    while len(got) < 4 + 5 + 8:
        opcode, payload = browser.frame()
        if opcode == PONG:
            assert payload == b"hey"
            pongs += 1
        else:
            got += payload
    assert got == b"\x20\x02\x00\x00\x90\x03\x00\x01\x00" + packet(0x30, text("t"), b"abc")
    assert pongs > 0


def test_a_frame_in_single_bytes(browser: Browser) -> None:
    for byte in request() + masked(BINARY, HELLO):
        browser.send(bytes((byte,)))
    assert "101" in browser.headers()
    assert browser.frame() == (BINARY, b"\x20\x02\x00\x00")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (masked(TEXT, b"hello"), 1003),
        (encode_frame(BINARY, HELLO), 1002),
        (b"\xc2\x80" + MASK, 1002),
        (masked(0, b"x"), 1002),
        (masked(3, b"x"), 1002),
        (masked(11, b"x"), 1002),
        (masked(PING, b"x", fin=False), 1002),
        (masked(PING, b"x" * 126), 1002),
        (masked(BINARY, b"", fin=False) + masked(BINARY, b""), 1002),
    ],
    ids=["text", "unmasked", "reserved", "nothing_begun", "data_3", "control_11", "ping_part", "ping_long", "nested"],
)  # fmt: skip
def test_mqtt_6_0_0_1_what_is_no_binary_frame_ends_the_connection(browser: Browser, data: bytes, code: int) -> None:
    browser.join()
    browser.send(data)
    opcode, payload = browser.frame()
    assert (opcode, int.from_bytes(payload[:2], "big")) == (CLOSE, code)
    assert browser.rest() == b""


def test_a_close_is_answered_and_sends_the_will(broker: BrokerThread, browser: Browser) -> None:
    with Wire(broker.port) as wire:
        wire.connect("watcher")
        wire.subscribe("gone")
        browser.join()
        will = packet(0x10, text("MQTT"), b"\x04\x06\x00\x00", text("me"), text("gone"), text("x"))
        browser.send(masked(BINARY, will))
        browser.frame()
        browser.send(masked(PONG, b""), masked(CLOSE, b"\x03\xe8bye"))
        assert browser.frame() == (CLOSE, b"\x03\xe8")
        assert wire.message().payload == b"x"


def test_a_fault_in_mqtt_closes_the_websocket(browser: Browser) -> None:
    browser.connect()
    browser.send(masked(BINARY, b"\x00\x00"))
    assert browser.frame() == (CLOSE, b"\x03\xe8")
    assert browser.rest() == b""


def test_who_never_finishes_the_handshake_is_closed() -> None:
    with BrokerThread(websocket_port=0, limits=Limits(connect_timeout=0.05)) as broker:
        assert broker.websocket_port
        browser = Browser(broker.websocket_port)
        browser.send(request()[:50])
        browser.rest()
        browser.close()


def test_stopping_says_goodbye_on_websockets() -> None:
    with BrokerThread(websocket_port=0) as broker:
        assert broker.websocket_port
        browser = Browser(broker.websocket_port)
        browser.connect()
    assert browser.frame() == (CLOSE, b"\x03\xe8")
    browser.close()


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_a_mask_is_taken_off_as_it_was_put_on(data: bytes, mask: bytes) -> None:
    assert unmask(data, mask) == bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
