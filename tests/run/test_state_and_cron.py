"""A runner with flows that keep values and that run at certain times."""

import asyncio
from pathlib import Path

from flowrunner.clock import VirtualClock
from flowrunner.compile import compile_flow
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from flowrunner.schedules import read_schedule
from flowrunner.sources import Cron
from tests.flow_host import diagnose, read
from tests.run.fakes import FakeProgram, Told, until

COUNTING = """
    at_start: true
    steps:
      - state: {increment: starts, persist: true}
      - state: {increment: everywhere, scope: shared, persist: true}
      - state: {increment: here}
      - log: counted ${starts} ${everywhere} ${here}
"""


def counted(told: Told) -> list[str]:
    return [line.partition("counted ")[2].strip() for line in told.lines if "counted " in line]


def runner(told: Told, folder: Path | None, clock: VirtualClock | None = None) -> Runner:
    return Runner({}, Report(told.lines.append), folder=folder, clock=clock)


async def test_ticks_come_when_the_schedule_is_due() -> None:
    clock = VirtualClock()  # midnight in UTC, on the first of January 2000
    program = FakeProgram("daily", Cron(read_schedule("30 7 * * *", "UTC")))
    running = runner(Told(), None, clock)
    await running.apply([program])
    await asyncio.sleep(0)
    await until(lambda: all(triggers._ticks for triggers in running._exchange._triggers.values()))
    clock.advance(3 * 86_400)
    await running.close()
    assert program.topics == ["cron/daily"] * 3
    assert program.payloads == [1, 2, 3]
    clock.advance(86_400)
    assert len(program.got) == 3


async def test_kept_values_are_there_after_a_restart(tmp_path: Path) -> None:
    told = Told()
    for expected in (2, 4):
        running = runner(told, tmp_path)
        await running.apply([compile_flow(read(COUNTING, name="one")), compile_flow(read(COUNTING, name="two"))])
        await until(lambda: len(counted(told)) == expected)  # noqa: B023 - awaited in this turn
        await running.close()
    assert sorted(counted(told)) == ["1 1 1", "1 2 1", "2 3 1", "2 4 1"]
    assert (tmp_path / ".flowrunner" / "state.db").stat().st_mode & 0o777 == 0o600


async def test_an_edit_keeps_a_value_and_a_flow_that_is_gone_takes_its_own_along() -> None:
    told = Told()
    running = runner(told, None)
    for programs in ([COUNTING], [COUNTING], [], [COUNTING]):
        expected = len(counted(told)) + len(programs)
        await running.apply([compile_flow(read(text, name="one")) for text in programs])
        await until(lambda: len(counted(told)) == expected)  # noqa: B023 - awaited in this turn
    await running.close()
    assert counted(told) == ["1 1 1", "2 2 2", "1 1 1"]


async def test_where_values_cannot_be_kept_the_flow_does_not_start_and_says_why(tmp_path: Path) -> None:
    (tmp_path / ".flowrunner").write_text("a file where the folder should be")
    told = Told()
    running = runner(told, tmp_path)
    await running.apply([compile_flow(read(COUNTING, name="one"))])
    await running.close()
    assert "one: values cannot be kept in" in told.text
    assert list(running.flows) == []


async def test_a_broken_file_of_values_is_said_and_the_flow_runs(tmp_path: Path) -> None:
    (tmp_path / ".flowrunner").mkdir()
    (tmp_path / ".flowrunner" / "state.db").write_bytes(b"no database" * 1000)
    told = Told()
    running = runner(told, tmp_path)
    await running.apply([compile_flow(read(COUNTING, name="one"))])
    await until(lambda: "1 1 1" in told.text)
    await running.close()
    assert "is broken" in told.text
    assert "state.db.broken-" in told.text


async def test_a_flow_that_others_call_does_not_run_by_itself() -> None:
    text = """
        flows:
          main: {at_start: 5, steps: [{call: double}, {log: "it is ${payload}"}]}
          double: {steps: [{map: payload * 2}, {timeout: {after: 1ms, payload: 0}}]}
    """
    flows, found = diagnose(text)
    assert found == []
    assert [flow.name for flow in flows] == ["main"]
    told = Told()
    running = runner(told, None)
    await running.apply([compile_flow(flow) for flow in flows])
    await until(lambda: "it is 10" in told.text)
    await running.close()
