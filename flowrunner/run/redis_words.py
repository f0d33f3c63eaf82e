"""Turns what Redis, or the way to it, has to say into words that tell what to do."""

import socket
import ssl
from os import strerror

#: How an answer of Redis begins, and what it means. All of it may pass: a master comes back, a password is set.
_ANSWERS = {
    "READONLY": "it is a read-only replica: name its master",
    "You can't write against a read only replica": "it is a read-only replica: name its master",
    "OOM": "it is out of memory (`maxmemory`)",
    "command not allowed when used memory": "it is out of memory (`maxmemory`)",
    "LOADING": "it is still loading its data",
    "Redis is loading": "it is still loading its data",
    "BUSY": "it is busy with a script",
    "MISCONF": "it cannot write to its disk, and takes no changes",
    "NOREPLICAS": "it has too few replicas, and takes no changes",
    "MASTERDOWN": "it is a replica that has lost its master",
    "CLUSTERDOWN": "its cluster is down",
    "NOPERM": "this user is not allowed what it needs (EVALSHA, SCRIPT, and keys that begin with `flowrunner:`)",
    "NOAUTH": "it wants a password",
    "Authentication required": "it wants a password",
    "HELLO must be called with the client already authenticated": "it wants a password",
    "WRONGPASS": "the user or the password is wrong",
    "invalid username-password pair": "the user or the password is wrong",
    "invalid password": "the password is wrong",
    "DB index is out of range": "there is no database of this number",
    "invalid DB index": "there is no database of this number",
    "Write commands not allowed after non deterministic": "it is too old: Redis 5 or later is needed",
    "max number of clients": "it has no room for another client (`maxclients`)",
}
_KINDS = {
    "AuthenticationError": "the user or the password is wrong",
    "AuthenticationWrongNumberOfArgsError": "it knows no user names: leave the user out",
    "ReadOnlyError": _ANSWERS["READONLY"],
    "OutOfMemoryError": _ANSWERS["OOM"],
    "BusyLoadingError": _ANSWERS["LOADING"],
    "NoPermissionError": _ANSWERS["NOPERM"],
    "MasterDownError": _ANSWERS["MASTERDOWN"],
    "ClusterDownError": _ANSWERS["CLUSTERDOWN"],
}


def is_passing(error: Exception) -> bool:
    """Whether an answer to a call says that it may be made again later: nothing of it was done."""
    return (
        _known(error) != "" or isinstance(error, OSError) or type(error).__name__ in {"ConnectionError", "TimeoutError"}
    )


def reason(error: BaseException) -> str:
    """Why Redis cannot be used now, in words."""
    if known := _known(error):
        return known
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return f"TLS failed ({seen.reason or 'unknown reason'})"
        if isinstance(seen, socket.gaierror):
            return "no such host"
        if isinstance(seen, ConnectionRefusedError):
            return "nothing listens there"
        if isinstance(seen, FileNotFoundError):
            return "there is no such socket"
        if isinstance(seen, TimeoutError):
            return "it does not answer"
        if isinstance(seen, OSError) and seen.errno:
            return strerror(seen.errno).lower()
        seen = seen.__cause__ or seen.__context__
    if type(error).__name__ == "TimeoutError":
        return "it does not answer"
    text = str(error).strip().rstrip(".")
    return "the connection broke" if not text or "closed" in text.lower() else text[:120]


def _known(error: BaseException) -> str:
    text = str(error)
    found = next((words for beginning, words in _ANSWERS.items() if beginning in text), "")
    return found or _KINDS.get(type(error).__name__, "")
