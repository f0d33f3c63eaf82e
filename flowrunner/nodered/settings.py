"""Turns the brokers of an export into connections, and into the text of `flowrunner.yaml`."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowrunner.address import BadAddress, parse_address
from flowrunner.nodered.export import Export, Node
from flowrunner.nodered.layout import comment, entry
from flowrunner.nodered.names import Names, slug
from flowrunner.nodered.outcome import Outcomes
from flowrunner.nodered.values import Constant, option

_SCHEME = re.compile(r"(mqtts?|tcp|ssl|tls|wss?)://")
DEFAULT = "default"


@dataclass(slots=True)
class Connections:
    """The names of the connections by the id of their broker, what is written of each, and remarks on them."""

    names: dict[str, str] = field(default_factory=dict)
    entries: dict[str, Any] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)

    def text(self, variables: Mapping[str, str]) -> str:
        """The text of `flowrunner.yaml`; nothing where there is nothing to say."""
        if not self.entries and not variables:
            return ""
        lines = ["# Brokers and constants, imported from Node-RED."]
        if self.entries:
            lines.append("connections:")
            for name, value in self.entries.items():
                for remark in self.remarks.get(name, ()):
                    lines += comment(remark, 2)
                lines += entry(name, value, 2)
        if variables:
            lines += ["# In Node-RED these came from the environment: give them their values.", "vars:"]
            for word, ours in variables.items():
                lines += entry(ours, f"to do: {word}", 2)
        return "\n".join(lines) + "\n"


def read_connections(export: Export, outcomes: Outcomes) -> Connections:
    """The connections of all brokers; the one that is used most is the default one."""
    brokers = list(export.of_type("mqtt-broker"))
    used = Counter(node.text("broker") for node in export.nodes.values() if node.type in ("mqtt in", "mqtt out"))
    order = sorted(brokers, key=lambda broker: -used[broker.id])  # the first one where several are used as much
    found, names = Connections(), Names(frozenset({DEFAULT}))
    for place, broker in enumerate(order):
        name = DEFAULT if place == 0 else names.take(slug(broker.name or broker.text("broker"), "broker"))
        found.names[broker.id] = name
        found.entries[name] = _entry(broker, export, name, found, outcomes)
    return found


def _entry(broker: Node, export: Export, name: str, found: Connections, outcomes: Outcomes) -> Any:
    """What stands below the name of a connection."""
    remarks: list[str] = found.remarks.setdefault(name, [])
    url, is_certain = _url(broker)
    if not is_certain:
        remarks.append(f"to do: the address was {broker.text('broker')!r}")
        outcomes.not_done(broker, f"its address: write it into flowrunner.yaml, `connections.{name}`")
    options: dict[str, Any] = {"url": url}
    user = broker.fields.get("credentials")
    if isinstance(user, dict) and isinstance(user.get("user"), str) and user["user"]:
        options["username"] = option(Constant(user["user"]))
        remarks.append('to do: `password: ${env.MQTT_PASSWORD}`, or `${file("...")}`')
        outcomes.approximated(broker, "its password is not copied: give it in flowrunner.yaml")
    if broker.text("protocolVersion") in ("3", "4", "5"):
        options |= {} if broker.text("protocolVersion") != "5" else {"protocol": "5"}
    keepalive = int(broker.number("keepalive", 60))
    if keepalive != 60 and 0 < keepalive <= 65_535:
        options["keepalive"] = f"{keepalive}s"
    if broker.text("clientid") and broker.fields.get("cleansession") is False:
        options |= {"client_id": option(Constant(broker.text("clientid"))), "session": {"keep": "1h"}}
        outcomes.approximated(broker, "keeps its session for an hour: see `session` in flowrunner.yaml")
    if broker.flag("usetls"):
        _remark_on_tls(broker, export, remarks, outcomes)
    for key, word in (("birthTopic", "when it connects"), ("closeTopic", "when it ends"), ("willTopic", "as its will")):
        if broker.text(key):
            outcomes.approximated(broker, f"what it publishes {word} is left out")
    outcomes.done(broker, note=f"the connection `{name}`")
    return options["url"] if list(options) == ["url"] else options


def _remark_on_tls(broker: Node, export: Export, remarks: list[str], outcomes: Outcomes) -> None:
    tls = export.nodes.get(broker.text("tls"))
    if tls is None:
        return
    files = {"ca": tls.text("ca"), "cert": tls.text("cert"), "key": tls.text("key")}
    shown = ", ".join(f"{key}: {path}" for key, path in files.items() if path)
    remarks.append(f"to do: `tls: {{{shown or 'ca: ..., cert: ..., key: ...'}}}`, where the broker needs it")
    outcomes.approximated(tls, "its files are a comment in flowrunner.yaml")


def _url(broker: Node) -> tuple[str, bool]:
    """The address, and whether it is one."""
    host, port = broker.text("broker").strip() or "localhost", int(broker.number("port", 1883))
    if _SCHEME.match(host):
        text = host
    else:
        scheme = "mqtts" if broker.flag("usetls") else "mqtt"
        host = f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
        text = f"{scheme}://{host}:{port}"
    try:
        address = parse_address(text)
    except BadAddress:
        return "mqtt://localhost:1883", False
    if address.password is not None or "${" in text:
        return "mqtt://localhost:1883", False
    return re.sub(r"^tcp:", "mqtt:", re.sub(r"^(ssl|tls):", "mqtts:", text)), True
