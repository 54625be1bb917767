"""The stack as ZenML's server keeps it: registered, brought up to date, activated."""

import os
from typing import Any

from zenml.client import Client
from zenml.config.global_config import GlobalConfiguration
from zenml.enums import StackComponentType
from zenml.zen_stores.rest_zen_store import RestZenStoreConfiguration

from configs.cluster import ClusterConfig
from configs.errors import VitrinaError
from pipelines.kubeflow import flavor
from pipelines.store import logged_in, open_store, require_answer

DEFAULT = "default"
"""Name of ZenML's own stack on the machine where a command runs."""
ADDRESS = "ZENML_STORE_URL"


def connect(address: str | None) -> None:
    """Use the ZenML server at `address` from now on, unless the environment names one.

    An address that only pods can reach leaves the client at the server that it is logged in to.

    Raises:
        VitrinaError: no server answers there, or none is named and the store is a file of this machine.
    """
    if address and ADDRESS not in os.environ and _is_for(address):
        before = GlobalConfiguration().store_configuration
        try:
            with logged_in(address):
                GlobalConfiguration().set_store(RestZenStoreConfiguration(url=address))
        except VitrinaError:
            GlobalConfiguration().set_store(before)
            raise
    open_store()
    if GlobalConfiguration().uses_sql_store:
        url = GlobalConfiguration().store_configuration.url
        raise VitrinaError(f"pods cannot reach the ZenML store {url}: name a ZenML server as zenml, or in {ADDRESS}")


def _is_for(address: str) -> bool:
    """Whether this machine reaches the server, and does not use it yet."""
    try:
        require_answer(address)
    except VitrinaError:
        if GlobalConfiguration().uses_sql_store:
            raise
        return False
    return bool(GlobalConfiguration().store_configuration.url != address)


def register(cluster: ClusterConfig) -> dict[str, str]:
    """Make the stack and its components, or bring them up to date, and activate it; says what was done, by kind of component.

    A call that was interrupted is completed by the next one.

    Raises:
        VitrinaError: a component of that name is of another kind.
    """
    client = Client()
    _require_flavor(client)
    done, components = {}, {}
    for kind, (flavor_name, configuration) in _components(cluster).items():
        component, done[kind.value] = _component(client, cluster.name, kind, flavor_name, configuration)
        components[kind] = component.id
    found = client.list_stacks(name=cluster.name).items
    if found:
        client.update_stack(found[0].id, component_updates=components)
    else:
        client.create_stack(cluster.name, components)
    client.activate_stack(cluster.name)
    return done


def activate_local() -> None:
    """Back to this machine's own store and stack; with a server in the environment, to that server's default stack."""
    if ADDRESS not in os.environ and not GlobalConfiguration().uses_sql_store:
        GlobalConfiguration().set_default_store()
    Client().activate_stack(DEFAULT)


def active() -> tuple[str, str, ClusterConfig | None]:
    """Name of the active stack, address of the store that knows it, and its cluster where it has one."""
    stack = Client().active_stack_model
    [orchestrator] = stack.components[StackComponentType.ORCHESTRATOR]
    ours = orchestrator.flavor_name == flavor.NAME
    cluster = ClusterConfig.model_validate(orchestrator.configuration["cluster"]) if ours else None
    return stack.name, GlobalConfiguration().store_configuration.url, cluster


def _require_flavor(client: Client) -> None:
    if not client.list_flavors(name=flavor.NAME, type=StackComponentType.ORCHESTRATOR).items:
        source = f"{flavor.ClusterOrchestratorFlavor.__module__}.{flavor.ClusterOrchestratorFlavor.__name__}"
        client.create_flavor(source=source, component_type=StackComponentType.ORCHESTRATOR)


def _components(cluster: ClusterConfig) -> dict[StackComponentType, tuple[str, dict[str, Any]]]:
    """Flavor and configuration of each.

    Keys of the artifact store are those of the environment, here as in pods: they are told to no server. MLflow's tracker is
    not registered without a token, even where the server wants none.
    """
    return {
        StackComponentType.ORCHESTRATOR: (flavor.NAME, flavor.ClusterOrchestratorConfig.values(cluster)),
        StackComponentType.ARTIFACT_STORE: ("s3", {"path": cluster.artifacts.path}),
        StackComponentType.CONTAINER_REGISTRY: ("default", {"uri": cluster.image.registry}),
        StackComponentType.EXPERIMENT_TRACKER: ("mlflow", {"tracking_uri": cluster.mlflow, "tracking_token": "unused"}),
    }


def _component(client: Client, name: str, kind: StackComponentType, flavor_name: str, values: dict[str, Any]) -> tuple[Any, str]:
    found = client.list_stack_components(name=name, type=kind).items
    if not found:
        return client.create_stack_component(name, flavor_name, kind, {k: v for k, v in values.items() if v is not None}), "made"
    [component] = found
    if component.flavor_name != flavor_name:
        raise VitrinaError(f"{kind.value} {name} exists and is {component.flavor_name}, not {flavor_name}: choose another name")
    before = dict(component.configuration)  # read before the update: it is fetched when it is asked for
    after = client.update_stack_component(component.id, kind, configuration=values)
    return after, "unchanged" if after.configuration == before else "changed"
