"""Turns every kind of node that is known into steps; one file for those that belong together."""

from collections.abc import Mapping

from flowrunner.nodered.nodes import (
    change,
    function,
    limits,
    links,
    mqtt,
    outside,
    sequences,
    shapes,
    switch,
    timing,
    unknown,
)
from flowrunner.nodered.walk import Translate

TRANSLATORS: Mapping[str, Translate] = {
    **mqtt.TRANSLATORS,
    **shapes.TRANSLATORS,
    **switch.TRANSLATORS,
    **change.TRANSLATORS,
    **function.TRANSLATORS,
    **limits.TRANSLATORS,
    **timing.TRANSLATORS,
    **sequences.TRANSLATORS,
    **outside.TRANSLATORS,
    **links.TRANSLATORS,
    **unknown.TRANSLATORS,
}
"""By the type of the node; `stub` takes all others, `subflow` the instances of subflows."""
