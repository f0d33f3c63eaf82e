"""Checks user names and passwords, given as they are or in a password file as mosquitto writes it."""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import pbkdf2_hmac, sha512
from hmac import compare_digest
from pathlib import Path
from typing import Self

_MOST_ROUNDS = 10_000_000


class BadPasswordFile(ValueError):
    """A password file cannot be read; the message names the file and the line, never what stands in it."""


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """A password as a password file holds it: PBKDF2 with SHA-512 (`$7$`), or one salted SHA-512 (`$6$`, 0 rounds)."""

    salt: bytes
    digest: bytes
    rounds: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `$7$ROUNDS$SALT$DIGEST` or `$6$SALT$DIGEST`; ValueError if it is neither."""
        start, kind, *fields = text.split("$")
        if start == "" and kind == "6" and len(fields) == 2:
            return cls(b64decode(fields[0], validate=True), b64decode(fields[1], validate=True))
        if start == "" and kind == "7" and len(fields) == 3:
            rounds = int(fields[0])
            if not 1 <= rounds <= _MOST_ROUNDS:
                raise ValueError("rounds")
            return cls(b64decode(fields[1], validate=True), b64decode(fields[2], validate=True), rounds)
        raise ValueError("kind")

    def is_of(self, password: bytes) -> bool:
        """Whether this is the hash of a password."""
        if self.rounds:
            digest = pbkdf2_hmac("sha512", password, self.salt, self.rounds, len(self.digest) or 64)
        else:
            digest = sha512(password + self.salt).digest()
        return compare_digest(digest, self.digest)


class Passwords:
    """User names with their passwords."""

    def __init__(self, plain: Mapping[str, str] | None = None) -> None:
        self._plain = {name: password.encode() for name, password in (plain or {}).items()}
        self._hashes: dict[str, PasswordHash] = {}

    def __len__(self) -> int:
        return len(self._plain.keys() | self._hashes.keys())

    def load(self, path: Path) -> None:
        """Add the users of a password file; BadPasswordFile or OSError if that fails."""
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                text = line.decode().strip()
                if not text or text.startswith("#"):
                    continue
                name, _, rest = text.partition(":")
                self._hashes[name] = PasswordHash.parse(rest)
            except (ValueError, binascii.Error):
                advice = "must be NAME:HASH as mosquitto_passwd writes it"
                raise BadPasswordFile(f"{path}:{number}: {advice}") from None

    def accepts(self, name: str, password: bytes) -> bool:
        """Whether this is the password of a user; takes as long as the file's hashes are made to take."""
        known = self._plain.get(name)
        if known is not None:
            return compare_digest(known, password)
        hashed = self._hashes.get(name)
        return hashed is not None and hashed.is_of(password)
