"""Says what the fixture `try_flow` gives: a function that runs the tests of a flow, given as text."""

from collections.abc import Callable

from flowrunner.trial.case import Result

Try = Callable[..., list[Result]]
