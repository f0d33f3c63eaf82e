"""Turns an export of Node-RED into flow files; `flowrunner.cli.import_` writes them."""

from flowrunner.nodered.export import BadExport, Node
from flowrunner.nodered.outcome import Outcome
from flowrunner.nodered.translation import Translation, translate

__all__ = ["BadExport", "Node", "Outcome", "Translation", "translate"]
