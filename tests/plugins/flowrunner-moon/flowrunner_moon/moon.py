"""Turns the time of a message into the phase of the moon: the step `moon`."""

from dataclasses import dataclass

from flowrunner.code import Block
from flowrunner.fields import set_field
from flowrunner.options import FieldPath, option
from flowrunner.step import Step

#: A new moon, in seconds since 1970, and the seconds from one to the next.
NEW_MOON = 947_182_440.0
MONTH = 29.530588 * 86_400


def phase(now: float) -> float:
    """The age of the moon: 0 is new, 0.5 full."""
    return (now - NEW_MOON) / MONTH % 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moon(Step):
    """Put the phase of the moon into a field of the payload.

    It is a number: 0 is the new moon, 0.5 the full one.
    """

    KEY = "moon"
    EXAMPLES = (
        """
        subscribe: nights/+place
        steps:
          - json
          - moon: light
          - filter: payload.light > 0.9
          - publish: dark/${place}
        tests:
          - given: {topic: nights/attic, payload: {}}
            expect: []
        """,
    )

    field: tuple[str, ...] = option(FieldPath(), "the field for the phase", main=True, default=("moon",))

    def emit(self, to: Block) -> None:
        holes = {"SET": to.helper(set_field), "PATH": to.constant(self.field), "PHASE": to.helper(phase)}
        to.run("payload = SET(payload, PATH, PHASE(now()))", **holes)
