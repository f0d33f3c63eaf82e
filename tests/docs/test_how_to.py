"""The how-to pages: their flows have no mistakes and do what their tests say, their settings can be read."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flowrunner.broker import AccessList
from flowrunner.diagnostics import render
from flowrunner.read.load import Loaded, load
from flowrunner.trial.suite import Suite, all_tests
from tests.docs.markdown import ROOT
from tests.mosquitto import Mosquitto, require_mosquitto

HOW_TO = ROOT / "docs" / "how-to"
FOLDERS = sorted(folder for folder in (HOW_TO / "flows").iterdir() if any(folder.glob("*.yaml")))
PAGES = [page for page in sorted(HOW_TO.glob("*.md")) if page.name != "index.md"]
ENVIRONMENT = dict.fromkeys(
    ("MQTT_USER", "MQTT_PASSWORD", "CLOUD_USER", "CLOUD_PASSWORD", "INFLUX_TOKEN", "TUTORIAL_PASSWORD", "POD_NAME"),
    "secret",
)


def loaded(folder: Path, place: Path) -> Loaded:
    """The flows of a folder, with a certificate where its settings want one."""
    copy = place / folder.name
    shutil.copytree(folder, copy)
    (copy / "ca.crt").touch()
    (copy / "secrets").mkdir()
    for name in ("ca.crt", "mqtt-password"):
        (copy / "secrets" / name).write_text("secret")
    return load([copy], environment=ENVIRONMENT)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_flows_have_no_mistakes_and_no_warnings(folder: Path, tmp_path: Path) -> None:
    assert render(loaded(folder, tmp_path).diagnostics) == ""


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_flows_do_what_their_tests_say(folder: Path, tmp_path: Path) -> None:
    found = loaded(folder, tmp_path)
    results = Suite().run(all_tests(found), told=lambda _test, _result: True)
    assert [result.failure for result in results if not result.is_passed] == []
    for flow in found.flows:
        assert flow.tests, flow.name
        assert flow.description, flow.name


def test_every_flow_is_shown_on_a_page() -> None:
    shown = {
        (page.parent / file).resolve()
        for page in PAGES
        for file in re.findall(r"\{literalinclude\} (\S+)", page.read_text(encoding="utf-8"))
    }
    flows = {file for folder in FOLDERS for file in folder.iterdir() if file.suffix in (".yaml", ".py")}
    assert flows <= shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_in_the_list(page: Path) -> None:
    assert f"]({page.name})" in (HOW_TO / "index.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_begins_with_its_title_and_says_what_it_is_for(page: Path) -> None:
    title, blank, first, *_ = page.read_text(encoding="utf-8").split("\n")
    assert re.fullmatch(r"# \S.*[^.]", title)
    assert blank == ""
    assert first
    assert not first.startswith(("#", "`", "-"))


def test_the_tests_in_python_pass(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    for flow in (ROOT / "flows" / "overheat.yaml", HOW_TO / "flows" / "zigbee2mqtt" / "motion.yaml"):
        shutil.copy(flow, tmp_path / "flows")
    for file in (HOW_TO / "python").glob("test_*.py"):
        shutil.copy(file, tmp_path)
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    pytest_here = [sys.executable, "-m", "pytest", "-q", "-p", "flowrunner.pytest_plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        pytest_here, cwd=tmp_path, env=environment, timeout=120, capture_output=True, text=True, check=False
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_the_script_with_a_broker_of_its_own_runs() -> None:
    script = [sys.executable, str(HOW_TO / "python" / "own_broker.py")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(script, env=environment, timeout=60, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("listening on mqtt://127.0.0.1:")


def test_compose_starts_a_broker_and_the_flows_with_what_they_need() -> None:
    services = yaml.safe_load((HOW_TO / "docker" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    settings = (HOW_TO / "flows" / "docker" / "flowrunner.yaml").read_text(encoding="utf-8")
    assert set(services) == {"mosquitto", "flowrunner"}
    assert "mqtt://mosquitto " in settings
    assert all(f"${{env.{name}}}" in settings for name in services["flowrunner"]["environment"])


@pytest.mark.broker
@pytest.mark.parametrize("folder", ["docker", "class"])
def test_mosquitto_takes_the_configuration(folder: str, tmp_path: Path) -> None:
    require_mosquitto()
    text = (HOW_TO / folder / "mosquitto.conf").read_text(encoding="utf-8")
    text = text.replace("/mosquitto/config/", "").replace("/mosquitto/data/", f"{tmp_path}/")
    shutil.copy(HOW_TO / "class" / "class.acl", tmp_path)
    for name in ("trainer", "anna"):
        flags = ["-b"] if (tmp_path / "passwords").exists() else ["-c", "-b"]
        subprocess.run(["mosquitto_passwd", *flags, "passwords", name, "mqtt"], cwd=tmp_path, timeout=20, check=True)
    with Mosquitto(tmp_path, text.replace("listener 1883\n", "")) as broker:
        assert publishes(broker.port, "anna", "anna/hello")
        assert publishes(broker.port, "trainer", "ben/hello")
        if folder == "class":
            assert not publishes(broker.port, "anna", "ben/hello")


def publishes(port: int, user: str, topic: str) -> bool:
    """Whether a user may publish there: with MQTT 5 and QoS 1 the broker says so."""
    command = ["mosquitto_pub", "-p", str(port), "-u", user, "-P", "mqtt", "-t", topic, "-m", "x", "-q", "1", "-V", "5"]
    done = subprocess.run(command, timeout=20, capture_output=True, text=True, check=False)
    return done.returncode == 0 and "Not authorized" not in done.stderr + done.stdout


def test_the_embedded_broker_takes_the_access_list_of_the_class() -> None:
    access = AccessList.load(HOW_TO / "class" / "class.acl")
    anna = access.of_client("anna", "some-client")
    assert anna.may_write("anna/hello")
    assert not anna.may_write("ben/hello")
    assert anna.may_read("ben/hello")
