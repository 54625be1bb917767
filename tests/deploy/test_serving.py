"""The manifests of deploy/serving, held against the code: configurations load, each model has a service, pods are confined."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from cli import app
from configs.load import environment_file, load
from configs.schema import ServingConfig
from serving.inner import TOKEN
from serving.routes import discover
from tests.test_architecture import RANK

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "serving"
MODELS = ("product", "imagegen", "others")
GPUS = ("product", "imagegen")

Manifest = dict[str, Any]


def read() -> list[Manifest]:
    named = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    return [manifest for name in named for manifest in yaml.safe_load_all((FOLDER / name).read_text())]


MANIFESTS = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in read()}
DEPLOYMENTS = {name: manifest for (kind, name), manifest in MANIFESTS.items() if kind == "Deployment"}


def pod(name: str) -> Manifest:
    found: Manifest = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    return found


def container(name: str) -> Manifest:
    [found] = pod(name)["containers"]
    return dict(found)


def served(name: str) -> ServingConfig:
    """What a Deployment's arguments configure."""
    parsed = arguments(name)
    path = parsed["config"]
    file = FOLDER / "config" / Path(path).name if path else environment_file(parsed["env"], "serving")
    return load(ServingConfig, file)


def arguments(name: str) -> dict[str, Any]:
    """The arguments of a Deployment, as the command reads them."""
    command, *options = container(name)["args"]
    found = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    return dict(found.make_context(command, options).params)


def test_there_is_what_the_page_says() -> None:
    assert set(DEPLOYMENTS) == {"gateway", *MODELS, "worker"}
    assert {name for kind, name in MANIFESTS if kind == "Service"} == {"gateway", *MODELS}


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_pods_are_confined(name: str) -> None:
    chosen, inside = pod(name), container(name)
    assert chosen["automountServiceAccountToken"] is False
    assert chosen["securityContext"]["runAsNonRoot"] is True
    assert chosen["securityContext"]["runAsUser"] == 10001
    assert chosen["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert inside["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = {mount["mountPath"] for mount in inside["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/var/lib/vitrina", "/tmp"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(chosen)
    assert all(set(volume) & {"emptyDir", "configMap"} for volume in chosen["volumes"])
    assert "memory" in inside["resources"]["limits"]


@pytest.mark.parametrize("name", ["gateway", *MODELS])
def test_services_find_their_pods_and_probes_their_routes(name: str) -> None:
    labels = DEPLOYMENTS[name]["spec"]["template"]["metadata"]["labels"]
    selector = MANIFESTS["Service", name]["spec"]["selector"]
    assert selector.items() <= labels.items()
    assert DEPLOYMENTS[name]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    inside = container(name)
    assert inside["ports"] == [{"name": "http", "containerPort": served(name).port}]
    ready = "/healthz" if name == "gateway" else "/readyz"
    probed = {kind: inside[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert probed == {"startup": "/livez", "liveness": "/livez", "readiness": ready}


def test_each_model_is_where_the_gateway_looks_for_it() -> None:
    upstreams = served("gateway").upstreams
    assert set(upstreams) == set(discover())
    assert served("gateway").models == ()
    for model, url in upstreams.items():
        found = re.fullmatch(r"http://([a-z]+):3000", url)
        assert found is not None
        assert model in served(found[1]).models
        assert MANIFESTS["Service", found[1]]["spec"]["ports"][0]["port"] == 3000


@pytest.mark.parametrize("name", MODELS)
def test_services_of_models_listen_on_their_pods_address_and_know_the_secret(name: str) -> None:
    inside = container(name)
    assert "--host $(POD_IP)" in " ".join(inside["args"])
    variables = {variable["name"]: variable["valueFrom"] for variable in inside["env"]}
    assert variables["POD_IP"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    assert variables[TOKEN] == {"secretKeyRef": {"name": "vitrina", "key": "inner-token"}}


@pytest.mark.parametrize("name", ["gateway", *MODELS])
def test_gpus_are_asked_for_where_they_are_used(name: str) -> None:
    limits = container(name)["resources"]["limits"]
    assert limits.get("nvidia.com/gpu") == (1 if name in GPUS else None)
    assert (served(name).device == "cuda") is (name in GPUS)


def test_jobs_are_done_by_the_worker_alone() -> None:
    assert container("worker")["args"] == ["worker"]
    assert arguments("worker") is not None
    assert [arguments(name)["beside"] for name in ("gateway", *MODELS)] == [False] * 4


def test_secrets_are_references_alone_and_the_page_makes_them() -> None:
    named = {
        variable["valueFrom"]["secretKeyRef"]["key"]
        for name in DEPLOYMENTS
        for variable in container(name)["env"]
        if "secretKeyRef" in variable["valueFrom"]
    }
    page = (FOLDER / "README.md").read_text()
    assert named == set(re.findall(r"--from-literal=([a-z-]+)=", page)) == {"database-url", "inner-token"}
    assert not any(kind == "Secret" for kind, _ in MANIFESTS)
    assert all("value" not in variable for name in DEPLOYMENTS for variable in container(name)["env"])


def test_the_network_lets_the_gateway_and_the_worker_alone_reach_models() -> None:
    assert MANIFESTS["NetworkPolicy", "nobody"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    policy = MANIFESTS["NetworkPolicy", "gateway-to-models"]["spec"]
    assert policy["podSelector"] == {"matchLabels": {"vitrina/role": "model"}}
    pods, observers = policy["ingress"]
    assert pods["from"] == [
        {"podSelector": {"matchExpressions": [{"key": "vitrina/role", "operator": "In", "values": ["gateway", "worker"]}]}}
    ]
    assert observers["from"] == [{"namespaceSelector": {"matchLabels": {"vitrina/observes": "true"}}}]
    roles = {name: DEPLOYMENTS[name]["spec"]["template"]["metadata"]["labels"]["vitrina/role"] for name in DEPLOYMENTS}
    assert roles == {"gateway": "gateway", "worker": "worker", **dict.fromkeys(MODELS, "model")}


def test_the_image_is_constant_and_holds_every_package() -> None:
    text = (FOLDER / "Containerfile").read_text()
    assert not re.search(r"^(ARG|ADD)\b|\$\{?[A-Z]|curl|wget|--build-arg", text, re.MULTILINE)
    copied = set(re.findall(r"^COPY ([a-z_]+) \1$", text, re.MULTILINE))
    assert copied == set(RANK) - {"cli"} | {"client"}
    assert "USER 10001:10001" in text
    uid = pod("gateway")["securityContext"]["runAsUser"]
    assert f"--uid {uid}" in text


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_renders_all_of_it() -> None:
    done = subprocess.run(["kubectl", "kustomize", str(FOLDER)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    rendered = list(yaml.safe_load_all(done.stdout))
    assert {(one["kind"], one["metadata"]["name"]) for one in rendered} >= set(MANIFESTS)
    assert {one["metadata"].get("namespace", "vitrina") for one in rendered} == {"vitrina"}
    images = {one["spec"]["template"]["spec"]["containers"][0]["image"] for one in rendered if one["kind"] == "Deployment"}
    assert images == {"registry.example.org/vitrina:0.1"}
    names = {one["metadata"]["name"] for one in rendered if one["kind"] == "ConfigMap"}
    mounted = {
        volume["configMap"]["name"]
        for one in rendered
        if one["kind"] == "Deployment"
        for volume in one["spec"]["template"]["spec"]["volumes"]
        if "configMap" in volume
    }
    assert mounted <= names
