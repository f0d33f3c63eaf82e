"""What is compiled: Python's own operations where they can do no harm, helpers where they could."""

import ast
from collections.abc import Callable

import pytest

from flowrunner.expressions import NAMESPACE, Kind, Scope, kind_of, lower, parse_expression, parse_template
from flowrunner.text import Passage, Source

Lowered = Callable[..., str]

#: Of JSON, nothing is called that need not be.
PLAIN = [
    ("payload.temperature > 25", "payload['temperature'] > 25"),
    ("payload.a.b['c'][0]", "payload['a']['b']['c'][0]"),
    ("payload.device == 'd17' and not payload.ok", "payload['device'] == 'd17' and (not payload['ok'])"),
    ("payload.state in ['on', 'off']", "payload['state'] in ['on', 'off']"),
    ("payload.state in ('on', 'off')", "payload['state'] in ['on', 'off']"),
    ("'x' in payload", "'x' in payload"),
    ("payload.c * 1.8 + 32", "payload['c'] * 1.8 + 32"),
    ("(payload.f - 32) * 5 / 9", "(payload['f'] - 32) * 5 / 9"),
    ("payload.x is null", "payload['x'] is None"),
    ("'hot' if payload.t > 30 else 'warm'", "'hot' if payload['t'] > 30 else 'warm'"),
    ("round(payload.t, 1)", "round(payload['t'], 1)"),
    ("topic.split('/')[1].upper()", "topic.split('/')[1].upper()"),
    ("payload.get('x', 0) + 1", "payload.get('x', 0) + 1"),
    ("mean(p.temperature for p in payload)", "mean((p['temperature'] for p in payload))"),
    ("[p.x for p in payload if p.y > 2]", "[p['x'] for p in payload if p['y'] > 2]"),
    ("{'a': payload.x, **payload}", "{'a': payload['x'], **payload}"),
    ("len(payload) % 10", "len(payload) % 10"),
    ("-payload.x // 2 - payload.y / 3", "-payload['x'] // 2 - payload['y'] / 3"),
    ("payload.flags & 4 == 4", "payload['flags'] & 4 == 4"),
    ("true or false or null", "True or False or None"),
    ("payload._id", "payload['_id']"),
    ("payload.items", "payload['items']"),
    ("(1, (2, 3))", "[1, [2, 3]]"),
    ("match('[a-z]+', room)", "match('[a-z]+', room)"),
    ("now() - payload.t > 60", "now() - payload['t'] > 60"),
]


@pytest.mark.parametrize(("text", "code"), PLAIN, ids=[row[0] for row in PLAIN])
def test_what_cannot_grow_is_plain_python(lowered: Lowered, text: str, code: str) -> None:
    assert lowered(text) == code


HELPED = [
    ("payload.a * payload.b", "_times(payload['a'], payload['b'])"),
    ("payload.a * 2", "_times(payload['a'], 2)"),
    ("'-' * payload.n", "_times('-', payload['n'])"),
    ("len(payload) * len(topic)", "_times(len(payload), len(topic))"),
    ("2 ** payload.n", "_power(2, payload['n'])"),
    ("1 << payload.n", "_shift(1, payload['n'])"),
    ("payload.a % 3", "_modulo(payload['a'], 3)"),
    ("room.rjust(payload.n)", "_rjust(room, payload['n'])"),
    ("room.replace('a', 'b')", "_replace(room, 'a', 'b')"),
    ("', '.join(payload)", "_join(', ', payload)"),
    ("payload.items()", "_items(payload)"),
    ("thing == 'ON'", "_guard(thing) == 'ON'"),
    ("thing.x != payload.y", "_guard(thing['x']) != payload['y']"),
    ("thing in ['ON']", "_guard(thing) in ['ON']"),
    ("'ON' in thing", "'ON' in _guard(thing)"),
    ("1 < thing == room", "1 < _guard(thing) == room"),
    ("thing == 3", "thing == 3"),
    ("thing == b'x'", "thing == _guard(b'x')"),
    ("thing == null", "thing == None"),
    ("thing > 3", "thing > 3"),
    ("thing.x.upper()", "_no_bytes(thing['x']).upper()"),
    ("payload.get(thing)", "payload.get(_guard(thing))"),
]


@pytest.mark.parametrize(("text", "code"), HELPED, ids=[row[0] for row in HELPED])
def test_what_could_grow_or_be_silently_wrong_is_helped(lowered: Lowered, text: str, code: str) -> None:
    assert lowered(text) == code


