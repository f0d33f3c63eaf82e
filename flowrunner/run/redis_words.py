"""Turns what Redis, or the way to it, has to say into words that tell what to do."""

import socket
import ssl
from os import strerror

from flowrunner.remote.address import StateSettings
from flowrunner.run.refusals import distrust

_NO_PERMISSION = (
    "this user may not do what is needed: "
    "`ACL SETUSER ... ~flowrunner:* +@read +@write +@connection +@scripting +time` lets it"
)

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
    "NOPERM": _NO_PERMISSION,
    "ACL failure in script": _NO_PERMISSION,
    "The user executing the script can't": _NO_PERMISSION,
    "NOAUTH": "it wants a password",
    "Authentication required": "it wants a password",
    "HELLO must be called with the client already authenticated": "it wants a password",
    "WRONGPASS": "the user or the password is wrong",
    "invalid username-password pair": "the user or the password is wrong",
    "invalid password": "the password is wrong",
    "called without any password configured": "it has no password: leave it out",
    "no password is set": "it has no password: leave it out",
    "DB index is out of range": "there is no database of this number",
    "invalid DB index": "there is no database of this number",
    "Write commands not allowed after non deterministic": "it is too old: Redis 5 or later is needed",
    "SELECT is not allowed in cluster mode": "a cluster has no other database than 0",
    "TRYAGAIN": "its cluster is moving our keys",
    "Script killed": "somebody has ended our script there",
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
    "NoScriptError": "it forgets our scripts at once",
    "InvalidResponse": "it does not speak as a Redis does",
    "ClusterDownError": _ANSWERS["CLUSTERDOWN"],
    "AskError": _ANSWERS["TRYAGAIN"],
    "TryAgainError": _ANSWERS["TRYAGAIN"],
}

#: What passes without anybody doing something: no news where it is away already.
_MOMENTARY = {_ANSWERS[one] for one in ("LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN")}

_FILES_OF_TLS = {
    "NO_CERTIFICATE_OR_CRL_FOUND": "the file of `ca=` holds no certificate in PEM",
    "KEY_VALUES_MISMATCH": "`key=` is not the key of `cert=`",
    "PEM_LIB": "the file of `cert=` or of `key=` holds none in PEM, or wants a pass phrase",
}


def is_passing(error: Exception) -> bool:
    """Whether an answer to a call says that it may be made again later: nothing of it was done."""
    if _known(error) or elsewhere(error):
        return True
    return isinstance(error, OSError) or type(error).__name__ in {"ConnectionError", "TimeoutError"}


def elsewhere(error: BaseException) -> tuple[str, int] | None:
    """The node of a cluster that has our keys, if that is what the answer says; an empty host is the same one."""
    if type(error).__name__ != "MovedError":
        return None
    return error.host, error.port  # type: ignore[attr-defined]


def is_lasting(words: str) -> bool:
    """Whether a reason is one that somebody has to see to."""
    return words in {*_ANSWERS.values(), *_KINDS.values()} - _MOMENTARY


def reason(error: BaseException, settings: StateSettings, *, is_new: bool) -> str:
    """Why Redis cannot be used now, in words; `is_new` where it never could."""
    if known := _known(error):
        return known
    if there := elsewhere(error):
        return f"its cluster keeps our keys at {there[0] or settings.host}:{there[1]}"
    seen: BaseException | None = error
    while seen is not None:
        if words := _of_network(seen, settings, is_new=is_new):
            return words
        seen = seen.__cause__ or seen.__context__
    if type(error).__name__ == "TimeoutError":
        return _silent(settings, is_new=is_new)
    text = str(error).strip().rstrip(".")
    if not text or "closed" in text.lower():
        return _broken("the connection broke", settings, is_new=is_new)
    return text[:120]


def _of_network(error: BaseException, settings: StateSettings, *, is_new: bool) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {_distrust(error, settings)}"
        case ssl.SSLError():
            return _of_tls(error, settings)
        case socket.gaierror():
            return "no such host"
        case ConnectionRefusedError():
            return "nothing listens there"
        case FileNotFoundError():
            return (
                "there is no such socket" if settings.scheme == "unix" else "a file of `ca=`, `cert=` or `key=` is gone"
            )
        case TimeoutError():
            return _silent(settings, is_new=is_new)
        case ConnectionResetError() | BrokenPipeError():
            return _broken(
                strerror(error.errno).lower() if error.errno else "the connection broke", settings, is_new=is_new
            )
        case OSError() if error.errno:
            return strerror(error.errno).lower()
    return ""


def _of_tls(error: ssl.SSLError, settings: StateSettings) -> str:
    said = error.reason or str(error) or "unknown reason"
    known = said.upper().replace(" ", "_")
    if words := next((words for name, words in _FILES_OF_TLS.items() if name in known), ""):
        return words
    if "ALERT" in said and ("CERTIFICATE" in said or "HANDSHAKE" in said or "UNKNOWN_CA" in said):
        return f"it does not accept {'our certificate' if settings.cert else _OURS} ({said})"
    return f"TLS failed ({said}): is it a port without TLS (`redis://`)?"


_OURS = "us without a certificate: give `?cert=me.pem&key=me.key`"


def _distrust(error: ssl.SSLCertVerificationError, settings: StateSettings) -> str:
    expired = "it has expired (or the clock of this machine is wrong)"
    unsigned = "name the file of the authority that signed it, `?ca=ca.pem`"
    if settings.ca:
        unsigned = "`ca=` is not the authority that signed it"
    return distrust(error, settings.host, expired=expired, unsigned=unsigned)


def _silent(settings: StateSettings, *, is_new: bool) -> str:
    hint = ": is it a port without TLS (`redis://`)?" if is_new and settings.scheme == "rediss" else ""
    return f"it does not answer{hint}"


def _broken(words: str, settings: StateSettings, *, is_new: bool) -> str:
    if not is_new or settings.scheme == "unix":
        return words
    if settings.scheme == "redis":
        return f"{words}: is it a port for TLS (`rediss://`)?"
    return f"{words}: {'does it accept our certificate?' if settings.cert else f'perhaps it does not take {_OURS}'}"


def _known(error: BaseException) -> str:
    text = str(error)
    found = next((words for beginning, words in _ANSWERS.items() if beginning in text), "")
    return found or _KINDS.get(type(error).__name__, "")
