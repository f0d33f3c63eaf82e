"""Turns how often a connection wakes the loop, and for how little, into a short wait before the next read."""

from flowrunner.records import dataclass

#: Seconds that a read waits for company; the system adds some 50 µs of its own.
WAIT = 0.000_1

#: Each of so many members of a group gets so much less. It takes turns for fast that are so much slower, and waits so
#: much longer, up to a bound: one read of each then brings what one read of a process alone does.
SLOWER, LONGER = 1.5, 2.0
MOST_MEMBERS = 4

#: Bytes of a read up to which the next one may wait for more, and from which there is nothing more to win.
SMALL, LARGE = 1_024, 4_096

#: Seconds from turn to turn below which turns come fast, and below which they still do after they have waited.
#: With 5 000 messages a second nobody ever waits. While reads wait, turns are slow above the third.
FAST, STILL_FAST = 0.000_1, 0.000_13
SLOW = 0.000_5

#: What a rate is measured over: so many turns in so many seconds or more, or else this time.
TURNS = 32
SPAN = 0.003
LONGEST_SPAN = 0.03

#: Seconds after which there is a look at what comes without waiting: the more of them, the less harm was seen.
SHORTEST_PHASE, LONGEST_PHASE = 0.005, 0.2

#: How many times as much must come without waiting, and in how many looks in a row, until it is said that waiting
#: holds the sender up.
HARM = 1.25
SUSPICIONS = 3

#: Seconds for which nobody waits when it holds the sender up, doubled each time that it does so again.
PAUSE = 0.02
LONGEST_PAUSE = 5.0


@dataclass(slots=True)
class Sample:
    """What came since a moment, in turns and bytes."""

    since: float
    turns: int = 0
    size: int = 0

    def add(self, size: int, turns: int = 1) -> None:
        """Count turns of so many bytes."""
        self.turns += turns
        self.size += size

    def is_full(self, now: float) -> bool:
        """Whether it says something about the traffic."""
        elapsed = now - self.since
        return elapsed >= SPAN and (self.turns >= TURNS or elapsed >= LONGEST_SPAN)

    def rate(self, now: float) -> float:
        """Bytes a second."""
        return self.size / (now - self.since)

    def is_faster(self, interval: float, now: float) -> bool:
        """Whether there is less than this from turn to turn, in seconds."""
        return now - self.since < self.turns * interval

    def is_smaller(self, size: int) -> bool:
        """Whether its turns have read less than so many bytes."""
        return self.size < self.turns * size


class Moderation:
    """Decides for one connection whether its next read waits, by the traffic alone.

    To wake up costs more than to handle a message. So where turns come fast and bring little, reads wait a moment and
    bring more; where turns are slow or large, they never do. Whether waiting holds up a sender that waits for answers
    is found out by trying: again and again nobody waits for a few milliseconds, and if more comes then, nobody waits
    for a while.

    The messages may be dealt among several `members` of a group on this machine: then each gets less of them, and waits
    longer. `wait` is what the next read waits, in seconds.
    """

    __slots__ = (
        "_length",
        "_pause",
        "_paused_until",
        "_phase",
        "_rate",
        "_sample",
        "_slower",
        "_suspicions",
        "_wait",
        "wait",
    )

    def __init__(self, members: int = 1) -> None:
        self.wait = 0.0
        members = min(members, MOST_MEMBERS)
        self._slower, self._wait = (members * SLOWER, members * LONGER * WAIT) if members > 1 else (1.0, WAIT)
        self._sample = Sample(0.0)
        self._phase = Sample(0.0)  # all samples since the waiting began
        self._length = SHORTEST_PHASE
        self._rate = 0.0  # bytes a second in the phase that has just ended, else 0
        self._suspicions = 0
        self._pause = PAUSE
        self._paused_until = 0.0

    def turn(self, now: float, size: int) -> None:
        """Learn that a turn has read so many bytes, at a moment in seconds."""
        sample = self._sample
        sample.add(size)
        if sample.is_full(now):
            self._sample = Sample(now)
            if self.wait:
                self._judge_waiting(sample, now)
            else:
                self._judge_looking(sample, now)

    def _judge_waiting(self, sample: Sample, now: float) -> None:
        """Look at what comes without waiting: after some time, and when there is nothing to win any more."""
        phase = self._phase
        phase.add(sample.size, sample.turns)
        if not sample.is_faster(SLOW * self._slower, now):
            self.wait = 0.0
        elif now - phase.since >= self._length or not sample.is_smaller(LARGE):
            self.wait, self._rate = 0.0, phase.rate(now)

    def _judge_looking(self, sample: Sample, now: float) -> None:
        """Wait from now on, where turns are fast and small and waiting does no harm."""
        before, self._rate = self._rate, 0.0
        is_fast = sample.is_faster((STILL_FAST if before else FAST) * self._slower, now)
        if before and is_fast:
            self._learn(sample.rate(now) > before * HARM, now)
        if is_fast and sample.is_smaller(SMALL) and now >= self._paused_until:
            self.wait, self._phase = self._wait, Sample(now)

    def _learn(self, is_harm: bool, now: float) -> None:  # noqa: FBT001
        """Learn whether more has come without waiting; traffic is uneven, so that once means little."""
        if not is_harm:
            self._suspicions, self._pause = 0, PAUSE
            self._length = min(self._length * 2, LONGEST_PHASE)
            return
        self._suspicions += 1
        self._length = max(self._length / 4, SHORTEST_PHASE)
        if self._suspicions >= SUSPICIONS:
            self._paused_until = now + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
