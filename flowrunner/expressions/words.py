"""Turns what people bring from JavaScript, SQL, Jinja, Node-RED and Home Assistant into our words for it."""

from flowrunner.expressions.model import ExpressionError, refuse
from flowrunner.expressions.tokens import Token
from flowrunner.text import Passage

#: Operators that are not there: message, and help where the message does not say it all.
_FOREIGN = {
    "&&": ("`&&` is written `and`", ""),
    "||": ("`||` is written `or`", ""),
    "===": ("`===` is written `==`", ""),
    "!==": ("`!==` is written `!=`", ""),
    "<>": ("`<>` is written `!=`", ""),
    "=>": ("`=>` has no meaning here", "at least is `>=`; something for every item is `[p.x for p in payload]`"),
    "=<": ("`=<` is written `<=`", ""),
    "->": ("`->` has no meaning here", "a field is read with a dot: `payload.x`"),
    "<=>": ("`<=>` has no meaning here", "compare with `<`, `==` or `>`"),
    "??": ("`??` is not there", 'a field or a default: `payload.get("x", 0)`'),
    "?.": ("`?.` is not there", 'a field or a default: `payload.get("x", 0)`'),
    "++": ("there is no `++`", "write `x + 1`; `state` counts over messages"),
    ":=": ("an expression names nothing", "name a value with `let`"),
    ";": ("an expression ends without `;`", ""),
    "@": ("`@` has no meaning here", ""),
    "...": ("`...` has no meaning here", ""),
    **{f"{sign}=": (f"`{sign}=` changes a value, an expression computes one", f"write `x {sign} 1`; `set` keeps it")
       for sign in ("+", "-", "*", "/", "%", "&", "|", "^", "//", "**", "<<", ">>")},
}  # fmt: skip

#: Names that stand where an operator is expected, or before a value, in other languages.
MISPLACED = {
    "contains": 'write `"x" in payload`',
    "includes": 'write `"x" in payload`',
    "has": 'write `"x" in payload`',
    "matches": 'write `match("[a-z]+", payload)`',
    "like": 'write `match("[a-z]+", payload)`',
    "typeof": "there is no `typeof`; `isfinite(x)` tests a number",
    "instanceof": "there is no `instanceof`",
    "new": "there is no `new`: values are numbers, texts, lists and maps",
    "delete": "use the step `remove`",
    "void": "there is no `void`",
    "return": "an expression is its value, without `return`",
    "var": "name a value with `let`",
    "let": "name a value with the step `let`",
    "const": "name a value with `let`",
    "function": "there are no functions of one's own here",
    "then": "write `a if condition else b`",
    "mod": "write `a % b`",
    "div": "write `a // b`",
    "xor": "write `a != b`",
    "equals": "write `a == b`",
    "eq": "write `a == b`",
    "ne": "write `a != b`",
    "gt": "write `a > b`",
    "lt": "write `a < b`",
    "ge": "write `a >= b`",
    "le": "write `a <= b`",
    "between": "write `1 < x < 5`",
    "where": "write `[p for p in payload if p.x > 1]`",
    "filter": "write the condition alone",
    "if": "a condition is written bare, without `if`; `a if condition else b` chooses a value",
    "else": "write `a if condition else b`",
    "elif": "write `a if x else b if y else c`",
    "for": "write `[p.x for p in payload]`",
    "while": "an expression has no loops; `[p.x for p in payload]` goes through a list",
    "import": "nothing is imported here; the step `python` calls a function of your own",
    "from": "nothing is imported here; the step `python` calls a function of your own",
    "def": "an expression names nothing; the step `python` calls a function of your own",
    "class": "an expression names nothing; the step `python` calls a function of your own",
    "try": "the key `on_error` of a step says what happens when it fails",
    "raise": "the step `stop` ends a message",
    "print": "the step `log` shows a line",
    "del": "use the step `remove`",
    "pass": "an expression is a value",
    "assert": "the step `filter` keeps what is true, `validate` checks a payload",
}

