"""The step `python`."""

import asyncio
import threading
import time
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.diagnostics import Diagnostic, render
from flowrunner.errors import FlowError, StepError
from flowrunner.outside.python import Message, plain
from tests.flow_host import FlowHost, Outcome, diagnose, message, read


def write(folder: Path, text: str, name: str = "own.py") -> None:
    (folder / name).write_text(dedent(text), encoding="utf-8")


def flow(call: str = "own.py:f") -> str:
    return f"""
subscribe: in/+room
vars: {{site: graz}}
steps:
  - json
  - let: {{twice: "${{payload}}"}}
  - python: {call}
  - publish: out/${{topic}}
"""


def run(folder: Path, text: str, *payloads: Any, call: str = "own.py:f") -> Outcome:
    """What a flow that calls `f` does with messages on `in/attic`."""
    write(folder, text)
    host = FlowHost(read(flow(call), folder=folder))
    for payload in payloads:
        host.arrive(message("in/attic", payload))
    if host.waits is not None:
        host.waits.close()
    return host.outcome


BOTH = pytest.mark.parametrize("word", ["def", "async def"])


@BOTH
def test_what_a_function_returns_becomes_the_payload(tmp_path: Path, word: str) -> None:
    outcome = run(tmp_path, f"{word} f(message):\n    return message.payload * 2\n", 1, 2.5)
    assert outcome.sent == [("out/in/attic", 2), ("out/in/attic", 5.0)]


RESULTS = {
    "None": [],
    "1": [("out/in/attic", 1)],
    "{'a': (1, 2)}": [("out/in/attic", {"a": [1, 2]})],
    "[]": [],
    "[1, None, 2]": [("out/in/attic", 1), ("out/in/attic", 2)],
    "(1, 2)": [("out/in/attic", 1), ("out/in/attic", 2)],
    "[[1, 2]]": [("out/in/attic", [1, 2])],
    "message": [("out/in/attic", 7)],
    "message.copy(payload=[1, 2])": [("out/in/attic", [1, 2])],
    "message.copy(topic='a/b')": [("out/a/b", 7)],
    "[message.copy(topic=str(i)) for i in range(2)]": [("out/0", 7), ("out/1", 7)],
    "(i for i in range(2))": [("out/in/attic", 0), ("out/in/attic", 1)],
    "bytearray(b'5')": [("out/in/attic", 5)],
    "True": [("out/in/attic", True)],
}


@BOTH
@pytest.mark.parametrize("result", RESULTS)
def test_what_may_be_returned(tmp_path: Path, word: str, result: str) -> None:
    assert run(tmp_path, f"{word} f(message):\n    return {result}\n", 7).sent == RESULTS[result]


def test_generators_give_their_items(tmp_path: Path) -> None:
    assert run(tmp_path, "def f(message):\n    yield 1\n    yield 2\n", 7).sent == [
        ("out/in/attic", 1),
        ("out/in/attic", 2),
    ]
    text = "async def f(message):\n    for i in range(2):\n        yield i\n"
    assert run(tmp_path, text, 7).sent == [("out/in/attic", 0), ("out/in/attic", 1)]


def test_a_function_that_returns_something_to_await(tmp_path: Path) -> None:
    text = "async def later(m):\n    return m.payload\n\ndef f(m):\n    return later(m)\n"
    assert run(tmp_path, text, 7).sent == [("out/in/attic", 7)]


@pytest.mark.parametrize(
    "result", ["object()", "{(1, 2): 3}", "{1, 2}", "message.copy(topic='')", "message.copy(qos=5)"]
)
def test_what_no_flow_can_work_with_is_an_error(tmp_path: Path, result: str) -> None:
    error = run(tmp_path, f"def f(message):\n    return {result}\n", 1).error
    assert error.code == "bad-result"
    assert error.message.startswith("`f` returned a")
    assert error.span.text == "python"


