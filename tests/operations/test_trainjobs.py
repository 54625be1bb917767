"""Trainings on several pods: what the cluster gets, and that real torchruns of it find each other."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from commands import environment, vitrina_here
from kubeflow_trainer_api.models import TrainerV1alpha1TrainingRuntime, TrainerV1alpha1TrainJob
from kubernetes_api import api_server, apply
from kustomized import kubectl
from ports import free_port
from pydantic import BaseModel, ConfigDict
from torch.distributed.run import get_args_parser

from configs.cluster import ClusterConfig, DistributedConfig, Resources, SecretKey
from configs.errors import ConfigError
from configs.load import load
from operations.trainjobs import KINDS, training_job

ROOT = Path(__file__).parents[2]
FILE = ROOT / "configs" / "kubeflow" / "cluster.yaml"
CONFIG = load(ClusterConfig, FILE)
DATA = ("/var/lib/vitrina/data/shop", "s3://shop/reviews")
each = pytest.mark.parametrize("kind", KINDS)


def objects(kind: str, config: ClusterConfig = CONFIG, **further: Any) -> list[dict[str, Any]]:
    text = training_job(kind, config, "product", DATA, overrides=["trainer.epochs=3"], **further)
    assert "&id" not in text
    return list(yaml.safe_load_all(text))


def distributed(**changes: Any) -> ClusterConfig:
    return CONFIG.model_copy(update={"distributed": DistributedConfig(**changes)})


def templates(kind: str, config: ClusterConfig = CONFIG) -> list[dict[str, Any]]:
    """Of each kind of pod, with what Kubeflow Trainer puts into the container of its runtime."""
    made = objects(kind, config)
    if kind == "pytorchjob":
        return [spec["template"] for spec in made[0]["spec"]["pytorchReplicaSpecs"].values()]
    [job] = made[0]["spec"]["template"]["spec"]["replicatedJobs"]
    template = job["template"]["spec"]["template"]
    trainer = made[1]["spec"]["trainer"]
    [container] = template["spec"]["containers"]
    container |= {name: trainer[name] for name in ("image", "command", "args", "env")}
    container["resources"] = trainer["resourcesPerNode"]
    return [template]


class Replica(BaseModel):
    """https://www.kubeflow.org/docs/components/trainer/legacy-v1/user-guides/pytorch"""

    model_config = ConfigDict(extra="forbid", strict=True)
    replicas: int
    restartPolicy: str
    template: dict[str, Any]


