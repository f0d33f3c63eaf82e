"""Turns the bytes of a packet into the data types of MQTT 5.0 section 1.5, and back."""

from flowrunner.broker.reasons import malformed


class Reader:
    """Reads one packet's body from the front to the back; every method raises Fault where the bytes end early."""

    __slots__ = ("data", "end", "place")

    def __init__(self, data: bytes, place: int, end: int) -> None:
        self.data = data
        self.place = place
        self.end = end

    @property
    def is_done(self) -> bool:
        """Whether nothing is left."""
        return self.place >= self.end

    def take(self, count: int) -> bytes:
        """Read so many bytes."""
        start, stop = self.place, self.place + count
        if stop > self.end:
            raise malformed("the packet ends in the middle of a field")
        self.place = stop
        return self.data[start:stop]

    def byte(self) -> int:
        """Read one byte."""
        return self.take(1)[0]

    def number16(self) -> int:
        """Read a two byte integer (section 1.5.2)."""
        return int.from_bytes(self.take(2), "big")

    def number32(self) -> int:
        """Read a four byte integer (section 1.5.3)."""
        return int.from_bytes(self.take(4), "big")

    def variable(self) -> int:
        """Read a variable byte integer of at most four bytes in its shortest form (section 1.5.5)."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                if byte == 0 and shift:
                    raise malformed("a variable byte integer is longer than it needs to be")
                return value
            shift += 7
            if shift > 21:
                raise malformed("a variable byte integer is longer than four bytes")

    def binary(self) -> bytes:
        """Read binary data behind its length (section 1.5.6)."""
        return self.take(self.number16())

    def text(self) -> str:
        """Read a UTF-8 string without the character NUL (section 1.5.4)."""
        return decode_text(self.binary())

    def packet_id(self) -> int:
        """Read a packet identifier, which is never 0 (section 2.2.1)."""
        number = self.number16()
        if number == 0:
            raise malformed("a packet identifier must not be 0")
        return number

    def expect_end(self) -> None:
        """Raise Fault if something is left."""
        if self.place < self.end:
            raise malformed("the packet goes on after its last field")


def decode_text(data: bytes) -> str:
    """Turn the bytes of a UTF-8 string into text or raise Fault (sections 1.5.4 and [MQTT-1.5.4-1, -2])."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise malformed("a text is not valid UTF-8") from None
    if "\0" in text:
        raise malformed("a text must not contain the character NUL")
    return text


def long_length(data: bytes, start: int, length: int) -> tuple[int, int]:
    """Read the rest of a remaining length; the place behind it is 0 where bytes are missing (section 2.1.4)."""
    length &= 127
    for shift in (7, 14, 21):
        if start >= len(data):
            return 0, 0
        byte = data[start]
        start += 1
        length |= (byte & 127) << shift
        if byte < 128:
            return length, start
    raise malformed("the remaining length has more than four bytes")


def encode_variable(number: int) -> bytes:
    """Write a variable byte integer (section 1.5.5)."""
    if number < 128:
        return bytes((number,))
    data = bytearray()
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    data.append(number)
    return bytes(data)


def encode_binary(data: bytes) -> bytes:
    """Write binary data behind its length (section 1.5.6)."""
    return len(data).to_bytes(2, "big") + data


def encode_text(text: str) -> bytes:
    """Write a UTF-8 string (section 1.5.4)."""
    return encode_binary(text.encode())


def frame(header: int, body: bytes) -> bytes:
    """Write a whole packet: the first byte, the remaining length, the rest (section 2.1)."""
    return bytes((header,)) + encode_variable(len(body)) + body
