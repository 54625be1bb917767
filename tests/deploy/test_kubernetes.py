"""The manifests of deploy/kubernetes, rendered and held against the code: configurations load, names exist, pods are confined."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from kustomized import (
    FOLDER,
    RENDERED,
    ROOT,
    Manifest,
    config_maps,
    containers,
    labels,
    named,
    of,
    pods,
    render,
    rendered_from,
    secrets,
    selects,
)

from cli import app
from configs.cluster import ClusterConfig
from configs.load import environment_file, load
from configs.schema import ServingConfig
from database import keys
from jobs.worker import ALIVE
from serving.access.scopes import OPEN
from serving.inner import TOKEN
from serving.routes import discover

MODELS = ("product", "imagegen", "others")
OURS = ("gateway", *MODELS, "worker", "migrate")
GPU = "nvidia.com/gpu"
PAGE = (ROOT / "deploy" / "README.md").read_text()

each = pytest.mark.parametrize("name", RENDERED)


def container(name: str, pod: str) -> Manifest:
    [found] = pods(name)[pod]["spec"]["containers"]
    return dict(found)


def arguments(name: str, pod: str) -> dict[str, Any]:
    """The arguments of a pod of ours, as the command reads them."""
    group: Any = typer.main.get_command(app)
    words = list(container(name, pod)["args"])
    while hasattr(group, "commands"):
        group = group.commands[words.pop(0)]
    return dict(group.make_context(group.name, words).params)


def served(name: str, pod: str, tmp_path: Path) -> ServingConfig:
    """What a pod's arguments configure."""
    parsed = arguments(name, pod)
    if not parsed["config"]:
        return load(ServingConfig, environment_file(parsed["env"], "serving"))
    mounted = {mount["name"]: mount["mountPath"] for mount in container(name, pod)["volumeMounts"]}
    path = Path(parsed["config"])
    assert str(path.parent) == mounted["serving"]
    file = tmp_path / path.name
    file.write_text(named(name, "ConfigMap", "serving")["data"][path.name])
    return load(ServingConfig, file)


@each
def test_there_is_what_the_page_says(name: str) -> None:
    stores = {"postgres", "minio", "bucket"} if "laptop" in name else set()
    assert set(pods(name)) == {*OURS, "mlflow"} | stores
    assert set(of(name, "Service")) == {"gateway", *MODELS, "mlflow"} | stores - {"bucket"}


@each
def test_everything_is_in_the_namespace_and_is_ours(name: str) -> None:
    for manifest in render(name):
        if manifest["kind"] not in ("Namespace", "PriorityClass"):
            assert manifest["metadata"]["namespace"] == "vitrina", manifest
    for template in pods(name).values():
        assert labels(template)["app.kubernetes.io/part-of"] == "vitrina"
    images = {inside["image"] for pod in (*OURS, "mlflow") for inside in containers(pods(name)[pod])}
    assert images == {"registry.example.org/vitrina:0.1"}


