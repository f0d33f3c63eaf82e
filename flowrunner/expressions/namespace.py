"""Turns the helpers and functions of expressions into the globals that compiled code needs."""

from collections.abc import Mapping
from typing import Any

from flowrunner.expressions import bounds, budget, values
from flowrunner.expressions.functions import FUNCTIONS
from flowrunner.expressions.methods import HELPERS

NAMESPACE: Mapping[str, Any] = {
    **{name: function.call for name, function in FUNCTIONS.items() if name != "now"},
    **HELPERS,
    "_times": bounds.times,
    "_power": bounds.power,
    "_shift": bounds.shift,
    "_modulo": bounds.modulo,
    "_rounds": budget.rounds,
    "_each": budget.each,
    "_charged": budget.charged,
    "_kept": budget.kept,
    "_sought": budget.sought,
    "_hash": budget.digest,
    "_text": values.as_text,
    "_format": values.formatted,
    "_guard": values.guarded,
    "_no_bytes": values.without_bytes,
}
"""What compiled expressions read from their globals; `now` is put in place by the compiler."""
