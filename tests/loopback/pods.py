"""What a submitted specification asks for, read strictly under KFP's own schema: a pod a task."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes
from kfp.pipeline_spec import pipeline_spec_pb2 as kfp

NOT_OF_A_PROCESS = {
    "node_selector",
    "tolerations",
    "image_pull_secret",
    "image_pull_policy",
    "security_context",
    "pod_metadata",
    "empty_dir_mounts",
    "enabled_shared_memory",
}
"""What a pod may ask of its node that a process of this machine has anyway, or has no use for."""
RUN_LABEL = "metadata.labels['pipeline/runid']"
"""Where Kubeflow writes the id of a run on its pods."""


class Refused(ValueError):
    """The specification is not one, or asks for what is not carried out here."""


@dataclass(frozen=True)
class SecretReference:
    """A variable whose value lies in a Secret."""

    secret: str
    key: str


@dataclass(frozen=True)
class Pod:
    """A task.

    Attributes:
        step: How people know it.
        after: Tasks that must have succeeded before it starts.
        mounts: Claim by path.
    """

    task: str
    step: str
    after: tuple[str, ...]
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    secrets: Mapping[str, SecretReference]
    mounts: Mapping[str, str]


def pods_of(submitted: Mapping[str, Any], run_id: str) -> dict[str, Pod]:
    """The pods of a `pipeline_spec` as clients submit it, by task.

    Placeholders are not filled in: Kubeflow does so in inputs alone, and a variable keeps them as they are.

    Raises:
        Refused: it does not fit the schema, holds anything but containers in one graph, or what is not carried out here.
    """
    try:
        spec = json_format.ParseDict(submitted.get("pipeline_spec", submitted), kfp.PipelineSpec())
        deployment = json_format.ParseDict(json_format.MessageToDict(spec.deployment_spec), kfp.PipelineDeploymentConfig())
        platform = json_format.ParseDict(submitted.get("platform_spec", {}), kfp.PlatformSpec())
        wishes = {
            label: json_format.ParseDict(json_format.MessageToDict(wish), kubernetes.KubernetesExecutorConfig())
            for label, wish in platform.platforms["kubernetes"].deployment_spec.executors.items()
        }
    except json_format.ParseError as error:
        raise Refused(f"Failed to parse the pipeline specification: {error}") from error
    found = {}
    for name, task in spec.root.dag.tasks.items():
        label = spec.components[task.component_ref.name].executor_label
        if label not in deployment.executors:
            raise Refused(f"task {name} is no container")
        asked = wishes.get(label, kubernetes.KubernetesExecutorConfig())
        container, after = deployment.executors[label].container, tuple(task.dependent_tasks)
        found[name] = _pod(name, task.task_info.name, after, container, asked, run_id)
    if strange := {before for pod in found.values() for before in pod.after} - set(found):
        raise Refused(f"tasks depend on {', '.join(sorted(strange))}, which the graph lacks")
    return found


def _pod(
    name: str,
    step: str,
    after: tuple[str, ...],
    container: kfp.PipelineDeploymentConfig.PipelineContainerSpec,
    asked: kubernetes.KubernetesExecutorConfig,
    run_id: str,
) -> Pod:
    known = {"secret_as_env", "pvc_mount", "field_path_as_env"} | NOT_OF_A_PROCESS
    if strange := sorted({field.name for field, _ in asked.ListFields()} - known):
        raise Refused(f"task {name} asks for {', '.join(strange)}; carried out here: {', '.join(sorted(known))}")
    return Pod(
        task=name,
        step=step,
        after=after,
        image=container.image,
        command=_words(*container.command, *container.args),
        environment={variable.name: variable.value for variable in container.env}
        | {field.name: _field(field.field_path, run_id) for field in asked.field_path_as_env},
        secrets={
            pair.env_var: SecretReference(_named(secret.secret_name, secret.secret_name_parameter), pair.secret_key)
            for secret in asked.secret_as_env
            for pair in secret.key_to_env
        },
        mounts={mount.mount_path: _named(mount.constant, mount.pvc_name_parameter) for mount in asked.pvc_mount},
    )


def _named(name: str, parameter: Any) -> str:
    """The name of an object, which newer compilers give as a parameter."""
    return name or str(parameter.runtime_value.constant.string_value)


def _field(path: str, run_id: str) -> str:
    """What a pod of Kubeflow Pipelines says of itself."""
    if path != RUN_LABEL:
        raise Refused(f"the field {path} is not known here; allowed: {RUN_LABEL}")
    return run_id


def _words(*command: str) -> tuple[str, ...]:
    if strange := [word for word in command if "{{$" in word]:
        raise Refused(f"inputs are not known here: {strange[0]}")
    return command