def test_a_value_without_end_is_an_error(tmp_path: Path) -> None:
    error = run(tmp_path, "def f(message):\n    x = []\n    x.append(x)\n    return {'x': x}\n", 1).error
    assert error.message == "`f` returned a value that is nested too deep"


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    text = """
        class Array:
            def __init__(self, value): self.value = value
            def tolist(self): return self.value
        def f(message):
            return {"one": Array(1.5), "many": Array([1, 2])}
    """
    assert run(tmp_path, text, 1).sent == [("out/in/attic", {"one": 1.5, "many": [1, 2]})]


def test_a_function_sees_the_message(tmp_path: Path) -> None:
    text = """
        def f(m):
            return [[m.topic, m.payload, m.qos, m.retain, m.properties, dict(m.names)]]
    """
    write(tmp_path, text)
    host = FlowHost(read(flow(), folder=tmp_path))
    host.arrive(message("in/attic", 7, qos=1, retain=True, properties={"user": {"a": "b"}}))
    names = {"room": "attic", "twice": 7, "site": "graz"}
    assert host.outcome.sent == [("out/in/attic", ["in/attic", 7, 1, True, {"user": {"a": "b"}}, names])]


@BOTH
def test_a_function_may_change_its_message_and_no_other_one_sees_it(tmp_path: Path, word: str) -> None:
    text = f"""
        {word} f(message):
            message.payload["list"].append(message.payload.pop("x"))
            message.names["twice"]["x"] = 9
            return message
    """
    write(tmp_path, text)
    host = FlowHost(
        read(
            """
            subscribe: in
            steps:
              - json
              - let: {twice: "${payload}"}
              - fork:
                  - [{python: own.py:f}, {publish: first}]
                  - [{publish: second}]
              - publish: third
            """,
            folder=tmp_path,
        )
    )
    host.get("in", {"x": 1, "list": [0]})
    seen = dict(host.outcome.sent)
    assert seen == {"first": {"list": [0, 1]}, "second": {"x": 1, "list": [0]}, "third": {"x": 1, "list": [0]}}


def test_what_a_function_keeps_and_changes_later_does_not_change_what_it_returned(tmp_path: Path) -> None:
    text = """
        kept = []
        def f(message):
            kept.append(message.payload)
            return message.copy(payload=kept)
    """
    write(tmp_path, text)
    host = FlowHost(
        read(
            """
            subscribe: in
            steps:
              - json
              - python: own.py:f
              - window: {count: 2}
              - publish: out
            """,
            folder=tmp_path,
        )
    )
    host.get("in", 1)
    assert host.get("in", 2).sent == [("out", [[1], [1, 2]])]


@BOTH
def test_what_a_function_raises_is_shown_with_its_line(tmp_path: Path, word: str) -> None:
    text = f"""\
        import json

        def half(text):
            return json.loads(text) / 2

        {word} f(message):
            return half(str(message.payload)) + message.payload["b"]
    """
    write(tmp_path, text)
    host = FlowHost(read(flow(), folder=tmp_path))
    host.arrive(message("in/attic", {"a": 1}))
    host.arrive(message("in/attic", 4))
    in_library, own = host.outcome.errors if word == "def" else sorted(host.outcome.errors, key=lambda e: e.span.line)
    assert in_library.code == own.code == "python-failed"
    assert in_library.span.source.name == (tmp_path / "own.py").as_posix()
    assert (in_library.span.line, in_library.span.text) == (4, "json.loads(text)")
    assert in_library.message.startswith("JSONDecodeError: Expecting property name")
    assert (own.span.line, own.span.text) == (7, 'message.payload["b"]')
    assert own.message == "TypeError: 'int' object is not subscriptable"
    assert own.notes == ("called by `python` in flows/flow.yaml:6:5", "topic `in/attic`, payload `4`")


