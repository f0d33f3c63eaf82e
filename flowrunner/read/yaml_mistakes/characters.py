"""Turns characters that cannot stand where they stand into diagnostics."""

import re
import unicodedata

from flowrunner.diagnostics import Diagnostic
from flowrunner.read.yaml_mistakes.advice import advice, cut, quoted, rewrite, write
from flowrunner.read.yaml_mistakes.fault import Fault
from flowrunner.read.yaml_mistakes.lines import Line, end_of_item
from flowrunner.text import Source, Span

# what YAML 1.2 section 5.1 does not allow, and the line ends of Unicode, which YAML 1.1 and 1.2 read differently
_FORBIDDEN = "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
_FORBIDDEN_IN_ASCII = re.compile("[^\t\n\r\x20-\x7e]")
_ESCAPES = {"\0": "\\0", "\x07": "\\a", "\x08": "\\b", "\x0b": "\\v", "\x0c": "\\f", "\x1b": "\\e"}
_BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
STRAIGHT_QUOTES = str.maketrans("“”„‟«»‘’‚‛", '""""""' + "''''")
_FOREIGN_COMMENT = re.compile(r"(?:^|(?<=[\s,\[{]))(?://|/\*)")


def not_utf8(name: str, error: UnicodeDecodeError) -> Diagnostic:
    """For bytes that are no UTF-8; the source of the span is what could be read of them."""
    data = error.object
    help = "save the file as UTF-8; editors offer it under `Save with encoding`"
    if encoding := _BOMS.get(data[:2]):
        source = Source(name, data.decode("utf-16", "replace"))
        return Diagnostic("not-utf8", f"the file must be UTF-8, and it is {encoding}", source.span(0, 0), helps=(help,))
    source = Source(name, data.decode("utf-8", "replace"))
    start = len(data[: error.start].decode("utf-8"))
    byte = data[error.start : error.start + 1]
    meant = byte.decode("cp1252", "replace")
    notes = (
        (f"byte 0x{byte.hex().upper()} is `{meant}` in Windows-1252",)
        if meant.isprintable() and meant != "\ufffd"
        else ()
    )
    message = "the file must be UTF-8, and these bytes are not"
    return Diagnostic("not-utf8", message, source.span(start, start + 1), helps=(help,), notes=notes)


def bad_character(source: Source) -> Diagnostic | None:
    """For the first character that no YAML file may hold: NUL, control characters, half of a surrogate pair."""
    # the long one is compiled where it is needed: that takes as long as to read ten files
    forbidden = _FORBIDDEN_IN_ASCII if source.text.isascii() else re.compile(_FORBIDDEN)
    if not (found := forbidden.search(source.text, 1 if source.text.startswith("\ufeff") else 0)):
        return None
    char = found[0]
    if char == "\0" and source.text.count("\0") > len(source.text) // 3:
        help = "save the file as UTF-8; editors offer it under `Save with encoding`"
        message = "the file must be UTF-8, and it looks like UTF-16"
        return Diagnostic("not-utf8", message, source.span(found.start(), found.end()), helps=(help,))
    escape = _ESCAPES.get(char) or (f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}")
    help = "delete it" if "\ud800" <= char <= "\udfff" else f"delete it; inside double quotes it is written `{escape}`"
    message = f"a file must not hold the character {_name(char)}"
    return Diagnostic("bad-character", message, source.span(found.start(), found.end()), helps=(help,))


def invisible_space(span: Span) -> Diagnostic:
    """For a blank that looks like a space and is none; `span` covers it."""
    message = f"this is no ordinary space, but {_name(span.text[0])}"
    help = "replace it by a space; it often comes with text copied from a web page"
    return Diagnostic("invisible-space", message, span, helps=(help,))


def find_invisible_space(line: Line) -> Diagnostic | None:
    """For such a blank before the text of a line, behind its dash, or behind the colon of a key."""
    found = re.match(r"[ \t-]*([^\S \t])", line.text) or re.search(r":([^\S \t])", line.text)
    if not found:
        return None
    start = line.start + found.start(1)
    return invisible_space(line.source.span(start, start + 1))


def find_tab(line: Line) -> Diagnostic | None:
    """For a tab before the text of a line."""
    if not (found := re.match(r" *(\t+)(?=[ \t]*\S)", line.text)):
        return None
    span = line.source.span(line.start + found.start(1), line.start + found.end(1))
    help = "replace each tab by two spaces; most editors can insert spaces for the Tab key"
    return Diagnostic("tab-indentation", "lines are indented by spaces, never by tabs", span, "a tab", helps=(help,))


def find_foreign_comment(line: Line, *, anywhere: bool = False) -> Diagnostic | None:
    """For `//` and `/* */`, with which other languages begin a comment, at the beginning of a line or anywhere."""
    found = _FOREIGN_COMMENT.search(line.text)
    if not found or not (anywhere or line.start + found.start() == line.indent_end):
        return None
    span = line.source.span(line.start + found.start(), line.start + found.end())
    words = line.text[found.end() :].strip().removesuffix("*/").strip()
    return Diagnostic("foreign-comment", "a comment begins with `#`", span, helps=advice(write(f"# {words}")))