def test_a_trainjob_is_what_the_trainers_api_reads_and_refers_to_its_runtime() -> None:
    runtime, job = objects("trainjob")
    assert TrainerV1alpha1TrainingRuntime.from_dict(runtime).to_dict() == runtime
    assert TrainerV1alpha1TrainJob.from_dict(job).to_dict() == job
    assert (runtime["kind"], job["kind"]) == ("TrainingRuntime", "TrainJob")
    assert {one["apiVersion"] for one in (runtime, job)} == {"trainer.kubeflow.org/v1alpha1"}
    assert job["spec"]["runtimeRef"] == {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": "train-product"}
    assert runtime["metadata"]["name"] == job["metadata"]["name"] == "train-product"
    assert runtime["metadata"]["namespace"] == job["metadata"]["namespace"] == "kubeflow"
    assert runtime["spec"]["mlPolicy"] == {"numNodes": 2, "torch": {}}
    [node] = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    # The names and the label by which the trainer finds the container that is given its command.
    assert node["name"] == "node"
    assert node["template"]["metadata"]["labels"] == {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
    assert [inside["name"] for inside in node["template"]["spec"]["template"]["spec"]["containers"]] == ["node"]
    assert (job["spec"]["trainer"]["numNodes"], job["spec"]["trainer"]["numProcPerNode"]) == (2, 1)


def test_a_pytorchjob_has_a_master_and_the_other_pods_as_workers() -> None:
    [job] = objects("pytorchjob", distributed(nodes=3, processes=2, restarts=5))
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    assert set(job["spec"]) == {"runPolicy", "pytorchReplicaSpecs"}
    assert job["spec"]["runPolicy"] == {"backoffLimit": 5, "cleanPodPolicy": "None"}
    replicas = {role: Replica.model_validate(spec) for role, spec in job["spec"]["pytorchReplicaSpecs"].items()}
    assert {role: spec.replicas for role, spec in replicas.items()} == {"Master": 1, "Worker": 2}
    for spec in replicas.values():
        [container] = spec.template["spec"]["containers"]
        assert container["name"] == "pytorch"
        assert [port["name"] for port in container["ports"]] == ["pytorchjob-port"]
    [alone] = objects("pytorchjob", distributed(nodes=1))
    assert set(alone["spec"]["pytorchReplicaSpecs"]) == {"Master"}


@pytest.mark.parametrize("version", ["1.31", "1.34", "1.37"])
@each
def test_pods_are_what_kubernetes_takes(kind: str, version: str) -> None:
    for template in templates(kind):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", **template["metadata"]}, "spec": template["spec"]}
        assert kubernetes_validate.validate(pod, version, strict=True) == version


@each
def test_pods_have_what_the_cluster_says(kind: str) -> None:
    wanted = Resources(cpu="8", memory="32Gi", gpus=2, node_selector={"gpu": "l4"}, tolerate=("spot",))
    config = distributed(processes=2, backend="nccl", resources=wanted).model_copy(
        update={
            "image": CONFIG.image.model_copy(update={"pull_secret": "registry"}),
            "environment": {"NCCL_DEBUG": "INFO"},
            "secrets": {"WANDB_API_KEY": SecretKey(secret="wandb", key="api-key")},
        }
    )
    for template in templates(kind, config):
        spec = template["spec"]
        [container] = spec["containers"]
        assert container["image"] == "registry.example.org/vitrina:0.1"
        assert spec["imagePullSecrets"] == [{"name": "registry"}]
        assert spec["nodeSelector"] == {"gpu": "l4"}
        assert [toleration["key"] for toleration in spec["tolerations"]] == ["spot", "nvidia.com/gpu"]
        assert container["resources"] == {
            "requests": {"cpu": "8", "memory": "32Gi"},
            "limits": {"memory": "32Gi", "nvidia.com/gpu": "2"},
        }
        plain = {one["name"]: one["value"] for one in container["env"] if "value" in one}
        assert plain == {
            "VITRINA_HOME": "/var/lib/vitrina",
            "OMP_NUM_THREADS": "4",
            "MLFLOW_TRACKING_URI": "http://mlflow.vitrina.svc:5000",
            "AWS_ENDPOINT_URL": "http://minio.vitrina.svc:9000",
            "NCCL_DEBUG": "INFO",
        }
        held = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"] if "valueFrom" in one}
        assert held["VITRINA_DATABASE_URL"] == {"name": "vitrina", "key": "database-url"}
        assert set(held) == {"VITRINA_DATABASE_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY"}
        mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        sources = {volume["name"]: volume for volume in spec["volumes"]}
        assert sources[mounted["/var/lib/vitrina"]]["persistentVolumeClaim"] == {"claimName": "vitrina-home"}
        assert sources[mounted["/dev/shm"]]["emptyDir"]["medium"] == "Memory"


@each
def test_pods_are_confined(kind: str) -> None:
    for template in templates(kind):
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert (spec["securityContext"]["runAsNonRoot"], spec["securityContext"]["runAsUser"]) == (True, 10001)
        [container] = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@each
def test_an_api_server_takes_them_from_kubectl(kind: str, tmp_path: Path) -> None:
    with api_server(tmp_path / "kubeconfig"):
        assert set(apply(kubectl(), tmp_path / "kubeconfig", objects(kind)).values()) == {"created"}
        assert set(apply(kubectl(), tmp_path / "kubeconfig", objects(kind)).values()) == {"unchanged"}


def put_in(arguments: list[str], variables: dict[str, str]) -> list[str]:
    """As Kubernetes puts a container's variables into its arguments."""
    return [re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], argument) for argument in arguments]


