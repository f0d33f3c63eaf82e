"""Users, passwords and access lists, alone and on the wire."""

import hashlib
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.broker import AccessList, BadAccessList, BadPasswordFile, BrokerThread, Passwords
from flowrunner.topics import parse_filter
from tests.broker.wire import PUBACK, SUBACK, Wire, read_properties, u16
from tests.mosquitto import require_mosquitto

LIST = """
# what everybody without a name may do
topic read public/#

user alice
topic readwrite rooms/#
topic deny rooms/secret/#
topic write log

user bob
topic rooms/kitchen

pattern read inbox/%u/#
pattern write devices/%c/state
"""


def password_line(name: str, password: str, *, rounds: int = 0) -> str:
    salt = b"0123456789ab"
    if rounds:
        digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
        return f"{name}:$7${rounds}${b64encode(salt).decode()}${b64encode(digest).decode()}"
    digest = hashlib.sha512(password.encode() + salt).digest()
    return f"{name}:$6${b64encode(salt).decode()}${b64encode(digest).decode()}"


@pytest.mark.parametrize("rounds", [0, 101, 1])
def test_a_hashed_password_is_checked(tmp_path: Path, rounds: int) -> None:
    file = tmp_path / "passwords"
    file.write_text(f"# people\n\n{password_line('änne', 'geheim: ä', rounds=rounds)}\n", encoding="utf-8")
    passwords = Passwords()
    passwords.load(file)
    assert len(passwords) == 1
    assert passwords.accepts("änne", "geheim: ä".encode())
    assert not passwords.accepts("änne", b"geheim")
    assert not passwords.accepts("anne", "geheim: ä".encode())


@pytest.mark.broker
@pytest.mark.parametrize("kind", ["-H sha512", "-H sha512-pbkdf2"])
def test_what_mosquitto_passwd_writes_is_read(tmp_path: Path, kind: str) -> None:
    require_mosquitto()
    program = shutil.which("mosquitto_passwd")
    assert program, "mosquitto_passwd comes with mosquitto"
    file = tmp_path / "passwords"
    subprocess.run([program, *kind.split(), "-c", "-b", str(file), "me", "sécret"], check=True, capture_output=True)
    passwords = Passwords({"other": "word"})
    passwords.load(file)
    assert passwords.accepts("me", "sécret".encode())
    assert not passwords.accepts("me", b"secret")
    assert passwords.accepts("other", b"word")


@pytest.mark.parametrize(
    "line",
    [
        "me",
        "me:plain",
        "me:$5$aa$bb",
        "me:$6$aa",
        "me:$7$101$aa",
        "me:$7$x$aaaa$bbbb",
        "me:$7$0$aaaa$bbbb",
        "me:$6$!$!",
    ],
)
def test_a_broken_password_file_names_the_line_and_not_what_it_holds(tmp_path: Path, line: str) -> None:
    file = tmp_path / "passwords"
    file.write_text(f"{password_line('ok', 'ok')}\n{line}\n")
    with pytest.raises(BadPasswordFile) as caught:
        Passwords().load(file)
    assert str(caught.value) == f"{file}:2: must be NAME:HASH as mosquitto_passwd writes it"


@given(st.binary(max_size=60))
def test_any_password_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any-passwords"
    file.write_bytes(data)
    passwords = Passwords()
    try:
        passwords.load(file)
    except BadPasswordFile as error:
        assert str(error).startswith(f"{file}:")


READS = [
    (None, "public/news", True),
    (None, "rooms/hall", False),
    ("alice", "public/news", False),
    ("alice", "rooms/hall/light", True),
    ("alice", "rooms/secret/x", False),
    ("alice", "log", False),
    ("alice", "inbox/alice/1", True),
    ("alice", "inbox/bob/1", False),
    ("bob", "rooms/kitchen", True),
    ("bob", "rooms/hall", False),
    ("stranger", "public/news", False),
    ("a/b", "inbox/a/b/1", False),
    ("+", "inbox/x/1", False),
]


@pytest.mark.parametrize(("user", "topic", "expected"), READS)
def test_who_may_read(user: str | None, topic: str, expected: bool) -> None:
    assert AccessList.parse(LIST).of_client(user, "device7").may_read(topic) == expected


