"""Turns files that hold an input and what it must give into pairs for a test.

A golden is one file: the input, a line of ten dashes, the output. `FLOWRUNNER_GOLDENS=write pytest ...` writes the
outputs anew; read every difference with your own eyes before you commit it.
"""

import os
from pathlib import Path

GOLDENS = Path(__file__).parent / "goldens"
LINE = "----------\n"


def goldens_in(folder: str) -> list[Path]:
    return sorted((GOLDENS / folder).glob("*.yaml"))


def input_of(golden: Path) -> str:
    return golden.read_text(encoding="utf-8").partition(LINE)[0]


def assert_golden(golden: Path, output: str) -> None:
    given, _, expected = golden.read_text(encoding="utf-8").partition(LINE)
    if os.environ.get("FLOWRUNNER_GOLDENS") == "write":
        golden.write_text(given + LINE + output, encoding="utf-8")
        return
    assert output == expected
