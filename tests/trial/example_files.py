"""Turns the examples of the steps into a folder of flow files."""

import shutil
from inspect import cleandoc
from pathlib import Path

from flowrunner.steps import own_steps

BESIDE = Path(__file__).parents[1] / "steps" / "beside"  # the files that lie beside the examples


def write_examples(folder: Path) -> dict[str, str]:
    """Write each example as a file of its own; the texts by the name of the file."""
    shutil.copytree(BESIDE, folder, dirs_exist_ok=True)
    texts = {
        f"{key}_{number}": cleandoc(text) + "\n"
        for key, step in own_steps().items()
        for number, text in enumerate(step.EXAMPLES, 1)
    }
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return texts
