"""Turns checked flows into functions that cost what a hand-written callback costs."""

from flowrunner.compile.program import Handler, Program, compile_flow

__all__ = ["Handler", "Program", "compile_flow"]