#: Unknown names that mean something elsewhere, and how it is written here.
NAMES = {
    "msg": "the payload is simply `payload`, the topic `topic`",
    "message": "the payload is simply `payload`, the topic `topic`",
    "value": "the value of the message is `payload`",
    "value_json": "the value of the message is `payload`, after `- json`",
    "data": "the value of the message is `payload`",
    "event": "the value of the message is `payload`",
    "trigger": "the value of the message is `payload`, its topic `topic`",
    "this": "the value of the message is `payload`",
    "self": "the value of the message is `payload`",
    "undefined": 'write `null`; a missing field is `payload.get("x")`',
    "nil": "write `null`",
    "none": "write `null`",
    "NULL": "write `null`",
    "Null": "write `null`",
    "TRUE": "write `true`",
    "FALSE": "write `false`",
    "yes": "write `true`",
    "no": "write `false`",
    "on": 'a text stands in quotes: `"on"`',
    "off": 'a text stands in quotes: `"off"`',
    "ON": 'a text stands in quotes: `"ON"`',
    "OFF": 'a text stands in quotes: `"OFF"`',
    "NaN": 'write `float("nan")`, and ask with `isfinite(x)`',
    "nan": 'write `float("nan")`, and ask with `isfinite(x)`',
    "Infinity": 'write `float("inf")`',
    "inf": 'write `float("inf")`',
    "states": "the state of a flow is read with the step `state`",
    "defined": 'ask for a field with `"x" in payload`',
    "Math": "functions stand alone: `round(x)`, `sqrt(x)`",
    "math": "functions stand alone: `round(x)`, `sqrt(x)`",
    "JSON": "put `- json` before this step",
    "json": "put `- json` before this step",
    "Date": "the time is `now()`, as text `iso(now())`",
    "time": "the time is `now()`",
    "datetime": "the time is `now()`, as text `iso(now())`",
    "timestamp": "the time is `now()`",
    "random": "random numbers: `uniform(0, 1)`, `randint(1, 6)`",
    "process": "the environment is `env`",
    "os": "the environment is `env`",
    "context": "what a flow remembers is read with the step `state`",
    "global": "what flows share is read with the step `state`",
    "length": "`len(x)` is the length",
    "e": "write `exp(1)`",
    "pi": "write `3.141592653589793`",
}  # fmt: skip

#: Names of NAMES that hold functions elsewhere.
MODULES = {"Math", "math", "JSON", "json", "Date", "time", "datetime", "random", "process", "os"}

#: Functions that are called otherwise here.
FUNCTIONS_ELSEWHERE = {
    "parseInt": "int", "parseFloat": "float", "Number": "float", "String": "str", "Boolean": "bool",
    "isNaN": "isfinite",
    "average": "mean", "avg": "mean", "std": "stdev", "length": "len", "size": "len", "count": "len", "trunc": "int",
    "time": "now", "regex": "match", "test": "match", "re": "match", "rand": "uniform", "random": "uniform",
    "tuple": "list", "set": "unique", "distinct": "unique", "text": "str", "string": "str", "number": "float",
    "map": "list", "timestamp": "now", "ceiling": "ceil", "is_nan": "isfinite", "utcnow": "now", "sort": "sorted",
}  # fmt: skip

