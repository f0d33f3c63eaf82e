"""Turns flow files into callbacks on an MQTT client: a declarative flow runner."""

__version__ = "0.1.0"
