"""Topics and filters: our matching is paho's and a naive one's, and every fault has its place in the text."""

import re
from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from flowrunner.topics import (
    BadTopic,
    Filter,
    FilterTree,
    capture,
    check_topic,
    covers,
    matches,
    overlaps,
    parse_filter,
    suspicions,
)

LEVELS = st.sampled_from(["a", "b", "", "$x", "c d"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=5).map("/".join).filter(bool)
FILTERS = (
    st.tuples(st.lists(st.one_of(LEVELS, st.just("+")), max_size=4), st.booleans())
    .map(lambda pair: "/".join([*pair[0], *(["#"] if pair[1] else [])]))
    .filter(bool)
)
PIECES = [*"+#/$ ab_1*é", "\0", "\ud800", "$share/", "room", "class"]
SOUP = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def naive(pattern: str, topic: str) -> bool:
    """Section 4.7 said with a regular expression."""
    if topic.startswith("$") and pattern[0] in "+#":
        return False
    if pattern == "#":
        return True
    text = re.escape(pattern).replace(r"\+", "[^/]*")
    if text.endswith(r"/\#"):
        text = text.removesuffix(r"/\#") + "(/.*)?"
    return re.fullmatch(text, topic, re.DOTALL) is not None


def fault_of(text: str, *, named: bool = True, reserved: frozenset[str] = frozenset()) -> BadTopic:
    with pytest.raises(BadTopic) as caught:
        parse_filter(text, named=named, reserved=reserved)
    return caught.value


@given(FILTERS, TOPICS)
def test_matching_is_that_of_paho_and_of_a_naive_one(pattern: str, topic: str) -> None:
    found = matches(parse_filter(pattern), topic)
    assert found == naive(pattern, topic)
    assert found == topic_matches_sub(pattern, topic)


def topics_of_two_levels() -> Iterator[str]:
    levels = ["a", "b", "", "$x"]
    yield from (level for level in levels if level)
    yield from map("/".join, product(levels, levels))
    yield from map("/".join, product(levels, levels, levels))


@given(
    st.lists(st.sampled_from(["a", "b", "", "$x", "+"]), min_size=1, max_size=2).map("/".join).filter(bool),
    st.lists(st.sampled_from(["a", "b", "", "$x", "+"]), min_size=0, max_size=2),
    st.booleans(),
)
def test_filters_overlap_exactly_where_a_topic_belongs_to_both(left: str, levels: list[str], has_rest: bool) -> None:
    right = "/".join([*levels, *(["#"] if has_rest else [])])
    if not right:
        return
    one, other = parse_filter(left), parse_filter(right)
    common = [topic for topic in topics_of_two_levels() if matches(one, topic) and matches(other, topic)]
    assert overlaps(one, other) == overlaps(other, one) == bool(common)


@given(FILTERS, FILTERS, st.lists(TOPICS, max_size=20))
def test_overlap_and_cover_are_sound(left: str, right: str, topics: list[str]) -> None:
    one, other = parse_filter(left), parse_filter(right)
    for topic in topics:
        if matches(one, topic) and matches(other, topic):
            assert overlaps(one, other)
        if matches(other, topic) and covers(one, other):
            assert matches(one, topic)


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("#", "a/b", True),
        ("#", "$SYS/x", False),
        ("a/#", "a", True),
        ("a/+", "a/b", True),
        ("a/+", "a/#", False),
        ("a/+", "a/+", True),
        ("a", "a/b", False),
        ("a/b", "a", False),
        ("a/b", "a/+", False),
    ],
)
def test_one_filter_covers_another(wide: str, narrow: str, expected: bool) -> None:
    assert covers(parse_filter(wide), parse_filter(narrow)) == expected


