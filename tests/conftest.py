"""Sets what tests that start runners expect: lines for people, also where they read them, and no page for each.

How long one example of hypothesis takes says how busy the machine is, so it fails no test.
"""

import os

from hypothesis import settings

os.environ.setdefault("FLOWRUNNER_WEB", "off")
os.environ.setdefault("FLOWRUNNER_LOG_FORMAT", "text")
settings.register_profile("unhurried", settings(deadline=None))
settings.load_profile("unhurried")
