"""Turns compiled flows into running ones: connections, routing, ticks, and what the terminal shows."""
