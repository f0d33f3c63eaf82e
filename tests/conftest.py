"""Sets what all tests expect, and what makes them quick.

Tests that start runners expect lines for people, also where they read them, and no page for each. How long one example
of hypothesis takes says how busy the machine is, so it fails no test.
"""

import gc
import os
import sys

import pytest
from hypothesis import settings

os.environ.setdefault("FLOWRUNNER_WEB", "off")
os.environ.setdefault("FLOWRUNNER_LOG_FORMAT", "text")
settings.register_profile("unhurried", settings(deadline=None))
settings.load_profile("unhurried")

# without bytecode each worker, and each of some hundred programs that tests start, compiles all it imports; this
# runs before the workers start
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: for a good part of the time a test waits for a broker, a program or a clock."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish() -> None:
    """Spare the collector of garbage the ten thousand tests themselves: they stay."""
    gc.collect()
    gc.freeze()
