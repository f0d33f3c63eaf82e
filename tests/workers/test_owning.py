"""Who owns what: found out for the flows that an edit changes, and said in words."""

from flowrunner.compile.owners import owner_reasons
from flowrunner.read.flow import Flow
from flowrunner.run.report import Report
from flowrunner.workers.once import Once
from flowrunner.workers.ownership import Present
from flowrunner.workers.owning import Owning
from tests.flow_host import read
from tests.run.fakes import Told

COUNTED = "subscribe: in/+n\nsteps:\n  - dedupe: {key: n, within: 1h}\n  - publish: out\n"
SHARED = "subscribe: in/+n\nsteps:\n  - publish: out\n"


def test_what_is_made_of_a_flow_is_made_once_until_it_is_forgotten() -> None:
    made: list[str] = []

    def make(flow: Flow) -> int:
        made.append(flow.name)
        return len(made)

    once = Once(make)
    one, two = read(SHARED, name="one"), read(SHARED, name="two")
    assert [once.of(one), once.of(two), once.of(one)] == [1, 2, 1]
    once.keep([one])
    assert [once.of(one), once.of(two)] == [1, 3]
    assert once.of(read(SHARED, name="one")) == 4  # an edit makes another flow
    assert made == ["one", "two", "two", "one"]


def test_an_edit_has_reasons_found_for_the_flows_that_it_changes_only() -> None:
    asked: list[str] = []

    def reasons(flow: Flow) -> tuple[str, ...]:
        asked.append(flow.name)
        return owner_reasons(flow)

    told = Told()
    owning = Owning(Report(told.lines.append))
    owning._reasons = Once(reasons)
    flows = {name: read(text, name=name) for name, text in {"one": COUNTED, "two": COUNTED, "three": SHARED}.items()}

    def take() -> None:
        owning.take(flows, "plant", lambda _: False)
        owning.assign(Present(frozenset({1, 2})))

    take()
    owning.say(flows, 2)
    assert asked == ["one", "two", "three"]
    assert "2 workers; shared: three; one owner each: one (`dedupe` remembers) on 1, two" in told.text
    assert "every machine runs `one` (`dedupe` remembers), `two`" in told.text
    assert owning.elsewhere(1) == {"two"}
    assert owning.owned == {1: ["one"], 2: ["two"]}

    flows["three"] = read(COUNTED, name="three")
    take()
    assert asked == ["one", "two", "three", "three"]
    assert owning.alone == {"one", "two", "three"}
    assert {name: owning.owners[name] for name in ("one", "two")} == {"one": 1, "two": 2}