@each
def test_torchrun_reads_its_arguments_and_the_command_its_own(kind: str) -> None:
    variables = {"PET_MASTER_ADDR": "a", "PET_MASTER_PORT": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
    for template in templates(kind, distributed(nodes=3, processes=4, restarts=5)):
        [container] = template["spec"]["containers"]
        assert container["command"] == ["/opt/venv/bin/torchrun"]
        read = get_args_parser().parse_args(put_in(container["args"], variables))
        assert (read.nnodes, read.nproc_per_node, read.max_restarts) == ("3", "4", 5)
        assert (read.rdzv_backend, read.rdzv_endpoint, read.rdzv_id) == ("c10d", "a:1", "train-product")
        assert (read.module, read.training_script) == (True, "cli")
        assert read.training_script_args == [
            *("train", "product", "--data", DATA[0], "--data", DATA[1], "--env", "base", "--set", "trainer.epochs=3")
        ]


TOGETHER = """
import os
import torch.distributed as dist
dist.init_process_group("gloo")
held = [None] * dist.get_world_size()
dist.all_gather_object(held, (dist.get_rank(), int(os.environ["LOCAL_WORLD_SIZE"])))
if dist.get_rank() == 0:
    print("together", held)
dist.destroy_process_group()
"""


@pytest.mark.slow
@each
def test_the_pods_of_a_job_find_each_other(kind: str, tmp_path: Path) -> None:
    """Two torchruns with the arguments of two pods; in place of the training, something that says who is there."""
    [template, *_] = templates(kind, distributed(nodes=2))
    [container] = template["spec"]["containers"]
    (tmp_path / "together.py").write_text(TOGETHER)
    port = str(free_port())
    running = []
    for node in range(2):
        # Of the operator: nodes are counted by variables that torchrun gives to ranks anew. Of the trainer: torchrun's own.
        given = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "RANK": str(node)}
        if kind == "trainjob":
            given = {"PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": port, "PET_NNODES": "2", "PET_NPROC_PER_NODE": "1"}
            given |= {"PET_NODE_RANK": str(node)}
        arguments = put_in(container["args"], given)
        torchrun = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            *arguments[: arguments.index("-m")],
            str(tmp_path / "together.py"),
        ]
        running.append(
            subprocess.Popen(
                torchrun,
                env=environment(tmp_path) | given | {"OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    said = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert [line for text in said for line in text.splitlines() if "together" in line] == ["together [(0, 1), (1, 1)]"], said


@pytest.mark.parametrize(
    ("config", "further", "told"),
    [
        (CONFIG, {"name": "Train"}, "--name 'Train'"),
        (CONFIG, {"name": "t" * 51}, "at most 50"),
        (CONFIG.model_copy(update={"home": None}), {}, "home: 2 pods share checkpoints"),
        (distributed(resources=Resources(gpus=2), backend="nccl"), {}, "processes is 1, distributed.resources.gpus 2"),
        (distributed(backend="nccl"), {}, "nccl with 0 GPUs"),
        (distributed(resources=Resources(gpus=1)), {}, "gloo with 1 GPUs"),
    ],
)
def test_what_pods_could_not_do_is_refused(config: ClusterConfig, further: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        training_job("trainjob", config, "product", DATA[1:], **further)


@pytest.mark.parametrize("path", ["shop", "/elsewhere/shop", "/var/lib/vitrina/../x"])
def test_data_that_pods_would_not_find_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=f"--data {path}: .* /var/lib/vitrina$"):
        training_job("trainjob", CONFIG, "product", [path])


def test_one_pod_needs_no_volume() -> None:
    config = distributed(nodes=1).model_copy(update={"home": None})
    runtime, job = yaml.safe_load_all(training_job("trainjob", config, "product", ["s3://shop/data"], name="alone"))
    [node] = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    spec = node["template"]["spec"]["template"]["spec"]
    assert {"name": "home", "emptyDir": {}} in spec["volumes"]
    assert job["spec"]["runtimeRef"]["name"] == "alone"


def test_the_command_prints_what_is_applied_or_writes_a_file(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    whole = ("stack", "trainjob", "product", "--data", DATA[0], "--config", str(FILE))
    printed = vitrina_here(monkeypatch, capfd, tmp_path, *whole, "--env", "demo")
    kinds = [one["kind"] for one in yaml.safe_load_all(printed.stdout)]
    assert (printed.returncode, kinds) == (0, ["TrainingRuntime", "TrainJob"])
    file = tmp_path / "job.yaml"
    written = vitrina_here(monkeypatch, capfd, tmp_path, *whole, "--kind", "pytorchjob", "--out", str(file))
    assert (written.returncode, written.stdout) == (0, f"written: {file}\n")
    assert yaml.safe_load(file.read_text())["kind"] == "PyTorchJob"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("product", "--data", "shop"), "--data shop"),
        (("product", "--data", DATA[0], "--kind", "mpijob"), "'mpijob' is not one of trainjob, pytorchjob"),
        (("product", "--data", DATA[0], "--set", "trainer.epochz=3"), "trainer.epochz"),
        (("produce", "--data", DATA[0]), "'produce' does not exist"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    file = tmp_path / "job.yaml"
    whole = ("stack", "trainjob", *arguments, "--config", str(FILE), "--out", str(file))
    done = vitrina_here(monkeypatch, capfd, tmp_path, *whole)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert told in done.stderr
    assert not file.exists()
