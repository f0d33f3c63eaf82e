"""Turns this folder into pages: the settings of Sphinx."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "flowrunner"
author = "the flowrunner authors"
copyright = "the flowrunner authors, MIT licence"
extensions = ["myst_parser", "terminal", "reference"]
exclude_patterns = ["_build", "_extensions"]
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "flowrunner"
html_static_path: list[str] = []
suppress_warnings = ["misc.highlighting_failure"]  # `...` in JSON stands for what is left out
nitpicky = True
