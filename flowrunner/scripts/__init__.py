"""Turns flows into stand-alone Python scripts on paho-mqtt, for people to read and to go on with."""

from flowrunner.scripts.refusals import CannotEject
from flowrunner.scripts.script import write_script

__all__ = ["CannotEject", "write_script"]