#: Methods that are written otherwise here.
METHODS_ELSEWHERE = {
    "length": "`len(x)` is the length",
    "size": "`len(x)` is the length",
    "toUpperCase": "write `x.upper()`",
    "toLowerCase": "write `x.lower()`",
    "trim": "write `x.strip()`",
    "includes": 'write `"a" in x`',
    "contains": 'write `"a" in x`',
    "has": 'write `"a" in x`',
    "hasOwnProperty": 'write `"a" in x`',
    "has_key": 'write `"a" in x`',
    "indexOf": 'write `x.find("a")`',
    "startsWith": 'write `x.startswith("a")`',
    "endsWith": 'write `x.endswith("a")`',
    "replaceAll": "write `x.replace(a, b)`",
    "padStart": "write `x.rjust(5)`",
    "padEnd": "write `x.ljust(5)`",
    "toString": "write `str(x)`",
    "toFixed": "write `round(x, 1)`, or `${x:.1f}` in a text",
    "substring": "write `x[1:3]`",
    "substr": "write `x[1:3]`",
    "slice": "write `x[1:3]`",
    "charAt": "write `x[0]`",
    "at": "write `x[0]`",
    "concat": "write `a + b`",
    "map": "write `[p.x for p in x]`",
    "filter": "write `[p for p in x if p.a > 1]`",
    "forEach": "write `[p.x for p in x]`, or use the step `split`",
    "reduce": "write `sum(p.x for p in x)`",
    "some": "write `any(p.x > 1 for p in x)`",
    "every": "write `all(p.x > 1 for p in x)`",
    "test": 'write `match("[a-z]+", x)`',
    "decode": "write `str(x)`, or put `- decode: utf-8` before this step",
    "encode": "a text is sent as UTF-8 anyway; for others use the step `encode`",
    "format": "a text with values in it is written `${x} and ${y:.1f}`, outside of expressions",
    "format_map": "a text with values in it is written `${x} and ${y:.1f}`, outside of expressions",
    "append": "write `x + [1]`",
    "push": "write `x + [1]`",
    "extend": "write `a + b`",
    "pop": "write `x[:-1]`; a field goes with the step `remove`",
    "remove": "write `[p for p in x if p != 1]`",
    "sort": "write `sorted(x)`",
    "reverse": "write `x[::-1]`",
    "update": 'write `{**x, "a": 1}`, or use the step `set`',
    "copy": "values are never changed, so no copy is needed",
    "isoformat": "write `iso(x)`",
    "hex": "put `- decode: hex` before this step",
}  # fmt: skip


def refuse_foreign(tokens: list[Token], passage: Passage) -> None:
    """Raise ExpressionError at the first operator of another language."""
    for index, token in enumerate(tokens):
        span = passage.span(token.start, token.end)
        if token.kind == "operator" and token.text in _FOREIGN:
            message, help = _FOREIGN[token.text]
            raise refuse(span, message, help=help)
        if token.text == "?":
            raise _ternary(tokens, index, passage)
        if token.text == "!":
            rest = passage.text[token.end :].strip()
            raise refuse(span, "`!` is written `not`", help=f"write `not {rest}`" if _is_short(rest) else "")
        if token.kind == "text" and "f" in token.text.split(token.text[-1])[0].lower():
            help = 'in a text: `${a} and ${b}`; in an expression: `str(a) + " and " + str(b)`'
            raise refuse(span, "texts with `f` before them are not there", help=help)
        is_doubled = index and tokens[index - 1].text == token.text == "{" and tokens[index - 1].end == token.start
        if is_doubled:
            inner = passage.text[token.end :].split("}}")[0].strip()
            help = f"write `{inner}`" if _is_short(inner) else ""
            raise refuse(passage.span(token.start - 1, token.end), "an expression needs no `{{ }}`", help=help)


def _is_short(text: str) -> bool:
    return 0 < len(text) <= 40 and "\n" not in text


def _ternary(tokens: list[Token], index: int, passage: Passage) -> ExpressionError:
    mark, depth = tokens[index], 0
    help = "write `a if condition else b`"
    for token in tokens[index + 1 :]:
        depth += (token.kind == "open") - (token.kind == "close")
        if depth == 0 and token.text == ":":
            condition = passage.text[: mark.start].strip()
            then = passage.text[mark.end : token.start].strip()
            otherwise = passage.text[token.end :].strip()
            if all(map(_is_short, (condition, then, otherwise))) and "?" not in then + otherwise:
                help = f"write `{then} if {condition} else {otherwise}`"
            break
    span = passage.span(mark.start, mark.end)
    return refuse(span, "`?` and `:` are written `if` and `else`", help=help)