@given(st.lists(st.tuples(FILTERS, st.integers(0, 3), st.booleans()), max_size=30), TOPICS)
def test_a_tree_finds_what_matching_one_by_one_finds(changes: list[tuple[str, int, bool]], topic: str) -> None:
    tree: FilterTree[tuple[str, int]] = FilterTree()
    kept: set[tuple[str, int]] = set()
    for text, number, is_added in changes:
        value = (text, number)
        if is_added:
            assert tree.add(parse_filter(text), value) == (value not in kept)
            kept.add(value)
        else:
            assert tree.remove(parse_filter(text), value) == (value in kept)
            kept.discard(value)
    assert len(tree) == len(kept)
    assert sorted(tree.find(topic)) == sorted(value for value in kept if matches(parse_filter(value[0]), topic))
    for value in kept:
        tree.remove(parse_filter(value[0]), value)
    assert len(tree) == 0
    assert not any((tree._root.below, tree._root.rest, tree._root.plus)), "an empty tree holds nothing"


def test_a_tree_looks_at_few_branches_however_many_filters_there_are() -> None:
    """A filter that looks into a level counts how often it is compared."""

    class Counting(str):
        __slots__ = ()
        compared = 0

        def __eq__(self, other: object) -> bool:
            Counting.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    tree: FilterTree[int] = FilterTree()
    for index in range(2000):
        tree.add(Filter("", "", (Counting(f"site{index}"), Counting("+"), Counting("state"))), index)
    Counting.compared = 0
    assert tree.find("site1234/pump/state") == [1234]
    assert Counting.compared < 10


def test_a_very_deep_filter_and_topic_are_no_trouble() -> None:
    deep = "/" * 65_000
    tree: FilterTree[str] = FilterTree()
    tree.add(parse_filter(deep), "deep")
    tree.add(parse_filter("+/#"), "all")
    assert sorted(tree.find(deep)) == ["all", "deep"]
    assert tree.remove(parse_filter(deep), "deep")


@pytest.mark.parametrize(
    ("text", "topic", "expected"),
    [
        ("sensors/+room/climate", "sensors/kitchen/climate", {"room": "kitchen"}),
        ("+site/+room/#rest", "graz/hall/a/b", {"site": "graz", "room": "hall", "rest": "a/b"}),
        ("house/#rest", "house", {"rest": ""}),
        ("house/+/x", "house/1/x", {}),
        ("$share/g/a/+b", "a/c", {"b": "c"}),
    ],
)
def test_named_levels_are_captured(text: str, topic: str, expected: dict[str, str]) -> None:
    topic_filter = parse_filter(text, named=True)
    assert matches(topic_filter, topic)
    assert capture(topic_filter, topic) == expected


def test_a_broker_is_sent_the_filter_without_names() -> None:
    topic_filter = parse_filter("$share/team/a/+room/#rest", named=True)
    assert topic_filter.mqtt == "$share/team/a/+/#"
    assert topic_filter.levels == ("a", "+", "#")
    assert topic_filter.share == "team"
    assert topic_filter.captures == (("room", 1, False), ("rest", 2, True))