@pytest.mark.parametrize(
    ("user", "topic", "expected"),
    [
        ("alice", "log", True),
        ("alice", "rooms/hall", True),
        ("alice", "rooms/secret/x", False),
        ("bob", "rooms/kitchen", True),
        ("bob", "inbox/bob/x", False),
        (None, "public/news", False),
        (None, "devices/device7/state", True),
        ("bob", "devices/device7/state", True),
        ("bob", "devices/other/state", False),
    ],
)
def test_who_may_write(user: str | None, topic: str, expected: bool) -> None:
    assert AccessList.parse(LIST).of_client(user, "device7").may_write(topic) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rooms/#", True),
        ("#", True),
        ("rooms/secret/#", False),
        ("rooms/secret/door", False),
        ("rooms/+/door", True),
        ("log", False),
        ("garden/#", False),
    ],
)
def test_who_may_subscribe(text: str, expected: bool) -> None:
    assert AccessList.parse(LIST).of_client("alice", "c").may_subscribe(parse_filter(text)) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("topik read x", "must be `user NAME`, `topic MODE FILTER` or `pattern MODE FILTER`"),
        ("user", "must be `user NAME`, `topic MODE FILTER` or `pattern MODE FILTER`"),
        ("topic read a/#/b", "`#` must be the last level of a topic filter"),
        ("pattern read %u+", "`+` must stand for a whole level of a topic filter"),
    ],
)
def test_a_broken_access_list_names_its_line(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "acl"
    file.write_text(f"user me\n{line}\n")
    with pytest.raises(BadAccessList) as caught:
        AccessList.load(file)
    assert str(caught.value) == f"{file}:2: {message}"


def test_an_access_list_is_text(tmp_path: Path) -> None:
    file = tmp_path / "acl"
    file.write_bytes(b"topic read \xff")
    with pytest.raises(BadAccessList, match="must be text in UTF-8"):
        AccessList.load(file)


def test_a_name_is_put_into_a_pattern_once() -> None:
    access = AccessList.parse("pattern read in/%u/x").of_client("%c", "victim")
    assert access.may_read("in/%c/x")
    assert not access.may_read("in/victim/x")


def test_a_name_that_is_too_long_for_a_pattern_gets_nothing() -> None:
    assert not AccessList.parse("pattern read in/%u").of_client("x" * 65_535, "c").may_read("in/x")


@pytest.mark.parametrize(
    ("version", "user", "password", "code"),
    [
        (4, "me", "right", 0),
        (5, "me", "right", 0),
        (4, "me", "wrong", 4),
        (5, "me", "wrong", 0x86),
        (5, "me", None, 0x86),
        (4, "you", "right", 4),
        (4, None, None, 5),
        (5, None, None, 0x87),
        (5, None, "right", 0x87),
    ],
)
def test_only_users_with_their_password_get_in(version: int, user: str | None, password: str | None, code: int) -> None:
    with BrokerThread(passwords=Passwords({"me": "right"})) as broker, Wire(broker.port, version) as wire:
        assert wire.connect("c", user=user, password=password).body[1] == code
        if code:
            assert wire.expect_closed() == []
        else:
            assert wire.waiting() == []


def test_what_a_client_sends_while_its_password_is_checked_is_not_lost(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    file.write_text(password_line("me", "right", rounds=100_000))
    passwords = Passwords()
    passwords.load(file)
    with BrokerThread(passwords=passwords) as broker, Wire(broker.port) as wire:
        hello = b"\x10\x19\x00\x04MQTT\x04\xc2\x00\x00\x00\x02c1\x00\x02me\x00\x05right"
        wire.send(hello, b"\x82\x06\x00\x01\x00\x01t\x00", b"\x30\x04\x00\x01tx")
        assert [wire.read().kind for _ in range(3)] == [2, SUBACK, 3]


def test_a_client_id_belongs_to_its_user() -> None:
    with BrokerThread(passwords=Passwords({"me": "1", "you": "2"})) as broker, Wire(broker.port, 5) as mine:
        mine.connect("device", user="me", password="1")
        for version, code in ((4, 2), (5, 0x85)):
            with Wire(broker.port, version) as theirs:
                assert theirs.connect("device", user="you", password="2").body[1] == code
        assert mine.waiting() == []


@pytest.fixture
def guarded() -> BrokerThread:
    return BrokerThread(passwords=Passwords({"alice": "a", "bob": "b"}), access=AccessList.parse(LIST))


def test_messages_reach_only_who_may_read_them(guarded: BrokerThread) -> None:
    with guarded as broker, Wire(broker.port, 5) as alice, Wire(broker.port, 5) as bob:
        alice.connect("a", user="alice", password="a")
        bob.connect("b", user="bob", password="b")
        alice.publish("rooms/hall", b"kept", retain=True)
        alice.waiting()
        assert bob.subscribe(("#", 1), ("rooms/hall", 1), ("$share/g/#", 1)) == b"\x01\x87\x01"
        for topic in ("rooms/kitchen", "rooms/hall"):
            alice.publish(topic, b"x", qos=1)
        alice.waiting()
        assert [each.topic for each in bob.messages()] == ["rooms/kitchen", "rooms/kitchen"]


def test_who_may_not_publish_is_told(guarded: BrokerThread) -> None:
    with guarded as broker, Wire(broker.port, 5) as alice, Wire(broker.port, 4) as old, Wire(broker.port, 5) as bob:
        alice.connect("a", user="alice", password="a")
        bob.connect("b", user="bob", password="b")
        old.connect("o", user="bob", password="b")
        alice.subscribe("rooms/#")
        packet_id = bob.publish("rooms/hall", qos=1)
        answer = bob.expect(PUBACK).body
        assert answer[:3] == u16(packet_id) + b"\x87"
        assert read_properties(answer, 3)[0] == {31: ["this user may not publish to this topic"]}
        packet_id = old.publish("rooms/hall", qos=1)
        assert old.expect(PUBACK).body == u16(packet_id)
        bob.publish("rooms/hall")
        bob.waiting()
        assert alice.messages() == []


def test_a_will_needs_the_right_to_publish(guarded: BrokerThread) -> None:
    with guarded as broker:
        for topic, code in (("rooms/hall", 0x87), ("rooms/kitchen", 0)):
            with Wire(broker.port, 5) as wire:
                answer = wire.connect("b", user="bob", password="b", will=(topic, b"", 0, False))
                assert answer.body[1] == code


def test_nobody_publishes_for_the_broker() -> None:
    with BrokerThread() as broker, Wire(broker.port, 5) as wire:
        wire.connect("me")
        packet_id = wire.publish("$SYS/broker/version", b"fake", qos=1, retain=True)
        assert wire.expect(PUBACK).body[:3] == u16(packet_id) + b"\x87"
        wire.subscribe("$SYS/broker/version")
        assert wire.message().payload.startswith(b"flowrunner version")
