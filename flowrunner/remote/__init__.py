"""Turns steps that remember into ones whose memory is in Redis, where many processes share it."""