@pytest.mark.parametrize(
    ("text", "span", "message", "label", "help"),
    [
        (
            "house/#/temperature",
            "#",
            "`#` must be the last level of a topic filter",
            "one level follows",
            "for exactly one level use `+`: `house/+/temperature`",
        ),
        (
            "a/#rest/b/c",
            "#rest",
            "`#` must be the last level of a topic filter",
            "2 levels follow",
            "for exactly one level use `+`: `a/+rest/b/c`",
        ),
        (
            "a+b/c",
            "+",
            "`+` must stand for a whole level of a topic filter",
            "only part of a level here",
            "a whole level is `+`, or with a name `+room`",
        ),
        (
            "sensors/ + /x",
            " + ",
            "`+` must stand for a whole level of a topic filter",
            "spaces around it",
            "without them: `sensors/+/x`",
        ),
        (
            "x/+my room",
            "my room",
            "what follows a wildcard must be a name or nothing",
            "not a name",
            "a name is made of letters, digits and `_`, as in `+room`",
        ),
        ("x/+_room", "_room", "the name of a level must not start with `_`", "", ""),
        (
            "x/+class",
            "class",
            "`class` is reserved and cannot name a level",
            "a word of expressions",
            "for example `class_id`",
        ),
        (
            "+payload",
            "payload",
            "`payload` is reserved and cannot name a level",
            "it already has a meaning",
            "for example `payload_id`",
        ),
        ("+room/+room", "room", "the name `room` is used twice in one filter", "and again here", ""),
        ("", "", "a topic filter must not be empty", "nothing here", ""),
        ("a\0b", "\0", "a topic filter must not contain the character NUL", "NUL", ""),
        ("a\ud800b", "\ud800", "a topic filter must be valid Unicode", "half of a surrogate pair", ""),
        (
            "é" * 32_768,
            "é" * 32_768,
            "a topic filter must not be longer than 65535 bytes",
            "65536 bytes in UTF-8",
            "",
        ),
        (
            "$share//x",
            "",
            "a shared subscription must name its group: `$share/GROUP/FILTER`",
            "no group",
            "for example `$share/workers/sensors/#`",
        ),
        (
            "$share/g",
            "",
            "a shared subscription must have a filter after its group",
            "no filter",
            "for example `$share/workers/sensors/#`",
        ),
        (
            "$share/g+/x",
            "+",
            "the group of a shared subscription must not contain a wildcard",
            "`+` stands here",
            "for example `$share/workers/sensors/#`",
        ),
    ],
)
def test_a_fault_names_its_place(text: str, span: str, message: str, label: str, help: str) -> None:
    fault = fault_of(text, reserved=frozenset({"payload"}))
    assert (fault.message, fault.label, fault.help) == (message, label, help)
    assert text[fault.start : fault.end] == span


def test_the_second_use_of_a_name_is_the_fault() -> None:
    assert fault_of("+room/+room").start == len("+room/+")


def test_a_filter_without_names_takes_no_names() -> None:
    assert fault_of("a/+room", named=False).message == "`+` must stand for a whole level of a topic filter"
    assert fault_of("a/#rest", named=False).help == "a whole level is `#`"


@pytest.mark.parametrize(
    ("text", "span", "message"),
    [
        ("alerts/+/x", "+", "one cannot publish to a wildcard"),
        ("alerts/#", "#", "one cannot publish to a wildcard"),
        ("", "", "a topic must not be empty"),
        ("a\0", "\0", "a topic must not contain the character NUL"),
    ],
)
def test_a_topic_to_publish_to_is_checked(text: str, span: str, message: str) -> None:
    with pytest.raises(BadTopic) as caught:
        check_topic(text)
    assert caught.value.message == message
    assert text[caught.value.start : caught.value.end] == span


@pytest.mark.parametrize("text", ["a", "/", "a//b", "$SYS/x", " ", "ä/ö", "a" * 65_535])
def test_these_topics_are_fine(text: str) -> None:
    check_topic(text)
    assert parse_filter(text).mqtt == text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sensors/temp/", [("/", "the topic ends with an empty level", "if it is not meant: `sensors/temp`")]),
        ("/sensors", [("/", "the topic starts with an empty level", "if it is not meant: `sensors`")]),
        ("a//b", [("/", "the topic has an empty level", "if it is not meant: `a/b`")]),
        ("a/ b", [(" b", "spaces are part of the level", "without them: `a/b`")]),
        (
            "a/*",
            [
                (
                    "*",
                    "`*` is not a wildcard in MQTT",
                    "MQTT's wildcards are `+` for one level and `#` for all that follow",
                )
            ],
        ),
        ("a/b/+/#", []),
    ],
)
def test_what_is_valid_but_seldom_meant(text: str, found: list[tuple[str, str, str]]) -> None:
    assert [(text[each.start : each.end], each.message, each.help) for each in suspicions(text)] == found


@given(SOUP, st.booleans())
def test_any_text_is_a_filter_or_a_fault_inside_it(text: str, named: bool) -> None:
    faults = suspicions(text)
    try:
        topic_filter = parse_filter(text, named=named)
    except BadTopic as fault:
        faults.append(fault)
    else:
        assert parse_filter(topic_filter.mqtt).levels == topic_filter.levels
    for each in faults:
        assert 0 <= each.start <= each.end <= len(text)
        assert len(each.message) < 80
