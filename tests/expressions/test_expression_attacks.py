"""What people try on restricted Python: nothing gets out, nothing gets large, nothing runs long."""

import ast
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowrunner.errors import StepError
from flowrunner.expressions import (
    FUNCTIONS,
    METHODS,
    NAMESPACE,
    ExpressionError,
    Kind,
    Scope,
    check,
    explain_failure,
    lower,
    parse_expression,
    parse_template,
)
from flowrunner.expressions.values import size_of
from flowrunner.text import Passage, Source

Compute = Callable[..., Any]


def passage_of(text: str) -> Passage:
    return Passage.verbatim(Source("f.yaml", text).span(0, len(text)))


REFUSED = [
    # to the classes, and from there to everything
    "().__class__.__bases__[0].__subclasses__()",
    "payload.__class__",
    "''.__class__.__mro__[1]",
    "payload.x.__init__.__globals__",
    "(1).__class__",
    "[].__reduce_ex__(2)",
    "payload._＿class__",
    "payload.__ｃlass__",
    "payload.upper.__self__()",
    "len.__self__",
    "len.__call__(payload)",
    "match.__globals__",
    "now.__self__",
    # frames, generators, coroutines, exceptions
    "(p for p in payload).gi_frame.f_back.f_globals",
    "[g for g in [(p for p in payload)]]",
    "(yield)",
    "[(yield p) for p in payload]",
    "await payload",
    "[p async for p in payload]",
    "lambda: payload",
    "(lambda f: f(f))(lambda f: f(f))",
    # formatting reads attributes
    "'{0.__class__}'.format(payload)",
    "'{0.__class__}'.format_map({'0': payload})",
    "f'{payload.__class__}'",
    "f'{f\"{payload}\"}'",
    "rf'{payload}'",
    "F'{payload}'",
    "'%s' % payload",
    "payload.x.encode().decode('rot13')",
    "payload.x.translate({})",
    "payload.x.maketrans('a', 'b')",
    # calls of what is not listed
    "eval('1')",
    "exec('1')",
    "__import__('os')",
    "__builtins__",
    "globals()",
    "vars(payload)",
    "getattr(payload, 'x')",
    "type(payload)",
    "open('/etc/passwd')",
    "print(payload)",
    "breakpoint()",
    "map(eval, payload)",
    "max(payload, key=len)",
    "_times(2, 3)",
    "_budget",
    "_guard(payload)",
    "[_budget for p in payload]",
    "[len][0](payload)",
    "(len if payload else max)(payload)",
    "payload['x']()",
    "payload.x()()",
    "{'f': len}['f'](payload)",
    # changing things
    "payload.append(1)",
    "payload.update({})",
    "payload.pop('x')",
    "payload.clear()",
    "payload.setdefault('x', 1)",
    "payload.x.sort()",
    "(payload := 1)",
    "[payload := p for p in payload]",
    "[p for payload in payload]",
    "[1 for payload.x in payload]",
    "[1 for payload['x'] in payload]",
    "[1 for len in payload]",
    "[1 for _times in payload]",
    "[1 for __builtins__ in payload]",
    "del payload",
    "import os",
    "payload = 1",
    # breaking out of the brackets
    "payload) or (payload",
    "payload\n)\nimport os\n(",
    "payload #",
    "payload # )\n",
    "payload)#",
    "1)\nx = (2",
    "'\n)",
    '"""',
    "payload\\\n",
    "payload\x0c)",
    "\ufeffpayload",
    "payload\x00",
    "\udc80",
    "1 if 1 else",
    "*payload",
    "**payload",
    "payload; payload",
    "x: int = 1",
    "",
]


