"""A training on several pods of a cluster, as objects that `kubectl` takes.

`trainjob` is for Kubeflow Trainer v2: a TrainJob, and the TrainingRuntime that it refers to. `pytorchjob` is for clusters that
have the training operator before it. Both run `vitrina train` under torchrun, whose agents meet at the first pod: when a rank or
a pod dies, all ranks start again from the last checkpoint, which lies on the volume of `home`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml
from kubeflow_trainer_api.models import IoK8sApiCoreV1PodTemplateSpec as PodTemplate
from kubeflow_trainer_api.models import TrainerV1alpha1TrainingRuntime as TrainingRuntime
from kubeflow_trainer_api.models import TrainerV1alpha1TrainJob as TrainJob

from catalog.remote import is_remote
from configs.cluster import GPUS, USER, ClusterConfig, Resources
from configs.errors import ConfigError

KINDS = ("trainjob", "pytorchjob")

BINARIES = "/opt/venv/bin"
HOME = "/var/lib/vitrina"
"""As `deploy/Containerfile` makes them."""
PORT = 29500
"""At which torchrun's agents meet; Kubeflow Trainer opens the same."""
SHARED_MEMORY = "2Gi"
"""Of /dev/shm, over which processes of a pod hand each other batches; a container has 64 MiB by default."""
_NAME = r"[a-z]([-a-z0-9]{0,48}[a-z0-9])?"
"""The names of pods and Services of a job are longer than its own, and hold 63 characters."""
_ANCESTOR = "trainer.kubeflow.org/trainjob-ancestor-step"

Object = dict[str, Any]


def training_job(
    kind: str,
    config: ClusterConfig,
    model: str,
    data: Sequence[str],
    *,
    name: str = "",
    environment: str = "base",
    overrides: Sequence[str] = (),
) -> str:
    """YAML of the objects, in the order in which they are applied.

    Args:
        kind: One of `KINDS`.
        data: Catalogue directories as pods see them, or s3:// addresses.
        name: Of the job; train-MODEL by default.

    Raises:
        ConfigError: pods would not find the data or each other's files, or a name or number is not one that the cluster takes.
    """
    if kind not in KINDS:
        raise ConfigError(f"--kind {kind!r} is not one of {', '.join(KINDS)}")
    name = name or f"train-{model}"
    _check(config, name, data)
    train = ["train", model, *_options("--data", data), "--env", environment, *_options("--set", overrides)]
    objects = {"trainjob": _trainer, "pytorchjob": _operator}[kind](config, name, train)
    return yaml.safe_dump_all(objects, sort_keys=False, width=120)


def _options(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _check(config: ClusterConfig, name: str, data: Sequence[str]) -> None:
    wanted = config.distributed
    if not re.fullmatch(_NAME, name):
        raise ConfigError(
            f"--name {name!r}: a name of a job has at most 50 of a-z, 0-9 and -, begins with a letter, ends not with -"
        )
    if wanted.resources.gpus and wanted.processes != wanted.resources.gpus:
        gpus = wanted.resources.gpus
        raise ConfigError(f"distributed.processes is {wanted.processes}, distributed.resources.gpus {gpus}: a rank has one GPU")
    if (wanted.backend == "nccl") != bool(wanted.resources.gpus):
        raise ConfigError(f"distributed.backend {wanted.backend} with {wanted.resources.gpus} GPUs: nccl on GPUs, gloo without")
    if wanted.nodes > 1 and config.home is None:
        raise ConfigError(f"home: {wanted.nodes} pods share checkpoints; name a volume that all of them write (ReadWriteMany)")
    for path in data:
        if is_remote(path):
            continue
        if not PurePosixPath(path).is_absolute() or not any(volume.covers(path) for volume in config.volumes):
            places = ", ".join(volume.path for volume in config.volumes) or "none"
            raise ConfigError(f"--data {path}: pods find s3:// addresses, and folders below a volume of the cluster: {places}")


def _trainer(config: ClusterConfig, name: str, train: list[str]) -> list[Object]:
    wanted = config.distributed
    node = _pod(config, {"name": "node"}, "Never")
    runtime = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainingRuntime",
        "metadata": _metadata(config, name, {"trainer.kubeflow.org/framework": "torch"}),
        "spec": {
            "mlPolicy": {"numNodes": wanted.nodes, "torch": {}},
            "template": {
                "spec": {
                    "replicatedJobs": [
                        {
                            "name": "node",
                            "template": {
                                "metadata": {"labels": {_ANCESTOR: "trainer"}},
                                "spec": {"backoffLimit": wanted.restarts, "template": node},
                            },
                        }
                    ]
                }
            },
        },
    }
    job = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": _metadata(config, name),
        "spec": {
            "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": name},
            "trainer": {
                "image": config.image.reference,
                "command": [f"{BINARIES}/torchrun"],
                "args": _torchrun(config, name, "$(PET_MASTER_ADDR)", "$(PET_MASTER_PORT)", train),
                "numNodes": wanted.nodes,
                "numProcPerNode": wanted.processes,
                "env": _variables(config),
                "resourcesPerNode": _resources(wanted.resources),
            },
        },
    }
    return [_valid(TrainingRuntime, runtime), _valid(TrainJob, job)]


