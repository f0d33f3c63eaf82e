"""A Redis behind TLS: certificates of both sides, and what is said where one of them is not right."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.remote.address import StateSettings
from flowrunner.run import redis_state
from tests.certificates import Authority, make_authority
from tests.mosquitto import free_port
from tests.redis_server import RedisServer, require_redis
from tests.remote.asking import asked

pytestmark = pytest.mark.redis

LOCAL = "IP:127.0.0.1,DNS:localhost"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    require_redis()
    made = make_authority(tmp_path_factory.mktemp("certificates"))
    made.sign("server", hosts=LOCAL)
    made.sign("other-name", hosts="DNS:redis.example.org")
    made.sign("late", hosts=LOCAL, days=-1)
    made.sign("client")
    made.sign("locked", passphrase="open sesame")
    make_authority(made.folder, "stranger").sign("strange")
    (made.folder / "junk.pem").write_text("no certificate\n")
    (made.folder / "junk.key").write_text("no key\n")
    return made


class TlsRedis(RedisServer):
    """A Redis with a second port for TLS."""

    def __init__(self, folder: Path, authority: Authority, certificate: str = "server", *, wants_ours: bool) -> None:
        self.tls_port, place = free_port(), authority.folder
        files = ["--tls-cert-file", f"{place}/{certificate}.pem", "--tls-key-file", f"{place}/{certificate}.key"]
        asks = ["--tls-ca-cert-file", authority.certificate, "--tls-auth-clients", "yes" if wants_ours else "no"]
        super().__init__(folder, "--tls-port", str(self.tls_port), *files, *asks)
        self.authority = authority

    @property
    def settings(self) -> StateSettings:
        return StateSettings("rediss", "127.0.0.1", self.tls_port, ca=self.authority.certificate)

    def with_ours(self, certificate: str, key: str) -> StateSettings:
        """Its address, with a certificate and a key of ours."""
        folder = self.authority.folder
        return replace(self.settings, cert=f"{folder}/{certificate}.pem", key=f"{folder}/{key}.key")


@pytest.fixture(scope="module")
def server(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsRedis]:
    with TlsRedis(tmp_path_factory.mktemp("redis"), authority, wants_ours=False) as found:
        yield found


@pytest.fixture(scope="module")
def strict(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsRedis]:
    with TlsRedis(tmp_path_factory.mktemp("strict"), authority, wants_ours=True) as found:
        yield found


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_tls_with_an_authority_of_our_own(server: TlsRedis, host: str) -> None:
    async with asked(replace(server.settings, host=host)) as here:
        answer = await here.count("a", "b")
        assert len(answer.results) == 2
        assert here.told.text == f"state: in rediss://{host}:{server.tls_port}/0\n"


async def test_a_large_answer_comes_whole(server: TlsRedis) -> None:
    async with asked(server.settings) as here:
        answer = await here.count(*(f"{number:03}" * 1000 for number in range(100)), path="flow:state:large")
        assert len(answer.results) == 100


@pytest.mark.parametrize(
    ("ca", "words"),
    [
        ("stranger.pem", "its certificate is not trusted: self-signed certificate in certificate chain: `ca=` is not"),
        ("", "name the file of the authority that signed it, `?ca=ca.pem`"),
        ("junk.pem", "the file of `ca=` holds no certificate in PEM"),
        ("gone.pem", "a file of `ca=`, `cert=` or `key=` is gone"),
    ],
)
async def test_a_wrong_authority(server: TlsRedis, ca: str, words: str) -> None:
    path = str(server.authority.folder / ca) if ca else ""
    async with asked(replace(server.settings, ca=path)) as here:
        said = await here.refused(words)
        assert said.startswith(f"warning: state: rediss://127.0.0.1:{server.tls_port}/0: ")
        assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ("other-name", "it is for another name than `127.0.0.1`: use the name that stands in it"),
        ("late", "its certificate is not trusted: it has expired"),
    ],
)
async def test_a_certificate_that_is_not_right(
    authority: Authority, tmp_path: Path, certificate: str, words: str
) -> None:
    with TlsRedis(tmp_path, authority, certificate, wants_ours=False) as server:
        async with asked(server.settings) as here:
            await here.refused(words)


async def test_without_tls_to_a_port_for_tls(server: TlsRedis) -> None:
    async with asked(replace(server.settings, scheme="redis", ca="")) as here:
        await here.refused("is it a port for TLS (`rediss://`)?")


async def test_with_tls_to_a_port_without(server: TlsRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_state, "PATIENCE", 0.2)  # it takes the greeting for a line that has not ended
    async with asked(replace(server.settings, port=server.port)) as here:
        await here.refused("it does not answer: is it a port without TLS (`redis://`)?")


async def test_a_certificate_of_ours(strict: TlsRedis) -> None:
    async with asked(strict.with_ours("client", "client")) as here:
        assert len((await here.count("a")).results) == 1


async def test_it_wants_a_certificate_of_ours(strict: TlsRedis) -> None:
    async with asked(strict.settings) as here:
        await here.refused("give `?cert=me.pem&key=me.key`")


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        ("strange", "strange", "accept our certificate"),
        ("client", "server", "`key=` is not the key of `cert=`"),
        ("junk", "client", "the file of `cert=` or of `key=` holds none in PEM"),
        ("client", "junk", "the file of `cert=` or of `key=` holds none in PEM"),
        ("locked", "locked", "or wants a pass phrase"),
    ],
)
async def test_a_wrong_certificate_of_ours(strict: TlsRedis, certificate: str, key: str, words: str) -> None:
    async with asked(strict.with_ours(certificate, key)) as here:
        await here.refused(words)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("on >other", "the user or the password is wrong"),
        ("off >secret", "the user or the password is wrong"),
        ("on >secret ~other:* +@all", "this user may not do what is needed"),
        ("on >secret ~flowrunner:* +@all -evalsha", "this user may not do what is needed"),
        ("on >secret ~flowrunner:* +@all -zadd", "this user may not do what is needed"),
        ("on >secret ~flowrunner:* +@read +@write +@scripting +@connection", "this user may not do what is needed"),
    ],
)
async def test_a_user_who_may_not(server: TlsRedis, rules: str, words: str) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "me", "reset", *rules.split())
    async with asked(replace(server.settings, username="me", password="secret")) as here:
        said = await here.refused(words)
        assert "secret" not in said


async def test_the_rules_that_are_proposed_are_enough(server: TlsRedis) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "me", "reset", "on", ">secret", "~other:*", "+@all")
    async with asked(replace(server.settings, username="me", password="secret")) as here:
        said = await here.refused("lets it")
        rules = said.partition("`ACL SETUSER ... ")[2].partition("`")[0].split()
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "me", "reset", "on", ">secret", *rules)
        await here.says(f"state: in {server.settings.shown}")
        assert len((await here.count("a")).results) == 1
