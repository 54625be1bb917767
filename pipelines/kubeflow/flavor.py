"""The orchestrator's name and configuration, as ZenML keeps them."""

from typing import TYPE_CHECKING

from pydantic import Field
from zenml.integrations.kubeflow.flavors import KubeflowOrchestratorConfig, KubeflowOrchestratorFlavor

from configs.cluster import ClusterConfig

if TYPE_CHECKING:
    from pipelines.kubeflow.orchestrator import ClusterOrchestrator

NAME = "vitrina-kubeflow"


class ClusterOrchestratorConfig(KubeflowOrchestratorConfig):
    """ZenML's own, and the cluster."""

    cluster: ClusterConfig = Field(description="What the pods of a run need; `vitrina stack kubeflow` writes it.")

    @classmethod
    def values(cls, cluster: ClusterConfig) -> dict[str, object]:
        """As the component keeps it: ZenML's values follow from the cluster."""
        return {
            "kubeflow_hostname": cluster.kubeflow,
            "kubeflow_namespace": cluster.namespace,
            "user_namespace": cluster.user_namespace,
            "timeout": 60 * cluster.timeout_minutes,
            "cluster": cluster.model_dump(mode="json", exclude_unset=True),
        }


class ClusterOrchestratorFlavor(KubeflowOrchestratorFlavor):
    """Kubeflow Pipelines 2 with resources, volumes, Secrets and node selectors of its own for each step."""

    @property
    def name(self) -> str:
        """How components name it."""
        return NAME

    @property
    def config_class(self) -> type[ClusterOrchestratorConfig]:
        """What a component of this flavor holds."""
        return ClusterOrchestratorConfig

    @property
    def implementation_class(self) -> "type[ClusterOrchestrator]":
        """Imported when a run needs it."""
        from pipelines.kubeflow.orchestrator import ClusterOrchestrator

        return ClusterOrchestrator
