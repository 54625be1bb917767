"""Everything that a stack on Kubeflow needs, on 127.0.0.1, and the file that `vitrina stack kubeflow` reads."""

import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from services import mlflow_server, postgres, s3_server, zenml_server

from configs.cluster import ClusterConfig
from loopback.api import KubeflowApi, kubeflow
from loopback.runs import Node

BUCKET, KEY, SECRET = "vitrina", "loopback-access-key", "loopback-secret-key"


@dataclass(frozen=True)
class Cluster:
    """Addresses of what was started.

    Attributes:
        file: A `ClusterConfig`.
        environment: Variables for the shell of whoever uses the stack.
    """

    kubeflow: KubeflowApi
    mlflow: str
    zenml: str
    file: Path
    environment: Path


@contextmanager
def cluster(folder: Path, at_once: int = 1) -> Iterator[Cluster]:
    """PostgreSQL, S3, MLflow, ZenML and Kubeflow's API, until the block ends; `folder` holds what they write.

    MLflow keeps its registry in PostgreSQL and its artifacts in S3. `at_once`: pods that run beside each other.
    """
    claim = folder / "claims" / "vitrina-home"
    claim.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        database = stack.enter_context(postgres())
        s3 = stack.enter_context(s3_server(folder, BUCKET))
        access = {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": s3,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        store = database.database("mlflow").replace("postgresql://", "postgresql+psycopg://")
        servers = [mlflow_server(folder, store, f"s3://{BUCKET}/mlflow", **access), zenml_server(folder)]
        mlflow, zenml = _together(stack, servers)
        application = database.database("vitrina")
        secrets = {"vitrina": {"database-url": application}, "vitrina-s3": {"access-key": KEY, "secret-key": SECRET}}
        api = stack.enter_context(kubeflow(Node(folder, secrets, {"vitrina-home": claim}, at_once)))
        file, environment = folder / "cluster.yaml", folder / "environment"
        file.write_text(yaml.safe_dump(_config(api.address, s3, mlflow, zenml, claim), sort_keys=False), encoding="utf-8")
        home = {"VITRINA_HOME": str(folder / "home"), "VITRINA_DATABASE_URL": application, "MLFLOW_TRACKING_URI": mlflow}
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in (home | access).items()]
        environment.write_text("".join(lines), encoding="utf-8")
        yield Cluster(api, mlflow, zenml, file, environment)


def _together(stack: ExitStack, servers: list[AbstractContextManager[str]]) -> list[str]:
    """Addresses of servers that start beside each other."""
    with ThreadPoolExecutor(len(servers)) as threads:
        return list(threads.map(stack.enter_context, servers))


def _config(kubeflow: str, s3: str, mlflow: str, zenml: str, claim: Path) -> dict[str, Any]:
    values = {
        "name": "loopback",
        "kubeflow": kubeflow,
        "image": {"registry": "registry.example.org"},
        "artifacts": {
            "path": f"s3://{BUCKET}/zenml",
            "endpoint": s3,
            "key": {"secret": "vitrina-s3", "key": "access-key"},
            "secret": {"secret": "vitrina-s3", "key": "secret-key"},
        },
        "mlflow": mlflow,
        "zenml": zenml,
        "database": {"secret": "vitrina", "key": "database-url"},
        "home": {"claim": "vitrina-home", "path": str(claim)},
        "environment": {"OMP_NUM_THREADS": "1", "AWS_DEFAULT_REGION": "us-east-1"},
    }
    ClusterConfig.model_validate(values)
    return values
