"""The file that describes a cluster: what is wrong in it is named before anything is registered."""

from typing import Any

import pytest

from configs.cluster import ClusterConfig, SecretKey
from configs.errors import ConfigError
from configs.load import put, validate

LEAST: dict[str, Any] = {
    "kubeflow": "http://kubeflow:8888",
    "image": {"registry": "registry.example.org"},
    "artifacts": {"path": "s3://shop/zenml"},
    "mlflow": "http://mlflow:5000",
    "database": {"secret": "vitrina", "key": "database-url"},
}


def changed(**values: Any) -> dict[str, Any]:
    """The least that a file must say, with values at dotted paths."""
    said: dict[str, Any] = {key: dict(value) if isinstance(value, dict) else value for key, value in LEAST.items()}
    for path, value in values.items():
        put(said, path, value)
    return said


def test_the_least_is_enough() -> None:
    cluster = validate(ClusterConfig, LEAST, where="c.yaml")
    assert cluster.variables == {"MLFLOW_TRACKING_URI": "http://mlflow:5000"}
    assert cluster.references == {"VITRINA_DATABASE_URL": SecretKey(secret="vitrina", key="database-url")}
    assert (cluster.volumes, cluster.image.reference) == ((), "registry.example.org/vitrina:0.1")
    assert cluster.of_step("train_model") == cluster.resources


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kubeflow": "kubeflow:8888"}, "kubeflow = 'kubeflow:8888'"),
        ({"mlflow": "http://ana:hunter2@mlflow:5000"}, "mlflow = .*: holds a user or a password"),
        ({"artifacts.endpoint": "http://ana:hunter2@s3:9000"}, "artifacts.endpoint = .*: holds a user or a password"),
        ({"artifacts.path": "/var/artifacts"}, "artifacts.path = '/var/artifacts'"),
        ({"artifacts.key": {"secret": "s3", "key": "id"}}, "key and secret belong together"),
        ({"database": "postgresql://vitrina@postgres/vitrina"}, "database = 'postgresql"),
        ({"image.registry": "https://registry.example.org"}, "image.registry = 'https:"),
        ({"image.tag": "sha256:12"}, "image.tag = 'sha256:12'"),
        ({"resources": {"cpu": "8Gi"}}, "resources.cpu = '8Gi'"),
        ({"resources": {"memory": "1.5Gi"}}, "resources.memory = '1.5Gi'"),
        (
            {"steps": {"train_model": {"gpu": 1}}},
            "unknown key 'steps.train_model.gpu'; allowed here: cpu, gpus, memory, node_selector",
        ),
        ({"home": {"claim": "Home", "path": "/home"}}, "home.claim = 'Home'"),
        ({"home": {"claim": "home", "path": "data"}}, "home.path = 'data'"),
        (
            {"home": {"claim": "a", "path": "/data/home"}, "data": {"claim": "b", "path": "/data"}},
            "home.path /data/home and data.path /data lie in each other",
        ),
        ({"environment": {"DB_PASSWORD": "x"}}, "DB_PASSWORD looks like a secret: name a Secret of the cluster in `secrets`"),
        ({"environment": {"QUEUE": "amqp://ana:hunter2@queue"}}, "QUEUE looks like a secret"),
        ({"environment": {"AWS_ACCESS_KEY_ID": "x"}}, "AWS_ACCESS_KEY_ID looks like a secret"),
        ({"environment": {"a b": "x"}}, "environment.a b"),
        ({"environment": {"MLFLOW_TRACKING_URI": "http://other"}}, "variable MLFLOW_TRACKING_URI is given twice"),
        ({"environment": {"A": "x"}, "secrets": {"A": {"secret": "s", "key": "k"}}}, "variable A is given twice"),
        ({"timeout_minutes": 0}, "timeout_minutes = 0"),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^c.yaml: .*{message}") as caught:
        validate(ClusterConfig, changed(**values), where="c.yaml")
    assert "\n" not in str(caught.value)


def test_variables_and_volumes_follow_from_the_rest() -> None:
    secret = {"secret": "s3", "key": "id"}
    cluster = validate(
        ClusterConfig,
        changed(
            **{
                "artifacts.endpoint": "http://s3:9000",
                "artifacts.key": secret,
                "artifacts.secret": secret | {"key": "word"},
                "home": {"claim": "home", "path": "/var/lib/vitrina"},
                "environment": {"OMP_NUM_THREADS": "4"},
                "secrets": {"WANDB_API_KEY": {"secret": "wandb", "key": "key"}},
            }
        ),
        where="c.yaml",
    )
    assert cluster.variables == {
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "AWS_ENDPOINT_URL": "http://s3:9000",
        "VITRINA_HOME": "/var/lib/vitrina",
        "OMP_NUM_THREADS": "4",
    }
    assert {name: (one.secret, one.key) for name, one in cluster.references.items()} == {
        "VITRINA_DATABASE_URL": ("vitrina", "database-url"),
        "AWS_ACCESS_KEY_ID": ("s3", "id"),
        "AWS_SECRET_ACCESS_KEY": ("s3", "word"),
        "WANDB_API_KEY": ("wandb", "key"),
    }
    [home] = cluster.volumes
    assert home.covers("/var/lib/vitrina/catalogue")
    assert home.covers("/var/lib/vitrina")
    assert not home.covers("/var/lib/vitrina-other")
    assert not home.covers("/var/lib/vitrina/../../etc")
