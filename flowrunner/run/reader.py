"""Cuts what was read into packets, and hands each to whom it belongs: a flow, the window, or paho."""

import struct
from collections.abc import Callable
from time import monotonic

from flowrunner.message import NO_PROPERTIES, Message
from flowrunner.run.inbound import Inbound
from flowrunner.run.live import LiveFlow
from flowrunner.run.outlet import Outlet
from flowrunner.run.packets import (
    PUBACK,
    PUBCOMP,
    PUBLISH,
    find_packet,
    pack_answer,
    read_answer,
    read_publish,
)
from flowrunner.run.parking import Delivery, Parking
from flowrunner.run.property_codec import Malformed
from flowrunner.run.router import Router
from flowrunner.run.routing import MOST_CACHED, Route, Table
from flowrunner.run.window import CROWDED

#: Seconds after which others have their turn in the loop, and bytes between looks at the clock.
SLICE = 0.008
STRIDE = 1_024

Known = tuple[str, LiveFlow, int, tuple[Route, ...]]
"""A topic: its text, the flow that wants it and through which source, and what other flows do."""

_PUBLISH_1 = PUBLISH | 0x02

#: PUBACK without a reason that are looked at together, and what they look like, byte for byte.
ROW = 32
_ROW_FIRST, _ROW_LENGTH = bytes((PUBACK,)) * ROW, b"\2" * ROW
_row_numbers = struct.Struct(">" + "xxH" * ROW).unpack_from

_KIND, _DUP = 0xF0, 0x08
_begin = struct.Struct(">BBH").unpack_from  # of a packet: first byte, length, length of the topic or packet identifier
_NOTHING_KNOWN: dict[bytes, Known] = {}
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
        self.is_v5 = True
        self.missing = 0
        self.unreadable = 0
        self._router = router
        self._outlet = outlet
        self._window = outlet.window
        self._inbound = inbound
        self._give_to_paho = give_to_paho
        self._table: Table | None = None
        self._known: dict[bytes, Known] = {}
        self._nobody = _Nobody()
        self.parking = Parking()

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

    def _run(self, buffer: bytes, place: int, deadline: float) -> int:
        """Handle packets as long as they are usual; returns where the first begins that is not, or not complete.

        Each of these lines is part of what a message costs: hence no calls, and twice the same for QoS 0 and 1.
        """
        known, is_v5, size = self._current(), self.is_v5, len(buffer)
        window, inbound, failed, run = self._window, self._inbound, self._router.failed, self._router.run
        light, promised, waiting = window.light, window.promised, window.waiting
        known_1 = _NOTHING_KNOWN if self.parking or window.is_crowded else known
        row, is_open = None, False
        count = window.count
        mark = min(place + STRIDE, size)
        behind = 0  # where the last PUBACK ends; -1 when there was a row of them
        try:
            while True:
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
                if end > mark:
                    if end > size:
                        return place
                    if monotonic() > deadline:
                        self.is_late = True
                        return place
                    if len(light) + len(waiting) >= CROWDED:
                        known_1 = _NOTHING_KNOWN
                    mark = min(end + STRIDE, size)
                if first == PUBLISH:
                    if is_open:
                        inbound.is_open = is_open = False
                    begin = start + 2 + short
                    if is_v5:
                        begin += buffer[begin] + 1
                    topic, flow, entry, others = known[buffer[start:begin]]
                    if begin > end:
                        return place
                    flow.received += 1
                    try:
                        flow.handler(topic, buffer[begin:end], 0, False, NO_PROPERTIES, entry)
                    except Exception as error:  # noqa: BLE001 - whatever a step raises costs this message only
                        failed(flow, error, Message(topic, buffer[begin:end]))
                    if others:
                        for route in others:
                            run(route, topic, buffer[begin:end], 0, False, NO_PROPERTIES)
                elif first == _PUBLISH_1:
                    after = start + 2 + short
                    begin = number_end = after + 2
                    if is_v5:
                        begin += buffer[begin] + 1
                        topic, flow, entry, others = known_1[buffer[start:after] + buffer[number_end:begin]]
                    else:
                        topic, flow, entry, others = known_1[buffer[start:after]]
                    if begin > end:
                        return place
                    if not is_open:
                        inbound.is_open = is_open = True
                        if row is None and (row := inbound.row()) is not None:
                            add_number, add_mark, last = row.numbers.append, row.marks.append, row.last
                    flow.received += 1
                    try:
                        flow.handler(topic, buffer[begin:end], 1, False, NO_PROPERTIES, entry)
                    except Exception as error:  # noqa: BLE001 - as above
                        failed(flow, error, Message(topic, buffer[begin:end], 1))
                    if others:
                        for route in others:
                            run(route, topic, buffer[begin:end], 1, False, NO_PROPERTIES)
                    if row is not None and inbound.held is None:
                        if window.count != count:
                            last = row.last = count = window.count
                        add_number(buffer[after:number_end])
                        add_mark(last)
                    else:
                        self._finish(buffer[after] << 8 | buffer[after + 1], 1, count)
                        count, row = window.count, None
                        inbound.is_open = is_open = False
                elif first == PUBACK and length == 2:
                    del light[short]
                    if promised and (done := promised.pop(short, None)):
                        done()
                    if place == behind:
                        end, behind = self._take_rows(buffer, end), -1
                        count = window.count  # what waited may have been sent
                    elif behind >= 0:
                        behind = end
                else:
                    return place
                place = end
        except _NOT_USUAL:
            return place
        finally:
            inbound.is_open = False

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
            self._known = {}
        return self._known

    def _take(self, first: int, packet: bytes, start: int) -> bool:
        """Handle any one packet; false if the network connection has come to its end with it."""
        try:
            match first & _KIND:
                case 0x30:
                    body = packet[start:]
                    delivery = Delivery(first, read_publish(first, body, is_v5=self.is_v5), body)
                    if first & 6 and (self.parking or self._window.is_crowded):
                        self._park(delivery)
                    else:
                        self._deliver(delivery)
                case 0x40 | 0x50 | 0x70 as kind:
                    self._window.acknowledge(kind, *read_answer(first, packet[start:], is_v5=self.is_v5))
                case 0x60:
                    number, _ = read_answer(first, packet[start:], is_v5=self.is_v5)
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
                self._learn(packet.key, topic, identifiers)
        if qos:
            self._finish(number, qos, before)

    def _learn(self, key: bytes, topic: str, identifiers: tuple[int, ...]) -> None:
        """Remember what the short way needs to know of a topic."""
        routes = self._router.table.route(topic, False, identifiers)
        if len(self._known) >= MOST_CACHED:
            self._known.clear()
        flow, entry = routes[0] if routes else (self._nobody, 0)
        self._known[key] = (topic, flow, entry, routes[1:])
