"""A failing message is never passed on as if nothing had happened, and what is done with it is what `on_error` says."""

from typing import Any

import pytest

from tests.flow_host import FlowHost, Outcome, message, read, refused, run


def outcome_of(text: str, *payloads: Any) -> Outcome:
    return run(text, *(message("in/attic", payload) for payload in payloads))


FLOW = """
subscribe: in/+room
{flow}
steps:
  - json
  - publish: before
  - map: 1 / payload
    {step}
  - publish: behind
"""


def flow(*, step: str = "", flow: str = "") -> str:
    return FLOW.format(step=step, flow=flow)


def test_without_a_word_the_message_is_dropped_and_reported() -> None:
    outcome = outcome_of(flow(), 0, 2)
    assert outcome.sent == [("before", 0), ("before", 2), ("behind", 0.5)]
    assert (outcome.error.code, outcome.error.span.text) == ("division-by-zero", "1 / payload")
    assert outcome.handled == []


@pytest.mark.parametrize("where", ["step", "flow"])
def test_drop_is_the_same(where: str) -> None:
    outcome = outcome_of(flow(**{where: "on_error: drop"}), 0, 2)
    assert outcome.sent == [("before", 0), ("before", 2), ("behind", 0.5)]
    assert (len(outcome.errors), len(outcome.handled)) == (1, 0)


@pytest.mark.parametrize("where", ["step", "flow"])
def test_continue_passes_the_message_on_unchanged(where: str) -> None:
    outcome = outcome_of(flow(**{where: "on_error: continue"}), 0, 2)
    assert outcome.sent == [("before", 0), ("behind", 0), ("before", 2), ("behind", 0.5)]
    assert (len(outcome.errors), len(outcome.handled)) == (0, 1)


@pytest.mark.parametrize("where", ["step", "flow"])
def test_publish_tells_of_it_and_the_message_ends(where: str) -> None:
    handling = "on_error: {publish: 'failed/${room}'}"
    outcome = outcome_of(flow(**{where: handling}), 0, 2)
    assert outcome.sent == [("before", 0), ("failed/attic", 0), ("before", 2), ("behind", 0.5)]
    assert (len(outcome.errors), len(outcome.handled)) == (0, 1)


@pytest.mark.parametrize("where", ["step", "flow"])
def test_steps_see_the_error_and_what_arrived(where: str) -> None:
    handling = (
        "on_error: [{publish: {topic: failed, payload: ['${error.message}', '${error.code}', '${error.step}', "
        "'${error.line}', '${error.file}', '${topic}', '${room}', '${str(payload)}', '${qos}', '${flow}']}}]"
    )
    outcome = outcome_of(flow(**{where: handling}), {"x": 1})
    assert outcome.sent[1] == (
        "failed",
        [
            "`/` needs numbers, the payload is a map",
            "wrong-type",
            "map",
            6,
            "flows/flow.yaml",
            "in/attic",
            "attic",
            '{"x":1}',
            0,
            "flow",
        ],
    )


def test_error_names_the_step_by_its_id_and_helps() -> None:
    text = """
    subscribe: in/+room
    on_error:
      - publish:
          topic: failed
          payload: "${error.step}: ${error.message} - ${error.help} at ${error.column}"
    steps:
      - json
      - filter: payload.temprature > 5
        id: only warm
    """
    outcome = outcome_of(text, {"temperature": 1})
    assert outcome.published[0].payload.decode() == (
        "only warm: the payload has no field `temprature`"
        " - did you mean `temperature`? the payload has `temperature` at 13"
    )


def test_every_source_of_failure_of_a_step_is_handled() -> None:
    text = """
    subscribe: in/+room
    steps:
      - json
      - publish: {topic: "${payload.t}", payload: "${payload.p}", qos: "${payload.q}"}
        when: payload.w
        on_error: {publish: "failed/${error.code}"}
      - publish: behind
    """
    good = {"t": "a", "p": 1, "q": 0, "w": True}
    broken = [{**good, "t": "#"}, {"t": "a", "q": 0, "w": 1}, {**good, "q": 9}, {"t": "a"}]
    outcome = outcome_of(text, *broken)
    assert [topic for topic, _ in outcome.sent] == [
        "failed/bad-topic",
        "failed/missing-field",
        "failed/wrong-value",
        "failed/missing-field",
    ]
    assert outcome.errors == []


def test_what_comes_behind_a_step_is_never_its_own() -> None:
    text = """
    subscribe: in/+room
    steps:
      - json
        on_error: {publish: not-json}
      - map: 1 / payload
        on_error: {publish: not-a-number}
      - publish: behind
      - filter: payload.nothing
    """
    text = text.replace("- json\n        on_error", "- json:\n        on_error")
    outcome = outcome_of(text, b"{", 0, 1)
    assert [sent.topic for sent in outcome.published] == ["not-json", "not-a-number", "behind"]
    assert outcome.error.span.text == "payload.nothing"


