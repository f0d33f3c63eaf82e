"""Cuts what was read into packets, and hands each to whom it belongs: a flow, the window, or paho."""

import struct
from collections.abc import Callable
from time import monotonic

from flowrunner.message import NO_PROPERTIES, Message
from flowrunner.run.inbound import Inbound
from flowrunner.run.live import LiveFlow
from flowrunner.run.outlet import Outlet
from flowrunner.run.packets import (
    LENGTH_TOO_LONG,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    Received,
    find_packet,
    pack_answer,
    read_answer,
    read_publish,
)
from flowrunner.run.parking import Delivery, Parking
from flowrunner.run.property_codec import Malformed
from flowrunner.run.router import Router
from flowrunner.run.routing import MOST_CACHED, Route, Table
from flowrunner.run.shapes import HEAD, LEARNED_IN_A_ROW, MOST_SHAPES, READS_TO_LEARN, Shape, shape_of
from flowrunner.run.window import CROWDED

#: Seconds after which others have their turn in the loop, and bytes between looks at the clock.
SLICE = 0.008
STRIDE = 1_024

Known = tuple[str, LiveFlow, int, tuple[Route, ...]]
"""A topic: its text, the flow that wants it and through which source, and what other flows do."""

Named = tuple[bytes, str, LiveFlow, int, tuple[Route, ...]]
"""The same, behind the properties with which it came."""

_PUBLISH_1 = PUBLISH | 0x02

#: PUBACK without a reason that are looked at together, and what they look like, byte for byte.
ROW = 32
_ROW_FIRST, _ROW_LENGTH = bytes((PUBACK,)) * ROW, b"\2" * ROW
_row_numbers = struct.Struct(">" + "xxH" * ROW).unpack_from

_KIND, _DUP = 0xF0, 0x08
_begin = struct.Struct(">BBH").unpack_from  # of a packet: first byte, length, length of the topic or packet identifier
_NOTHING_NAMED: dict[bytes, Named] = {}
_NOT_USUAL = (struct.error, LookupError)


class _Nobody(LiveFlow):
    """Takes what no flow wants."""

    __slots__ = ()

    def __init__(self) -> None:
        self.received = 0
        self.handler = lambda *_message: None