def _operator(config: ClusterConfig, name: str, train: list[str]) -> list[Object]:
    """The operator counts nodes by RANK and WORLD_SIZE, which torchrun gives to ranks anew."""
    wanted = config.distributed

    def replicas(count: int) -> Object:
        container = {
            "name": "pytorch",
            "image": config.image.reference,
            "command": [f"{BINARIES}/torchrun"],
            "args": _torchrun(config, name, "$(MASTER_ADDR)", "$(MASTER_PORT)", train),
            "env": _variables(config),
            "ports": [{"name": "pytorchjob-port", "containerPort": PORT, "protocol": "TCP"}],
            "resources": _resources(wanted.resources),
        }
        template = _valid(PodTemplate, _pod(config, container, None))
        return {"replicas": count, "restartPolicy": "OnFailure", "template": template}

    specs = {role: replicas(count) for role, count in (("Master", 1), ("Worker", wanted.nodes - 1)) if count}
    job = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": _metadata(config, name),
        "spec": {
            "runPolicy": {"backoffLimit": wanted.restarts, "cleanPodPolicy": "None"},
            "pytorchReplicaSpecs": specs,
        },
    }
    return [job]


def _torchrun(config: ClusterConfig, name: str, address: str, port: str, train: list[str]) -> list[str]:
    """Arguments; `address` and `port` are variables of the container, which Kubernetes puts in."""
    wanted = config.distributed
    return [
        f"--nnodes={wanted.nodes}",
        f"--nproc-per-node={wanted.processes}",
        f"--max-restarts={wanted.restarts}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={address}:{port}",
        f"--rdzv-id={name}",
        "-m",
        "cli",
        *train,
    ]


def _metadata(config: ClusterConfig, name: str, labels: Mapping[str, str] | None = None) -> Object:
    return {
        "name": name,
        "namespace": config.user_namespace or config.namespace,
        "labels": {"app.kubernetes.io/part-of": "vitrina", **(labels or {})},
    }


def _pod(config: ClusterConfig, container: Object, restart: str | None) -> Object:
    wanted = config.distributed.resources
    places = [(volume.claim, volume.path, {"persistentVolumeClaim": {"claimName": volume.claim}}) for volume in config.volumes]
    places += [("tmp", "/tmp", {"emptyDir": {}})]  # noqa: S108 - a folder of the container
    places += [("shm", "/dev/shm", {"emptyDir": {"medium": "Memory", "sizeLimit": SHARED_MEMORY}})]  # noqa: S108
    if config.home is None:
        places += [("home", HOME, {"emptyDir": {}})]
    confined = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    spec = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "nodeSelector": dict(wanted.node_selector),
        "tolerations": [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in wanted.taints],
        "imagePullSecrets": [{"name": config.image.pull_secret}] if config.image.pull_secret else [],
        "restartPolicy": restart,
        "containers": [
            {
                **container,
                "securityContext": confined,
                "volumeMounts": [{"name": volume, "mountPath": path} for volume, path, _ in places],
            }
        ],
        "volumes": [{"name": volume, **source} for volume, _, source in places],
    }
    # Without the sidecar of a mesh, which Kubeflow adds to pods of a profile: it would outlive the training, and the job with it.
    return {
        "metadata": {"labels": {"sidecar.istio.io/inject": "false"}},
        "spec": {key: value for key, value in spec.items() if value not in ({}, [], None)},
    }


def _variables(config: ClusterConfig) -> list[Object]:
    plain = {
        "VITRINA_HOME": HOME,
        "OMP_NUM_THREADS": str(_threads(config.distributed.resources.cpu, config.distributed.processes)),
    }
    if config.zenml:
        plain["ZENML_STORE_URL"] = config.zenml
    values = [{"name": key, "value": value} for key, value in (plain | config.variables).items()]
    references = {key: {"name": held.secret, "key": held.key} for key, held in config.references.items()}
    return [*values, *({"name": key, "valueFrom": {"secretKeyRef": held}} for key, held in references.items())]


def _threads(cpu: str, processes: int) -> int:
    """Of a rank, so that those of a pod share its cores."""
    cores = float(cpu[:-1]) / 1000 if cpu.endswith("m") else float(cpu)
    return max(1, int(cores / processes))


def _resources(wanted: Resources) -> Object:
    gpus = {GPUS: str(wanted.gpus)} if wanted.gpus else {}
    return {"requests": {"cpu": wanted.cpu, "memory": wanted.memory}, "limits": {"memory": wanted.memory, **gpus}}


def _valid(schema: Any, values: Object) -> Object:
    """`values`, which are exactly what the API's own model reads and writes."""
    told: Object = schema.from_dict(values).to_dict()
    assert told == values, f"{schema.__name__} does not take all of {values}"
    return values
