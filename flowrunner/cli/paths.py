"""Turns the paths of a command line into flows."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flowrunner.cli.options import Misuse
from flowrunner.cli.terminal import say, wants_color
from flowrunner.diagnostics import has_errors, name_list, suggest
from flowrunner.errors import FlowError

if TYPE_CHECKING:
    from flowrunner.read.flow import Flow
    from flowrunner.read.load import Loaded

DEFAULT_PATH = Path("flows")


def load_flows(paths: tuple[Path, ...], *, url: str | None = None, allow: frozenset[str] | None = None) -> "Loaded":
    """Read the flows of these files and folders, by default those of `flows/`; `url` is that of `--broker`.

    `allow` is what flows may do that is dangerous, by `--allow`; None where they will not run.
    Raises Misuse where a path does not exist. Mistakes in flows are in the result.
    """
    from flowrunner.read.load import load

    found = existing(paths)
    tell_of_unread_settings(found)
    return load(found, url=url, allow=allow)


def tell_of_unread_settings(paths: Sequence[Path]) -> None:
    """Warn of a `flowrunner.yaml` that lies beside the folder of the flows: it is easily believed to hold."""
    from flowrunner.diagnostics import render
    from flowrunner.read.unread_settings import unread_settings

    if found := unread_settings(paths):
        say(render(found, color=wants_color(sys.stderr)))


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


def find_flow(name: str, paths: tuple[Path, ...], *, allow: frozenset[str] | None = None) -> "Flow":
    """The flow of this name among those of the paths; a file that holds one flow may stand for it.

    `allow` is what it may do that is dangerous; None where it will not run. Raises Misuse where there is none of this
    name, FlowError where it may be in a file with mistakes.
    """
    if not paths and name.endswith((".yaml", ".yml")) and Path(name).is_file():
        paths = (Path(name),)
        loaded = load_flows(paths, allow=allow)
        if len(loaded.flows) == 1 and not has_errors(loaded.diagnostics):
            return loaded.flows[0]
    else:
        loaded = load_flows(paths, allow=allow)
    for flow in loaded.flows:
        if flow.name == name:
            return flow
    if has_errors(loaded.diagnostics):
        raise FlowError(loaded.diagnostics)
    known = [flow.name for flow in loaded.flows]
    near = suggest(name, known)
    help = f"did you mean `{near}`?" if near else f"there are {name_list(known)}" if known else ""
    raise Misuse(f"there is no flow `{name}`", help)


def warn_of_password(url: str | None) -> None:
    """Say that a password in an address on the command line is not hidden; `ps` shows it to everybody."""
    from flowrunner.address import parse_address

    if url is not None and parse_address(url).password is not None:
        say("others on this machine can see the password in `ps`: better set FLOWRUNNER_BROKER, or `flowrunner.yaml`")