def find_conflict(source: Source) -> Diagnostic | None:
    """For what git leaves in a file when two changes do not fit together."""
    if not (found := re.search(r"^<{7} .*", source.text, re.MULTILINE)):
        return None
    help = "keep one of the two versions and delete the lines `<<<<<<<`, `=======` and `>>>>>>>`"
    message = "two versions of these lines wait to be merged"
    return Diagnostic("merge-conflict", message, source.span(*found.span()), helps=(help,))


def find_smart_quotes(line: Line) -> Diagnostic | None:
    """For the quotes of a word processor around a key or a value."""
    for text, start in ((line.key, line.key_start), (line.value, line.value_start)):
        if text and text[0] in "“”„‟«‘‚‛":
            corrected = line.text[line.key_start - line.start :].translate(STRAIGHT_QUOTES)
            message = f"`{text[0]}` is a letter for YAML; its quotes are `\"` and `'`"
            span = line.source.span(start, start + 1)
            return Diagnostic("smart-quotes", message, span, helps=advice(write(corrected, 'replace it by `"`')))
    return None


def special_character(fault: Fault, start: int, line: Line) -> Diagnostic:
    """For a value that begins with a character to which YAML gives a meaning; `start` is its place."""
    char = fault.source.text[start : start + 1]
    if char == "\t":
        help = "replace the tab by a space"
        return Diagnostic(
            "tab-indentation", "a tab must not stand here", fault.source.span(start, start + 1), helps=(help,)
        )
    if fault.source.text[start - 1 : start + 1] == "{%":
        help = 'write a choice as an expression: `${"hot" if payload > 30 else "warm"}`'
        span = fault.source.span(start - 1, start + 1)
        return Diagnostic("template-block", "there are no `{% %}` blocks in a flow", span, helps=(help,))
    end = end_of_item(line.source.text, start + 1) if fault.open_brackets else line.value_start + len(line.value)
    value = fault.source.span(start, max(start + 1, end))
    if char == "%" and start == line.start:
        help = "write `#` before a comment; a text must be quoted"
        return Diagnostic("special-character", "a line must not begin with `%`", value.sub(0, 1), helps=(help,))
    shown = "a backtick" if char == "`" else f"`{char}`"
    message = f"a text that begins with {shown} must be quoted"
    return Diagnostic("special-character", message, value.sub(0, 1), helps=_meant(value, line))


def _meant(value: Span, line: Line) -> tuple[str, ...]:
    """What was meant by a value that begins with a special character: rarely that character."""
    quote = rewrite(value, quoted(value.text), "put it in quotes")
    if value.text.startswith("`"):
        bare = rewrite(value, value.text.replace("`", ""))
        return (f"leave the backticks out: {bare}",) if bare else ("put it in quotes",)
    if value.text.startswith("&&"):
        return ("`&&` is written `and`, and there must be something before it",)
    if value.text == "*" and line.key in ("subscribe", "topic"):
        return (f"in a topic filter `#` stands for all levels: {rewrite(value, quoted('#'))}",)
    if value.text.startswith("*") and line.key in ("subscribe", "topic"):
        plus = rewrite(value, value.text.replace("*", "+"))
        return advice(f"in a topic filter `+` stands for one level: {plus}" * bool(plus))
    if name := re.match(r"\*(\w+)", value.text):
        hole = rewrite(value, value.text.replace(name[0], f"${{{name[1]}}}", 1))
        return advice(f"to insert the value of `{cut(name[1])}`, {hole}" * bool(hole), f"to keep the `*`, {quote}")
    return (quote,)


def bad_escape(fault: Fault) -> Diagnostic:
    """For a backslash in double quotes that begins no escape."""
    start = fault.source.text.rfind("\\", fault.opened, fault.place + 1)
    if start < 0:
        start = fault.place
    span = fault.source.span(start, start + 2)
    if "Unicode" in fault.said or re.match(r"\\u[dD][89a-fA-F]", fault.source.text[start : start + 4]):
        return half_a_character(fault.source, start)
    found = re.compile(r'"((?:[^"\\\r\n]|\\.)*)"').match(fault.source.text, fault.opened, fault.opened + 500)
    helps = []
    if found:
        single = "'" + found[1].replace("'", "''") + "'"
        helps = [rewrite(fault.source.span(found.start(), found.end()), single)]
    helps.append("in single quotes a backslash is only a backslash; in double quotes write it twice: `\\\\`")
    message = f"`{span.text}` is no escape that double quotes know"
    return Diagnostic("bad-escape", message, span, helps=advice(*helps))


def half_a_character(source: Source, start: int) -> Diagnostic:
    """For the way in which JSON writes what lies beyond U+FFFF: as two escapes."""
    pair = re.match(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})", source.text[start : start + 12])
    help = "write the character itself"
    span = source.span(start, start + (12 if pair else 6))
    if pair:
        char = bytes.fromhex(pair[1] + pair[2]).decode("utf-16-be")
        help = (
            f"write `{char}` itself, or `\\U{ord(char):08X}`" if char.isprintable() else f"write `\\U{ord(char):08X}`"
        )
    return Diagnostic("bad-escape", f"`{span.text[:6]}` is half a character", span, helps=(help,))


def _name(char: str) -> str:
    name = unicodedata.name(char, "").lower()
    known = {"\0": "NUL", "\x7f": "DEL", "\ufeff": "byte order mark"}.get(char, name)
    return cut(f"U+{ord(char):04X} ({known})" if known else f"U+{ord(char):04X}", 48)
