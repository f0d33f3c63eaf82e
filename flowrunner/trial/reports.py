"""Turns the results of tests into what other programs read: JSON, JUnit's XML, annotations of GitHub."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

from flowrunner.diagnostics import Diagnostic, as_json, concise, github
from flowrunner.trial.case import Result
from flowrunner.trial.compare import differences
from flowrunner.trial.coverage import FileCoverage
from flowrunner.trial.host import Published
from flowrunner.trial.show import show, shown_expected, shown_message

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_json(
    results: Sequence[Result], mistakes: Sequence[Diagnostic], coverage: Sequence[FileCoverage] | None, seconds: float
) -> str:
    """Everything as one JSON object, ending with a line end."""
    passed = sum(result.is_passed for result in results)
    found: dict[str, Any] = {
        "passed": passed,
        "failed": len(results) - passed,
        "seconds": round(seconds, 6),
        "tests": [_test(result) for result in results],
        "mistakes": [as_json(mistake) for mistake in mistakes],
    }
    if coverage is not None:
        found["coverage"] = [_coverage(file) for file in coverage]
    return json.dumps(found, ensure_ascii=False, indent=2) + "\n"


def _test(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = {
        "file": result.case.span.source.name,
        "line": result.case.span.line,
        "flow": result.flow.name,
        "name": result.case.title,
        "outcome": "passed" if result.is_passed else "failed",
        "seconds": round(result.seconds, 6),
    }
    if result.failure is not None:
        found["failure"] = as_json(result.failure)
        found["messages"] = [
            {
                "is_same": pair.is_same,
                "expected": pair.expected and shown_expected(pair.expected),
                "got": pair.got and _message(pair.got),
                "differences": list(differences(pair.expected, pair.got)) if pair.expected and pair.got else [],
            }
            for pair in result.pairs
        ]
        found["errors"] = [as_json(error) for error in result.outcome.errors]
        found["unheard"] = list(result.outcome.unheard)
        found["logged"] = [{"level": level, "text": text} for level, text in result.outcome.logged]
    return found


def _message(message: Published) -> dict[str, Any]:
    value = message.value
    payload = {"payload_hex": value.hex()} if isinstance(value, bytes) else {"payload": value}
    return {
        "topic": message.topic,
        **payload,
        "qos": message.qos,
        "retain": message.retain,
        "text": shown_message(message),
    }


def _coverage(file: FileCoverage) -> dict[str, Any]:
    return {
        "file": file.file,
        "steps": file.steps,
        "branches": file.branches,
        "missed_steps": file.missed_steps,
        "missed_branches": len(file.missed) - file.missed_steps,
        "percent": file.percent,
        "missed": [
            {
                "line": spot.span.line,
                "column": spot.span.column,
                "kind": "branch" if spot.is_branch else "step",
                "text": spot.text,
            }
            for spot in file.missed
        ],
    }


def to_junit(results: Sequence[Result], mistakes: Sequence[Diagnostic], seconds: float) -> bytes:
    """The results as JUnit's XML, which most servers for continuous integration read."""
    errors = [mistake for mistake in mistakes if mistake.severity == "error"]
    failures = sum(not result.is_passed for result in results)
    counts = {"tests": str(len(results) + len(errors)), "failures": str(failures), "errors": str(len(errors))}
    suites = ET.Element("testsuites", counts)
    suite = ET.SubElement(suites, "testsuite", {"name": "flowrunner", **counts, "time": f"{seconds:.3f}"})
    for result in results:
        span = result.case.span
        where = {"classname": f"{span.source.name}:{result.flow.name}", "file": span.source.name}
        rest = {"name": result.case.title, "line": str(span.line), "time": f"{result.seconds:.6f}"}
        case = ET.SubElement(suite, "testcase", {name: _clean(text) for name, text in (where | rest).items()})
        if result.failure is not None:
            failure = ET.SubElement(case, "failure", {"message": _clean(result.failure.message)})
            failure.text = _clean(show(result))
    for error in errors:
        name = {"classname": error.span.source.name, "name": error.code, "file": error.span.source.name, "time": "0"}
        case = ET.SubElement(suite, "testcase", {key: _clean(text) for key, text in name.items()})
        ET.SubElement(case, "error", {"message": _clean(error.message)}).text = _clean(concise(error))
    ET.indent(suites)
    written: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _clean(text: str) -> str:
    """The text without what XML cannot hold."""
    return _NOT_IN_XML.sub("�", text)


def annotations(results: Sequence[Result]) -> str:
    """A workflow command of GitHub for each test that failed, and each step that failed in it."""
    lines: list[str] = []
    for result in results:
        if result.failure is not None:
            failure = result.failure
            text = f"{result.case.title}: {failure.message}" + (f" ({failure.label})" if failure.label else "")
            lines.append(github(replace(failure, message=text)))
            lines += [github(error) for error in dict.fromkeys(result.outcome.errors)]
    return "".join(f"{line}\n" for line in dict.fromkeys(lines))


def one_line(result: Result) -> str:
    """A test that failed, as compilers print it."""
    assert result.failure is not None
    label = f" ({result.failure.label})" if result.failure.label else ""
    return concise(replace(result.failure, message=f"{result.case.title}: {result.failure.message}{label}"))
