"""Turns "bounded" into numbers: what an expression may be, and what it may make while it runs."""

MAX_SOURCE = 10_000
"""Characters of one expression."""
MAX_DEPTH = 100
"""Levels of an expression's tree."""
MAX_BRACKETS = 30
"""Brackets inside brackets."""
MAX_DIGITS = 400
"""Characters of a number that stands in an expression."""

MAX_BITS = 4096
"""Bits of an integer that `*`, `**` or `<<` makes."""
MAX_TEXT = 1_000_000
"""Characters (or bytes) of a text that grows in one operation."""
MAX_ITEMS = 100_000
"""Items of a list that grows in one operation."""
MAX_WORK = 5_000_000
"""Characters and items that all rounds of a comprehension may touch or make together."""
ROUND_COST = 10
"""What one round of a comprehension counts against MAX_WORK."""
MAX_SEARCH = 100_000_000
"""Product of the lengths of a text and of what is searched in it from its end."""
MAX_WIDTH = 1000
"""Width and precision of a format spec."""
MAX_PATTERN = 10_000
"""Characters of a regular expression."""