@pytest.mark.parametrize("text", REFUSED, ids=ascii)
def test_it_is_refused_before_it_runs(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(passage_of(text))
    assert caught.value.diagnostics
    with pytest.raises(ExpressionError):
        parse_template(passage_of("${" + text + "}"))


def test_names_of_python_are_not_there(scope: Scope) -> None:
    for text in ("sorted(payload, key=eval)", "__debug__ or open", "[exec]", "dict(a=globals)", "print == 1"):
        try:
            found = check(parse_expression(passage_of(text)), scope)
        except ExpressionError as error:
            found = list(error.diagnostics)
        assert found


READS_A_KEY = [
    "payload['__class__']",
    "payload._id",
    "payload.gi_frame",
    "payload.f_globals",
    "payload.mro",
    "payload['format']",
]


@pytest.mark.parametrize("text", READS_A_KEY)
@pytest.mark.parametrize("payload", [{}, "text", [1], 1, None, True, b"x"], ids=repr)
def test_a_field_is_a_key_and_never_an_attribute(compute: Compute, text: str, payload: object) -> None:
    with pytest.raises((KeyError, TypeError)):
        compute(text, payload=payload)


@pytest.mark.parametrize("name", METHODS)
def test_methods_on_values_of_all_kinds_give_plain_values_or_fail(compute: Compute, name: str) -> None:
    arguments = ", ".join(["'a'", "'b'", "1"][: METHODS[name].least])
    for value in ("abc", [1, "a"], {"a": 1}, 3, 2.5, None, True, b"abc"):
        try:
            result = compute(f"thing.{name}({arguments})", thing=value)
        except (StepError, TypeError, ValueError, AttributeError, KeyError, IndexError):
            continue
        assert is_plain(result)


def is_plain(value: object, depth: int = 0) -> bool:
    if isinstance(value, list):
        return depth < 100 and type(value) is list and all(is_plain(item, depth + 1) for item in value)
    if isinstance(value, dict):
        keys = all(type(key) in {str, int, float, bool, bytes, type(None)} for key in value)
        return (
            keys and depth < 100 and type(value) is dict and all(is_plain(item, depth + 1) for item in value.values())
        )
    return type(value) in {str, int, float, bool, bytes, type(None)}


LARGE = [
    "10**10**10", "10**10**9", "'a'*10**9", "[0]*10**9", "1<<10**9", "payload.x.ljust(10**9)", "'a'.rjust(10**9)",
    "'a'.center(10**9)", "'a'.zfill(10**9)", "','.join(range(10**12))", "range(10**12)", "sum(range(10**9))",
    "list(range(10**9))",
    "[[[1 for a in range(10**5)] for b in range(10**5)] for c in range(10**5)]",
    "list(zip(range(10**8), range(10**8)))",
    "sorted(range(10**8))", "int('9'*10**6)", "str(10**5000)", "9**9**9**9", "-(9**9**9)",
    "(2**2000)*(2**2000)*(2**2000)",
    "round(5, -10**9)", "'a'.replace('a', 'a'*10**6).replace('a', 'a'*10**6)", "(('a'*1000)*1000)*1000",
    "[[0]*10**5]*10**5",
    "len('a'*10**9)", "any(False for a in range(10**5) for b in range(10**5) for c in range(10**5))".replace("False",
    "false"),
    "[a for a in range(10**5) if a in range(10**5)]", "{a: 'x'*10**6 for a in range(10**5)}",
    "max('a'*10**6 for a in range(10**5))",
    "[payload.x.replace('', 'y'*10**5) for a in range(10**5)]", "2**-(10**10**9)", "10.0**10**9", "hash([0]*10**9)",
    "enumerate(range(10**9))", "median(range(10**9))", "unique([0]*10**9)", "dict(zip(range(10**9), range(10**9)))",
    "'a'.split('a', 10**10)[0]*10**9 + 'b'*10**9", "'%d' .strip() * 10**9",
]  # fmt: skip


@pytest.mark.parametrize("text", LARGE, ids=ascii)
def test_it_is_stopped_when_it_runs(compute: Compute, text: str) -> None:
    with pytest.raises((StepError, OverflowError)):
        compute(text, payload={"x": "abc"})


def test_constants_are_not_folded_into_large_ones(scope: Scope) -> None:
    for text in ("'a' * 1000000", "10 ** 4000", "[0] * 100000", "(1, 2) * 10000", "1 << 4000", "-(2 ** 4000)"):
        code = compile(ast.Expression(lower(parse_expression(passage_of(text)), scope)), "f.yaml", "eval")
        assert len(repr(code.co_consts)) < 100


def test_a_width_in_a_format_is_bounded() -> None:
    for text in (
        "${payload:9999999999}",
        "${payload:.9999999f}",
        "${payload:0100000d}",
        "${payload:" + "9" * 9000 + "}",
    ):
        with pytest.raises(ExpressionError):
            parse_template(passage_of(text))


HOSTILE_PATTERNS = [r"(a+)+$", r"(a|aa)+", r"(.*a){20}", r"(x+x+)+y", r"([a-z]+)*\d", r"(?:a?){500}a{500}"]


@pytest.mark.parametrize("pattern", HOSTILE_PATTERNS)
def test_patterns_that_backtrack_elsewhere_do_not_here(compute: Compute, pattern: str) -> None:
    assert compute("match(payload.p, payload.t)", payload={"p": pattern, "t": "a" * 20_000 + "!"}) is False


def test_a_pattern_from_a_payload_is_bounded(compute: Compute) -> None:
    for pattern in ("a" * 20_000, "(" * 5_000, "(a{1000}){1000}", "((a{100}){100}){100}", "[" * 5_000, "a\ud800"):
        with pytest.raises(StepError):
            compute("match(payload, 'x')", payload=pattern)


# Random expressions on random data -----------------------------------------------------------------------------------

NAMES = ["payload", "thing", "topic", "raw", "p", "q", "true", "null"]
ATOMS = st.one_of(
    st.sampled_from(NAMES),
    st.sampled_from(
        ["0", "1", "-1", "2", "7", "1.5", "10**3", "99999", "1e300", "'a'", "''", "'%s'", "'é'", "b'a'", "[]", "{}"]
    ),
    st.sampled_from(["payload.x", "payload.a", "thing['x']", "payload[0]", "thing[-1]", "topic[1:]", "payload._id"]),
)


OPERATORS = [
    "+", "-", "*", "/", "//", "%", "**", "<<", ">>", "&", "|", "^", "<", "<=", "==", "!=", "in", "not in", "and", "or",
    "is",
]  # fmt: skip


def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(inner, inner)
    operators = st.sampled_from(OPERATORS)
    return st.one_of(
        st.tuples(inner, operators, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from(["not ", "-", "~", "+"]), inner).map(lambda t: f"({t[0]}{t[1]})"),
        two.map(lambda t: f"({t[0]})[{t[1]}]"),
        two.map(lambda t: f"({t[0]})[{t[1]}:]"),
        two.map(lambda t: f"[{t[0]}, {t[1]}]"),
        two.map(lambda t: f"{{{t[0]}: {t[1]}}}"),
        two.map(lambda t: f"{{**({t[0]}), 'k': {t[1]}}}"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
        two.map(lambda t: f"[{t[0]} for p in {t[1]}]"),
        st.tuples(inner, inner, inner).map(lambda t: f"[{t[0]} for p in {t[1]} for q in {t[2]}]"),
        st.tuples(inner, inner, inner).map(lambda t: f"[{t[0]} for p, q in {t[1]} if {t[2]}]"),
        two.map(lambda t: f"{{p: {t[0]} for p in {t[1]}}}"),
        st.tuples(st.sampled_from(sorted(FUNCTIONS)), st.lists(inner, min_size=1, max_size=2)).map(
            lambda t: f"{t[0]}({', '.join(t[1])})"
        ),
        st.tuples(st.sampled_from(sorted(FUNCTIONS)), two).map(lambda t: f"{t[0]}({t[1][0]} for p in {t[1][1]})"),
        st.tuples(inner, st.sampled_from(sorted(METHODS)), st.lists(inner, max_size=2)).map(
            lambda t: f"({t[0]}).{t[1]}({', '.join(t[2])})"
        ),
    )


TEXTS = st.recursive(ATOMS, grow, max_leaves=8)
DATA = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("a" * 900)),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["x", "a", "_id", "b"]), inner, max_size=3)
    ),
    max_leaves=12,
)
FINE = (
    StepError, TypeError, ValueError, KeyError, IndexError, AttributeError, ZeroDivisionError, OverflowError, NameError,
)  # fmt: skip


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS, DATA, DATA | st.binary(max_size=5))
def test_a_random_expression_gives_diagnostics_or_a_bounded_value(text: str, payload: Any, thing: Any) -> None:
    kinds: dict[str, Kind] = {"payload": "data", "thing": "any", "topic": "text", "raw": "bytes"}
    scope = Scope(kinds)
    try:
        expression = parse_expression(passage_of(text))
    except ExpressionError:
        return
    if check(expression, scope):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # Python computes constants, and wonders what is done with them
        code = compile(ast.Expression(lower(expression, scope)), "f.yaml", "eval")
    values = {"payload": payload, "thing": thing, "topic": "a/b", "raw": b"ab"}
    before = repr(values)
    try:
        result = eval(code, {**NAMESPACE, "__builtins__": {}, "now": lambda: 5.0, **values})
    except FINE as error:
        failure = explain_failure(error, expression.tree, values)
        assert failure.message
        return
    finally:
        assert repr(values) == before
    assert is_plain(result), result
    assert size_of(result, 10**8) < 10**7
