"""Where pipelines run: on this machine, or as pods of a Kubeflow that a file describes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catalog.remote import ENDPOINT, SCHEME, is_remote, probe
from configs.cluster import ClusterConfig
from configs.errors import ConfigError, VitrinaError
from configs.load import read_yaml
from configs.schema import StrictModel
from configs.settings import Settings
from operations.environment import prepare
from registry.connection import is_http

STEPS = Path(__file__).parents[1] / "steps"


class ActiveStack(StrictModel):
    """The stack that commands use.

    Attributes:
        store: Address of the ZenML store that knows it.
        cluster: None where steps run in the command's own process.
    """

    name: str
    store: str
    cluster: ClusterConfig | None


def register_cluster(settings: Settings, cluster: ClusterConfig) -> dict[str, str]:
    """Register the stack, or bring it up to date, and use it from now on; says what was done, by kind of component.

    Raises:
        ConfigError: it gives resources to a step that does not exist.
        VitrinaError: no ZenML server that pods could reach, or a component of that name is of another kind.
    """
    known = sorted(path.stem for path in STEPS.glob("*.py") if "\n@step" in path.read_text(encoding="utf-8"))
    for step in cluster.steps:
        if step not in known:
            raise ConfigError(f"steps.{step}: no such step; allowed: {', '.join(known)}")
    prepare(settings)
    from pipelines.kubeflow.stack import connect, register

    connect(cluster.zenml)
    return register(cluster)


def use_local(settings: Settings) -> ActiveStack:
    """Go back to the stack of this machine."""
    prepare(settings)
    from pipelines.kubeflow.stack import activate_local

    activate_local()
    return active_stack(settings)


def active_stack(settings: Settings) -> ActiveStack:
    """Open ZenML's store, and say which stack is active.

    Raises:
        VitrinaError: the store is a server that does not answer.
    """
    prepare(settings)
    from pipelines.store import open_store

    open_store()
    from pipelines.kubeflow.stack import active

    name, store, cluster = active()
    return ActiveStack(name=name, store=store, cluster=cluster)


def stack_for_run(settings: Settings) -> ActiveStack:
    """The active stack; where it is a cluster's, this machine must look into the same registry and artifact store as the pods.

    Raises:
        VitrinaError: it does not, or ZenML's server or the store does not answer.
    """
    stack = active_stack(settings)
    if stack.cluster is None:
        return stack
    if settings.tracking_uri.startswith("sqlite"):
        raise VitrinaError(
            f"the active stack {stack.name} registers models at {stack.cluster.mlflow}: set MLFLOW_TRACKING_URI to the address "
            "by which this machine reaches it, or go back with `vitrina stack local`"
        )
    artifacts = stack.cluster.artifacts
    if artifacts.endpoint and not os.environ.get(ENDPOINT):
        raise VitrinaError(
            f"the active stack {stack.name} keeps its artifacts at {artifacts.endpoint}: set {ENDPOINT} to the address by which "
            "this machine reaches it, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    probe(artifacts.path)
    return stack


def shares_store(settings: Settings) -> bool:
    """Whether ZenML's store is a server's, known without opening it; a file of this machine knows no stack of a cluster."""
    file = Path(os.environ.get("ZENML_CONFIG_PATH") or settings.home / "zenml") / "config.yaml"
    store = read_yaml(file).get("store") or {} if file.is_file() else {}
    return is_http(os.environ.get("ZENML_STORE_URL") or str(store.get("url", "")))


def require_folders(settings: Settings, data: Sequence[str | Path]) -> None:
    """Refuse a folder that is not there before anything is written; pods may see others than this machine.

    Raises:
        ConfigError: steps run on this machine, and it is not there.
    """
    if shares_store(settings):
        return
    for one in data:
        if not is_remote(one):
            _require_folder(str(one))


def _require_folder(text: str) -> None:
    if not Path(text).is_dir():
        raise ConfigError(f"{text} is not a catalogue directory; `vitrina data import` makes one from a CSV")


def deliveries(stack: ActiveStack, data: Sequence[str | Path]) -> list[str]:
    """Catalogue directories as steps open them: addresses as they are, folders by their whole path.

    Raises:
        VitrinaError: a folder that is not there, or that no pod sees.
    """
    return [text if is_remote(text := str(one)) else _folder(stack, text) for one in data]


def _folder(stack: ActiveStack, text: str) -> str:
    if stack.cluster is None:
        _require_folder(text)
        return str(Path(text).resolve())
    return on_volume(stack, "--data", text, f"an address such as {SCHEME}bucket/catalogue")


def on_volume(stack: ActiveStack, option: str, text: str, *otherwise: str) -> str:
    """The whole path of a folder that pods of the stack see.

    Raises:
        ConfigError: none of their volumes holds it; `otherwise` is allowed besides.
    """
    assert stack.cluster is not None
    path = os.path.abspath(text)  # noqa: PTH100 - a link of this machine is none of the pods'
    if not any(volume.covers(path) for volume in stack.cluster.volumes):
        below = [f"a folder below {volume.path}" for volume in stack.cluster.volumes]
        allowed = " or ".join([*otherwise, *below]) or "none, as the stack has no volume"
        raise ConfigError(f"{option} {text}: pods of the active stack {stack.name} do not see it; allowed: {allowed}")
    return path


def told(stack: ActiveStack) -> dict[str, Any]:
    """What people want to know of it."""
    facts: dict[str, Any] = {"stack": stack.name, "zenml": stack.store}
    if stack.cluster is None:
        return facts | {"runs": "on this machine"}
    cluster = stack.cluster
    return facts | {
        "runs": f"on Kubeflow at {cluster.kubeflow}",
        "image": cluster.image.reference,
        "artifacts": cluster.artifacts.path,
        "mlflow": cluster.mlflow,
        "volumes": {volume.claim: volume.path for volume in cluster.volumes},
    }
