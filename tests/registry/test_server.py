"""The same code against an MLflow server, as the reviewer's browser and other machines see it."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from services import mlflow_server

from configs.settings import Settings
from registry.errors import RegistryUnreachable
from registry.fetch import fetch
from registry.promotion import history, promote, rollback
from registry.register import mark_challenger
from registry.versions import alias_targets, resolve


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An MLflow server on 127.0.0.1, with a store and artifacts of its own."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as address:
        yield address


@pytest.fixture
def served(server: str, tmp_path: Path) -> Settings:
    """A home whose registry is the server."""
    return Settings(home=tmp_path / "home", database_url=f"sqlite:///{tmp_path / 'vitrina.db'}", tracking_uri=server)


@pytest.mark.slow
def test_the_loop_of_a_reviewer_through_a_server(served, make_version, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    first, second = make_version(served), make_version(served)
    mark_challenger(served, first)
    promote(served, "product", 1, "ana", "first")
    mark_challenger(served, second)
    folder = fetch(served, resolve(served, "product@champion"))
    assert (folder / "model.safetensors").read_bytes() == b"0" * 1000

    # The UI moves an alias with this request.
    moved = httpx.post(
        f"{served.tracking_uri}/api/2.0/mlflow/registered-models/alias",
        json={"name": "vitrina-product", "alias": "champion", "version": "2"},
    )
    assert moved.status_code == 200
    rows = history(served, "product")
    assert [(row.to_version, row.who) for row in rows] == [(1, "ana"), (2, "MLflow UI")]
    assert alias_targets(served, "product") == {"champion": 2, "previous": 1}
    assert rollback(served, "product", "bo").version == 1

    # What the version page shows: tags, card, and the run with its reports.
    version = httpx.get(
        f"{served.tracking_uri}/api/2.0/mlflow/model-versions/get", params={"name": "vitrina-product", "version": "2"}
    ).json()["model_version"]
    assert {"key": "vitrina.gates", "value": "passed"} in version["tags"]
    link, _, card = version["description"].partition("\n\n")
    assert link.startswith("[Evaluation report](#/experiments/")
    assert link.endswith(f"/runs/{version['run_id']}/artifacts/reports/evaluation.html)")
    assert card == "# Model card of 1\n"
    page = httpx.get(
        f"{served.tracking_uri}/get-artifact", params={"run_id": version["run_id"], "path": "reports/evaluation.html"}
    )
    assert page.text == "<h1>Is it better?</h1>"
    assert sorted(p.name for p in served.home.iterdir()) == ["bundles"]
    assert not (tmp_path / "mlruns").exists()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("scheme", ["closed", "silent"])
def test_a_server_that_is_down_is_one_line_soon(tmp_path, scheme, monkeypatch):
    monkeypatch.setattr("registry.connection.PROBE_SECONDS", 0.2)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if scheme == "silent":  # accepts connections and never says a word
            listener.listen()
        address = f"http://ana:s3cret@127.0.0.1:{listener.getsockname()[1]}"
        settings = Settings(home=tmp_path, database_url=f"sqlite:///{tmp_path / 'v.db'}", tracking_uri=address)
        start = time.monotonic()
        with pytest.raises(RegistryUnreachable, match=r"MLflow server http://127\.0\.0\.1:\d+ does not answer") as caught:
            resolve(settings, "product@champion")
        assert time.monotonic() - start < 60
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("address", ["sqlite:////proc/x/mlflow.db", "postgresql://ana:s3cret@127.0.0.1:1/mlflow"])
def test_a_store_that_cannot_be_opened_is_one_line_soon(tmp_path, address):
    settings = Settings(home=tmp_path, database_url=f"sqlite:///{tmp_path / 'v.db'}", tracking_uri=address)
    start = time.monotonic()
    with pytest.raises(RegistryUnreachable, match="MLflow's store cannot be opened") as caught:
        resolve(settings, "product@champion")
    assert time.monotonic() - start < 60
    assert "s3cret" not in str(caught.value)
