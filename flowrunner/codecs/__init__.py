"""Turns the formats that payloads are written in into values, and values into them; each format is listed here once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flowrunner.codecs.binary import (
    from_cbor,
    from_gzip,
    from_msgpack,
    from_zlib,
    to_cbor,
    to_gzip,
    to_msgpack,
    to_zlib,
)
from flowrunner.codecs.textual import (
    CsvOptions,
    from_base64,
    from_csv,
    from_hex,
    from_yaml,
    to_base64,
    to_csv,
    to_hex,
    to_yaml,
)

__all__ = ["CODECS", "Codec", "CsvOptions"]

Kind = Literal["bytes", "text", "data", "any"]


@dataclass(frozen=True, slots=True)
class Codec:
    """A format: how it is read and written, what comes out, and the package it needs (empty: none).

    Both functions take the payload (`csv` a CsvOptions besides) and raise StepError, in words, for what does not fit.
    """

    decode: Callable[..., Any]
    decoded: Kind
    encode: Callable[..., Any]
    encoded: Kind
    package: str = ""


CODECS: Mapping[str, Codec] = {
    "csv": Codec(from_csv, "data", to_csv, "bytes"),
    "yaml": Codec(from_yaml, "data", to_yaml, "bytes"),
    "msgpack": Codec(from_msgpack, "any", to_msgpack, "bytes", "msgpack"),
    "cbor": Codec(from_cbor, "any", to_cbor, "bytes", "cbor2"),
    "base64": Codec(from_base64, "bytes", to_base64, "text"),
    "hex": Codec(from_hex, "bytes", to_hex, "text"),
    "gzip": Codec(from_gzip, "bytes", to_gzip, "bytes"),
    "zlib": Codec(from_zlib, "bytes", to_zlib, "bytes"),
}