COUNTED = [
    ("[p.name + p.id for p in payload]", "[_kept(_budget, p['name'] + p['id']) for _budget, p in _rounds(payload)]"),
    ("[p.x + 1 for p in payload]", "[p['x'] + 1 for p in payload]"),
    ("[p for p in payload if p.x in payload.all]",
     "[p for _budget, p in _rounds(payload) if p['x'] in _sought(_budget, payload['all'])]"),
    ("[[q for q in p] for p in payload]",
     "[[_kept(_budget, q) for q in _each(_budget, p)] for _budget, p in _rounds(payload)]"),
    ("[q for p in payload for q in p]",
     "[_kept(_budget, q) for _budget, p in _rounds(payload) for q in _each(_budget, p)]"),
    ("[p for p in [q + 'x' for q in payload]]",
     "[p for p in [_kept(_budget, q + 'x') for _budget, q in _rounds(payload)]]"),
    ("[a for a in payload if any(b == a for b in payload)]",
     "[a for _budget, a in _rounds(payload) if any((b == _kept(_budget, a) for b in _each(_budget, payload)))]"),
    ("[p.upper() for p in payload]", "[_charged(_budget, p).upper() for _budget, p in _rounds(payload)]"),
    ("[p.get('x') for p in payload]", "[p.get('x') for p in payload]"),
    ("{k: range(v) for k, v in payload.items()}",
     "{k: _kept(_budget, range(v)) for _budget, (k, v) in _rounds(_items(payload))}"),
    ("[sum(p) for p in payload]", "[sum(_charged(_budget, p)) for _budget, p in _rounds(payload)]"),
    ("[{'device': payload.device, 'v': v} for v in payload.values]",
     "[{'device': _kept(_budget, payload['device']), 'v': v} for _budget, v in _rounds(payload['values'])]"),
    ("[p.x if p.y else payload.z for p in payload]",
     "[p['x'] if p['y'] else _kept(_budget, payload['z']) for _budget, p in _rounds(payload)]"),
    ("[p.x or [1, true, p] for p in payload]", "[p['x'] or [1, True, p] for p in payload]"),
    ("[p.get('x', topic) for p in payload]", "[_kept(_budget, p.get('x', topic)) for _budget, p in _rounds(payload)]"),
    ("[max(payload) for p in payload]",
     "[_kept(_budget, max(_charged(_budget, payload))) for _budget, p in _rounds(payload)]"),
    ("[len(p) * 2.5 for p in payload]", "[len(p) * 2.5 for p in payload]"),
    ("[p for p in payload if payload.a == payload.b]",
     "[p for _budget, p in _rounds(payload) if payload['a'] == _kept(_budget, payload['b'])]"),
    ("[p for p in payload if p.a == payload.b != 'x']", "[p for p in payload if p['a'] == payload['b'] != 'x']"),
    ("[p for p in thing if p.x == 'a']", "[p for p in thing if _guard(p['x']) == 'a']"),
    ("[p for p in payload if thing.x == 'a']",
     "[p for _budget, p in _rounds(payload) if _guard(_kept(_budget, thing['x'])) == 'a']"),
    ("[[[q for q in p], p.x, q] for p in payload]",
     ("[[[_kept(_budget, q) for q in _each(_budget, p)], p['x'], _kept(_budget, q)] "
     "for _budget, p in _rounds(payload)]")),
    ("[hash(p) for p in payload]", "[_kept(_budget, _hash(_budget, p)) for _budget, p in _rounds(payload)]"),
    ("[{**p, 'a': 1} for p in payload]", "[{**p, 'a': 1} for p in payload]"),
    ("[p[1:] for p in payload]", "[_charged(_budget, p[1:]) for _budget, p in _rounds(payload)]"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code"), COUNTED, ids=[row[0] for row in COUNTED])
def test_a_comprehension_is_counted_only_where_it_could_get_out_of_hand(lowered: Lowered, text: str, code: str) -> None:
    assert lowered(text) == code


TEMPLATES = [
    ("alerts/${room}", "f'alerts/{room}'"),
    ("${payload.x}", "payload['x']"),
    ("${payload.x} °C", "f\"{_text(payload['x'])} °C\""),
    ("${payload.x:.1f} °C", "f\"{_format(payload['x'], '.1f')} °C\""),
    ("${payload.x:.1f}", "f\"{_format(payload['x'], '.1f')}\""),
    ("${env.SITE}/${flow}", "f\"{env['SITE']}/{flow}\""),
    ("${raw}!", "f'{_text(raw)}!'"),
    ("${topic.upper()}/x", "f'{topic.upper()}/x'"),
    ("plain", "'plain'"),
    ("", "''"),
]


@pytest.mark.parametrize(("text", "code"), TEMPLATES, ids=[row[0] for row in TEMPLATES])
def test_a_template_is_one_formatted_text(lowered: Lowered, text: str, code: str) -> None:
    assert lowered(text, template=True) == code


KINDS: list[tuple[str, Kind]] = [
    ("payload", "data"), ("payload.x", "data"), ("payload[0]", "data"), ("topic", "text"), ("topic[1:]", "text"),
    ("raw", "bytes"), ("raw[0]", "data"), ("raw[1:]", "bytes"), ("b'x'", "bytes"), ("raw + b'x'", "bytes"), ("thing",
     "any"),
    ("thing.x", "any"), ("thing.x.upper()", "text"), ("thing > 3", "data"), ("not thing", "data"), ("'a'", "text"),
    ("1", "data"), ("topic + room", "text"), ("topic + payload.x", "data"), ("thing + topic", "any"), ("thing - 1",
     "data"),
    ("[1, topic]", "data"), ("[thing]", "any"), ("{'a': raw}", "any"), ("[p for p in payload]", "data"),
    ("[p for p in thing]", "any"), ("[p for p in raw]", "data"), ("{p: 1 for p in payload}", "data"), ("str(thing)",
     "text"),
    ("len(thing)", "data"), ("sorted(thing)", "any"), ("sorted(payload)", "data"), ("max(payload.a, raw)", "any"),
    ("topic if retain else room", "text"), ("topic or payload", "data"), ("topic or raw", "any"), ("env.X", "text"),
    ("topic.split('/')", "data"), ("payload.get('x', thing)", "any"), ("payload.get('x', 1)", "data"), ("true", "data"),
    ("iso(now())", "text"), ("payload.items()", "data"), ("thing.items()", "any"), ("unknown", "any"), ("payload * 2",
     "data"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind"), KINDS, ids=[row[0] for row in KINDS])
def test_what_is_known_of_a_value(parse: Callable[..., object], scope: Scope, text: str, kind: Kind) -> None:
    source = Source("f.yaml", text)
    assert kind_of(parse_expression(Passage.verbatim(source.span(0, len(text)))), scope) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [("${raw}", "bytes"), ("${raw} ", "text"), ("a", "text"), ("${payload:.1f}", "text"), ("", "text")],
)
def test_what_is_known_of_a_template(scope: Scope, text: str, kind: Kind) -> None:
    source = Source("f.yaml", text)
    assert kind_of(parse_template(Passage.verbatim(source.span(0, len(text)))), scope) == kind


def test_every_node_has_a_place_inside_the_file(scope: Scope) -> None:
    for text in [row[0] for row in [*PLAIN, *HELPED, *COUNTED]]:
        source = Source("f.yaml", f"x: {text}\n")
        expression = parse_expression(Passage.verbatim(source.span(3, 3 + len(text))))
        before = ast.dump(expression.tree, include_attributes=True)
        for node in ast.walk(lower(expression, scope)):
            if isinstance(node, ast.expr | ast.keyword):
                assert node.lineno == node.end_lineno == 1
                assert 3 <= node.col_offset < (node.end_col_offset or 0) <= 3 + len(text.encode())
        assert ast.dump(expression.tree, include_attributes=True) == before  # what the user wrote is left as it is


def test_compiled_code_reads_nothing_but_the_namespace_and_the_names(scope: Scope) -> None:
    for text in [row[0] for row in [*PLAIN, *HELPED, *COUNTED]]:
        source = Source("f.yaml", text)
        expression = parse_expression(Passage.verbatim(source.span(0, len(text))))
        code = compile(ast.Expression(lower(expression, scope)), "f.yaml", "eval")
        read = {
            n.id for n in ast.walk(lower(expression, scope)) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
        }
        bound = {
            n.id for n in ast.walk(lower(expression, scope)) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        assert read - bound <= set(NAMESPACE) | expression.names
        assert set(code.co_names) <= set(NAMESPACE) | expression.names | {"split", "upper", "get"}


def test_helpers_begin_with_an_underscore_and_functions_do_not() -> None:
    from flowrunner.expressions import FUNCTIONS, RESERVED

    assert {name for name in NAMESPACE if not name.startswith("_")} == set(FUNCTIONS) - {"now"}
    assert (
        set(FUNCTIONS) | {"payload", "topic", "qos", "retain", "properties", "env", "flow", "now", "error"} <= RESERVED
    )
    assert {"true", "false", "null"} <= RESERVED
