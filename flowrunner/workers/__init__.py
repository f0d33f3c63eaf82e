"""Turns one run of flows into several processes that share the messages, and looks like one runner."""
