"""What Redis may do to those who ask it: each trouble is one clear line, and loses nothing."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.errors import StepError
from flowrunner.remote import scripts
from flowrunner.run import redis_state
from tests.redis_server import RedisServer, redis_server
from tests.remote.asking import asked
from tests.remote.fake_redis import fake_redis, one_result

__all__ = ["redis_server"]

pytestmark = pytest.mark.redis


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("READONLY You can't write against a read only replica.", "it is a read-only replica: name its master"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "it is out of memory (`maxmemory`)"),
        ("MISCONF Redis is configured to save RDB snapshots", "it cannot write to its disk, and takes no changes"),
        ("LOADING Redis is loading the dataset in memory", "it is still loading its data"),
        ("BUSY Redis is busy running a script.", "it is busy with a script"),
        ("NOREPLICAS Not enough good replicas to write.", "it has too few replicas, and takes no changes"),
        ("MASTERDOWN Link with MASTER is down", "it is a replica that has lost its master"),
        ("CLUSTERDOWN The cluster is down", "its cluster is down"),
        ("TRYAGAIN Multiple keys request during rehashing of slot", "its cluster is moving our keys"),
        ("ASK 3999 127.0.0.1:6381", "its cluster is moving our keys"),
        ("NOAUTH Authentication required.", "it wants a password"),
        ("NOPERM this user has no permissions to run the 'evalsha' command", "this user may not do what is needed"),
        ("ERR Error running script: Script killed by user with SCRIPT KILL.", "somebody has ended our script there"),
    ],
)
async def test_what_passes_is_waited_for(answer: str, words: str) -> None:
    answers = [f"-{answer}\r\n".encode()] * 3

    def reply(said: list[bytes]) -> bytes:
        return answers.pop() if said[0] == b"EVALSHA" and answers else one_result(said)

    async with fake_redis(reply) as server, asked(server.settings) as here:
        found = await here.count("a")
        assert found.results == [[1, b"1"]]
        assert here.told.count(words) == 1
        assert here.told.count("warning") == 1
        assert here.told.count("back on") + here.told.count("state: in ") == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            "ERR Error running script: Write commands not allowed after non deterministic commands",
            "it is too old: Redis 5 or later is needed",
        ),
        ("ERR unknown command 'EVAL'", "unknown command 'EVAL'"),
        ("ERR This instance has cluster support disabled", "cluster support disabled"),
    ],
)
async def test_what_is_seen_when_it_is_asked_first(answer: str, words: str) -> None:
    async with fake_redis(lambda _: f"-{answer}\r\n".encode()) as server, asked(server.settings) as here:
        await here.refused(words)
        assert server.count(b"EVALSHA") == 0


async def test_what_is_no_redis() -> None:
    async with fake_redis(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n") as server, asked(server.settings) as here:
        await here.refused("it does not speak as a Redis does")


async def test_a_new_reason_is_said_and_an_old_one_not_again() -> None:
    answers = [b"-NOAUTH Authentication required.\r\n", b"-OOM command not allowed\r\n", b"-LOADING is loading\r\n"] * 4

    def reply(said: list[bytes]) -> bytes:
        return answers.pop() if said[0] == b"EVALSHA" and answers else one_result(said)

    async with fake_redis(reply) as server, asked(server.settings) as here:
        await here.count("a")
        lines = [line.partition("; ")[0].rpartition(": ")[2] for line in here.told.text.splitlines()]
        assert lines[0] == "it is still loading its data"
        assert lines[1:3] == ["it is out of memory (`maxmemory`)", "it wants a password"]
        assert len(lines) == 4


async def test_a_call_whose_answer_was_cut_off_says_so_when_it_is_made_again() -> None:
    times = iter(range(10))

    def reply(said: list[bytes]) -> bytes | None:
        if said[0] == b"EVALSHA" and next(times) < 2:
            return None
        return one_result(said)

    async with fake_redis(reply) as server, asked(server.settings) as here:
        await here.count("a")
        calls = [words for words in server.got if words[0] == b"EVALSHA"]
        assert [words[7] for words in calls] == [b"0", b"1", b"1"]
        assert len({(words[4], words[6]) for words in calls}) == 1  # the slot and the number of the call


async def test_one_that_never_keeps_a_script_does_not_set_the_loop_spinning() -> None:
    def reply(said: list[bytes]) -> bytes:
        return b"-NOSCRIPT No matching script.\r\n" if said[0] == b"EVALSHA" else one_result(said)

    async with fake_redis(reply) as server, asked(server.settings) as here:
        await here.refused("it forgets our scripts at once")
        assert server.count(b"EVALSHA") < 10


async def test_a_node_of_a_cluster_sends_us_to_another(redis_server: RedisServer) -> None:
    def reply(_: list[bytes]) -> bytes:
        return f"-MOVED 3999 127.0.0.1:{redis_server.port}\r\n".encode()

    async with fake_redis(reply) as server, asked(server.settings) as here:
        assert len((await here.count("a")).results) == 1
        assert here.told.text == f"state: in {redis_server.settings.shown}\n"


async def test_nodes_of_a_cluster_that_send_us_round_and_round() -> None:
    async with (
        fake_redis(lambda _: b"-MOVED 3999 127.0.0.1:%d\r\n" % server.port) as server,
        asked(server.settings) as here,
    ):
        await here.refused(f"its cluster keeps our keys at 127.0.0.1:{server.port}")
        assert server.count(b"EVAL") < 20


async def test_back_to_the_first_node_when_the_other_is_gone(redis_server: RedisServer) -> None:
    ways = [b"-MOVED 3999 127.0.0.1:%d\r\n" % redis_server.port]

    def reply(said: list[bytes]) -> bytes:
        return ways[0] if ways else one_result(said)

    async with fake_redis(reply) as server, asked(server.settings) as here:
        await here.count("a")
        ways.clear()
        redis_server.kill()
        assert (await here.count("a")).results == [[1, b"1"]]
        assert here.told.text.endswith(f"state: back on {server.settings.shown}\n")


async def test_scripts_that_were_flushed_are_loaded_again(redis_server: RedisServer) -> None:
    async with asked(redis_server.settings) as here:
        await here.count("a")
        with redis_server.client() as client:
            client.script_flush()
        found = await asyncio.gather(*(here.count("a") for _ in range(10)))
        assert [one.results[0][1] for one in found] == [b"%d" % number for number in range(2, 12)]
        assert here.told.count("warning") == 0


async def test_a_redis_that_was_emptied_begins_anew(redis_server: RedisServer) -> None:
    async with asked(redis_server.settings) as here:
        await here.count("a")
        with redis_server.client() as client:
            client.flushall()
        assert (await here.count("a")).results == [[1, b"1"]]
        assert here.told.count("warning") == 0


async def test_a_slow_redis_counts_nothing_twice(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_state, "PATIENCE", 0.1)
    async with asked(redis_server.settings) as here:
        await here.count("a")
        with redis_server.client() as client:
            client.execute_command("CLIENT", "PAUSE", "600", "ALL")
        found = await asyncio.gather(*(here.count("a") for _ in range(10)))
        assert [one.results[0][1] for one in found] == [b"%d" % number for number in range(2, 12)]
        assert here.told.count("it does not answer") == 1


async def test_a_key_of_another_kind_costs_its_own_step_only(redis_server: RedisServer) -> None:
    async with asked(redis_server.settings) as here:
        with redis_server.client() as client:
            client.set("flowrunner:{asked}:flow:state:other:values", "of another program")
        calls = [here.count("a"), here.count("a", path="flow:state:other"), here.count("a")]
        first, wrong, last = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(wrong, StepError)
        assert wrong.code == "state-failed"
        assert "WRONGTYPE" in wrong.message
        assert not isinstance(first, BaseException)
        assert not isinstance(last, BaseException)
        assert [first.results, last.results] == [[[1, b"1"]], [[1, b"2"]]]


@pytest.mark.parametrize("options", [("--replicaof", "127.0.0.1", "1"), ("--maxmemory", "1")])
async def test_what_redis_cannot_do_is_said_before_a_message_comes(tmp_path: Path, options: tuple[str, ...]) -> None:
    with RedisServer(tmp_path / "other", *options) as server:
        async with asked(server.settings) as here:
            here.state.open()
            await here.says("replica" if "replicaof" in options[0] else "out of memory")
            with server.client() as client:
                assert client.dbsize() == 0


async def test_a_cluster_has_one_database() -> None:
    def reply(said: list[bytes]) -> bytes:
        return b"-ERR SELECT is not allowed in cluster mode\r\n" if said[0] == b"SELECT" else one_result(said)

    async with fake_redis(reply) as server, asked(replace(server.settings, db=3)) as here:
        await here.refused("a cluster has no other database than 0")


def test_all_that_scripts_do_is_checked_first() -> None:
    done = {name for script in scripts.ALL for name in re.findall(r"redis\.call\('([A-Z]+)'", script.text)}
    assert done <= set(re.findall(r"redis\.call\('([A-Z]+)'", scripts.CHECK))
