"""Turns a host and a port into sockets that listen there, all of them on the same port."""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

_TRIES = 20
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


async def listening_sockets(host: str, port: int) -> list[socket.socket]:
    """Return one bound socket per address of the host; OSError if there is none, or the port is taken.

    Port 0 takes a port that is free on all the addresses. An empty host stands for every interface.
    """
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = list(dict.fromkeys((info[0], info[4]) for info in infos))
    for remaining in reversed(range(_TRIES)):
        try:
            return _bind(addresses, port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE or not remaining:
                raise
    raise AssertionError("the last try returns or raises")


def is_loopback(host: str) -> bool:
    """Whether a host name or address stands for this machine and can be reached from no other."""
    name = host.lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _bind(addresses: Sequence[tuple[int, tuple[Any, ...]]], port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, address in addresses:
        try:
            bound = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            missing = error
            continue
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind((address[0], port, *address[2:]))
        except OSError as error:
            bound.close()
            if error.errno not in _NO_SUCH_ADDRESS:
                for other in sockets:
                    other.close()
                raise
            missing = error
        else:
            bound.setblocking(False)
            port = bound.getsockname()[1]
            sockets.append(bound)
    if missing is not None and not sockets:
        raise missing
    return sockets
