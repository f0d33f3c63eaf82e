"""Measures how long messages wait, or are lost, when a member of a group goes: `python -m tests.benchmarks.takeover`.

Three runners on three hosts (`tests/hosts`) share a steady stream at QoS 1 through mosquitto; one of them goes in one of
several ways. Of every message is known when it was sent and when it came out. What is told: until how long after the
event messages were still sent that came late, or never; how many of each there were; and how many came twice.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.hosts.places import Hosts, Namespaces, Proxies, why_no_namespaces
from tests.hosts.plant import Host, Plant, plant, wait

#: Messages a second; seconds before the event, and after all is well again; what counts as late, in seconds.
RATE = 300
BEFORE = 2.0
AFTER = 2.0
LATE = 0.5


@dataclass(frozen=True, slots=True)
class Case:
    """A way to go: `keep` is how long sessions are kept (empty: not at all), `lasts` how many seconds it takes."""

    name: str
    keep: str
    keepalive: int
    goes: Callable[[Plant, Host], None]
    lasts: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: seconds after the event in which messages were sent that came late or never, and how many."""

    name: str
    keep: str
    keepalive: int
    seconds: float
    late: int
    longest: float
    lost: int
    again: int


def told_to_end(_: Plant, member: Host) -> None:
    assert member.child is not None
    member.child.terminate()


def killed(_: Plant, member: Host) -> None:
    member.kill()


def killed_and_started(_: Plant, member: Host) -> None:
    member.kill()
    member.start()


def cut_off(place: Plant, member: Host) -> None:
    place.hosts.cut(member.number)


#: mosquitto looks every five seconds for clients that have been silent for one and a half times their keep-alive.
CASES = [
    Case("SIGTERM", "1h", 60, told_to_end, 3),
    Case("kill -9, started again at once", "1h", 60, killed_and_started, 5),
    Case("kill -9, for good", "", 60, killed, 2),
    Case("cut off, for good", "", 2, cut_off, 10),
    Case("cut off, for good", "", 5, cut_off, 15),
    Case("cut off, for good", "", 15, cut_off, 30),
]


def measure(case: Case) -> Outcome:
    """Let one case happen."""
    make: Callable[[int], Hosts] = Proxies if why_no_namespaces() else Namespaces
    with (
        tempfile.TemporaryDirectory() as folder,
        plant(Path(folder), make, keep=case.keep, keepalive=case.keepalive) as place,
    ):
        sent: dict[str, float] = {}
        stream(place, sent, BEFORE)
        event = time.monotonic()
        case.goes(place, place.runners[2])
        stream(place, sent, case.lasts + AFTER)
        end = time.monotonic()
        wait(lambda: len(place.ear.heard) == len(sent) or time.monotonic() > end + LATE + 2)
        return judge(case, sent, place.ear.came, event, place.ear.again)


def stream(place: Plant, sent: dict[str, float], seconds: float) -> None:
    """Send messages at a steady rate for so many seconds."""
    begun, first = time.monotonic(), len(sent)
    while (passed := time.monotonic() - begun) < seconds:
        while len(sent) - first < passed * RATE:
            number = str(len(sent))
            sent[number] = time.monotonic()
            place.hand.publish(f"in/{number}", number, 1)
        time.sleep(0.002)


def judge(case: Case, sent: dict[str, float], came: dict[str, float], event: float, again: int) -> Outcome:
    """What happened to messages that were sent after the event, or shortly before."""
    lost = [number for number in sent if number not in came]
    late = [number for number in came if came[number] - sent[number] > LATE]
    seconds = max((sent[number] - event for number in (*lost, *late)), default=0.0)
    longest = max(came[number] - sent[number] for number in came)
    return Outcome(
        case.name,
        case.keep,
        case.keepalive,
        round(max(seconds, 0.0), 2),
        len(late),
        round(longest, 2),
        len(lost),
        again,
    )


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as a table of Markdown."""
    lines = [
        "| one of three members goes | session | keepalive | all is well again after | came late | lost | came twice |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in outcomes:
        late = f"{one.late}, by {one.longest:.1f} s at most" if one.late else "0"
        lines.append(
            f"| {one.name} | {one.keep or 'none'} | {one.keepalive} s | {one.seconds:.1f} s | {late} "
            f"| {one.lost} | {one.again} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure all cases, and write the table; with `--json FILE` the figures, too."""
    outcomes = []
    for case in CASES:
        outcomes.append(measure(case))
        print(outcomes[-1], file=sys.stderr, flush=True)
    sys.stdout.write(table(outcomes))
    if "--json" in sys.argv:
        file = Path(sys.argv[sys.argv.index("--json") + 1])
        file.write_text(json.dumps([asdict(one) for one in outcomes], indent=2) + "\n")


if __name__ == "__main__":
    main()