@each
def test_pods_are_confined(name: str) -> None:
    """What Pod Security's level `restricted` asks for, which the namespace enforces; no token, and a read-only root."""
    assert of(name, "Namespace")["vitrina"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod, template in pods(name).items():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False, pod
        assert spec["enableServiceLinks"] is False, pod
        context = spec["securityContext"]
        assert (context["runAsNonRoot"], context["seccompProfile"]) == (True, {"type": "RuntimeDefault"}), pod
        assert context["runAsUser"] == {"postgres": 999, "minio": 1000}.get(pod, 10001)
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert all(set(volume) & {"emptyDir", "configMap"} for volume in spec["volumes"]), pod
        assert all(volume["emptyDir"]["sizeLimit"] for volume in spec["volumes"] if "emptyDir" in volume), pod
        for inside in containers(template):
            assert inside["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} <= set(inside["resources"]["requests"])
            assert inside["resources"]["requests"]["memory"] == inside["resources"]["limits"]["memory"]


@each
def test_our_containers_write_to_the_home_and_the_temporary_folder_alone(name: str) -> None:
    for pod in OURS:
        for inside in containers(pods(name)[pod]):
            writable = {mount["mountPath"] for mount in inside["volumeMounts"] if not mount.get("readOnly")}
            assert writable == {"/var/lib/vitrina", "/tmp"}, pod


@each
def test_names_that_pods_use_exist(name: str) -> None:
    for pod, template in pods(name).items():
        for config_map, key in config_maps(template):
            held = of(name, "ConfigMap")[config_map]["data"]
            assert key is None or key in held, pod
        spec = template["spec"]
        assert spec.get("serviceAccountName", "default") in {*of(name, "ServiceAccount"), "default"}
        assert spec.get("priorityClassName") in {*of(name, "PriorityClass"), None}
        volumes = {volume["name"] for volume in spec["volumes"]} | {
            claim["metadata"]["name"]
            for claims in of(name, "StatefulSet").values()
            if claims["metadata"]["name"] == pod
            for claim in claims["spec"]["volumeClaimTemplates"]
        }
        for inside in containers(template):
            assert {mount["name"] for mount in inside.get("volumeMounts", [])} <= volumes
            ports = {port["name"] for port in inside.get("ports", [])}
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert inside.get(kind, {}).get("httpGet", {"port": None})["port"] in {*ports, None}


@each
def test_secrets_are_references_alone_and_the_page_makes_them(name: str) -> None:
    assert of(name, "Secret") == {}
    used = {reference for template in pods(name).values() for reference in secrets(template)}
    made = {
        (secret, key)
        for secret, options in re.findall(r"create secret generic ([a-z0-9-]+) ((?:[^\n]|\\\n)*)", PAGE)
        for key in re.findall(r"--from-literal=([a-z-]+)=", options)
    }
    assert used <= made
    addresses = re.findall(r"backend-store-uri=(\S+?)://", PAGE)
    assert set(addresses) == {"postgresql+psycopg"}  # MLflow would look for a driver that is not in the image
    wanted = {("vitrina", "database-url"), ("vitrina", "inner-token"), ("mlflow", "backend-store-uri")}
    wanted |= {("vitrina-s3", "access-key"), ("vitrina-s3", "secret-key")}
    assert used == wanted | ({("postgres", "password")} if "laptop" in name else {("zenml", "api-key")})
    for manifest in render(name):
        for word in ("password:", "PASSWORD=", "postgresql://"):
            assert word not in yaml.safe_dump(manifest), manifest["metadata"]["name"]


@each
def test_services_find_their_pods(name: str) -> None:
    for service, manifest in of(name, "Service").items():
        found = [
            pod
            for pod, template in pods(name).items()
            if selects({"matchLabels": manifest["spec"]["selector"]}, labels(template))
        ]
        assert found == [service]
        offered = {port["name"] for inside in containers(pods(name)[service]) for port in inside.get("ports", [])}
        assert {port["targetPort"] for port in manifest["spec"]["ports"]} <= offered
    for kind in ("Deployment", "StatefulSet"):
        for owner, manifest in of(name, kind).items():
            assert selects(manifest["spec"]["selector"], labels(manifest["spec"]["template"]))
            assert manifest["spec"].get("serviceName", owner) in {*of(name, "Service"), owner}


@each
def test_probes_ask_routes_that_need_no_key(name: str, tmp_path: Path) -> None:
    for pod in ("gateway", *MODELS):
        inside = container(name, pod)
        assert inside["ports"] == [{"name": "http", "containerPort": served(name, pod, tmp_path).port}]
        probed = {kind: inside[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
        ready = "/healthz" if pod == "gateway" else "/readyz"
        assert probed == {"startup": "/livez", "liveness": "/livez", "readiness": ready}
        assert set(probed.values()) <= OPEN


@each
def test_the_worker_is_looked_at_by_the_file_that_it_touches(name: str) -> None:
    inside = container(name, "worker")
    for kind in ("startup", "liveness"):
        [shell, option, line] = inside[f"{kind}Probe"]["exec"]["command"]
        assert (shell, option) == ("sh", "-c")
        assert f"/var/lib/vitrina/{Path(ALIVE).parent}" in line
        assert f'"{Path(ALIVE.format("*")).name}"' in line


@each
def test_each_model_is_where_the_gateway_looks_for_it(name: str, tmp_path: Path) -> None:
    gateway = served(name, "gateway", tmp_path)
    assert set(gateway.upstreams) == set(discover())
    assert gateway.models == ()
    for model, url in gateway.upstreams.items():
        found = re.fullmatch(r"http://([a-z]+):3000", url)
        assert found is not None
        assert model in served(name, found[1], tmp_path).models
        assert of(name, "Service")[found[1]]["spec"]["ports"][0]["port"] == 3000


@each
def test_services_of_models_listen_on_their_pods_address_and_know_the_secret(name: str) -> None:
    for pod in MODELS:
        assert arguments(name, pod)["host"] == "$(POD_IP)"
    for pod in ("gateway", *MODELS):
        variables = {variable["name"]: variable["valueFrom"] for variable in container(name, pod)["env"]}
        assert variables["POD_IP"] == {"fieldRef": {"fieldPath": "status.podIP"}}
        assert variables[TOKEN] == {"secretKeyRef": {"name": "vitrina", "key": "inner-token"}}


@each
def test_gpus_are_asked_for_where_they_are_used(name: str, tmp_path: Path) -> None:
    on_gpu = {"product", "imagegen"} if "gpu" in name else set()
    for pod in OURS:
        limits = container(name, pod)["resources"]["limits"]
        assert limits.get(GPU) == ("1" if pod in on_gpu else None)
        taints = [toleration["key"] for toleration in pods(name)[pod]["spec"].get("tolerations", [])]
        assert taints == ([GPU] if pod in on_gpu else [])
    for pod in ("gateway", *MODELS):
        assert (served(name, pod, tmp_path).device == "cuda") is (pod in on_gpu)
        assert of(name, "Deployment")[pod]["spec"]["strategy"] == (
            {"type": "Recreate"} if pod in on_gpu else {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        )


@each
def test_jobs_are_done_by_the_worker_alone_and_the_schema_comes_first(name: str) -> None:
    assert arguments(name, "worker") is not None
    assert [arguments(name, pod)["beside"] for pod in ("gateway", *MODELS)] == [False] * 4
    assert container(name, "migrate")["args"] == ["database", "migrate"]
    assert arguments(name, "migrate") is not None
    for pod in ("gateway", *MODELS, "worker"):
        [waits] = pods(name)[pod]["spec"]["initContainers"]
        assert waits["args"][:3] == ["database", "status", "--wait"]
        assert 0 < float(waits["args"][3]) < 600
    job = of(name, "Job")["migrate"]["spec"]
    assert job["ttlSecondsAfterFinished"] <= 300  # it cannot be changed while it is there
    assert job["template"]["spec"]["restartPolicy"] == "Never"


@each
def test_pods_end_no_later_than_they_may(name: str) -> None:
    """Time for what is answered still, after that in which nobody is sent to the pod any more."""
    from jobs.worker import DRAIN_SECONDS as WORKER
    from serving.workers import DRAIN_SECONDS as SERVER

    for pod in ("gateway", *MODELS):
        sleeps = container(name, pod)["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pods(name)[pod]["spec"]["terminationGracePeriodSeconds"] >= sleeps + SERVER + 15
    assert pods(name)["worker"]["spec"]["terminationGracePeriodSeconds"] >= WORKER + 15


@each
def test_whatever_scales_names_no_number_of_replicas(name: str) -> None:
    scaled = {
        m["spec"]["scaleTargetRef"]["name"]: m["spec"]
        for kind in ("HorizontalPodAutoscaler", "ScaledObject")
        for m in of(name, kind).values()
    }
    expected = {"gateway", "product", "others", "worker"}
    if "keda" in name:
        expected |= {"imagegen"}
        assert of(name, "HorizontalPodAutoscaler") == {}
    elif "gpu" in name:
        expected -= {"product"}  # a CPU tells nothing of a GPU
    assert set(scaled) == expected
    for deployment, manifest in of(name, "Deployment").items():
        assert ("replicas" in manifest["spec"]) is (deployment not in scaled), deployment
    for spec in scaled.values():
        if "metrics" in spec:
            assert 1 <= spec["minReplicas"] <= spec["maxReplicas"]
            assert [metric["resource"]["name"] for metric in spec["metrics"]] == ["cpu"]
        else:
            assert 1 <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]


@each
def test_each_deployment_may_lose_one_pod_at_a_time(name: str) -> None:
    budgets = of(name, "PodDisruptionBudget")
    assert set(budgets) == set(of(name, "Deployment"))
    for deployment, manifest in budgets.items():
        assert manifest["spec"]["maxUnavailable"] == 1
        taken = [pod for pod, template in pods(name).items() if selects(manifest["spec"]["selector"], labels(template))]
        assert taken == [deployment]


@each
def test_the_cluster_of_pipelines_names_what_is_here(name: str) -> None:
    """configs/kubeflow/cluster.yaml is for whoever applies these manifests."""
    cluster = load(ClusterConfig, ROOT / "configs" / "kubeflow" / "cluster.yaml")
    used = {reference for template in pods(name).values() for reference in secrets(template)}
    assert {(held.secret, held.key) for held in cluster.references.values()} <= used
    assert cluster.image.reference == container(name, "gateway")["image"]
    host = cluster.mlflow.removeprefix("http://")
    mlflow = named(name, "ConfigMap", "mlflow")["data"]
    allowed = mlflow["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert {host, named(name, "ConfigMap", "environment")["data"]["MLFLOW_TRACKING_URI"].removeprefix("http://")} <= set(allowed)
    assert host == f"mlflow.vitrina.svc:{of(name, 'Service')['mlflow']['spec']['ports'][0]['port']}"
    assert cluster.artifacts.path.split("/")[2] == mlflow["MLFLOW_ARTIFACTS_DESTINATION"].split("/")[2]
    if "laptop" in name:
        assert (
            cluster.artifacts.endpoint == f"http://minio.vitrina.svc:{of(name, 'Service')['minio']['spec']['ports'][0]['port']}"
        )
        assert mlflow["MLFLOW_S3_ENDPOINT_URL"] == "http://minio:9000"
        assert named(name, "ConfigMap", "pipelines")["data"] == {"AWS_ENDPOINT_URL": "http://minio:9000"}


def test_the_page_lists_every_folder() -> None:
    folders = {path.parent.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("kustomization.yaml")}
    assert set(re.findall(r"^\| `([a-z/-]+)` \|", PAGE, re.MULTILINE)) >= folders
    assert {name.partition("+")[0] for name in RENDERED} | {"components/keda"} == folders


def test_the_overlay_that_the_page_shows_changes_what_it_says(tmp_path: Path) -> None:
    [shown] = re.findall(r"```yaml\n(namespace: vitrina\n.*?)```", PAGE, re.DOTALL)
    there = os.path.relpath(FOLDER, tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(
        shown.replace("[../base]", f"[{there}/base]").replace("../components", f"{there}/components")
    )
    rendered = rendered_from(tmp_path)
    assert {m["kind"] for m in rendered} >= {"ScaledObject", "Deployment"}
    text = yaml.safe_dump_all(rendered)
    assert "registry.example.org" not in text
    for value in ("registry.yours.org/vitrina:0.1", "s3://yours/mlflow", "https://zenml.yours.org"):
        assert value in text


def test_there_is_nothing_that_no_kustomization_names() -> None:
    for folder in sorted({path.parent for path in FOLDER.rglob("kustomization.yaml")}):
        text = (folder / "kustomization.yaml").read_text()
        beside = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        unnamed = {path for path in beside - {"kustomization.yaml"} if path not in text}
        assert unnamed == ({"scrape.yaml"} if folder.name == "keda" else set())


def test_the_page_asks_for_scopes_that_exist() -> None:
    asked = set(re.findall(r"--scope ([a-z]+)", PAGE + (FOLDER / "components/keda/scrape.yaml").read_text()))
    assert asked == {"read"} <= set(keys.SCOPES)
