"""Turns text into topics and topic filters, and matches one with the other (MQTT 5.0 section 4.7)."""

from flowrunner.topics.filters import BadTopic, Filter, check_topic, parse_filter, suspicions
from flowrunner.topics.matching import capture, covers, matches, overlaps
from flowrunner.topics.tree import FilterTree

__all__ = [
    "BadTopic",
    "Filter",
    "FilterTree",
    "capture",
    "check_topic",
    "covers",
    "matches",
    "overlaps",
    "parse_filter",
    "suspicions",
]
