"""The unit for systemd and the page about it."""

from configparser import ConfigParser

from flowrunner.cli.run import command
from flowrunner.run.notify import PATIENCE, STATUS_EVERY
from tests.docs.markdown import ROOT, blocks

FOLDER = ROOT / "docs" / "how-to"


def unit() -> ConfigParser:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(FOLDER / "flowrunner.service")
    return parser


def test_the_unit_waits_for_what_we_say() -> None:
    service = unit()["Service"]
    assert service["Type"] == "notify"
    assert int(service["TimeoutStartSec"]) > PATIENCE
    assert int(service["WatchdogSec"]) >= 2 * STATUS_EVERY


def test_the_unit_is_a_sandbox() -> None:
    service = unit()["Service"]
    for name, value in {
        "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateDevices": "yes",
        "DynamicUser": "yes", "CapabilityBoundingSet": "", "RestrictNamespaces": "yes", "UMask": "0077",
    }.items():  # fmt: skip
        assert service[name] == value, name


def test_its_options_exist() -> None:
    options = {name for parameter in command.params for name in parameter.opts}
    words = unit()["Service"]["ExecStart"].split()
    assert {word for word in words if word.startswith("--")} <= options


def test_the_settings_of_the_page_can_be_read() -> None:
    from flowrunner.read.settings import settings_schema

    page = (FOLDER / "run-as-a-service.md").read_text()
    (text,) = blocks(page, "yaml settings")
    assert "/run/credentials/flowrunner.service/mqtt" in text
    known = settings_schema()["properties"]["connections"]["additionalProperties"]["anyOf"][1]["properties"]
    keys = {line.strip().partition(":")[0] for line in text.splitlines() if line.startswith("    ")}
    assert keys <= set(known)
