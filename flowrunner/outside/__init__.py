"""Turns what steps want of the world outside into calls of its programs, functions and servers."""
