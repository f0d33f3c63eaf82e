"""Turns a connection into a list of findings: each step on the way to its broker, and what it allows."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from time import perf_counter
from typing import Any, Literal, TypeVar

from flowrunner.connections import ConnectionSettings
from flowrunner.errors import ConnectionFailed
from flowrunner.run import refusals
from flowrunner.run.client import PATIENCE, tls_context
from flowrunner.run.link import Terms
from flowrunner.run.probe import Probe, listen_near, spoken
from flowrunner.run.running import read_running
from flowrunner.run.threads import in_thread
from flowrunner.topics import BadTopic, Filter, matches, parse_filter
from flowrunner.topics.near import nearest

#: Days of a certificate below which its end is told.
SOON = 30

_FAILURE = 0x80
_GRANTED = 2

State = Literal["fine", "hint", "bad"]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one step came to. `milliseconds` is how long it took, None where that means nothing."""

    step: str
    state: State
    text: str
    milliseconds: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wish:
    """A filter that flows subscribe to, with the highest QoS that they want."""

    filter: Filter
    qos: int = 0


class Examination:
    """Looks at one connection step by step; after a bad step that the next ones need, nothing follows.

    `own_id` is the client id that a runner would use, empty if it has none yet; `wishes` are the filters of its flows;
    `seconds` is how long it listens to them. Nothing of it disturbs a runner: it connects under an id of its own.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        *,
        own_id: str,
        wishes: Sequence[Wish] = (),
        folder: Path | None = None,
        seconds: float = 3.0,
    ) -> None:
        self.settings = settings
        self.own_id = own_id
        self.wishes = wishes
        self.folder = folder
        self.seconds = seconds

    async def findings(self) -> AsyncGenerator[Finding, None]:
        """The findings, as they come."""
        try:
            async for finding in self._network():
                yield finding
            async with Probe(self.settings) as probe:
                async for finding in self._broker(probe):
                    yield finding
        except ConnectionFailed as failed:
            yield Finding("connection", "bad", str(failed))
        except (OSError, ValueError) as error:
            yield Finding("connection", "bad", refusals.unreachable(error, self.settings).words)
        except TimeoutError:
            yield Finding("connection", "bad", f"{self.settings.shown} does not answer any more")

    async def _network(self) -> AsyncGenerator[Finding, None]:
        settings = self.settings
        if settings.scheme == "mqtt+unix":
            took, raw = await _timed(self._unix)
            raw.close()
            yield Finding("socket", "fine", f"connected to {settings.path}", took)
            return
        took, addresses = await _timed(self._look_up)
        yield Finding("name", "fine", f"{settings.host} is {', '.join(addresses)}", took, {"addresses": addresses})
        took, raw = await _timed(self._connect)
        peer = raw.getpeername()
        yield Finding("network", "fine", f"connected to {peer[0]} port {peer[1]}", took)
        if settings.scheme in ("mqtts", "wss"):
            try:
                took, tls = await _timed(lambda: self._encrypt(raw))
            finally:
                raw.close()
            with tls:
                yield self._encryption(tls, took)
        else:
            raw.close()
            is_near = settings.host in ("localhost", "127.0.0.1", "::1")
            words = "none; it stays here" if is_near else "none: passwords and messages can be read on the way"
            yield Finding("encryption", "fine" if is_near else "hint", words)

    async def _broker(self, probe: Probe) -> AsyncGenerator[Finding, None]:
        terms = probe.terms
        version = "5" if terms.version == 5 else "3.1.1"
        user = f" as user `{self.settings.username}`" if self.settings.username else ""
        yield Finding("broker", "fine", f"lets us in{user}, with MQTT {version}", None, {"protocol": version})
        yield _limits(terms)
        topic = f"flowrunner/doctor/{token_hex(8)}"
        async for finding in self._round_trips(probe, topic):
            yield finding
        yield await _shared(probe, terms, topic)
        async for finding in self._filters(probe):
            yield finding
        yield await self._holder(probe)

    async def _round_trips(self, probe: Probe, topic: str) -> AsyncGenerator[Finding, None]:
        code = await probe.subscribe(topic, 2)
        if code >= _FAILURE:
            yield Finding("round trip", "hint", f"not tried on {topic}: {refusals.not_subscribed(code)}")
            return
        times: dict[str, float | None] = {}
        for qos in range(min(code, probe.terms.maximum_qos) + 1):
            took = await probe.round_trip(topic, qos)
            times[f"QoS {qos}"] = took and round(took * 1_000, 2)
        told = ", ".join(f"{name} {f'{ms:.1f} ms' if ms is not None else 'never came'}" for name, ms in times.items())
        state: State = "fine" if None not in times.values() else "hint"
        why = "" if state == "fine" else f": may we publish to {topic}?"
        yield Finding("round trip", state, told + why, None, {"milliseconds": times})

    async def _filters(self, probe: Probe) -> AsyncGenerator[Finding, None]:
        granted: dict[str, int] = {}
        for wish in self.wishes:
            text = "/".join(wish.filter.levels)  # a share would take messages away from a runner
            granted[wish.filter.text] = await probe.subscribe(text, wish.qos)
        own = [wish.filter for wish in self.wishes if granted[wish.filter.text] < _FAILURE]
        await asyncio.sleep(min(self.seconds, 0.2) if own else 0)
        silent = [one for one in own if not any(matches(one, topic) for topic in probe.topics())]
        await listen_near(probe, silent)
        await asyncio.sleep(self.seconds if silent else 0)
        topics = probe.topics()
        for wish in self.wishes:
            yield _filter(wish, granted[wish.filter.text], probe)
            heard = any(matches(wish.filter, topic) for topic in topics)
            if not heard and granted[wish.filter.text] < _FAILURE:
                yield _silence(wish.filter, nearest(wish.filter, topics), self.seconds)

    async def _holder(self, probe: Probe) -> Finding:
        """Who uses the client id that a runner of these flows would use; nobody is thrown out to find that out."""
        if not self.own_id:
            return Finding("client id", "fine", "none yet: the first run makes one, and keeps it beside the flows")
        running = read_running(self.folder) if self.folder is not None else None
        if running is not None and running.is_alive:
            since = datetime.fromtimestamp(running.since).astimezone().strftime("%H:%M:%S")
            words = f"`{self.own_id}` is used by the runner of these flows (process {running.process}, since {since})"
            return Finding("client id", "fine", words, None, {"client_id": self.own_id, "process": running.process})
        details = {"client_id": self.own_id}
        topic = f"flowrunner/{self.own_id}/status"
        try:
            parse_filter(topic)
        except BadTopic:
            return Finding("client id", "fine", f"`{self.own_id}`", None, details)
        if await probe.subscribe(topic) < _FAILURE:
            await asyncio.sleep(0.1)
        said = [heard.payload for heard in probe.heard if heard.topic == topic]
        if said and said[-1] == b"online":
            words = f"`{self.own_id}` is used by a runner elsewhere: two with one id throw each other out"
            return Finding("client id", "hint", words, None, details)
        return Finding("client id", "fine", f"`{self.own_id}` is free, as far as the broker tells", None, details)

    def _unix(self) -> socket.socket:
        raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            raw.connect(self.settings.path)
        except BaseException:
            raw.close()
            raise
        return raw

    def _look_up(self) -> list[str]:
        found = socket.getaddrinfo(self.settings.host, self.settings.port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(address[4][0]) for address in found))

    def _connect(self) -> socket.socket:
        return socket.create_connection((self.settings.host, self.settings.port), timeout=PATIENCE)

    def _encrypt(self, raw: socket.socket) -> ssl.SSLSocket:
        return tls_context(self.settings).wrap_socket(raw, server_hostname=self.settings.host)

    def _encryption(self, tls: ssl.SSLSocket, took: float) -> Finding:
        certificate = tls.getpeercert() or {}
        until = str(certificate.get("notAfter", ""))
        days = int((ssl.cert_time_to_seconds(until) - datetime.now(UTC).timestamp()) / 86_400) if until else 0
        version, cipher = tls.version(), tls.cipher()
        text = f"{version}, {cipher[0] if cipher else 'no cipher'}; its certificate is good for {days} more days"
        details = {"version": version, "days": days}
        return Finding("encryption", "fine" if days >= SOON else "hint", text, took, details)


async def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """What work in a thread gives, and the milliseconds that it took."""
    began = perf_counter()
    waiting: Awaitable[Result] = in_thread(work, abandoned=lambda: None)
    async with asyncio.timeout(2 * PATIENCE):
        result = await waiting
    return round((perf_counter() - began) * 1_000, 2), result


def _limits(terms: Terms) -> Finding:
    """What a broker allows, and what it does not have."""
    lacks = [
        words
        for words, has in (
            ("retained messages", terms.has_retain),
            ("wildcards", terms.has_wildcards),
            ("subscription identifiers", terms.has_identifiers or terms.version != 5),
            (f"QoS {terms.maximum_qos + 1}", terms.maximum_qos == 2),
        )
        if not has
    ]
    if terms.version != 5:
        text = "MQTT 3.1.1 brokers do not say what they allow"
    else:
        packet = "of any size" if terms.maximum_packet is None else f"up to {terms.maximum_packet} bytes"
        text = f"packets {packet}, {terms.receive_maximum} of ours in flight"
    if lacks:
        text += f"; it has no {', no '.join(lacks)}"
    details = {
        "maximum_packet": terms.maximum_packet,
        "receive_maximum": terms.receive_maximum,
        "maximum_qos": terms.maximum_qos,
        "retained": terms.has_retain,
        "wildcards": terms.has_wildcards,
    }
    return Finding("limits", "hint" if lacks else "fine", text, None, details)


async def _shared(probe: Probe, terms: Terms, topic: str) -> Finding:
    """Whether the broker has shared subscriptions (MQTT 5.0 section 4.8.2)."""
    has_shared = terms.has_shared and await probe.subscribe(f"$share/doctor/{topic}") < _FAILURE
    text = (
        "there are shared subscriptions"
        if has_shared
        else "there are no shared subscriptions: `share:` and `--workers` need them"
    )
    return Finding("shared", "fine" if has_shared else "hint", text, None, {"has_shared": has_shared})


def _filter(wish: Wish, code: int, probe: Probe) -> Finding:
    text = wish.filter.text
    details: dict[str, Any] = {"filter": text, "wanted": wish.qos}
    if code >= _FAILURE:
        return Finding("filter", "bad", f"{text}: {refusals.not_subscribed(code)}", None, details)
    kept = sum(matches(wish.filter, topic) for topic in probe.topics(is_retained=True))
    details |= {"granted": code, "retained": kept}
    lower = f" instead of {wish.qos}" if code < wish.qos else ""
    told = f"{text}: QoS {code} granted{lower}, {kept} retained message{'' if kept == 1 else 's'}"
    return Finding("filter", "hint" if lower else "fine", told, None, details)


def _silence(wanted: Filter, near: Sequence[str], seconds: float) -> Finding:
    details = {"filter": wanted.text, "near": list(near)}
    if near:
        return Finding("silence", "hint", spoken(wanted.text, near), None, details)
    return Finding("silence", "fine", f"no message on {wanted.text} within {seconds:g} s", None, details)


def wishes_of(filters: Sequence[tuple[Filter, int]]) -> list[Wish]:
    """Filters with their QoS, each once, with the highest."""
    found: dict[str, Wish] = {}
    for one, qos in filters:
        known = found.get(one.text)
        found[one.text] = Wish(one, qos) if known is None else replace(known, qos=max(qos, known.qos))
    return list(found.values())
