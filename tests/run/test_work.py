"""What steps do outside of their flow."""

import asyncio
from typing import Any

import pytest

from flowrunner.run.work import Work


class Falsy(Exception):
    """A failure that counts as false, as those of some libraries do that hold lists of failures."""

    def __bool__(self) -> bool:
        return False


class Resource:
    def __init__(self) -> None:
        self.is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True


async def give(what: Any) -> Any:
    if isinstance(what, BaseException):
        raise what
    return what


@pytest.mark.parametrize("what", [1, 0, None, ValueError("no"), Falsy()])
async def test_it_hands_on_what_was_returned_or_raised(what: Any) -> None:
    work, got = Work(), list[Any]()
    work.run(give(what), got.append)
    assert (got, work.is_done) == ([], False)
    await work.settled()
    assert (got, work.is_done) == ([what], True)


async def test_it_is_settled_when_what_one_thing_leads_to_is_done_too() -> None:
    work, got = Work(), list[Any]()

    def then(result: Any) -> None:
        got.append(result)
        work.run(give("second"), got.append)

    work.run(give("first"), then)
    await work.settled()
    assert got == ["first", "second"]


async def test_closing_cancels_what_runs_and_lets_go_of_what_is_shared() -> None:
    work, got = Work(), list[Any]()
    resource = work.share("one", Resource)
    assert work.share("one", Resource) is resource
    work.run(asyncio.Event().wait(), got.append)
    await work.close()
    assert [type(result) for result in got] == [asyncio.CancelledError]
    assert (resource.is_closed, work.is_done, work.is_shared) == (True, True, False)


def test_it_runs_in_the_loop_that_it_is_given() -> None:
    loop, got = asyncio.new_event_loop(), list[Any]()
    work = Work(lambda: loop)
    work.run(give("done"), got.append)
    loop.run_until_complete(work.settled())
    loop.run_until_complete(work.close())
    loop.close()
    assert got == ["done"]
