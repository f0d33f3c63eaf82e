"""Turns `python -m flowrunner` into the command `flowrunner`."""

import sys

from flowrunner.cli import main

sys.exit(main())
