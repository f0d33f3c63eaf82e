"""Says who gets retained messages where deliveries do not tell which SUBSCRIBE they answer.

That is so with MQTT 3.1.1 (section 3.3.1.3), and with brokers that have no subscription identifiers.
"""

from collections.abc import Callable, Iterable
from time import monotonic

from flowrunner.run.live import LiveFlow

#: Seconds of silence after which what was kept for flows that subscribed earlier has arrived.
SILENCE = 1.0

#: Topics per flow up to which is known that their retained message has arrived already.
MOST_TOPICS = 100_000


class Newcomers:
    """The flows that wait for retained messages, each with the topics of which it has got them.

    A broker sends them for every filter that matches, and to the connection, not to a flow.
    """

    def __init__(self, time: Callable[[], float] = monotonic) -> None:
        self._time = time
        self._topics: dict[LiveFlow, set[str]] = {}
        self._last = 0.0

    def begin(self, flows: Iterable[LiveFlow]) -> None:
        """Learn that all of these subscribe anew."""
        self._topics = {flow: set() for flow in flows}

    def join(self, flows: Iterable[LiveFlow]) -> None:
        """Learn that these subscribe now; those before them go on waiting if something may still be on its way."""
        if self._time() - self._last > SILENCE:
            self._topics.clear()
        self._topics |= {flow: set() for flow in flows}

    def takes(self, flow: LiveFlow, topic: str) -> bool:
        """Whether a retained message is for this flow; asked once for each delivery."""
        topics = self._topics.get(flow)
        if topics is None or topic in topics:
            return False
        self._last = self._time()
        if len(topics) < MOST_TOPICS:
            topics.add(topic)
        return True
