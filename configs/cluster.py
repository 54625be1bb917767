"""Where pipelines and trainings run that outgrow a laptop; `vitrina stack` and `vitrina jobs` read it."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from configs.schema import PositiveInt, StrictModel

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
"""Of an object in Kubernetes (RFC 1123)."""
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]
"""Of a resource in Kubernetes, such as 500m or 8Gi."""
GPUS = "nvidia.com/gpu"
"""Resource of the NVIDIA device plugin."""


class SecretKey(StrictModel):
    """A value that lies in a Secret of the cluster and never in a file of ours."""

    secret: Name = Field(description="name of the Secret")
    key: str = Field(pattern=r"^[-._a-zA-Z0-9]+$", description="key in it")


class Volume(StrictModel):
    """A PersistentVolumeClaim that every pod mounts."""

    claim: Name = Field(description="name of the PersistentVolumeClaim; several pods write it: ReadWriteMany")
    path: str = Field(pattern=r"^/[^:]*$", description="where it is mounted")


class Resources(StrictModel):
    """What a pod gets."""

    cpu: Quantity = Field("2", description="cores, requested")
    memory: Quantity = Field("8Gi", description="requested, and the limit")
    gpus: int = Field(0, ge=0, description="whole GPUs")
    node_selector: dict[str, str] = Field({}, description="labels of the nodes that may run it")
    tolerate: tuple[str, ...] = Field((), description="keys of taints that it bears; with GPUs, nvidia.com/gpu as well")


class Image(StrictModel):
    """The image of every step; `deploy/Containerfile` builds it."""

    registry: str = Field(min_length=1, description="address of the container registry, such as registry.example.org/shop")
    name: str = Field("vitrina", min_length=1, description="of the image in it")
    tag: str = Field("0.1", min_length=1, description="a tag, or a digest as sha256:…")
    pull_secret: Name | None = Field(None, description="Secret that pulls it")

    @property
    def reference(self) -> str:
        """As a pod names it."""
        return f"{self.registry}/{self.name}{'@' if self.tag.startswith('sha256:') else ':'}{self.tag}"


class ArtifactStore(StrictModel):
    """An S3-compatible store of what steps hand each other."""

    path: str = Field(pattern=r"^s3://[a-z0-9][-.a-z0-9]+(/.*)?$", description="bucket and prefix")
    endpoint: str | None = Field(None, pattern=r"^https?://", description="of a store that is not AWS's, such as MinIO")
    key: SecretKey | None = Field(None, description="access key; none where pods have a role")
    secret: SecretKey | None = Field(None, description="secret key that belongs to it")

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.key is None) != (self.secret is None):
            raise ValueError("key and secret belong together: give both or neither")
        return self


class DistributedConfig(StrictModel):
    """A training on several pods, by torchrun."""

    nodes: PositiveInt = Field(2, description="pods")
    processes: PositiveInt = Field(1, description="ranks a pod; with GPUs, one a GPU")
    backend: Literal["gloo", "nccl"] = Field("gloo", description="how ranks talk; nccl on GPUs")
    resources: Resources = Resources()
    restarts: int = Field(3, ge=0, description="times that torchrun starts all ranks again after one has died")


class ClusterConfig(StrictModel):
    """A ZenML stack on Kubeflow, and what its pods need."""

    name: Name = Field("kubeflow", description="of the stack")
    kubeflow: str = Field(pattern=r"^https?://", description="address of the Kubeflow Pipelines API")
    namespace: Name = Field("kubeflow", description="in which the pods run")
    user_namespace: Name | None = Field(None, description="profile of a multi-user Kubeflow")
    image: Image
    artifacts: ArtifactStore
    mlflow: str = Field(pattern=r"^https?://", description="address of the MLflow server, as pods reach it")
    zenml: str | None = Field(None, pattern=r"^https?://", description="of the ZenML server; that of the client by default")
    database: SecretKey = Field(description="holds VITRINA_DATABASE_URL, a PostgreSQL address")
    home: Volume | None = Field(
        None, description="where VITRINA_HOME lies: a training that was killed goes on from there; without, it begins anew"
    )
    data: Volume | None = Field(None, description="catalogues; not needed where --data names s3:// addresses")
    environment: dict[str, str] = Field({}, description="further variables of each pod; no secrets")
    secrets: dict[str, SecretKey] = Field({}, description="further variables of each pod, from Secrets")
    resources: Resources = Field(Resources(), description="of every step")
    steps: dict[str, Resources] = Field({}, description="of single steps, such as train_model, in place of `resources`")
    synchronous: bool = Field(True, description="whether a command waits until the run has ended")
    timeout_minutes: PositiveInt = Field(24 * 60, description="how long it waits")
    distributed: DistributedConfig = DistributedConfig()

    @field_validator("environment")
    @classmethod
    def _no_secrets(cls, values: dict[str, str]) -> dict[str, str]:
        for name in values:
            if any(word in name.upper() for word in ("PASSWORD", "SECRET", "TOKEN", "DATABASE_URL")):
                raise ValueError(f"{name} looks like a secret: name a Secret of the cluster in `secrets`")
        return values
