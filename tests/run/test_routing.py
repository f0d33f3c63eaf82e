from collections import Counter
from collections.abc import Iterable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.run.live import LiveFlow
from flowrunner.run.newcomers import Newcomers
from flowrunner.run.routing import MOST_CACHED, Given, Table, Want
from flowrunner.sources import Subscribe
from flowrunner.topics import Filter, matches
from tests.run.fakes import FakeProgram, subscribe

LEVELS = st.sampled_from(["a", "b", "", "$x"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=3).map("/".join).filter(bool)
FILTERS = st.builds(
    lambda levels, rest: "/".join([*levels, *rest]),
    st.lists(st.sampled_from(["a", "b", "", "$x", "+"]), min_size=1, max_size=3),
    st.sampled_from([[], [], ["#"]]),
).filter(bool)
SOURCES = st.builds(
    lambda topic_filter, retained: subscribe(topic_filter, retained=retained),
    FILTERS,
    st.sampled_from(["all", "all", "new", "only"]),
)
FLOWS = st.lists(st.lists(SOURCES, min_size=1, max_size=4), min_size=1, max_size=4)


def live(sources: Sequence[Subscribe], name: str = "flow") -> LiveFlow:
    return LiveFlow(FakeProgram(name, *sources))


def wants_of(flow: LiveFlow) -> list[Want]:
    sources = flow.program.flow.sources
    return [Want(flow, entry, source) for entry, source in enumerate(sources) if isinstance(source, Subscribe)]


def numbered(wants: Iterable[Want]) -> dict[str, int]:
    return {mqtt: number for number, mqtt in enumerate(dict.fromkeys(want.filter.mqtt for want in wants), 1)}


def table_of(flows: Sequence[LiveFlow], *, waiting: frozenset[LiveFlow] = frozenset()) -> tuple[Table, dict[str, int]]:
    wants = [want for flow in flows for want in wants_of(flow)]
    numbers = numbered(wants)
    given_ = {
        number: Given(mqtt, frozenset(want.flow for want in wants if want.filter.mqtt == mqtt))
        for mqtt, number in numbers.items()
    }
    return Table(wants, given_, own=range(1, len(numbers) + 1), waiting=waiting), numbers


def expected_entry(sources: Sequence[Subscribe], topic: str, *, retain: bool) -> int | None:
    """What the language promises, in the plainest words."""
    for entry, source in enumerate(sources):
        is_wanted = source.retained == "all" or (source.retained == "only") == retain
        if is_wanted and matches(source.filter, topic):
            return entry
    return None


def deliveries(numbers: dict[str, int], filters: dict[str, Filter], topic: str, *, kind: str) -> list[tuple[int, ...]]:
    """What a broker sends for a message: a copy per subscription, one for all of them, or one that says nothing."""
    found = tuple(number for mqtt, number in numbers.items() if matches(filters[mqtt], topic))
    if not found:
        return []
    if kind == "copies":
        return [(number,) for number in found]
    return [found if kind == "merged" else ()]


@given(FLOWS, TOPICS, st.booleans(), st.sampled_from(["copies", "merged", "silent"]))
def test_every_flow_gets_a_message_once_through_its_first_filter(
    sources: list[list[Subscribe]], topic: str, retain: bool, kind: str
) -> None:
    flows = [live(own, f"flow{index}") for index, own in enumerate(sources)]
    table, numbers = table_of(flows)
    filters = {source.filter.mqtt: source.filter for own in sources for source in own}
    found = Counter(
        route
        for identifiers in deliveries(numbers, filters, topic, kind=kind)
        for route in table.find(topic, retain, identifiers)
    )
    expected = {
        (flow, entry): 1
        for flow, own in zip(flows, sources, strict=True)
        if (entry := expected_entry(own, topic, retain=retain)) is not None
    }
    assert found == expected


def test_a_shared_copy_counts_only_where_no_other_filter_of_the_flow_matches() -> None:
    both, alone = (
        live([subscribe("$share/g/o/#"), subscribe("o/a")], "both"),
        live([subscribe("$share/g/o/#")], "alone"),
    )
    table, numbers = table_of([both, alone])
    assert table.find("o/a", False, (numbers["$share/g/o/#"],)) == ((alone, 0),)
    assert table.find("o/a", False, (numbers["o/a"],)) == ((both, 1),)
    assert set(table.find("o/b", False, (numbers["$share/g/o/#"],))) == {(both, 0), (alone, 0)}


def test_identifiers_of_an_earlier_run_are_taken_for_none() -> None:
    flow = live([subscribe("o/#")])
    table, _ = table_of([flow])
    assert table.find("o/a", False, (77_000,)) == ((flow, 0),)


def test_an_identifier_that_was_given_up_runs_nothing() -> None:
    flow = live([subscribe("o/#")])
    table = Table(wants_of(flow), {2: Given("o/#", frozenset([flow]))}, own=range(1, 3))
    assert table.find("o/a", False, (1,)) == ()


def test_old_and_new_identifiers_of_a_filter_run_the_flow() -> None:
    flow = live([subscribe("o/#")])
    given_ = {1: Given("o/#", frozenset([flow])), 2: Given("o/#", frozenset())}
    table = Table(wants_of(flow), given_, own=range(1, 3))
    assert table.find("o/a", False, (1,)) == table.find("o/a", False, (2,)) == ((flow, 0),)


def test_retained_messages_go_to_those_for_whom_the_subscription_was_made() -> None:
    old, new = live([subscribe("o/#")], "old"), live([subscribe("o/#")], "new")
    wants = wants_of(old) + wants_of(new)
    given_ = {1: Given("o/#", frozenset([old])), 2: Given("o/#", frozenset([new]))}
    table = Table(wants, given_, own=range(1, 3))
    assert table.find("o/a", True, (2,)) == ((new, 0),)
    assert set(table.find("o/a", False, (2,))) == {(old, 0), (new, 0)}


def test_without_identifiers_retained_messages_go_to_the_newcomers() -> None:
    old, new = live([subscribe("o/#")], "old"), live([subscribe("o/a")], "new")
    newcomers = Newcomers()
    newcomers.join([new])
    table = Table(wants_of(old) + wants_of(new), newcomers=newcomers)
    assert table.find("o/a", True, ()) == ((new, 0),)
    assert table.find("o/a", True, ()) == ()  # once more, because another filter matches too
    assert set(table.find("o/a", False, ())) == {(old, 0), (new, 0)}


def test_newcomers_wait_on_while_others_join_until_there_was_silence() -> None:
    now = 0.0
    newcomers = Newcomers(lambda: now)
    one, two, three = (live([subscribe("#")], name) for name in ("one", "two", "three"))
    newcomers.begin([one])
    now = 10.0
    assert newcomers.takes(one, "a")
    newcomers.join([two])
    assert [newcomers.takes(flow, "b") for flow in (one, two, three)] == [True, True, False]
    now = 12.0
    newcomers.join([three])
    assert [newcomers.takes(flow, "c") for flow in (one, two, three)] == [False, False, True]


def test_a_flow_that_waits_gets_only_what_was_retained_for_it() -> None:
    old, new = live([subscribe("o/a")], "flow"), live([subscribe("o/#")], "flow")
    wants = wants_of(old) + wants_of(new)
    given_ = {1: Given("o/a", frozenset([old])), 2: Given("o/#", frozenset([new]))}
    table = Table(wants, given_, own=range(1, 3), waiting=frozenset([new]))
    assert table.find("o/a", False, (1,)) == ((old, 0),)
    assert table.find("o/a", False, (2,)) == ()
    assert table.find("o/a", True, (2,)) == ((new, 0),)


def test_the_routes_that_are_remembered_are_bounded() -> None:
    flow = live([subscribe("#")])
    table, _ = table_of([flow])
    for number in range(MOST_CACHED + 10):
        assert table.find(f"t/{number}", False, (1,)) == ((flow, 0),)
    assert len(table._cache) <= MOST_CACHED
