"""Turns off what tests that start runners do not ask for: a page for each of them."""

import os

os.environ.setdefault("FLOWRUNNER_WEB", "off")
