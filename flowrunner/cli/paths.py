"""Turns the paths of a command line into flows."""

from pathlib import Path
from typing import TYPE_CHECKING

from flowrunner.cli.options import Misuse
from flowrunner.diagnostics import suggest

if TYPE_CHECKING:
    from flowrunner.read.load import Loaded

DEFAULT_PATH = Path("flows")


def load_flows(paths: tuple[Path, ...], *, url: str | None = None, allow: frozenset[str] | None = None) -> "Loaded":
    """Read the flows of these files and folders, by default those of `flows/`; `url` is that of `--broker`.

    `allow` is what flows may do that is dangerous, by `--allow`; None where they will not run.
    Raises Misuse where a path does not exist. Mistakes in flows are in the result.
    """
    from flowrunner.read.load import load

    return load(existing(paths), url=url, allow=allow)


def existing(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """The paths, or `flows/` where there are none; raise Misuse for one that does not exist."""
    if not paths and not DEFAULT_PATH.exists():
        help = "name files or folders, or begin with `flowrunner new NAME`"
        raise Misuse("there is no folder `flows` here", help)
    for path in paths:
        if not path.exists():
            raise Misuse(f"there is no `{path}`", _did_you_mean(path))
    return paths or (DEFAULT_PATH,)


def _did_you_mean(path: Path) -> str:
    """Where a file of nearly this name is, or where a flow is meant by its name alone."""
    guesses = [DEFAULT_PATH / path, DEFAULT_PATH / f"{path}.yaml", Path(f"{path}.yaml")]
    for guess in guesses:
        if guess.exists():
            return f"did you mean `{guess}`?"
    if not path.parent.is_dir():
        return ""
    near = suggest(path.name, [other.name for other in path.parent.iterdir()])
    return f"did you mean `{path.parent / near}`?" if near else ""
