"""Turns a map of options into the values of a dataclass's fields, and reports every key that does not belong there."""

from collections.abc import Callable, Collection
from typing import Any

from flowrunner.diagnostics import Diagnostic, Label, name_list
from flowrunner.options.declare import Option, main_option, options_of
from flowrunner.options.kind import Place, did_you_mean
from flowrunner.read.nodes import Map, Node, Scalar
from flowrunner.read.yaml_mistakes import explain_map_for_text
from flowrunner.report import Refused

#: Explains a key that is no option, where there is more to say than which options there are.
Explain = Callable[[Scalar], Diagnostic | None]


def nothing_more(_: Scalar) -> None:
    """Explain no key: that it is unknown says it all."""


def read_short_or_long(owner: type, node: Node | None, place: Place, explain: Explain) -> dict[str, Any]:
    """The fields of a step from what stands behind its key: nothing, the main option's value, or a map of options."""
    main = main_option(owner)
    if node is None or (isinstance(node, Scalar) and node.value is None):
        return _without_value(owner, main, node, place)
    if main is not None and (main.is_only or not isinstance(node, Map)):
        return defaults(owner) | {main.field: main.kind.read(node, place)}
    if not isinstance(node, Map) or not (node.entries or options_of(owner)):
        raise place.refuse(node, "a map of options" if options_of(owner) else "written alone, without a value")
    is_strange = main is not None and not any(node.get(option.name) for option in options_of(owner))
    if is_strange and (explained := explain_map_for_text(node)):
        raise place.report.refuse(explained)
    return read_options(owner, node, place, explain)


def _without_value(owner: type, main: Option | None, node: Node | None, place: Place) -> dict[str, Any]:
    required = [option for option in options_of(owner) if option.is_required]
    if not required:
        return defaults(owner)
    wanted = main if main in required else required[0]
    if node is not None and main is not None and main.is_required:
        raise place.refuse(node, main.kind.phrase)
    span = place.owner_span if node is None or place.owner_span else node.span
    assert span is not None
    message = f"`{place.owner}` needs {name_list([wanted.name]) if wanted is not main else main.kind.phrase}"
    raise place.report.refuse(Diagnostic("missing-key", message, span, label="nothing stands behind it"))


def defaults(owner: type) -> dict[str, Any]:
    """The fields whose options may be left out."""
    return {option.field: option.default for option in options_of(owner) if not option.is_required}


def read_options(owner: type, node: Map, place: Place, explain: Explain) -> dict[str, Any]:
    """The fields from a map of options. Raises Refused after all mistakes in it are reported."""
    values, is_refused = read_what_can_be(owner, node, place, explain)
    if is_refused:
        raise Refused
    return values


def read_what_can_be(owner: type, node: Map, place: Place, explain: Explain) -> tuple[dict[str, Any], bool]:
    """The fields from a map of options, None or the default for those that are refused; and whether any was."""
    options = {option.name: option for option in options_of(owner)}
    values = defaults(owner)
    refused: set[str] = set()
    for entry in node.entries:
        option = options.get(entry.key.text)
        if option is None:
            place.report.add(explain(entry.key) or unknown_key(entry.key, place, options))
            refused.add(entry.key.text)
            continue
        try:
            values[option.field] = option.kind.read(entry.value, place.inside(option.name))
        except Refused:
            refused.add(option.name)
    missing = [option for option in options.values() if option.field not in values]
    if missing and not refused:
        place.report.add(missing_key(missing[0].name, node, place))
    values |= {option.field: None for option in missing}
    return values, bool(refused or missing)


def unknown_key(key: Scalar, place: Place, known: Collection[str]) -> Diagnostic:
    """The diagnostic for a key that is no option here."""
    near = did_you_mean(key.text, tuple(known))
    help = near or (f"its options are {name_list(list(known))}" if known else "")
    labels = (Label(place.owner_span, "in this step"),) if place.is_away_from(key.span) and place.owner_span else ()
    message = f"`{place.owner}` has no option `{key.text}`"
    return Diagnostic("unknown-key", message, key.span, labels=labels, helps=(help,) if help else ())


def missing_key(name: str, node: Map, place: Place) -> Diagnostic:
    """The diagnostic for an option that must be there."""
    if not place.owner:
        first = node.entries[0].key.span if node.entries else node.span.first_line()
        return Diagnostic(
            "missing-key", f"a flow needs `{name}`", first, helps=(f"add `{name}:` at the beginning of a line",)
        )
    span = place.owner_span or node.span.first_line()
    return Diagnostic("missing-key", f"`{place.owner}` needs `{name}`", span, helps=(f"add `{name}: ...`",))
