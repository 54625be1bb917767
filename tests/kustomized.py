"""The manifests as `kubectl apply --kustomize` would send them, and small questions about them."""

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy" / "kubernetes"
RENDERED = ("base", "overlays/laptop-cluster", "overlays/gpu", "base+keda", "overlays/laptop-cluster+keda", "overlays/gpu+keda")
"""What somebody may apply; `+keda` is with that component."""

Manifest = dict[str, Any]


def kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("no kubectl on this machine; .ci/kubectl brings one")
    return found


@functools.cache
def render(name: str) -> tuple[Manifest, ...]:
    """The objects of one of `RENDERED`."""
    folder, plus, component = name.partition("+")
    with tempfile.TemporaryDirectory() as temporary:
        chosen = FOLDER / folder
        if plus:
            chosen = overlay(Path(temporary), folder, component)
        return rendered_from(chosen)


def rendered_from(folder: Path) -> tuple[Manifest, ...]:
    """The objects of a kustomization."""
    done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return tuple(yaml.safe_load_all(done.stdout))


def overlay(temporary: Path, folder: str, component: str) -> Path:
    """An overlay as a user makes one: a folder of ours, with a component of ours."""
    here = temporary.resolve()
    values = {
        "resources": [os.path.relpath(FOLDER / folder, here)],
        "components": [os.path.relpath(FOLDER / "components" / component, here)],
    }
    (here / "kustomization.yaml").write_text(yaml.safe_dump(values))
    return here


def of(name: str, kind: str) -> dict[str, Manifest]:
    """Objects of a kind, by name."""
    return {manifest["metadata"]["name"]: manifest for manifest in render(name) if manifest["kind"] == kind}


def named(name: str, kind: str, wanted: str) -> Manifest:
    """An object whose name may end with the hash of what it holds."""
    [found] = [manifest for key, manifest in of(name, kind).items() if key == wanted or key.rpartition("-")[0] == wanted]
    return found


def pods(name: str) -> dict[str, Manifest]:
    """Templates of pods, by the name of what makes them."""
    kinds = ("Deployment", "StatefulSet", "Job")
    return {key: manifest["spec"]["template"] for kind in kinds for key, manifest in of(name, kind).items()}


def containers(template: Manifest) -> list[Manifest]:
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def labels(template: Manifest) -> Mapping[str, str]:
    found: Mapping[str, str] = template["metadata"]["labels"]
    return found


def selects(selector: Manifest, labelled: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels; an empty one takes all."""
    said = selector.get("matchLabels", {}).items() <= labelled.items()
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        said = said and labelled.get(expression["key"]) in expression["values"]
    return bool(said)


def secrets(template: Manifest) -> Iterator[tuple[str, str]]:
    """Secret and key of each value that a pod takes from one."""
    for container in containers(template):
        for variable in container.get("env", []):
            if "secretKeyRef" in variable.get("valueFrom", {}):
                reference = variable["valueFrom"]["secretKeyRef"]
                yield reference["name"], reference["key"]


def config_maps(template: Manifest) -> Iterator[tuple[str, str | None]]:
    """ConfigMap, and key where one has to be there, of whatever a pod takes from one."""
    for container in containers(template):
        for variable in container.get("env", []):
            if "configMapKeyRef" in variable.get("valueFrom", {}):
                reference = variable["valueFrom"]["configMapKeyRef"]
                yield reference["name"], None if reference.get("optional") else reference["key"]
        yield from ((source["configMapRef"]["name"], None) for source in container.get("envFrom", []))
    yield from ((volume["configMap"]["name"], None) for volume in template["spec"]["volumes"] if "configMap" in volume)
