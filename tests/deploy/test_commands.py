"""Commands of the manifests that are not `vitrina`'s, run as they stand there: MLflow's, the bucket's, the worker's probe."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
import s3fs
from kustomized import FOLDER, Manifest, containers, named, pods
from ports import free_port
from services import Postgres, postgres, s3_server, until

from jobs.worker import ALIVE

OVERLAY = "overlays/laptop-cluster"
PASSWORD = "p%40ss/word"
OURS = ("MLFLOW_", "AWS_", "_MLFLOW_")


def words(container: Manifest, variables: Mapping[str, str]) -> list[str]:
    """A container's command, with its variables, and programs of this environment in place of the image's."""
    here = Path(sys.executable).parent
    put_in = [re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], word) for word in container["command"]]
    return [word.replace("/opt/venv/bin", str(here)) for word in put_in]


def environment(container: Manifest, values: Mapping[tuple[str, str], str], **others: str) -> dict[str, str]:
    """Of a container: its ConfigMaps, its own values and, from `values`, those of Secrets; `others` stand for addresses."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    for source in container.get("envFrom", []):
        found |= named(OVERLAY, "ConfigMap", source["configMapRef"]["name"].rpartition("-")[0])["data"]
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        found[variable["name"]] = values[reference["name"], reference["key"]] if reference else variable["value"]
    return found | others


@contextmanager
def with_a_password() -> Iterator[tuple[Postgres, str]]:
    """A cluster that asks for one over TCP, and the address of a database `mlflow` as the page writes it."""
    with postgres() as cluster:
        with psycopg.connect(f"{cluster.address}/postgres", autocommit=True) as connection:
            connection.execute(f"ALTER ROLE vitrina PASSWORD '{PASSWORD}'")
            connection.execute((FOLDER / OVERLAY / "mlflow.sql").read_text())
            (cluster.folder / "data" / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\nlocal all all trust\n")
            connection.execute("SELECT pg_reload_conf()")
        yield cluster, f"postgresql+psycopg://vitrina:p%2540ss%2Fword@127.0.0.1:{cluster.port}/mlflow"


@contextmanager
def running(command: list[str], variables: dict[str, str], folder: Path, answers: str) -> Iterator[None]:
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen(command, env=variables, cwd=folder, stdout=file, stderr=file)

    def does() -> bool:
        try:
            return httpx.get(answers, timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(does, lambda: process.poll() is None, lambda: log.read_text()[-2000:], within=300)
        yield
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.slow
def test_mlflow_makes_its_schema_serves_and_keeps_files_in_the_store(tmp_path: Path) -> None:
    upgrade, server = containers(pods(OVERLAY)["mlflow"])
    [bucket] = containers(pods(OVERLAY)["bucket"])
    with with_a_password() as (cluster, address), s3_server(tmp_path) as store:
        secrets = {
            ("mlflow", "backend-store-uri"): address,
            ("vitrina-s3", "access-key"): "a",
            ("vitrina-s3", "secret-key"): "b" * 16,
        }
        made = environment(bucket, secrets, AWS_ENDPOINT_URL=store)
        command = [words(bucket, {})[0], str(FOLDER / OVERLAY / "bucket.py")]
        for _ in range(2):
            subprocess.run(command, env=made, check=True, timeout=120)
        variables = environment(upgrade, secrets)
        subprocess.run(words(upgrade, variables), env=variables, cwd=tmp_path, check=True, timeout=300)
        port = free_port()
        variables = environment(server, secrets, MLFLOW_S3_ENDPOINT_URL=store)
        command = [word.replace("0.0.0.0", "127.0.0.1").replace("5000", str(port)) for word in words(server, variables)]
        here = f"http://127.0.0.1:{port}"
        with running(command, variables, tmp_path, f"{here}{server['readinessProbe']['httpGet']['path']}"):
            for name, status in {"mlflow:5000": 200, "mlflow.vitrina.svc:5000": 200, "elsewhere.example": 403}.items():
                asked = httpx.get(f"{here}/api/2.0/mlflow/experiments/get?experiment_id=0", headers={"Host": name}, timeout=60)
                assert asked.status_code == status, name
            written = httpx.put(f"{here}/api/2.0/mlflow-artifacts/artifacts/a/b.txt", content=b"kept", timeout=60)
            assert written.status_code == 200
        held = s3fs.S3FileSystem(endpoint_url=store, key="a", secret="b" * 16, skip_instance_cache=True)
        destination = named(OVERLAY, "ConfigMap", "mlflow")["data"]["MLFLOW_ARTIFACTS_DESTINATION"]
        assert held.cat(f"{destination}/a/b.txt") == b"kept"
        local = f"host={cluster.folder} port={cluster.port} user=vitrina dbname=mlflow"
        with psycopg.connect(local) as connection:
            assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


@pytest.mark.parametrize(("age", "code"), [(None, 1), (0, 0), (600, 1)])
def test_the_workers_probe_says_whether_it_has_touched_its_file(age: float | None, code: int, tmp_path: Path) -> None:
    alive = tmp_path / ALIVE.format("worker-1")
    alive.parent.mkdir()
    if age is not None:
        alive.touch()
        os.utime(alive, (time.time() - age,) * 2)
    [worker] = pods(OVERLAY)["worker"]["spec"]["containers"]
    command = [word.replace("/var/lib/vitrina", str(tmp_path)) for word in worker["livenessProbe"]["exec"]["command"]]
    assert subprocess.run(command, timeout=60).returncode == code
