"""Every object that is rendered, against the schemas of several Kubernetes; those of KEDA against what it documents."""

import json
import re
from pathlib import Path
from typing import Literal

import kubernetes_validate
import pytest
import yaml
from kustomized import FOLDER, RENDERED, of, render
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from docs.make_reference import touch
from monitoring import metrics

VERSIONS = ("1.31", "1.34", "1.37")
each = pytest.mark.parametrize("name", RENDERED)


class Strict(BaseModel):
    """https://keda.sh/docs/latest/reference/scaledobject-spec: the fields that are used here, and no others."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Metadata(Strict):
    name: str
    namespace: str
    labels: dict[str, str] = {}


class Target(Strict):
    name: str


class Fallback(Strict):
    failureThreshold: PositiveInt
    replicas: PositiveInt


class Window(Strict):
    stabilizationWindowSeconds: int = Field(ge=0, le=3600)


class Behavior(Strict):
    scaleDown: Window


class Autoscaler(Strict):
    behavior: Behavior


class Advanced(Strict):
    horizontalPodAutoscalerConfig: Autoscaler


class Asked(Strict):
    """https://keda.sh/docs/latest/scalers/prometheus: every value is a string."""

    serverAddress: str = Field(pattern=r"^https?://")
    query: str
    threshold: str = Field(pattern=r"^[0-9]+$")
    ignoreNullValues: Literal["true", "false"]


class Trigger(Strict):
    type: Literal["prometheus"]
    metricType: Literal["AverageValue"]
    """The only one that `fallback` is for."""
    metadata: Asked


class Spec(Strict):
    scaleTargetRef: Target
    minReplicaCount: PositiveInt
    maxReplicaCount: PositiveInt
    pollingInterval: PositiveInt
    fallback: Fallback
    advanced: Advanced
    triggers: list[Trigger] = Field(min_length=1)


class ScaledObject(Strict):
    apiVersion: Literal["keda.sh/v1alpha1"]
    kind: Literal["ScaledObject"]
    metadata: Metadata
    spec: Spec


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_object_and_knows_every_field(version: str) -> None:
    objects = {
        json.dumps(manifest, sort_keys=True)
        for name in RENDERED
        for manifest in render(name)
        if manifest["kind"] != "ScaledObject"
    }
    assert len(objects) > 50  # those that are the same in several are validated once
    assert {kubernetes_validate.validate(json.loads(text), version, strict=True) for text in sorted(objects)} == {version}


def test_a_field_that_no_kubernetes_knows_would_be_found() -> None:
    broken = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x", "labeles": {}}}
    with pytest.raises(kubernetes_validate.ValidationError, match="labeles"):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


@each
def test_keda_takes_its_objects_and_their_targets_exist(name: str) -> None:
    found = of(name, "ScaledObject")
    assert bool(found) is ("keda" in name)
    for manifest in found.values():
        assert ScaledObject.model_validate(manifest).spec.scaleTargetRef.name in of(name, "Deployment")


@each
def test_cpu_autoscalers_have_a_target_that_asks_for_cpu(name: str) -> None:
    for manifest in of(name, "HorizontalPodAutoscaler").values():
        target = of(name, "Deployment")[manifest["spec"]["scaleTargetRef"]["name"]]
        for inside in target["spec"]["template"]["spec"]["containers"]:
            assert inside["resources"]["requests"]["cpu"]


def test_keda_asks_prometheus_for_metrics_that_the_service_has_by_labels_that_are_given(tmp_path: Path) -> None:
    touch()
    exposed = set(re.findall(r"^(vitrina_\w+)", metrics.exposition(f"sqlite:///{tmp_path}/vitrina.db").decode(), re.MULTILINE))
    scraped = yaml.safe_load((FOLDER / "components" / "keda" / "scrape.yaml").read_text())["scrape_configs"]
    relabelled = [{rule.get("target_label") for rule in job["relabel_configs"]} for job in scraped]
    kept = {service for job in scraped for service in job["relabel_configs"][0]["regex"].split("|")}
    for manifest in of("base+keda", "ScaledObject").values():
        query = manifest["spec"]["triggers"][0]["metadata"]["query"]
        [asked] = re.findall(r"(vitrina_\w+)\{", query)
        assert asked in exposed
        matched = dict(re.findall(r'(\w+)=~?"([^"]*)"', query))
        assert all({"namespace", "service"} <= labels for labels in relabelled)
        assert matched.pop("namespace") == "vitrina"
        assert matched.pop("service") in kept
        assert set(matched) <= {"state"}