def test_the_frame_of_a_python_error(tmp_path: Path) -> None:
    error = run(tmp_path, "def f(message):\n    return 1 / message.payload\n", 0).error
    name = (tmp_path / "own.py").as_posix()
    assert render([error]) == (
        "error[python-failed]: ZeroDivisionError: division by zero\n"
        f" --> {name}:2:12\n"
        "  |\n"
        "2 |     return 1 / message.payload\n"
        "  |            ^^^^^^^^^^^^^^^^^^^\n"
        "note: called by `python` in flows/flow.yaml:6:5\n"
        "note: topic `in/attic`, payload `0`\n"
    )


@BOTH
@pytest.mark.parametrize("raised", ["SystemExit(2)", "KeyboardInterrupt()", "StopIteration(3)", "TimeoutError('own')"])
def test_nothing_that_a_function_raises_ends_the_program(tmp_path: Path, word: str, raised: str) -> None:
    outcome = run(tmp_path, f"{word} f(message):\n    raise {raised}\n", 1, 2)
    assert [error.code for error in outcome.errors] == ["python-failed"] * 2


@BOTH
def test_on_error_takes_what_a_function_raises(tmp_path: Path, word: str) -> None:
    write(tmp_path, f"{word} f(message):\n    raise ValueError('no')\n")
    text = flow() + 'on_error: {publish: {topic: failed, payload: "${error.message} in ${error.line}"}}\n'
    host = FlowHost(read(text, folder=tmp_path))
    host.get("in/attic", 1)
    assert host.outcome.published[0].payload == b"ValueError: no in 6"


@BOTH
def test_a_function_that_takes_too_long_is_given_up(tmp_path: Path, word: str) -> None:
    text = f"""
        import asyncio, threading
        gate = threading.Event()
        {word} f(message):
            if message.payload == 0:
                {"await asyncio.sleep(20)" if word != "def" else "gate.wait(20)"}
            else:
                gate.set()
            return message
    """
    outcome = run(tmp_path, text, 0, 1, call="{function: own.py:f, timeout: 100ms}")
    assert outcome.error.message == "`f` took longer than 0.1 s"
    assert outcome.sent == [("out/in/attic", 1)]


def test_calls_that_never_end_are_bounded(tmp_path: Path) -> None:
    text = """
        import threading
        gate = threading.Event()
        def f(message):
            if message.payload == "open":
                return gate.set()
            gate.wait(20)
    """
    write(tmp_path, text)
    host = FlowHost(read(flow("{function: own.py:f, timeout: 10ms}"), folder=tmp_path))
    before = threading.active_count()
    for _ in range(12):
        host.arrive(message("in/attic", 1))
    assert threading.active_count() - before <= 9
    assert {error.message for error in host.outcome.errors} == {
        "`f` took longer than 0.01 s",
        "8 calls that took too long still go on",
    }
    sys_module(tmp_path).gate.set()
    deadline = time.monotonic() + 10
    while threading.active_count() > before + 1 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert host.waits is not None
    host.waits.close()


def sys_module(folder: Path, name: str = "own") -> Any:
    import sys

    module = sys.modules[f"_flowrunner_{name}"]
    assert module.__file__ == str(folder / f"{name}.py")
    return module


async def test_a_function_that_blocks_does_not_stall_the_loop(tmp_path: Path) -> None:
    text = """
        import threading
        gate = threading.Event()
        threads = set()
        def f(message):
            gate.wait(20)
            threads.add(threading.current_thread())
            return message
    """
    write(tmp_path, text)
    host = FlowHost(read(flow(), folder=tmp_path))
    for number in range(5):
        host.arrive(message("in/attic", number))
    for _ in range(5):
        await asyncio.sleep(0)
    assert host.outcome.published == []
    module = sys_module(tmp_path)
    module.gate.set()
    outcome = await host.settled()
    assert [value for _, value in outcome.sent] == [0, 1, 2, 3, 4]
    (thread,) = module.threads
    assert thread.daemon
    assert host.waits is not None
    host.waits.close()
    thread.join(10)
    assert not thread.is_alive()


