"""Turns the tab, the groups and the subflow around a node into the variables that it sees."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flowrunner.nodered.constants import constant_of
from flowrunner.nodered.export import Export, Node
from flowrunner.nodered.values import Uncertain

_VARIABLE = re.compile(r"\$\{(\S+)\}")


def resolved(export: Export, node: Node, given: Mapping[str, Any]) -> Node:
    """The node with `${NAME}` in its fields replaced (Node-RED does so where a field is nothing else).

    `given` are the variables of the subflow that it stands in.
    """
    if not any("${" in str(value) for value in node.fields.values()):
        return node
    known = variables_around(export, node, given)
    return replace(node, fields={key: _replaced(value, known) for key, value in node.fields.items()})


def variables_around(export: Export, node: Node, given: Mapping[str, Any]) -> dict[str, Any]:
    """The variables that a node sees: of all flows, its tab, the subflow around it and its groups."""
    known: dict[str, Any] = {}
    for config in export.of_type("global-config"):
        known |= variables_of(config, known)
    home = export.nodes.get(node.tab)
    if home is not None:
        known |= variables_of(home, known)
    known |= given
    groups: list[Node] = []
    group = export.nodes.get(node.text("g"))
    while group is not None and group not in groups:
        groups.append(group)
        group = export.nodes.get(group.text("g"))
    for one in reversed(groups):
        known |= variables_of(one, known)
    return known


def variables_of(node: Node, known: Mapping[str, Any]) -> dict[str, Any]:
    """The constants in the list `env` of a tab, group or subflow."""
    found: dict[str, Any] = {}
    for variable in node.maps("env"):
        word, kind = variable.get("name"), str(variable.get("type", "str"))
        if not isinstance(word, str):
            continue
        if kind == "env" and str(variable.get("value")) in known:
            found[word] = known[str(variable["value"])]
            continue
        try:
            found[word] = constant_of(variable.get("value"), kind)
        except Uncertain:
            continue
    return found


def _replaced(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, str) and (found := _VARIABLE.fullmatch(value)):
        return known.get(found[1], value)
    if isinstance(value, list):
        return [_replaced(item, known) for item in value]
    if isinstance(value, dict):
        return {key: _replaced(item, known) for key, item in value.items()}
    return value
