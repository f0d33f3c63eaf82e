"""Turns checked flows into functions that cost what a hand-written callback costs."""

from flowrunner.compile.program import Handler, Program, compile_flow, compile_to_run
from flowrunner.compile.taps import See, Taps

__all__ = ["Handler", "Program", "See", "Taps", "compile_flow", "compile_to_run"]
