"""Settings that lie beside the folder of the flows: said once, where it is sure."""

import os
from pathlib import Path

import pytest

from flowrunner.diagnostics import render
from flowrunner.read.library import Library
from flowrunner.read.unread_settings import unread_settings

UNREAD = "unread-settings"
FLOW = "subscribe: a\nsteps:\n  - publish: b\n"
SETTINGS = "# the brokers\nconnections: {default: mqtt://ada:secret@broker}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a flow in `flows/`, in which one stands."""
    monkeypatch.chdir(tmp_path)
    write("flows/heat.yaml", FLOW)
    return tmp_path


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")


def codes(*paths: str) -> list[str]:
    return [found.code for found in unread_settings([Path(path) for path in paths])]


def test_settings_beside_the_folder_are_named_and_said_where_they_belong(project: Path) -> None:
    write("flowrunner.yaml", SETTINGS)
    assert render(unread_settings([Path("flows")])) == (
        "warning[unread-settings]: these settings are not read: they lie beside the folder of the flows\n"
        " --> flowrunner.yaml:2:1\n"
        "  |\n"
        "2 | connections:\n"
        "  | ^^^^^^^^^^^\n"
        "help: settings lie in the folder that is read: move the file to `flows/flowrunner.yaml`\n"
    )


def test_a_folder_around_both_is_named_besides(project: Path) -> None:
    write("plant/flows/heat.yaml", FLOW)
    write("plant/flowrunner.yaml", SETTINGS)
    (found,) = unread_settings([Path("plant/flows")])
    assert found.helps == (
        "settings lie in the folder that is read: move the file to `plant/flows/flowrunner.yaml`",
        "or have the whole folder read: `plant`",
    )


@pytest.mark.parametrize("text", ["vars: {site: graz}", "state: redis://localhost\n", "env:\n- SITE", "\ufeffgroup: a"])
def test_each_key_tells_that_settings_are_ours(project: Path, text: str) -> None:
    write("flowrunner.yaml", text)
    assert codes("flows") == codes("flows/heat.yaml") == [UNREAD]


def test_mistakes_in_them_change_nothing(project: Path) -> None:
    write("flowrunner.yaml", "connections:\n\tdefault: [\n")
    assert codes("flows") == [UNREAD]


@pytest.mark.parametrize("text", ["", "name: flow runner\n", "  env: x\n", "# env:\n", "environment: 1\n", "env:x\n"])
def test_what_is_not_ours_is_nobody_s_business(project: Path, text: str) -> None:
    write("flowrunner.yaml", text)
    assert codes("flows") == []


def test_settings_that_are_read_are_enough(project: Path) -> None:
    write("flowrunner.yaml", SETTINGS)
    write("flows/flowrunner.yaml", "")
    write("garden/wet.yaml", FLOW)
    assert codes("flows") == codes("garden", "flows") == codes(".") == []


def test_whoever_stands_in_the_folder_hears_of_it_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("flowrunner.yaml", SETTINGS)
    monkeypatch.chdir(project / "flows")
    (found,) = unread_settings([Path()])
    assert found.span.source.name == f"{project.as_posix()}/flowrunner.yaml"
    assert "`flowrunner.yaml`" in found.helps[0]


def test_a_folder_that_holds_flows_of_its_own_has_settings_of_its_own(project: Path) -> None:
    write("flowrunner.yaml", SETTINGS)
    write("other.yml", FLOW)
    assert codes("flows") == codes("flows/heat.yaml") == []


def test_settings_of_several_folders_are_for_whoever_runs_them_all(project: Path) -> None:
    write("flowrunner.yaml", SETTINGS)
    write("garden/wet.yaml", FLOW)
    assert codes("flows") == codes("garden") == codes(".") == []
    assert codes("flows", "garden") == [UNREAD, UNREAD]


def test_other_yaml_files_of_a_project_are_no_flows(project: Path) -> None:
    write("flowrunner.yaml", SETTINGS)
    write("compose.yaml", "services:\n  broker: {image: eclipse-mosquitto}\n")
    write("heat.test.yaml", "flows: []\n")
    write(".github/ci.yaml", FLOW)
    assert codes("flows") == [UNREAD]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with a name")
def test_nobody_waits_for_a_pipe(project: Path) -> None:
    write("flowrunner.yaml", SETTINGS)
    os.mkfifo("pipe.yaml")
    assert codes("flows") == [UNREAD]
    Path("flowrunner.yaml").unlink()
    os.mkfifo("flowrunner.yaml")
    assert codes("flows") == []


def test_one_that_appears_while_flows_run_is_said_and_can_be_moved(project: Path) -> None:
    library = Library([Path("flows")], lambda flow: flow, environment={})
    assert library.refresh().diagnostics == ()
    assert project / "flowrunner.yaml" in library.contents.places.files
    write("flowrunner.yaml", SETTINGS)
    assert [found.code for found in library.refresh([project / "flowrunner.yaml"]).news] == [UNREAD]
    assert library.refresh().news == ()
    Path("flowrunner.yaml").rename("flows/flowrunner.yaml")
    found = library.refresh()
    assert found.diagnostics == ()
    assert found.reconnect == {"default"}