def test_the_file_is_run_once_and_fresh_for_each_flow(tmp_path: Path) -> None:
    text = "count = 0\ndef f(message):\n    global count\n    count += 1\n    return count\n"
    write(tmp_path, text)
    hosts = [FlowHost(read(flow(), folder=tmp_path)) for _ in range(2)]
    for host in hosts:
        for number in range(2):
            host.arrive(message("in/attic", number))
        assert [value for _, value in host.outcome.sent] == [1, 2]


def test_check_does_not_run_the_file(tmp_path: Path) -> None:
    write(tmp_path, "open('ran', 'w')\nraise SystemExit\n\ndef f(message): pass\n")
    _, found = diagnose(flow(), folder=tmp_path)
    assert found == []
    assert not Path("ran").exists()


def test_the_file_belongs_to_the_flow_so_that_it_is_watched(tmp_path: Path) -> None:
    write(tmp_path, "import other\n\ndef f(message): pass\n")
    write(tmp_path, "import json\nfrom deeper import x\n", "other.py")
    write(tmp_path, "x = 1\n", "deeper.py")
    assert {file.name for file in read(flow(), folder=tmp_path).files} == {"own.py", "other.py", "deeper.py"}


def test_files_beside_can_be_imported_wherever_and_do_not_leak(tmp_path: Path) -> None:
    import sys

    text = """
        from json import dumps
        import other
        def f(message):
            from deeper import add
            return add(other.double(message.payload), len(dumps([])))
    """
    write(tmp_path, "def double(x):\n    import deeper\n    return deeper.add(x, x)\n", "other.py")
    write(tmp_path, "def add(x, y):\n    return x + y\n", "deeper.py")
    write(tmp_path, "raise AssertionError\n", "json.py")  # a name of Python's own stays Python's
    assert run(tmp_path, text, 3).sent == [("out/in/attic", 8)]
    assert "other" not in sys.modules
    assert str(tmp_path) not in sys.path


def test_an_error_in_a_file_beside_is_shown_there(tmp_path: Path) -> None:
    write(tmp_path, "def half(x):\n    return x / 0\n", "other.py")
    error = run(tmp_path, "import other\n\ndef f(message):\n    return other.half(1)\n", 1).error
    assert (error.span.source.name.rpartition("/")[2], error.span.line) == ("other.py", 2)


def test_dataclasses_work(tmp_path: Path) -> None:
    text = """
        import dataclasses
        @dataclasses.dataclass
        class Reading:
            value: "float" = 0.0
        def f(message):
            return dataclasses.asdict(Reading(message.payload))
    """
    assert run(tmp_path, text, 3).sent == [("out/in/attic", {"value": 3})]


def found_in(folder: Path, text: str, call: str = "own.py:f") -> Diagnostic:
    write(folder, text)
    _, (found,) = diagnose(flow(call), folder=folder)
    return found


def test_a_function_that_is_not_there(tmp_path: Path) -> None:
    found = found_in(tmp_path, "def celsius(m): ...\n", "own.py:celcius")
    assert (found.code, found.helps, found.span.text) == ("missing-function", ("did you mean `celsius`?",), "celcius")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    found = found_in(tmp_path, "", "oven.py:f")
    assert (found.code, found.helps, found.span.text) == ("missing-file", ("did you mean `own.py`?",), "oven.py")


@pytest.mark.parametrize("text", ["def f(): ...", "def f(a, b): ...", "def f(a, *, b): ...", "async def f(): ..."])
def test_a_function_that_cannot_be_called_with_a_message(tmp_path: Path, text: str) -> None:
    found = found_in(tmp_path, f"# first\n{text}\n")
    assert (found.code, found.span.line) == ("bad-function", 2)
    assert found.span.source.name == (tmp_path / "own.py").as_posix()
    assert found.notes == ("`python` in flows/flow.yaml:6 calls it",)


@pytest.mark.parametrize(
    "text",
    [
        "def f(a, b=1): ...", "def f(*a): ...", "def f(a, /): ...", "f = lambda m: 1", "from x import f", "class f: ...",
        "try:\n    import f\nexcept ImportError:\n    f = None", "if True:\n    def f(m): ...", "import f.g",
        "for f in []: pass", "with open('x') as f: pass",
    ],
)  # fmt: skip
def test_what_may_be_a_function_is_let_pass(tmp_path: Path, text: str) -> None:
    write(tmp_path, text + "\n")
    _, found = diagnose(flow(), folder=tmp_path)
    assert found == []