class Reader:
    """The way in of one connection.

    What comes all the time takes the short way, `_run`: PUBLISH at QoS 0 and 1 to a topic that is known, without
    properties of the message, and PUBACK without a reason. Everything else is taken packet by packet. `give_to_paho`
    gets what is not ours; it returns false when the network connection has come to its end with that.
    """

    def __init__(self, router: Router, outlet: Outlet, inbound: Inbound, give_to_paho: Callable[[bytes], bool]) -> None:
        self.is_late = False
        self.is_stopped = False
        self._is_v5 = True
        self.missing = 0
        self.unreadable = 0
        self._router = router
        self._outlet = outlet
        self._window = outlet.window
        self._inbound = inbound
        self._give_to_paho = give_to_paho
        self._table: Table | None = None
        self._known: dict[bytes, Known] = {}
        self._named: dict[bytes, Named] = {}
        self._shapes: dict[bytes, Shape] = {}
        self._may_learn = LEARNED_IN_A_ROW * READS_TO_LEARN
        self._nobody = _Nobody()
        self.parking = Parking()

    def prepare(self, *, is_v5: bool) -> None:
        """Begin with the first packet of a network connection; what was learned by another version is of no use."""
        self.is_late = False
        if is_v5 != self._is_v5:
            self._is_v5, self._table = is_v5, None
            self._shapes.clear()

    def handle(self, buffer: bytes) -> int:
        """Handle the packets in a buffer; returns where the first begins that was not.

        `is_late` says that the time was up; else it is not complete: so many bytes are `missing` for it at least.
        """
        place, size = 0, len(buffer)
        self.is_late, self.missing = False, 0
        deadline = monotonic() + SLICE
        while place < size:
            if not self.is_late:
                place = self._run(buffer, place, deadline)
            if self.is_late or place == size:
                return place
            try:
                found = find_packet(buffer, place)
            except Malformed:
                if size - place < LENGTH_TOO_LONG:
                    self.missing = 1
                    return place
                self._give_to_paho(buffer[place:])
                return size
            if found is None or found[1] > size:
                self.missing = found[1] - size if found else 1
                return place
            start, end = found
            if not self._take(buffer[place], buffer[place:end], start - place):
                return size
            place = end
            self.is_late = place < size and monotonic() > deadline
        return place

    def stop(self) -> None:
        """Deliver nothing more, and leave what arrives unacknowledged."""
        self.is_stopped = True
        self._known.clear()
        self._named.clear()

    def _run(self, buffer: bytes, place: int, deadline: float) -> int:
        """Handle packets as long as they are usual; returns where the first begins that is not, or not complete.

        Each of these lines is part of what a message costs: hence no calls of our own. A PUBLISH of a shape that is
        known is cut in one; others are read byte for byte, and teach their shape.
        """
        known, named, is_v5, size = self._current(), self._named, self._is_v5, len(buffer)
        window, inbound, failed, run = self._window, self._inbound, self._router.failed, self._router.run
        light, promised, waiting = window.light, window.promised, window.waiting
        find_shape, may_learn = self._shapes.get, self._may_learn
        if self.parking or window.is_crowded:
            named = _NOTHING_NAMED
        row, is_open = None, False
        count = window.count
        mark = min(place + STRIDE, size)
        odd, gap = -1, 0  # up to where packets are probably not of a known shape, and how many are left out next time
        behind = 0  # where the last PUBACK ends; -1 when there was a row of them
        try:
            while True:
                if place > odd and (shape := find_shape(buffer[place : place + HEAD])) is not None:
                    cut, length, is_1 = shape
                    end = place + length
                    if end > size:
                        return place
                    if is_1:
                        name, number, given, payload = cut(buffer, place)
                        expected, topic, flow, entry, others = named[name]
                        if given != expected:
                            odd = place
                            continue
                    else:
                        name, payload = cut(buffer, place)
                        try:
                            topic, flow, entry, others = known[name]
                        except KeyError:  # maybe for properties that are longer or shorter than usual
                            odd = place
                            continue
                else:
                    first, length, short = _begin(buffer, place)
                    start = place + 2
                    if length > 127:
                        high = buffer[start]
                        if high > 127:
                            return place
                        start += 1
                        length += (high << 7) - 128
                        short = buffer[start] << 8 | buffer[start + 1]
                    end = start + length
                    if end > size:
                        return place
                    after = begin = start + 2 + short
                    if first == PUBLISH:
                        is_1 = False
                    elif first == _PUBLISH_1 and named:
                        is_1 = True
                        begin += 2
                        number = buffer[after:begin]
                    elif first == PUBACK and length == 2:
                        del light[short]
                        if promised and (done := promised.pop(short, None)):
                            done()
                        if place == behind:
                            end, behind = self._take_rows(buffer, end), -1
                            count = window.count  # what waited may have been sent
                        elif behind >= 0:
                            behind = end
                        place = odd = end
                        continue
                    else:
                        return place
                    number_end = begin
                    if is_v5:
                        begin += buffer[begin] + 1
                    topic, flow, entry, others = known[buffer[start:after] + buffer[number_end:begin]]
                    if begin > end:
                        return place
                    payload = buffer[begin:end]
                    if place > odd:
                        if may_learn >= READS_TO_LEARN:
                            may_learn -= READS_TO_LEARN
                            lengths = start - place, after - start, begin - number_end, end - begin
                            self._learn_shape(buffer[place : place + HEAD], shape_of(*lengths, is_1=is_1))
                        gap += gap + 1
                        odd = end + gap * (end - place)
                flow.received += 1
                if is_1:
                    if not is_open:
                        inbound.is_open = is_open = True
                        if row is None and (row := inbound.row()) is not None:
                            add_number, add_mark, last = row.numbers.append, row.marks.append, row.last
                    try:
                        flow.handler(topic, payload, 1, False, NO_PROPERTIES, entry)
                    except Exception as error:  # noqa: BLE001 - whatever a step raises costs this message only
                        failed(flow, error, Message(topic, payload, 1))
                    if others:
                        for route in others:
                            run(route, topic, payload, 1, False, NO_PROPERTIES)
                    if row is not None and inbound.held is None:
                        if window.count != count:
                            last = row.last = count = window.count
                        add_number(number)
                        add_mark(last)
                    else:
                        self._finish(number[0] << 8 | number[1], 1, count)
                        count, row = window.count, None
                        inbound.is_open = is_open = False
                else:
                    if is_open:
                        inbound.is_open = is_open = False
                    try:
                        flow.handler(topic, payload, 0, False, NO_PROPERTIES, entry)
                    except Exception as error:  # noqa: BLE001 - as above
                        failed(flow, error, Message(topic, payload))
                    if others:
                        for route in others:
                            run(route, topic, payload, 0, False, NO_PROPERTIES)
                payload = b""  # its memory serves the next one
                place = end
                if place > mark and place < size:
                    if monotonic() > deadline:
                        self.is_late = True
                        return place
                    if len(light) + len(waiting) >= CROWDED:
                        named = _NOTHING_NAMED
                    mark = min(end + STRIDE, size)
        except _NOT_USUAL:
            return place
        finally:
            inbound.is_open = False
            self._may_learn = min(may_learn + 1, LEARNED_IN_A_ROW * READS_TO_LEARN)

    def _learn_shape(self, head: bytes, shape: Shape) -> None:
        """Remember how such packets are cut."""
        if len(self._shapes) >= MOST_SHAPES:
            self._shapes.clear()
        self._shapes[head] = shape

    def _take_rows(self, buffer: bytes, place: int) -> int:
        """Handle many PUBACK without a reason, as they come where much is published; returns where they end."""
        while True:
            end = place + 4 * ROW
            if buffer[place:end:4] != _ROW_FIRST or buffer[place + 1 : end : 4] != _ROW_LENGTH or end > len(buffer):
                return place
            take, promised, acknowledge = self._window.light.pop, self._window.promised, self._window.acknowledge
            numbers = _row_numbers(buffer, place)
            place = end
            if not promised:
                try:
                    list(map(take, numbers))
                except KeyError:  # those before are known no more, of which nobody is told
                    pass
                else:
                    continue
            for number in numbers:
                if take(number, None) is None:
                    acknowledge(PUBACK, number, 0)
                elif promised and (done := promised.pop(number, None)):
                    done()

    def _finish(self, number: int, qos: int, before: int) -> None:
        """Learn that the handlers of a delivery have returned, which waits for publishes after the one `before`."""
        if self._window.count != before:
            receipt = self._inbound.hold()
            self._window.have_wait(receipt, before, self._window.count)
            receipt.let_go()
        self._inbound.finish(number, qos)

    def _current(self) -> dict[bytes, Known]:
        """What is known of topics, as long as nobody has exchanged the table."""
        if self._router.table is not self._table:
            self._table = self._router.table
            self._known, self._named = {}, {}
        return self._known

    def _take(self, first: int, packet: bytes, start: int) -> bool:
        """Handle any one packet; false if the network connection has come to its end with it."""
        try:
            match first & _KIND:
                case 0x30:
                    body = packet[start:]
                    delivery = Delivery(first, read_publish(first, body, is_v5=self._is_v5), body)
                    if first & 6 and (self.parking or self._window.is_crowded):
                        self._park(delivery)
                    else:
                        self._deliver(delivery)
                case 0x40 | 0x50 | 0x70 as kind:
                    self._window.acknowledge(kind, *read_answer(first, packet[start:], is_v5=self._is_v5))
                case 0x60:
                    number, _ = read_answer(first, packet[start:], is_v5=self._is_v5)
                    self._inbound.complete(number)
                    self._outlet.answer(pack_answer(PUBCOMP, number))
                case _:
                    return self._give_to_paho(packet)
        except Malformed:
            return self._give_to_paho(packet)  # which ends the connection, with the right words
        return True

    def _park(self, delivery: Delivery) -> None:
        """Keep a delivery back until there is room for what comes of it, and for those before it."""
        self.parking.put(delivery)
        while self.parking.is_over:
            self._deliver(self.parking.take())

    def unpark(self) -> None:
        """Hand on what was kept back, as long as there is room, and time: see `is_late`."""
        deadline = monotonic() + SLICE
        while self.parking and not self._window.is_crowded and not self.is_late:
            self._deliver(self.parking.take())
            self.is_late = monotonic() > deadline

    def _deliver(self, delivery: Delivery) -> None:
        first, packet, body = delivery.first, delivery.packet, delivery.body
        number, qos = packet.number, packet.qos if delivery.is_answered else 0
        before = self._window.count
        if self.is_stopped or (qos and self._inbound.is_known(number, qos, is_repeated=bool(first & _DUP))):
            return
        try:
            topic = packet.topic.decode()
        except UnicodeDecodeError:
            self.unreadable += 1
        else:
            properties, identifiers = packet.properties, packet.identifiers
            self._inbound.is_open = qos > 0
            try:
                self._router.deliver(topic, body[packet.begin :], qos, packet.retain, properties, identifiers)
            finally:
                self._inbound.is_open = False
            if first in (PUBLISH, _PUBLISH_1) and not properties:
                self._learn(packet, topic)
        if qos:
            self._finish(number, qos, before)

    def _learn(self, packet: Received, topic: str) -> None:
        """Remember what the short way needs to know of a topic."""
        routes = self._router.table.route(topic, False, packet.identifiers)
        if len(self._known) >= MOST_CACHED:
            self._known.clear()
            self._named.clear()
        flow, entry = routes[0] if routes else (self._nobody, 0)
        size = 2 + len(packet.topic)
        name, given = packet.key[:size], packet.key[size:]
        self._known[packet.key] = topic, flow, entry, routes[1:]
        self._named[name] = given, topic, flow, entry, routes[1:]
