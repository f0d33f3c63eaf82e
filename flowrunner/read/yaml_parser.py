"""Turns YAML text into the events and tokens of PyYAML: by libyaml, or in Python where that is missing."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import yaml
from yaml.parser import Parser as _Parser
from yaml.reader import Reader as _Reader
from yaml.scanner import Scanner as _Scanner


class PythonParser(_Reader, _Scanner, _Parser):
    """PyYAML's own parser behind the face of libyaml's: ten times slower, with the same events."""

    def __init__(self, stream: str) -> None:
        _Reader.__init__(self, stream)
        _Scanner.__init__(self)
        _Parser.__init__(self)


Parser: type[Any]
try:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]
except ImportError:  # PyYAML was built without libyaml, as on small boards
    Parser = PythonParser
else:
    Parser = CParser


def events(text: str) -> Iterator[yaml.Event]:
    """The events of a text; raises yaml.YAMLError when the iteration meets a mistake."""
    return iter(Parser(text).get_event, None)


def tokens_before(text: str, place: int) -> Iterator[tuple[yaml.Token, int, int]]:
    """The tokens that begin before a place, with where each begins and ends, up to the first that is no YAML."""
    with suppress(yaml.YAMLError):
        for token in iter(Parser(text).get_token, None):
            start = token.start_mark.index
            if start >= place:
                return
            yield token, start, token.end_mark.index
