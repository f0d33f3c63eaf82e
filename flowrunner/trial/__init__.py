"""Runs flows without a broker and without the world outside, on a clock that tests move: the tests of flows."""
