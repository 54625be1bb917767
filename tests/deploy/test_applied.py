"""A real kubectl applies what is rendered to an API server over HTTP, twice; the Kubernetes client reads it back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from kubernetes_api import api_server, apply
from kustomized import RENDERED, Manifest, kubectl, render

pytestmark = pytest.mark.slow

READERS = {
    "ConfigMap": ("CoreV1Api", "list_namespaced_config_map"),
    "Service": ("CoreV1Api", "list_namespaced_service"),
    "ServiceAccount": ("CoreV1Api", "list_namespaced_service_account"),
    "Deployment": ("AppsV1Api", "list_namespaced_deployment"),
    "StatefulSet": ("AppsV1Api", "list_namespaced_stateful_set"),
    "Job": ("BatchV1Api", "list_namespaced_job"),
    "HorizontalPodAutoscaler": ("AutoscalingV2Api", "list_namespaced_horizontal_pod_autoscaler"),
    "PodDisruptionBudget": ("PolicyV1Api", "list_namespaced_pod_disruption_budget"),
    "NetworkPolicy": ("NetworkingV1Api", "list_namespaced_network_policy"),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with api_server(tmp_path / "kubeconfig") as address:
        yield address


def held(address: str) -> dict[tuple[str, str], Manifest]:
    """Whatever the namespace holds, through the client's own classes."""
    asking = client.ApiClient(client.Configuration(host=address))
    found = {}
    for kind, (group, method) in READERS.items():
        for one in getattr(getattr(client, group)(asking), method)("vitrina").items:
            found[kind, one.metadata.name] = asking.sanitize_for_serialization(one)
    listed = client.CustomObjectsApi(asking).list_namespaced_custom_object("keda.sh", "v1alpha1", "vitrina", "scaledobjects")
    return found | {("ScaledObject", one["metadata"]["name"]): one for one in listed["items"]}


def told(manifest: Manifest) -> dict[str, Any]:
    """An object without what kubectl notes in it and what its kind's class does not repeat."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in ("annotations", "creationTimestamp")}
    rest = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind", "metadata")}
    return {**rest, "metadata": metadata}


@pytest.mark.parametrize("name", RENDERED)
def test_what_is_applied_is_held_and_applying_it_again_changes_nothing(name: str, server: str, tmp_path: Path) -> None:
    first = apply(kubectl(), tmp_path / "kubeconfig", render(name))
    assert set(first.values()) == {"created"}
    expected = {
        (m["kind"], m["metadata"]["name"]): told(m) for m in render(name) if m["kind"] not in ("Namespace", "PriorityClass")
    }
    assert {key: told(manifest) for key, manifest in held(server).items()} == expected
    again = apply(kubectl(), tmp_path / "kubeconfig", render(name))
    # A selector of a PodDisruptionBudget is replaced whole, so kubectl always sends it.
    assert {said for what, said in again.items() if not what.startswith("poddisruptionbudget")} == {"unchanged"}
