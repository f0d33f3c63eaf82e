"""What the explanations show is what the program shows."""

from flowrunner.compile.listing import list_flow
from flowrunner.read.load import load
from tests.docs.markdown import ROOT


def test_the_function_that_is_shown_is_the_one_that_runs() -> None:
    file = ROOT / "flows" / "overheat.yaml"
    (flow,) = load([file], environment={}).flows
    shown = (ROOT / "docs" / "explanation" / "overheat.txt").read_text(encoding="utf-8")
    assert shown == list_flow(flow).replace(str(file), "flows/overheat.yaml")
