"""Turns an expression such as `kitchen and not slow` into a choice among names of tests."""

import re
from collections.abc import Callable, Sequence

Choice = Callable[[str], bool]

_WORDS = re.compile(r"[()]|[^\s()]+")


class BadChoice(ValueError):
    """An expression of `-k` that cannot be understood."""


def parse_choice(text: str) -> Choice:
    """The choice that an expression makes: parts of a name with `and`, `or`, `not` and brackets. Raises BadChoice.

    Words beside each other are one part, blanks included; capitals and small letters are the same.
    """
    parser = _Parser(_WORDS.findall(text))
    choice = parser.either()
    if parser.rest:
        raise BadChoice(f"`{parser.rest[0]}` is not expected here")
    return lambda name: choice(name.lower())


class _Parser:
    def __init__(self, words: Sequence[str]) -> None:
        self.rest = list(words)

    def next_is(self, word: str) -> bool:
        """Take a word if it comes next."""
        if self.rest and self.rest[0].lower() == word:
            self.rest.pop(0)
            return True
        return False

    def either(self) -> Choice:
        """Parts with `or` between them."""
        choices = [self.both()]
        while self.next_is("or"):
            choices.append(self.both())
        return choices[0] if len(choices) == 1 else lambda name: any(choice(name) for choice in choices)

    def both(self) -> Choice:
        """Parts with `and` between them."""
        choices = [self.one()]
        while self.next_is("and"):
            choices.append(self.one())
        return choices[0] if len(choices) == 1 else lambda name: all(choice(name) for choice in choices)

    def one(self) -> Choice:
        """A part of a name, perhaps denied, or an expression in brackets."""
        if self.next_is("not"):
            denied = self.one()
            return lambda name: not denied(name)
        if self.next_is("("):
            inner = self.either()
            if not self.next_is(")"):
                raise BadChoice("a bracket is not closed")
            return inner
        words: list[str] = []
        while self.rest and self.rest[0].lower() not in {"and", "or", "not", "(", ")"}:
            words.append(self.rest.pop(0))
        if not words:
            raise BadChoice(f"a part of a name is missing {f'before `{self.rest[0]}`' if self.rest else 'at the end'}")
        part = " ".join(words).lower()
        return lambda name: part in name
