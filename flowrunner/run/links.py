"""Chooses what carries the traffic of a connection."""

import os

import paho.mqtt.client as paho

from flowrunner.run.link import Link, Trouble
from flowrunner.run.moderation import Moderation
from flowrunner.run.plain import PlainLink
from flowrunner.run.router import Router
from flowrunner.run.wire import WireLink

#: `off` makes every message go through paho's own packets, to find out whether the wire is to blame for something.
SWITCH = "FLOWRUNNER_WIRE"

#: What paho keeps private and is touched: where sockets come from, who gives out packet identifiers, and pings.
PRIVATE = (
    "_create_socket",
    "_create_socket_connection",
    "_create_unix_socket_connection",
    "_mid_generate",
    "_send_pingreq",
    "_handle_pingresp",
)


def make_link(router: Router, trouble: Trouble, *, members: int = 1) -> Link:
    """What carries the traffic of a new connection: the wire, or plain paho where it cannot or must not be.

    `members` are the processes of this machine among which its messages are dealt.
    """
    if os.environ.get(SWITCH, "").lower() == "off" or not knows_paho():
        return PlainLink(router.deliver, trouble)
    return WireLink(router, trouble, moderation=Moderation(members))


def knows_paho() -> bool:
    """Whether the version of paho that is installed can be used in full."""
    return all(callable(getattr(paho.Client, name, None)) for name in PRIVATE)
