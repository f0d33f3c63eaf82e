"""The manifests for Kubernetes fit each other, the command line, the page and the image; a moved `..data` is a reload."""

import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowrunner.cli.run import command
from flowrunner.run.connection import LAST_WORDS, PARTING
from flowrunner.run.identity import FOLDER as KEPT
from flowrunner.run.runner import LAST_WORK
from flowrunner.web.access import Access, kept_token
from flowrunner.web.place import parse_place
from tests.docs.markdown import ROOT
from tests.mosquitto import Mosquitto, require_mosquitto

FOLDER = ROOT / "docs" / "how-to" / "kubernetes"
FLOWS = ROOT / "docs" / "how-to" / "flows" / "kubernetes"
MANIFESTS = sorted(FOLDER.glob("*.yaml"))
LABELS = {"app.kubernetes.io/name": "flowrunner"}
RUNNERS = ("Deployment", "StatefulSet")


def objects() -> list[dict[str, Any]]:
    return [found for file in MANIFESTS for found in yaml.safe_load_all(file.read_text(encoding="utf-8"))]


def the(kind: str) -> dict[str, Any]:
    (found,) = [one for one in objects() if one["kind"] == kind]
    return found


def pod(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = the(kind)["spec"]["template"]["spec"]
    return found


def container(kind: str) -> dict[str, Any]:
    (found,) = pod(kind)["containers"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.stem)
def test_the_schemas_of_kubernetes_take_them(file: Path) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for found in yaml.safe_load_all(file.read_text(encoding="utf-8")):
        for version in ("1.30", "1.35"):
            kubernetes_validate.validate(found, version, strict=True)


def test_every_object_has_the_label_by_which_the_others_find_it() -> None:
    for found in objects():
        assert found["metadata"]["labels"] == LABELS, found["kind"]
    for kind in RUNNERS:
        spec = the(kind)["spec"]
        assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"] == LABELS
    assert the("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == LABELS
    assert the("Service")["spec"]["selector"] == LABELS
    assert the("StatefulSet")["spec"]["serviceName"] == the("Service")["metadata"]["name"]


@pytest.mark.parametrize("kind", RUNNERS)
def test_the_command_line_exists(kind: str) -> None:
    name, paths, *options = container(kind)["args"]
    assert name == command.name
    parsed = command.make_context(name, [str(ROOT / "flows"), *options]).params
    assert parsed["log_format"] == "json"
    assert parsed["web_read_only"]
    assert paths in [mount["mountPath"] for mount in container(kind)["volumeMounts"]]


@pytest.mark.parametrize("kind", RUNNERS)
def test_the_probes_ask_what_answers_without_a_token(kind: str) -> None:
    args = container(kind)["args"]
    place = parse_place(args[args.index("--web") + 1], is_read_only=True)
    (port,) = container(kind)["ports"]
    assert port["containerPort"] == place.port
    assert the("Service")["spec"]["ports"][0]["targetPort"] == port["name"]
    access = Access(place.host, place.port, "x" * 40)
    for probe, path in (("startupProbe", "/health"), ("livenessProbe", "/health"), ("readinessProbe", "/ready")):
        asked = container(kind)[probe]["httpGet"]
        assert asked == {"path": path, "port": port["name"]}
        assert access.refusal("GET", path, {"host": f"10.1.2.3:{place.port}"}) is None  # as the kubelet asks


@pytest.mark.parametrize("kind", RUNNERS)
def test_every_mount_has_its_volume_and_every_key_is_there(kind: str) -> None:
    spec = pod(kind)
    volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
    volumes |= {claim["metadata"]["name"]: claim for claim in the(kind)["spec"].get("volumeClaimTemplates", ())}
    mounts = {mount["mountPath"]: mount for mount in container(kind)["volumeMounts"]}
    assert {mount["name"] for mount in mounts.values()} == set(volumes)
    secret, config = the("Secret"), the("ConfigMap")
    assert volumes["flows"]["configMap"]["name"] == config["metadata"]["name"]
    for name in ("token", "secrets"):
        assert volumes[name]["secret"]["secretName"] == secret["metadata"]["name"]
        assert {item["key"] for item in volumes[name]["secret"]["items"]} <= set(secret["stringData"])
    assert f"/flows/{KEPT}" in mounts
    assert f"/flows/{KEPT}/web-token" in mounts
    files = {f"/flows/secrets/{item['path']}" for item in volumes["secrets"]["secret"]["items"]}
    named = re.findall(r"secrets/[\w.-]+", config["data"]["flowrunner.yaml"])
    assert {f"/flows/{name}" for name in named} == files


@pytest.mark.parametrize("kind", RUNNERS)
def test_what_the_settings_take_from_the_environment_is_set(kind: str) -> None:
    asked = re.findall(r"\$\{env\.(\w+)\}", the("ConfigMap")["data"]["flowrunner.yaml"])
    assert asked
    assert set(asked) <= {variable["name"] for variable in container(kind)["env"]}


def test_the_token_of_the_secret_is_taken(tmp_path: Path) -> None:
    token = the("Secret")["stringData"]["web-token"]
    (tmp_path / KEPT).mkdir()
    (tmp_path / KEPT / "web-token").write_text(token)
    assert kept_token(tmp_path) == token


def test_the_config_map_holds_the_flows_of_the_page() -> None:
    files = {file.name: file.read_text(encoding="utf-8") for file in FLOWS.glob("*.yaml")}
    assert the("ConfigMap")["data"] == files


@pytest.mark.parametrize("kind", RUNNERS)
def test_a_pod_has_little_power_and_time_to_finish(kind: str) -> None:
    spec = pod(kind)
    docker = (ROOT / "docs" / "how-to" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert spec["securityContext"]["runAsNonRoot"]
    assert f"--uid {spec['securityContext']['runAsUser']} " in docker
    assert spec["automountServiceAccountToken"] is False
    assert container(kind)["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert spec["terminationGracePeriodSeconds"] >= 2 * (PARTING + LAST_WORK + LAST_WORDS)
    assert set(container(kind)["resources"]) == {"requests", "limits"}
    assert "cpu" not in container(kind)["resources"]["limits"]


def test_both_kinds_of_runners_differ_in_what_they_keep_only() -> None:
    first, second = pod("Deployment"), pod("StatefulSet")
    kept = [volume for volume in first["volumes"] if volume["name"] == "kept"]
    assert kept == [{"name": "kept", "emptyDir": {}}]
    assert {**first, "volumes": [one for one in first["volumes"] if one not in kept]} == second


class Mounted:
    """A folder as the kubelet makes it of a ConfigMap: links to files behind `..data`, which moves in one step."""

    def __init__(self, folder: Path, data: Mapping[str, str]) -> None:
        self.folder = folder
        self.turn = 0
        self.write(data)
        for name in data:
            (folder / name).symlink_to(f"..data/{name}")

    def write(self, data: Mapping[str, str]) -> None:
        """Exchange all files at once, and take the old ones away."""
        old = self.folder / f"..2026_11_22_17_00_{self.turn:02}.1"
        self.turn += 1
        new = self.folder / f"..2026_11_22_17_00_{self.turn:02}.1"
        new.mkdir(parents=True)
        for name, text in data.items():
            (new / name).write_text(text)
        (self.folder / "..data_tmp").symlink_to(new.name)
        (self.folder / "..data_tmp").rename(self.folder / "..data")
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def running(folder: Path, *args: str) -> Iterator["queue.Queue[dict[str, Any]]"]:
    """What `flowrunner run` says of a folder, line by line."""
    words = [sys.executable, "-m", "flowrunner", "run", str(folder), *args]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    said: queue.Queue[dict[str, Any]] = queue.Queue()
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=folder.parent, env=environment, text=True) as child:
        assert child.stdout is not None
        lines = child.stdout

        def read() -> None:
            for line in lines:
                said.put(json.loads(line))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield said
        finally:
            child.terminate()
            child.wait(20)
            reader.join(20)


def until(said: "queue.Queue[dict[str, Any]]", event: str) -> list[dict[str, Any]]:
    """All lines up to one of this kind."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["event"] != event:
        found.append(said.get(timeout=30))
    return found


FLOW = "subscribe: in\nsteps:\n  - publish: out/{}\n"


@pytest.mark.broker
def test_a_new_version_of_a_config_map_is_one_reload(tmp_path: Path) -> None:
    require_mosquitto()
    with Mosquitto(tmp_path / "mosquitto") as mosquitto:
        settings = f"connections: {{default: 'mqtt://127.0.0.1:{mosquitto.port}'}}\n"
        flows = {"flowrunner.yaml": settings, "a.yaml": FLOW.format("a1"), "b.yaml": FLOW.format("b1")}
        mounted = Mounted(tmp_path / "flows", flows)
        (tmp_path / "flows" / KEPT).mkdir()
        with running(tmp_path / "flows", *container("Deployment")["args"][2:4], "--no-web") as said:
            until(said, "connected")
            mounted.write({**flows, "a.yaml": FLOW.format("a2"), "b.yaml": FLOW.format("b2")})
            (*_, first) = until(said, "reloaded")
            assert "2 changed (a, b)" in first["message"]
            mounted.write({**flows, "a.yaml": FLOW.format("a3"), "b.yaml": FLOW.format("b2")})
            *between, second = until(said, "reloaded")
            assert [line for line in between if line["event"] == "reloaded"] == []
            assert "1 changed (a), 1 kept" in second["message"]
