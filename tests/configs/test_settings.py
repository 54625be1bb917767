import pytest

from configs.settings import Settings


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("postgresql://ana:s3cret@db/mlflow", "postgresql+psycopg://ana:s3cret@db/mlflow"),
        ("postgresql+psycopg://ana@db/mlflow", "postgresql+psycopg://ana@db/mlflow"),
        ("https://mlflow.example.org", "https://mlflow.example.org"),
        ("sqlite:////srv/mlflow.db", "sqlite:////srv/mlflow.db"),
    ],
)
def test_a_store_in_postgresql_is_opened_by_the_driver_that_is_installed(monkeypatch, told, found):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", told)
    assert Settings.from_environment().tracking_uri == found
