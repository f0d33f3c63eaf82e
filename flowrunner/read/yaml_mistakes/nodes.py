"""Turns YAML that is right and still cannot be a flow into diagnostics: keys twice, tags, aliases, too much of it."""

import re
from collections.abc import Sequence
from dataclasses import replace

from flowrunner.diagnostics import Diagnostic, Label, suggest
from flowrunner.read.nodes import Entry, List, Node, Scalar
from flowrunner.read.yaml_mistakes.advice import advice, as_yaml, cut, quoted, rewrite, with_holes, write
from flowrunner.read.yaml_mistakes.characters import half_a_character, invisible_space
from flowrunner.read.yaml_mistakes.lines import line_at, line_of
from flowrunner.read.yaml_mistakes.odd_lines import no_space_behind_colon
from flowrunner.read.yaml_mistakes.values import exclamation
from flowrunner.text import Span


def duplicate_key(first: Entry, second: Entry, *, in_list: bool) -> Diagnostic:
    """For a key that stands twice in one map; `in_list`: the map is an item of a list, as steps are."""
    name = first.key.text
    help = "keep one of the two"
    if name == "subscribe":
        filters = (_texts(first.value), _texts(second.value))
        shown = ", ".join(as_yaml(text, in_brackets=True) for texts in filters for text in texts)
        help = f"to listen to both, give a list: `subscribe: [{shown}]`"
        if not all(filters) or len(shown) > 100:
            help = "to listen to both, give a list: each filter on a line of its own, behind a dash"
    elif name == "steps":
        help = "put all steps into one list below the first `steps`"
    elif in_list:
        help = f"if it is a step of its own, begin it with a dash: `- {cut(name)}: ...`"
    labels = (Label(first.key.span.first_line(), "first here"),)
    message = f"`{cut(name, 40)}` is set twice"
    return Diagnostic("duplicate-key", message, second.key.span.first_line(), "and again here", labels, (help,))


def _texts(node: Node) -> list[str]:
    items = node.items if isinstance(node, List) else (node,)
    texts = [item.text for item in items if isinstance(item, Scalar) and item.text]
    return texts if len(texts) == len(items) else []


def too_large_number(scalar: Scalar) -> Diagnostic:
    """For `1e400`."""
    message = "a number must be less than 1e308"
    return Diagnostic("number-too-large", message, scalar.span, helps=("if it is a text, put it in quotes",))


def hidden_space(scalar: Scalar) -> Diagnostic:
    """For a text that begins or ends with a blank that only looks like a space."""
    span = scalar.span
    return invisible_space(span.sub(0, 1) if scalar.text[0].isspace() else span.sub(len(span.text) - 1, len(span.text)))


def find_half_a_character(scalar: Scalar) -> Diagnostic | None:
    r"""For `"\ud83d"`, which libyaml refuses and PyYAML's own parser does not."""
    found = re.search(r"\\u[dD][89a-fA-F]", scalar.span.text) if re.search("[\ud800-\udfff]", scalar.text) else None
    return half_a_character(scalar.span.source, scalar.span.start + found.start()) if found else None


def tag(span: Span) -> Diagnostic:
    """For `!payload.ok`, `!!str`, `!secret`; `span` reaches from the tag (or an anchor before it) to its value."""
    found = re.search(r"!\S*", span.text)
    there = span.sub(*found.span()) if found else span
    return exclamation(there, line_at(there.source, there.start))


def missing_space(entry: Entry) -> Diagnostic | None:
    """For `{topic:foo}`, which is a key without a value, and for `topic:foo` alone on the line below its key."""
    key, value = entry.key, entry.value
    if not isinstance(value, Scalar) or value.style != "plain":
        return None
    if (
        not value.text
        and ":" in key.text
        and key.style == "plain"
        and key.span.source.text[key.span.end : key.span.end + 1] != ":"
    ):
        return no_space_behind_colon(line_of(key.span))
    if (
        ":" in value.text
        and value.span.line > key.span.end_line
        and (found := no_space_behind_colon(line_of(value.span)))
    ):
        message = "this is a text; if it is a key and a value, a space must follow the colon"
        return replace(found, message=message, severity="warning")
    return None


def key_not_text(key: Scalar) -> Diagnostic:
    """For `1: x`, `true: x`, `: x`."""
    if not key.text:
        help = "delete the colon, or write a key before it"
        return Diagnostic("missing-key", "a key must stand before the colon", key.span, helps=(help,))
    kind = "null" if key.value is None else "a bool" if isinstance(key.value, bool) else "a number"
    message = f"a key must be a text, and `{cut(key.text)}` is {kind}"
    return Diagnostic("key-not-text", message, key.span, helps=advice(write(f'"{key.text}": ...')))


def complex_key(span: Span, parent: int) -> Diagnostic:
    """For a map or list where a key must stand: `{{ x }}`; `parent` is where the map begins."""
    outer = span.source.text[parent : span.end + 80]
    if found := re.match(r"\{\{\s*([^{}]*?)\s*\}\s*\}", outer):
        line = line_at(span.source, parent)
        corrected = with_holes(found[0])
        corrected = as_yaml(corrected) if parent == line.value_start else quoted(corrected)
        message = "an expression is inserted by `${...}`, not by `{{...}}`"
        there = span.source.span(parent, parent + found.end())
        return Diagnostic("braces", message, there.first_line(), helps=advice(rewrite(there, corrected)))
    help = "a text that begins with `{` or `[` must be quoted"
    return Diagnostic("key-not-text", "a key must be a text, not a map or a list", span.first_line(), helps=(help,))


def unknown_alias(span: Span, anchors: Sequence[str]) -> Diagnostic:
    """For `*name` without a `&name` before it."""
    near = suggest(span.text[1:], anchors)
    helps = [f"did you mean `*{near}`?"] if near else []
    helps.append(f"if it is a text, {rewrite(span, quoted(span.text), 'put it in quotes')}")
    message = f"`{cut(span.text)}` repeats a value, and there is no `&{cut(span.text[1:])}` before it"
    return Diagnostic("unknown-alias", message, span, helps=tuple(helps))


def recursive_alias(span: Span) -> Diagnostic:
    """For `&a [*a]`."""
    message = f"`{cut(span.text)}` must not stand inside the value that it repeats"
    help = "a value that holds itself would never end"
    return Diagnostic("recursive-alias", message, span, helps=(help,))


def too_deep(span: Span, most: int) -> Diagnostic:
    """For maps and lists inside each other beyond what anybody means."""
    message = f"maps and lists may stand inside each other {most} deep"
    return Diagnostic("too-deep", message, span)


def too_many_values(span: Span, most: int, *, has_aliases: bool) -> Diagnostic:
    """For a file that is too large; with aliases even a short one can be."""
    shown = f"{most:_}".replace("_", " ")
    message = f"a file may hold {shown} values" + (", aliases unfolded" if has_aliases else "")
    help = "keep large tables in a file of their own: `lookup` reads CSV and JSON"
    return Diagnostic("too-many-values", message, span.first_line(), helps=() if has_aliases else (help,))


def several_documents(span: Span) -> Diagnostic:
    """For a second `---`."""
    message = "a file must hold one document, and `---` begins another"
    help = "for several flows in a file, write them below `flows:`, each under its name"
    return Diagnostic("several-documents", message, span, helps=(help,))
