"""Sets what tests that start runners expect: lines for people, also where they read them, and no page for each."""

import os

os.environ.setdefault("FLOWRUNNER_WEB", "off")
os.environ.setdefault("FLOWRUNNER_LOG_FORMAT", "text")
