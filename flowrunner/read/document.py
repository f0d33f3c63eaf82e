"""Turns the text of a YAML file into nodes that know their places, and into diagnostics."""

from codecs import BOM_UTF8

import yaml

from flowrunner.diagnostics import Diagnostic
from flowrunner.read.composer import Composer, Stopped
from flowrunner.read.nodes import Entry, List, Map, Node, Scalar, plain
from flowrunner.read.yaml_mistakes import bad_character, explain_syntax, not_utf8
from flowrunner.text import Source

__all__ = ["Entry", "List", "Map", "Node", "Scalar", "plain", "read_bytes", "read_document"]


def read_bytes(name: str, data: bytes) -> tuple[Source | None, list[Diagnostic]]:
    """The source that a file holds; None and a diagnostic if it is not UTF-8. A byte order mark is left out."""
    try:
        return Source(name, data.removeprefix(BOM_UTF8).decode("utf-8")), []
    except UnicodeDecodeError as error:
        return None, [not_utf8(name, error)]


def read_document(source: Source) -> tuple[Node | None, list[Diagnostic]]:
    """The nodes of a YAML file; None if it is empty or a mistake spoils it. Raises nothing.

    A duplicate key, a key that is no text and a number that is too large leave the rest readable. After a mistake in
    the syntax there is exactly one diagnostic, and no nodes.
    """
    if bad := bad_character(source):
        return None, [bad]
    composer = Composer(source)
    try:
        composer.run()
    except yaml.YAMLError as error:
        return None, [explain_syntax(source, error)]
    except Stopped:
        return None, composer.diagnostics
    return composer.result(), composer.diagnostics