def test_handler_of_a_step_stands_before_that_of_the_flow() -> None:
    text = flow(flow="on_error: {publish: flow}", step="on_error: {publish: step}")
    outcome = outcome_of(text, b"{", 0)
    assert [sent.topic for sent in outcome.published] == ["flow", "before", "step"]


def test_explicit_drop_stands_before_the_handler_of_the_flow() -> None:
    outcome = outcome_of(flow(flow="on_error: {publish: flow}", step="on_error: drop"), 0)
    assert (outcome.sent, len(outcome.errors)) == ([("before", 0)], 1)


@pytest.mark.parametrize("where", ["step", "flow"])
def test_failing_handler_is_reported_once(where: str) -> None:
    handling = "on_error: [{publish: first}, {publish: '${error.nothing}'}, {publish: never}]"
    outcome = outcome_of(flow(**{where: handling}), 0)
    assert [topic for topic, _ in outcome.sent] == ["before", "first"]
    assert (outcome.error.code, outcome.error.span.text) == ("missing-field", "error.nothing")
    assert len(outcome.handled) == 1


def test_failing_handler_of_a_step_is_not_handled_by_what_is_around_it() -> None:
    text = """
    subscribe: in/+room
    on_error: {publish: flow}
    steps:
      - json
      - switch:
          - when: true
            steps:
              - map: 1 / payload
                on_error: [{publish: "${error.nothing}"}]
        on_error: {publish: switch}
      - publish: behind
    """
    outcome = outcome_of(text, 0)
    assert outcome.sent == []
    assert outcome.error.span.text == "error.nothing"


def test_handler_may_hold_all_kinds_of_steps() -> None:
    text = """
    subscribe: in/+room
    steps:
      - json
      - filter: payload.a.b > 1
        on_error:
          - json
          - let: {kind: "${error.code}"}
          - switch:
              - when: kind == "missing-field"
                steps: [{split: payload.l}, {publish: "item/${index}/${kind}"}]
              - else: [{fork: [[{publish: other}], [{map: 1 / 0}]]}]
          - publish: end
          - filter: payload > 1
            on_error: {publish: "inner/${error.step}/${error.code}"}
    """
    outcome = outcome_of(text, {"l": [1, 2]}, {"a": {"b": "x"}, "l": [3]})
    assert [sent.topic for sent in outcome.published] == [
        "item/0/missing-field",
        "end",
        "item/1/missing-field",
        "end",
        "other",
        "end",
        "inner/filter/wrong-type",
    ]
    assert [error.code for error in outcome.errors] == ["division-by-zero"]


def test_handler_gets_the_level_of_the_topic_even_if_a_step_changed_its_name() -> None:
    text = """
    subscribe: [in/+room, other/house/+room]
    on_error: {publish: "failed/${room}"}
    steps:
      - let: {room: 5}
      - split: "[payload]"
      - let: {room: "${room + 1}"}
      - json
    """
    outcome = run(text, message("in/attic", b"{"), message("other/house/cellar", b"{"))
    assert [sent.topic for sent in outcome.published] == ["failed/attic", "failed/cellar"]


def test_handler_gets_what_arrived_even_if_it_was_changed() -> None:
    text = """
    subscribe: in/+room
    on_error: {publish: failed}
    steps:
      - json
      - set: {a: 1}
      - split: "[payload, payload]"
      - map: payload.nothing
    """
    outcome = outcome_of(text, {"x": 1})
    assert outcome.sent == [("failed", {"x": 1}), ("failed", {"x": 1})]


COMPOUND = """
subscribe: in/+room
{flow}
steps:
  - json
  - let: {{n: 0}}
  - switch:
      - when: payload.take > 0
        steps:
          - set: {{changed: true}}
          - let: {{n: 1}}
          - publish: inside
          {cut}
          - map: 1 / payload.take
            when: payload.fail
    {step}
  - publish: behind/${{n}}
"""


@pytest.mark.parametrize("cut", ["", "- split: '[payload, payload]'"])
def test_continue_of_a_compound_goes_on_behind_it_with_the_message_as_before(cut: str) -> None:
    text = COMPOUND.format(flow="", cut=cut, step="on_error: continue")
    times = 2 if cut else 1
    given = {"take": 1, "fail": "x"}
    failing = {"take": 1}
    outcome = outcome_of(text, failing)
    assert outcome.sent == [("inside", {"take": 1, "changed": True}), *[("behind/0", failing)] * times]
    assert (len(outcome.handled), outcome.errors) == (times, [])
    outcome = outcome_of(text, given)
    assert outcome.sent == [("inside", {**given, "changed": True}), *[("behind/1", 1)] * times]


