"""Turns flowrunner into one that knows the moon."""