def test_a_file_that_is_no_python(tmp_path: Path) -> None:
    found = found_in(tmp_path, "def f(m):\n    return (1\n")
    assert (found.code, found.span.line, found.span.text) == ("bad-python", 2, "(")
    assert found.span.source.name == (tmp_path / "own.py").as_posix()
    assert found.message == "the Python file cannot be read: '(' was never closed"


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"\0", b"# coding: klingon\n", b"(" * 10_000, b"x = " + b"-" * 100_000 + b"1"]
)
def test_whatever_a_file_holds_it_is_a_diagnostic(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "own.py").write_bytes(content)
    _, (found,) = diagnose(flow(), folder=tmp_path)
    assert found.code in {"bad-python", "missing-function"}
    render([found])


@given(st.binary(max_size=60))
def test_any_bytes_are_a_file_or_a_diagnostic(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "own.py").write_bytes(content)
        render(diagnose(flow(), folder=Path(folder))[1])


@pytest.mark.parametrize("path", ["../own.py", "/etc/own.py", "sub/../../own.py", "link.py"])
def test_a_file_outside_of_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "flows"
    (folder / "sub").mkdir(parents=True)
    write(tmp_path, "def f(m): ...\n")
    (folder / "link.py").symlink_to(tmp_path / "own.py")
    _, (found,) = diagnose(flow(f"{path}:f"), folder=folder)
    assert (found.code, found.span.text) == ("file-outside", path)


@pytest.mark.parametrize("call", ["own.py", "own:f", "f", "own.py:", "own.py:f g", "own.py:1f", "own.txt:f"])
def test_what_is_no_function_is_refused(tmp_path: Path, call: str) -> None:
    assert found_in(tmp_path, "def f(m): ...\n", f'"{call}"').code == "wrong-value"


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("x = 1\nx.y()\ndef f(m): ...\n", "AttributeError: 'int' object has no attribute 'y'", 2),
        ("import nowhere\ndef f(m): ...\n", "ModuleNotFoundError: No module named 'nowhere'", 1),
        ("raise SystemExit('no')\ndef f(m): ...\n", "SystemExit: no", 1),
        ("import other\ndef f(m): ...\n", "SyntaxError: invalid syntax (other.py, line 1)", 1),
    ],
)
def test_a_file_that_fails_when_the_flow_starts(tmp_path: Path, text: str, message: str, line: int) -> None:
    write(tmp_path, "a b\n", "other.py")
    write(tmp_path, text)
    with pytest.raises(FlowError) as raised:
        FlowHost(read(flow(), folder=tmp_path))
    (found,) = raised.value.diagnostics
    assert found.code == "python-failed"
    assert found.message == message
    assert found.span.line == line
    assert found.span.source.name.endswith(".py")


def test_something_that_is_no_function(tmp_path: Path) -> None:
    write(tmp_path, "f = 5\n")
    with pytest.raises(FlowError) as raised:
        FlowHost(read(flow(), folder=tmp_path))
    assert raised.value.diagnostics[0].message == "TypeError: `f` is no function"


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


@given(json_like)
def test_a_copy_is_equal_and_shares_nothing(value: Any) -> None:
    copied = plain(value)
    assert copied == value
    assert not {id(part) for part in containers(copied)} & {id(part) for part in containers(value)}


def containers(value: Any) -> list[Any]:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return [] if inside is None else [value, *(part for inner in inside for part in containers(inner))]


def test_a_copy_of_what_is_no_plain_value_is_refused() -> None:
    with pytest.raises(StepError):
        plain(object())


def test_a_message_can_be_copied_with_changes() -> None:
    first = Message("a", 1)
    assert first.copy(payload=2) == Message("a", 2)
    assert first.payload == 1
