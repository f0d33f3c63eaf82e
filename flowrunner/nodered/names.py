"""Turns the names that people gave to tabs and nodes into names of files, flows, steps and values."""

import keyword
import re
import unicodedata

from flowrunner.expressions import RESERVED

_LONGEST = 60
_LETTERS = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ø": "o", "æ": "ae", "ł": "l"}
_WINDOWS = {"con", "prn", "aux", "nul"}
#: What expressions call, know, or cannot be named.
_TAKEN = RESERVED | set(keyword.kwlist) | {"index", "count", "response", "message", "none", "None"}


def slug(text: str, default: str = "") -> str:
    """A name for a file, flow or step: small letters, digits and `-`."""
    spelled = "".join(_LETTERS.get(letter, letter) for letter in text)
    plain = unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode()
    made = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:_LONGEST].strip("-")
    if made in _WINDOWS:
        return f"{made}-flow"
    return made or default


def identifier(text: str, default: str = "value") -> str:
    """A name that expressions can use."""
    words = re.sub(r"[^A-Za-z0-9_]+", "_", unicodedata.normalize("NFKD", text)).strip("_")[:_LONGEST]
    if not words or not words[0].isalpha():
        words = f"{default}_{words}".rstrip("_")
    return f"{words}_" if words in _TAKEN or keyword.iskeyword(words) else words


class Names:
    """Gives every name once: the second `heating` is `heating-2`."""

    def __init__(self, taken: frozenset[str] = frozenset(), *, mark: str = "-") -> None:
        self.taken = set(taken)
        self.mark = mark

    def take(self, name: str) -> str:
        """The name, or the next one that is free."""
        found, number = name, 1
        while found in self.taken:
            number += 1
            found = f"{name}{self.mark}{number}"
        self.taken.add(found)
        return found