@pytest.mark.parametrize("cut", ["", "- split: '[payload]'"])
def test_failing_condition_of_a_compound_is_the_compound_s(cut: str) -> None:
    outcome = outcome_of(COMPOUND.format(flow="", cut=cut, step="on_error: continue"), {"take": "x"})
    assert outcome.sent == [("behind/0", {"take": "x"})]
    outcome = outcome_of(
        COMPOUND.format(flow="", cut=cut, step="on_error: {publish: 'failed/${error.step}'}"), {"take": "x"}
    )
    assert outcome.sent == [("failed/switch", {"take": "x"})]
    outcome = outcome_of(COMPOUND.format(flow="", cut=cut, step=""), {"take": "x"})
    assert (outcome.sent, outcome.error.span.text) == ([], "payload.take > 0")


@pytest.mark.parametrize("cut", ["", "- split: '[payload]'"])
def test_condition_that_fails_takes_no_other_case(cut: str) -> None:
    text = f"""
    subscribe: in/+room
    steps:
      - json
      - switch:
          - when: payload.nothing
            steps: [{{publish: first}}]
          - when: true
            steps:
              - publish: second
              {cut}
              - publish: third
        on_error: continue
    """
    outcome = outcome_of(text, {})
    assert (outcome.sent, len(outcome.handled)) == ([], 1)


@pytest.mark.parametrize("cut", ["", "- split: '[payload, payload]'"])
@pytest.mark.parametrize("where", ["step", "flow"])
def test_handler_of_a_compound_or_of_the_flow_takes_what_fails_inside(where: str, cut: str) -> None:
    keys = {"step": "", "flow": "", where: "on_error: {publish: 'failed/${error.step}'}"}
    outcome = outcome_of(COMPOUND.format(cut=cut, **keys), {"take": 1})
    times = 2 if cut else 1
    assert outcome.sent[1:] == [("failed/map", {"take": 1})] * times
    assert outcome.errors == []


def test_continue_of_the_flow_is_meant_for_each_step() -> None:
    outcome = outcome_of(
        COMPOUND.format(flow="on_error: continue", cut="", step="").replace("behind/${n}", "behind"), {"take": 1}
    )
    assert outcome.sent == [("inside", {"take": 1, "changed": True}), ("behind", {"take": 1, "changed": True})]
    assert len(outcome.handled) == 1


def test_own_handling_of_a_compound_stands_before_continue_of_the_flow() -> None:
    text = COMPOUND.format(flow="on_error: continue", cut="", step="on_error: drop").replace("behind/${n}", "behind")
    outcome = outcome_of(text, {"take": 1})
    assert outcome.sent == [("inside", {"take": 1, "changed": True})]
    assert len(outcome.errors) == 1


def test_else_of_a_filter_is_inside_of_the_filter() -> None:
    text = """
    subscribe: in/+room
    steps:
      - json
      - filter:
          if: payload > 5
          else:
            - publish: small
            - map: 1 / payload
            - publish: end
        on_error: continue
      - publish: behind
    """
    assert outcome_of(text, 6, 2, 0).sent == [
        ("behind", 6),
        ("small", 2),
        ("end", 0.5),
        ("small", 0),
        ("behind", 0),
    ]


@pytest.mark.parametrize("where", ["flow", "step"])
def test_copies_that_fail_are_handled_and_the_others_live(where: str) -> None:
    keys = {"flow": "", "step": "", where: "on_error: {publish: 'failed/${error.line}'}"}
    text = """
    subscribe: in/+room
    {flow}
    steps:
      - json
      - fork:
          - [{{map: 1 / payload}}, {{publish: a}}]
          - - split: "[payload, 1]"
            - map: 1 / payload
            - publish: b
          - [{{publish: c}}]
        {step}
      - publish: behind
    """.format(**keys)
    outcome = outcome_of(text, 0)
    assert outcome.sent == [("failed/6", 0), ("failed/8", 0), ("b", 1), ("c", 0), ("behind", 0)]
    assert outcome.errors == []


def test_copies_that_fail_under_continue_end_and_are_reported() -> None:
    text = """
    subscribe: in/+room
    steps:
      - json
      - fork:
          - [{map: 1 / payload}, {publish: a}]
          - [{publish: b}]
        on_error: continue
      - publish: behind
    """
    outcome = outcome_of(text, 0)
    assert outcome.sent == [("b", 0), ("behind", 0)]
    assert len(outcome.errors) == 1


