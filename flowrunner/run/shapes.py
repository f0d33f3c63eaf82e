"""Turns the first bytes of a PUBLISH into how it is cut: in one call, for all that have the same lengths."""

from collections.abc import Callable
from struct import Struct

#: Bytes that tell shapes apart. They hold the kind, the length, and the length of the topic: whatever lies behind
#: that and varies (a letter of the topic) only makes more shapes of one.
HEAD = 5

#: Shapes that are remembered.
MOST_SHAPES = 4_096

#: To learn a shape takes as long as to do without one several times: so many may be learned in a row, and then one in
#: so many reads.
LEARNED_IN_A_ROW = 512
READS_TO_LEARN = 8

Cut = Callable[[bytes, int], tuple[bytes, ...]]
Shape = tuple[Cut, int, bool]
"""How a PUBLISH is cut; its length in bytes; whether it has QoS 1 (else 0).

At QoS 0 it is cut into topic and properties in one, and payload; at QoS 1 into topic, packet identifier, properties and
payload. The topic and the properties have their lengths before them, as they came. The properties of others may be
longer or shorter: whoever compares them with those that were expected knows, since their length is their first byte.
"""


def shape_of(header: int, name: int, given: int, payload: int, *, is_1: bool) -> Shape:
    """A shape by the lengths in bytes of the fixed header, the topic, the properties and the payload."""
    parts = (f"{name}s", "2s", f"{given}s") if is_1 else (f"{name + given}s",)
    cut = Struct("".join((f"{header}x", *parts, f"{payload}s")))
    return cut.unpack_from, cut.size, is_1
