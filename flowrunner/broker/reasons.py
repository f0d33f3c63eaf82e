"""Names the reason codes of MQTT 5.0 (section 2.4) and carries one from a fault to the packet that reports it."""

from enum import IntEnum


class Reason(IntEnum):
    """A reason code (MQTT 5.0 section 2.4); 0x80 and above are failures."""

    SUCCESS = 0x00
    DISCONNECT_WITH_WILL = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_ID_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_ID_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    QUOTA_EXCEEDED = 0x97


OLD_RETURN_CODES = {
    Reason.UNSUPPORTED_PROTOCOL_VERSION: 1,
    Reason.CLIENT_ID_NOT_VALID: 2,
    Reason.QUOTA_EXCEEDED: 3,
    Reason.BAD_USER_NAME_OR_PASSWORD: 4,
    Reason.NOT_AUTHORIZED: 5,
}
"""What a CONNACK of MQTT 3.1.1 says instead (section 3.2.2.3); any other refusal is a closed connection."""


class Fault(Exception):
    """A client broke the protocol or may not do what it asks: its connection ends with this reason."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


def malformed(text: str) -> Fault:
    """Make the fault of a packet that cannot be read (MQTT 5.0 section 4.13.1)."""
    return Fault(Reason.MALFORMED_PACKET, text)


def forbidden(text: str) -> Fault:
    """Make the fault of a packet that can be read but must not be sent so (MQTT 5.0 section 4.13.1)."""
    return Fault(Reason.PROTOCOL_ERROR, text)