def test_item_of_a_split_that_fails_behind_it_is_not_the_split_s() -> None:
    text = """
    subscribe: in/+room
    steps:
      - json
      - split: payload.l
        on_error: {publish: nothing-to-split}
      - map: 1 / payload
      - publish: out
    """
    outcome = outcome_of(text, {"l": [0, 1]}, {})
    assert outcome.sent == [("out", 1), ("nothing-to-split", {})]
    assert outcome.error.span.text == "1 / payload"


def test_continue_of_a_split_passes_the_whole_on() -> None:
    text = """
    subscribe: in/+room
    steps:
      - json
      - split: payload.l
        on_error: continue
      - publish: out
    """
    assert outcome_of(text, {"l": [0, 1]}, {}).sent == [("out", 0), ("out", 1), ("out", {})]


@pytest.mark.parametrize(("step", "name"), [("let: {x: '${payload.v}'}", "x"), ("split: payload.v", "index")])
def test_name_that_may_be_missing_under_continue_is_refused_where_it_is_used(step: str, name: str) -> None:
    text = f"""
    subscribe: in/+room
    on_error: continue
    steps:
      - json
      - {step}
      - publish: out/${{{name}}}
    """
    found = refused(text)
    assert (found.code, found.message) == ("unknown-name", f"there is no name `{name}` here")
    key = step.partition(":")[0]
    assert found.helps == (f"`{name}` is not set where `{key}` fails, because of `on_error: continue`",)


def test_let_that_drops_may_be_used_under_continue_of_the_flow() -> None:
    text = """
    subscribe: in/+room
    on_error: continue
    steps:
      - json:
        on_error: drop
      - let: {x: "${payload.v}"}
        on_error: drop
      - publish: out/${x}
    """
    outcome = outcome_of(text, {"v": 1}, {}, b"{")
    assert [sent.topic for sent in outcome.published] == ["out/1"]
    assert len(outcome.errors) == 2


def test_payload_may_still_be_bytes_under_continue() -> None:
    text = """
    subscribe: in/+room
    on_error: continue
    steps:
      - decode: utf-8
      - filter: payload == "ON"
        on_error: {publish: "failed/${error.code}"}
      - publish: out
    """
    assert [sent.topic for sent in outcome_of(text, b"\xff", "ON", "OFF").published] == ["failed/bytes-payload", "out"]


def test_publishing_where_it_fails_halfway_has_published_nothing() -> None:
    text = """
    subscribe: in/+room
    steps:
      - json
      - publish: {topic: out, payload: "${payload.a}", properties: {content_type: "${payload.b}"}}
        on_error: continue
      - publish: behind
    """
    assert outcome_of(text, {"a": 1, "b": 2}).sent == [("behind", {"a": 1, "b": 2})]


def test_unreachable_steps_are_left_out() -> None:
    text = """
    subscribe: in/+room
    steps:
      - publish: a
      - stop
      - publish: b
    on_error:
      - stop
      - publish: c
    """
    assert outcome_of_warned(text, b"1").sent == [("a", 1)]


def outcome_of_warned(text: str, payload: bytes) -> Outcome:
    return run(read(text), message("in/attic", payload))


def test_one_handler_for_many_steps_is_one_function() -> None:
    from flowrunner.compile.listing import list_flow

    steps = "".join(f"  - map: payload / {number}\n  - split: '[payload]'\n" for number in range(1, 6))
    listing = list_flow(
        read(f"subscribe: in\non_error: {{publish: failed}}\nsteps:\n  - json\n{steps}  - publish: out\n")
    )
    assert listing.count("_describe(") == 1


def test_continue_of_a_compound_holds_while_the_message_is_held() -> None:
    text = COMPOUND.format(flow="", cut="- delay: 5s", step="on_error: continue")
    host = FlowHost(read(text))
    host.arrive(message("in/attic", {"take": 1}))
    assert [sent.topic for sent in host.outcome.published] == ["inside"]
    host.clock.advance(5)
    assert host.outcome.sent[1:] == [("behind/0", {"take": 1})]
    assert (len(host.outcome.handled), host.outcome.errors) == (1, [])


def test_handler_of_the_flow_takes_what_fails_behind_a_step_that_held_the_message() -> None:
    text = COMPOUND.format(flow="on_error: {publish: 'failed/${room}/${error.step}'}", cut="- delay: 5s", step="")
    host = FlowHost(read(text))
    host.arrive(message("in/attic", {"take": 1}))
    host.clock.advance(5)
    assert host.outcome.sent[1:] == [("failed/attic/map", {"take": 1})]
