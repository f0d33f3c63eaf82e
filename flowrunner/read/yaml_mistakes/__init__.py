"""Turns text that is no YAML, or YAML that was not meant, into diagnostics in our words.

`explain_syntax` is for what the parser refuses. The other functions are for what it accepts and reads as something
else than the author meant; the reader of flows calls them when it meets a null, a map, a list, or a text where it wants
something else. Each returns a complete diagnostic, or None if it has nothing better to say than the reader itself:

- `explain_null(span)`: null where a value is wanted. `subscribe: #`, `- #`, `topic: &name`.
- `explain_map_for_text(map)`: a map where a text is wanted. `publish: {room}`, `publish: {a:b}`.
- `explain_list_for_text(list)`: a list where a text or an expression is wanted. `map: [p.x for p in payload]`.
- `explain_block_for_expression(scalar)`: a text block where an expression is wanted. `filter: >` with nothing below it.
- `explain_text_for_map(scalar)`: a text where a map is wanted. `topic:foo`, `filter payload > 3`.
- `explain_text_for_list(scalar)`: a text where a list is wanted. `-json`.
- `explain_smart_quotes(scalar)`: a text that has to be exact. `subscribe: “a/b”`.
"""

from collections.abc import Callable

import yaml

from flowrunner.diagnostics import Diagnostic
from flowrunner.read.yaml_mistakes import dashes, indentation, layout
from flowrunner.read.yaml_mistakes.brackets import inside_brackets
from flowrunner.read.yaml_mistakes.characters import (
    bad_character,
    bad_escape,
    find_conflict,
    find_tab,
    not_utf8,
    special_character,
)
from flowrunner.read.yaml_mistakes.fault import Fault, Kind
from flowrunner.read.yaml_mistakes.misread import (
    explain_block_for_expression,
    explain_list_for_text,
    explain_map_for_text,
    explain_null,
    explain_smart_quotes,
    explain_text_for_list,
    explain_text_for_map,
)
from flowrunner.read.yaml_mistakes.odd_lines import odd_line
from flowrunner.read.yaml_mistakes.quotes import unclosed_quote
from flowrunner.read.yaml_mistakes.values import (
    bad_start,
    block_header,
    colon_in_value,
    list_on_key_line,
    text_after_close,
)
from flowrunner.text import Source

__all__ = [
    "bad_character",
    "explain_block_for_expression",
    "explain_list_for_text",
    "explain_map_for_text",
    "explain_null",
    "explain_smart_quotes",
    "explain_syntax",
    "explain_text_for_list",
    "explain_text_for_map",
    "not_utf8",
]

_Explain = Callable[[Fault], Diagnostic | None]


def explain_syntax(source: Source, error: yaml.YAMLError) -> Diagnostic:
    """What to say about a text that the parser refused with this error."""
    if conflict := find_conflict(source):
        return conflict
    fault = Fault(source, error)
    anywhere = (_tab, *_BY_KIND_ANYWHERE.get(fault.kind, ()), inside_brackets, layout.missing_key, _cut_value)
    for explain in (*anywhere, *_BY_KIND.get(fault.kind, ())):
        if found := explain(fault):
            return found
    return indentation.uneven(fault) or _unfit(fault)


def _cut_value(fault: Fault) -> Diagnostic | None:
    """A value that ends before its line does."""
    if fault.begins_line or fault.is_inside_text(fault.line):
        return None
    if fault.previous and fault.previous.text.startswith("*") and fault.previous.line == fault.line.number:
        return special_character(fault, fault.previous.start, fault.line)
    return text_after_close(fault.line)


def _behind_end(fault: Fault) -> Diagnostic | None:
    """`...`, which ends a document, with something behind it."""
    end = fault.source.text.rfind("\n...", 0, fault.place + 4) + 1
    if not fault.source.text.startswith("...", end):
        return None
    message = "`...` ends the document, and more follows"
    return Diagnostic("several-documents", message, fault.source.span(end, end + 3), helps=("delete it",))


def _odd_line(fault: Fault) -> Diagnostic | None:
    return odd_line(fault.line)


def _unclosed_quote(fault: Fault) -> Diagnostic:
    return unclosed_quote(fault, fault.source.span(fault.opened, fault.place))


def _tab(fault: Fault) -> Diagnostic | None:
    may_matter = fault.kind in ("tab", "character") or not fault.open_brackets
    return find_tab(fault.line) if may_matter and not fault.is_inside_text(fault.line) else None


def _unfit(fault: Fault) -> Diagnostic:
    """The last resort: where it is, and what to look at."""
    span = fault.source.span(fault.place, fault.place + 1)
    if fault.char in ("]", "}", ","):
        message = (
            "no list or map is open for this comma" if fault.char == "," else f"this `{fault.char}` closes nothing"
        )
        code = "unopened-bracket"
        return Diagnostic(code, message, span, helps=("delete it, or open the bracket that it belongs to",))
    message = "this does not fit what stands before it"
    help = "look for a quote, bracket, colon or dash too many or too few here and on the line before"
    return Diagnostic("bad-yaml", message, span, helps=(help,))


#: what explains itself, also inside brackets
_BY_KIND_ANYWHERE: dict[Kind, tuple[_Explain, ...]] = {
    "tab": (bad_start,),
    "question": (bad_start,),
    "character": (_behind_end, bad_start),
    "directive": (bad_start,),
    "name": (bad_start,),
    "tag": (bad_start,),
    "escape": (bad_escape,),
    "end-of-quotes": (_unclosed_quote,),
    "block-header": (block_header,),
}

_BY_KIND: dict[Kind, tuple[_Explain, ...]] = {
    "dash": (list_on_key_line,),
    "colon-not-allowed": (layout.colon_not_allowed, _odd_line, colon_in_value),
    "colon-missing": (layout.colon_missing,),
    "dash-missing": (dashes.dash_missing,),
    "key-missing": (layout.key_missing,),
    "value-missing": (_behind_end, bad_start),
    "start-missing": (_behind_end, _odd_line, indentation.begins_indented, layout.root_is_text),
}
