"""What a flow is compiled to can be read, as Python."""

import ast
from inspect import cleandoc
from pathlib import Path

import pytest

from flowrunner.compile.function import FlowWriter
from flowrunner.compile.listing import list_flow
from flowrunner.step import walk
from flowrunner.steps import all_steps
from tests.flow_host import diagnose, read
from tests.goldens_files import assert_golden, goldens_in, input_of


@pytest.mark.parametrize("golden", goldens_in("listing"), ids=lambda golden: golden.stem)
def test_listing_is_its_golden(golden: Path) -> None:
    assert_golden(golden, list_flow(read(input_of(golden), name=golden.stem)))


BESIDE = Path(__file__).parents[1] / "steps" / "beside"

EXAMPLES = [
    pytest.param(cleandoc(text), id=f"{key}-{number}")
    for key, step in all_steps().items()
    for number, text in enumerate(step.EXAMPLES, 1)
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_listing_of_any_flow_is_python_with_a_comment_for_every_step(text: str) -> None:
    for flow in diagnose(text, folder=BESIDE)[0]:
        listing = list_flow(flow)
        names = [part.name for part in ast.parse(listing).body if isinstance(part, ast.FunctionDef)]
        assert len(names) == len(set(names)) == len(ast.parse(listing).body)
        for step in walk([*flow.steps, *flow.on_error.steps]):
            assert f"# flows/flow.yaml:{step.at.span.line}  " in listing
        assert "_mark_" not in listing


def test_text_that_looks_like_a_mark_is_no_comment() -> None:
    listing = list_flow(
        read("subscribe: in\nsteps:\n  - log: _mark_0\n  - map: '\"_mark_1\"'\n  - stop: |\n      _mark_0\n")
    )
    ast.parse(listing)
    assert "'_mark_0'" in listing
    assert "'_mark_1'" in listing


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_node_of_compiled_code_has_a_place_of_its_own(text: str) -> None:
    """What has none would be shown at the place of something else."""
    for flow in diagnose(text, folder=BESIDE)[0]:
        for part in FlowWriter(flow).write():
            for node in ast.walk(part.definition()):
                assert not isinstance(node, ast.stmt | ast.expr | ast.arg | ast.keyword) or hasattr(
                    node, "end_col_offset"
                )
