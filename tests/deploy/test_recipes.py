"""What the files of the recipes say, as far as that can be told without the clusters that they are for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from nwb_dask import preload
from tests.deploy.clusters import DEPLOY, load

FOLDERS = sorted(one for one in DEPLOY.iterdir() if one.is_dir() and one.name != "__pycache__")
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
HEADINGS = ["Prerequisites", "Set up", "Run", "Clean up"]
ROLES = {"scheduler", "worker", "job"}


def documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def mappings(value: object) -> Iterator[Mapping[str, Any]]:
    """All mappings in a document, from the outside."""
    if isinstance(value, Mapping):
        yield value
    if isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from mappings(one)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_recipe_has_four_headings_and_ends_with_the_same_question(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    run = text.partition("## Run")[2].partition("## Clean up")[0]
    assert "smoke" in run
    assert f"]({folder.name}/README.md)" in (DEPLOY / "README.md").read_text(encoding="utf-8")


def test_files_that_recipes_name_are_there() -> None:
    named = re.compile(r"(?<!tests/)deploy/[\w./-]+\.(?:py|sh|yaml|sbatch)")
    pages = [
        one for one in DEPLOY.rglob("*") if one.is_file() and one.suffix in {".md", ".py", ".sbatch", ".sh", ".yaml"}
    ]
    missing = {
        name for page in pages for name in named.findall(page.read_text(encoding="utf-8"))
        if not (DEPLOY.parent / name).exists()
    }  # fmt: skip
    assert not missing


def test_no_recipe_holds_a_secret() -> None:
    given = re.compile(r"(?i)(password|secret|token|access_key)\w*\s*[=:]\s*[\"']?[A-Za-z0-9/+]{8,}")
    for path in sorted(one for one in DEPLOY.rglob("*") if one.is_file() and "__pycache__" not in one.parts):
        assert not given.findall(path.read_text(encoding="utf-8")), path


@pytest.fixture(params=MANIFESTS, ids=lambda path: path.name)
def manifest(request: pytest.FixtureRequest) -> Any:
    (found,) = documents(request.param)
    return found


def pods(manifest: Any) -> list[Mapping[str, Any]]:
    return [one for one in mappings(manifest) if "containers" in one]


def test_pods_do_not_run_as_root_and_cannot_become_it(manifest: Any) -> None:
    for pod in pods(manifest):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert set(container["resources"]) == {"requests", "limits"}
            assert {"cpu", "memory"} <= set(container["resources"]["limits"])
            assert {mount["name"] for mount in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}


def test_pods_take_credentials_from_a_secret_and_load_the_preload(manifest: Any) -> None:
    containers = {one["name"]: one for pod in pods(manifest) for one in pod["containers"]}
    assert not set(containers) - ROLES
    for name, container in containers.items():
        if name != "job":
            assert container["args"][-2:] == ["--preload", "nwb_dask.preload"]
        given = [one for one in container.get("env", []) if "value" in one]
        assert not [one for one in given if one["name"].startswith("AWS_")]
    if containers:
        names = [one["name"] for one in containers["worker"]["env"] if "valueFrom" in one]
        assert names[:2] == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
        (service,) = [one for one in mappings(manifest) if "selector" in one]
        assert service["type"] == "ClusterIP"
        assert service["selector"]["dask.org/cluster-name"] == manifest["metadata"]["name"]


def test_manifests_and_the_image_agree_in_user_and_name() -> None:
    docker = (DEPLOY / "docker" / "Dockerfile").read_text(encoding="utf-8")
    users = {pod["securityContext"]["runAsUser"] for path in MANIFESTS for pod in pods(documents(path))}
    assert users == {10001}
    assert "\nUSER 10001:10001\n" in docker
    images = {one["image"] for path in MANIFESTS for one in mappings(documents(path)) if "image" in one}
    assert len(images) == 1


def test_compose_runs_nothing_as_root_but_the_step_that_gives_volumes_away() -> None:
    (compose,) = documents(DEPLOY / "docker" / "compose.yaml")
    services = compose["services"]
    assert set(services) == {"scheduler", "worker", "jupyter", "minio", "owner"}
    for name, service in services.items():
        assert not service["image"].endswith(":latest")
        assert ":" in service["image"]
        if name == "owner":
            assert (service["user"], service["network_mode"]) == ("0:0", "none")
            continue
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "healthcheck" in service
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    secret = [one for service in services.values() for one in (service.get("environment") or {}).items()]
    hidden = [value for name, value in secret if re.search("KEY|PASSWORD|TOKEN|USER", name)]
    assert hidden
    assert all(re.fullmatch(r"\$\{\w+:\?see README\.md\}", value) for value in hidden)
    example = (DEPLOY / "docker" / "env.example").read_text(encoding="utf-8")
    asked = {name for value in hidden for name in re.findall(r"\$\{(\w+):", value)}
    assert asked == set(re.findall(r"^(\w+)=$", example, re.MULTILINE))


def test_image_is_pinned_and_so_is_what_it_installs() -> None:
    docker = (DEPLOY / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.12\.\d+-slim-\w+$", docker, re.MULTILINE)
    assert "--constraint constraints.txt" in docker
    lines = (DEPLOY / "docker" / "constraints.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", line) for line in lines)
    needed = (DEPLOY.parent / "pyproject.toml").read_text(encoding="utf-8").partition("dependencies = [")[2]
    names = set(re.findall(r'^    "([a-z0-9-]+)', needed.partition("\n]")[0], re.MULTILINE))
    assert names <= {line.partition("==")[0] for line in lines}


def test_cloud_clusters_load_the_preload_and_hold_no_keys() -> None:
    coiled = load(DEPLOY / "cloud" / "coiled_cluster.py").arguments(image=None, region="r", n_workers=2)
    fargate = load(DEPLOY / "cloud" / "fargate_cluster.py").arguments(image="i", region="r", n_workers=2, policies=[])
    assert coiled["worker_options"]["preload"] == coiled["scheduler_options"]["preload"] == [preload.__name__]
    assert fargate["worker_extra_args"][:2] == fargate["scheduler_extra_args"] == ["--preload", preload.__name__]
    for environment in (coiled["environ"], fargate["environment"]):
        assert not [name for name in environment if re.search("KEY|SECRET|TOKEN", name)]
