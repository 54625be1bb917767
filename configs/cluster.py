"""Where pipelines and trainings run that outgrow a laptop; `vitrina stack` reads it."""

from pathlib import PurePosixPath
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from configs.schema import PositiveInt, StrictModel

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
"""Of an object in Kubernetes (RFC 1123)."""
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""Name of a variable of the environment."""
Cores = Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]+)?|[0-9]+m)$")]
"""Such as 2, 0.5 or 500m."""
Memory = Annotated[str, Field(pattern=r"^[0-9]+(M|Mi|G|Gi|T|Ti)$")]
"""Such as 512Mi or 8Gi, as Kubernetes and Kubeflow Pipelines both read it."""
GPUS = "nvidia.com/gpu"
"""Resource of the NVIDIA device plugin."""
USER = 10001
"""User and group of the image, `deploy/Containerfile`."""


def _without_password(address: str) -> str:
    if "@" in urlsplit(address).netloc:
        raise ValueError("holds a user or a password, which pods and pages would show; leave it out")
    return address


Address = Annotated[str, Field(pattern=r"^https?://[^/\s]+"), AfterValidator(_without_password)]
"""Of a server, over HTTP."""


class SecretKey(StrictModel):
    """A value that lies in a Secret of the cluster and never in a file of ours."""

    secret: Name = Field(description="name of the Secret")
    key: str = Field(pattern=r"^[-._a-zA-Z0-9]+$", description="key in it")


class Volume(StrictModel):
    """A PersistentVolumeClaim that every pod mounts."""

    claim: Name = Field(description="name of the PersistentVolumeClaim; several pods write it: ReadWriteMany")
    path: str = Field(pattern=r"^/[^:]+$", description="where it is mounted")

    def covers(self, path: str) -> bool:
        """Whether a file of that path lies on it."""
        return not {".."} & set(PurePosixPath(path).parts) and PurePosixPath(path).is_relative_to(self.path)


class Resources(StrictModel):
    """What a pod gets."""

    cpu: Cores = Field("2", description="cores, requested; where more are idle, it gets more")
    memory: Memory = Field("8Gi", description="requested, and the limit")
    gpus: int = Field(0, ge=0, description="whole GPUs")
    node_selector: dict[str, str] = Field({}, description="labels of the nodes that may run it")
    tolerate: tuple[str, ...] = Field((), description="keys of taints that it bears; with GPUs, nvidia.com/gpu as well")

    @property
    def taints(self) -> tuple[str, ...]:
        """Keys of all taints that it bears."""
        return tuple(dict.fromkeys([*self.tolerate, *([GPUS] if self.gpus else [])]))


class Image(StrictModel):
    """The image of every step; `deploy/Containerfile` builds it."""

    registry: str = Field(
        pattern=r"^[a-z0-9][-.a-z0-9]*(:[0-9]+)?(/[-._a-z0-9]+)*$",
        description="address of the container registry, such as registry.example.org/shop",
    )
    name: str = Field("vitrina", pattern=r"^[a-z0-9][-._a-z0-9]*$", description="of the image in it")
    tag: str = Field("0.1", pattern=r"^(sha256:[0-9a-f]{64}|\w[-.\w]{0,127})$", description="a tag, or a digest as sha256:…")
    pull_secret: Name | None = Field(None, description="Secret that pulls it")

    @property
    def reference(self) -> str:
        """As a pod names it."""
        return f"{self.registry}/{self.name}{'@' if self.tag.startswith('sha256:') else ':'}{self.tag}"


class ArtifactStore(StrictModel):
    """An S3-compatible store of what steps hand each other."""

    path: str = Field(pattern=r"^s3://[a-z0-9][-.a-z0-9]+(/.*)?$", description="bucket and prefix")
    endpoint: Address | None = Field(None, description="as pods reach a store that is not AWS's, such as MinIO")
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


RESERVED = ("VITRINA_HOME", "VITRINA_DATABASE_URL", "MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL")
"""Variables of pods that other values of the configuration give."""
SECRET_WORDS = ("PASSWORD", "SECRET", "TOKEN", "DATABASE_URL", "ACCESS_KEY", "API_KEY", "CREDENTIAL")


class ClusterConfig(StrictModel):
    """A ZenML stack on Kubeflow, and what its pods need."""

    name: Name = Field("kubeflow", description="of the stack")
    kubeflow: Address = Field(description="address of the Kubeflow Pipelines API, as whoever starts a run reaches it")
    namespace: Name = Field("kubeflow", description="in which Kubeflow Pipelines runs")
    user_namespace: Name | None = Field(None, description="profile of a multi-user Kubeflow, in which the pods run")
    image: Image
    artifacts: ArtifactStore
    mlflow: Address = Field(description="address of the MLflow server, as pods reach it")
    zenml: Address | None = Field(None, description="of the ZenML server, as pods reach it; the client's own by default")
    zenml_key: SecretKey | None = Field(
        None, description="API key of a ZenML service account; a server that asks who somebody is lets pods in by it alone"
    )
    database: SecretKey = Field(description="holds VITRINA_DATABASE_URL, a PostgreSQL address")
    home: Volume | None = Field(
        None, description="where VITRINA_HOME lies: a training that was killed goes on from there; without, it begins anew"
    )
    data: Volume | None = Field(None, description="catalogues; not needed where --data names s3:// addresses")
    environment: dict[Variable, str] = Field({}, description="further variables of each pod; no secrets")
    secrets: dict[Variable, SecretKey] = Field({}, description="further variables of each pod, from Secrets")
    resources: Resources = Field(Resources(), description="of every step")
    steps: dict[str, Resources] = Field({}, description="of single steps, such as train_model, in place of `resources`")
    timeout_minutes: PositiveInt = Field(24 * 60, description="how long a command waits for its run to end")
    distributed: DistributedConfig = DistributedConfig()

    @field_validator("environment")
    @classmethod
    def _no_secrets(cls, values: dict[str, str]) -> dict[str, str]:
        for name, value in values.items():
            if any(word in name.upper() for word in SECRET_WORDS) or "@" in urlsplit(value).netloc:
                raise ValueError(f"{name} looks like a secret: name a Secret of the cluster in `secrets`")
        return values

    @model_validator(mode="after")
    def _each_variable_once(self) -> Self:
        for name in (*self.environment, *self.secrets):
            if name in RESERVED or (name in self.environment and name in self.secrets):
                raise ValueError(f"variable {name} is given twice; {', '.join(RESERVED)} follow from the rest of the file")
        return self

    @model_validator(mode="after")
    def _each_path_once(self) -> Self:
        if self.home and self.data and (self.home.covers(self.data.path) or self.data.covers(self.home.path)):
            raise ValueError(f"home.path {self.home.path} and data.path {self.data.path} lie in each other")
        return self

    def of_step(self, step: str) -> Resources:
        """What the pod of a step gets."""
        return self.steps.get(step, self.resources)

    @property
    def variables(self) -> dict[str, str]:
        """Plain variables of every pod."""
        found = {"MLFLOW_TRACKING_URI": self.mlflow}
        if self.artifacts.endpoint:
            found["AWS_ENDPOINT_URL"] = self.artifacts.endpoint
        if self.home:
            found["VITRINA_HOME"] = self.home.path
        return found | self.environment

    @property
    def references(self) -> dict[str, SecretKey]:
        """Variables of every pod that come from Secrets."""
        found = {"VITRINA_DATABASE_URL": self.database}
        if self.artifacts.key and self.artifacts.secret:
            found |= {"AWS_ACCESS_KEY_ID": self.artifacts.key, "AWS_SECRET_ACCESS_KEY": self.artifacts.secret}
        return found | self.secrets | ({"ZENML_STORE_API_KEY": self.zenml_key} if self.zenml_key else {})

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """What every pod mounts."""
        return tuple(volume for volume in (self.home, self.data) if volume)
