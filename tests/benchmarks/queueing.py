"""Plays queues message by message, with chance from a seed, so that the formulas of `scale.py` need not be believed."""

from random import Random


def mean_wait(rate: float, service: float) -> float:
    """Seconds that a message waits on average before it is handled: Pollaczek and Khinchine, for equal work (M/D/1)."""
    load = rate * service
    return load * service / (2 * (1 - load))


def time_to_catch_up(rate: float, service: float, away: float) -> float:
    """Seconds that a member needs after so long an absence, until nothing waits for it any more."""
    load = rate * service
    return away * load / (1 - load)


def excess_by_hash(topics: int, members: int) -> float:
    """By how much the busiest member has more than the mean where the topic chooses it: the extreme of normal chances."""
    from math import log, sqrt

    return sqrt(2 * log(members) * members / topics) if members > 1 else 0.0


def play_waiting(rate: float, service: float, members: int, messages: int, seed: int) -> float:
    """The mean wait where messages come by chance, and each goes to a member that is chosen by chance."""
    chance = Random(seed)
    free = [0.0] * members
    now = waited = 0.0
    for _ in range(messages):
        now += chance.expovariate(rate)
        member = chance.randrange(members)
        begun = max(now, free[member])
        waited += begun - now
        free[member] = begun + service
    return waited / messages


def play_absence(rate: float, service: float, away: float, seed: int) -> float:
    """The seconds after its return in which one member works without a pause, where messages for it come by chance."""
    chance = Random(seed)
    now, free = 0.0, away
    while True:
        now += chance.expovariate(rate)
        if now > free:
            return free - away
        free += service


def play_hash(topics: int, members: int, seed: int) -> float:
    """By how much the busiest member has more than the mean, where each topic goes to a member by chance."""
    chance = Random(seed)
    counts = [0] * members
    for _ in range(topics):
        counts[chance.randrange(members)] += 1
    return max(counts) * members / topics - 1
