"""Steps as a specification of Kubeflow Pipelines: what is in a pod follows from the cluster's configuration alone."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp import compiler, dsl, kubernetes

from configs.cluster import GPUS, USER, ClusterConfig, Resources

QUIET = {
    "ZENML_ENABLE_REPO_INIT_WARNINGS": "false",
    "ZENML_LOGGING_COLORS_DISABLED": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}
"""Variables by which libraries write plain logs, and send nothing to their makers."""
RUN_ID, RUN_LABEL = "KFP_RUN_ID", "metadata.labels['pipeline/runid']"
"""Variable by which the steps of a run know it, and what of a pod tells it: placeholders are replaced in inputs alone."""


@dataclass(frozen=True)
class Step:
    """A step, which becomes a pod.

    Attributes:
        command: What runs in the image, with its arguments.
        variables: Beside those that the cluster's configuration gives to each pod; these go before them.
        after: Steps that must have succeeded before it begins.
    """

    name: str
    command: Sequence[str]
    variables: Mapping[str, str]
    after: Sequence[str]


def write(path: Path, name: str, steps: Sequence[Step], cluster: ClusterConfig) -> None:
    """Compile `steps`, in an order in which they can run, and write the YAML that Kubeflow Pipelines takes."""

    def graph() -> None:
        tasks: dict[str, Any] = {}
        for step in steps:
            task = _component(step, cluster.image.reference)().after(*(tasks[before] for before in step.after))
            task.set_display_name(step.name).set_caching_options(enable_caching=False)  # ZenML caches, by content
            tasks[step.name] = task
            _surround(task, step, cluster)
            _place(task, cluster.of_step(step.name))

    def compile_graph() -> None:
        compiler.Compiler().compile(dsl.pipeline(name=name, display_name=name)(graph), str(path), pipeline_name=name)

    # For each value that is set, KFP reads the source of every caller: in a thread these are few, which saves many seconds.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(compile_graph).result()


def _component(step: Step, image: str) -> Any:
    command, *arguments = step.command

    def component() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image=image, command=[command], args=arguments)

    component.__name__ = step.name
    return dsl.container_component(component)


def _surround(task: Any, step: Step, cluster: ClusterConfig) -> None:
    """Variables, Secrets by reference, volumes, and who the container runs as."""
    for name, value in (QUIET | cluster.variables | dict(step.variables)).items():
        task.set_env_variable(name, value)
    kubernetes.use_field_path_as_env(task, RUN_ID, RUN_LABEL)
    for name, reference in cluster.references.items():
        kubernetes.use_secret_as_env(task, reference.secret, {reference.key: name})
    for volume in cluster.volumes:
        kubernetes.mount_pvc(task, volume.claim, volume.path)
    # Loader processes hand batches over in shared memory, of which a container has 64 MiB.
    kubernetes.empty_dir_mount(task, "shared-memory", "/dev/shm", medium="Memory")  # noqa: S108
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    if cluster.image.pull_secret:
        kubernetes.set_image_pull_secrets(task, [cluster.image.pull_secret])


def _place(task: Any, resources: Resources) -> None:
    """What the pod gets, and where it may run."""
    task.set_cpu_request(resources.cpu)
    task.set_memory_request(resources.memory).set_memory_limit(resources.memory)
    if resources.gpus:
        task.set_accelerator_type(GPUS).set_accelerator_limit(resources.gpus)
    for key, value in resources.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for key in resources.taints:
        kubernetes.add_toleration(task, key=key, operator="Exists")
