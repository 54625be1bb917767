"""Workers of a Ray cluster: a machine dies in the middle, or whoever asked; every row is answered once all the same."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import psutil
import pytest
from commands import environment
from scored import BAD, PRODUCTS, check_whole, score
from services import until

from configs.errors import VitrinaError
from configs.settings import Settings

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SHARDS = 30
VALUES = {"shard_rows": PRODUCTS // SHARDS}


class Machines:
    """A Ray cluster on this machine: a head that computes nothing, and two nodes of one core each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        small = {"object_store_memory": 100 * 2**20}
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small})
        self.nodes = [self.cluster.add_node(num_cpus=1, **small) for _ in range(2)]

    def kill(self, node: int) -> None:
        """All processes of a node at once, as when its power fails."""
        raylet = psutil.Process(self.nodes[node].all_processes["raylet"][0].process.pid)
        for process in [raylet, *raylet.children(recursive=True)]:
            process.kill()


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    """Guarded by a token, as a cluster should be; what this process tells Ray is forgotten afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_memory_monitor_refresh_ms", "0")  # other tests may fill the memory
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        found = Machines()
        yield found
        found.cluster.shutdown()


@pytest.fixture(scope="module")
def whole(settings: Settings, shop: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """What one process answers that nobody disturbs."""
    out = tmp_path_factory.mktemp("whole") / "out"
    score(settings, shop, out, "quality@1", values=VALUES)
    return check_whole(out)


@contextmanager
def started(settings: Settings, shop: Path, out: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """The command with the engine ray, when a tenth of the shards are finished."""
    command = [sys.executable, str(ROOT / "cli.py"), "score", "quality@1", "--data", str(shop), "--out", str(out), "--json"]
    chosen = [part for name, value in (VALUES | {"batch_size": 8}).items() for part in ("--set", f"{name}={value}")]
    log = out.with_name("log")
    with log.open("w") as file:
        command += [*chosen, "--engine", "ray", "--workers", "2", *options]
        running = subprocess.Popen(command, env=environment(settings.home), stdout=subprocess.PIPE, stderr=file, text=True)
    try:
        until(lambda: finished(out) >= SHARDS // 10, lambda: running.poll() is None, log.read_text, within=600)
        yield running
    finally:
        running.kill()
        running.wait(60)


def finished(out: Path) -> int:
    return len(list((out / "scores").glob("part-*")))


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """All but the last digits of numbers."""
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-5)


def test_whoever_asked_is_killed_with_the_cluster_that_it_started_and_asks_another(
    settings: Settings, shop: Path, machines: Machines, whole: pd.DataFrame, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with started(settings, shop, out) as running:
        of_its_own = psutil.Process(running.pid).children(recursive=True)
        os.kill(running.pid, signal.SIGKILL)
    assert of_its_own
    assert psutil.wait_procs(of_its_own, timeout=120)[1] == []
    before = finished(out)
    assert SHARDS // 10 <= before < SHARDS
    with started(settings, shop, out, "--address", machines.cluster.address) as running:
        said = json.loads(running.communicate(timeout=600)[0])
    assert said["finished_before"] == before
    assert (said["n"], said["scored"], said["quarantined"], said["shards"]) == (PRODUCTS, PRODUCTS - len(BAD), len(BAD), SHARDS)
    same(check_whole(out), whole)


def test_a_machine_dies_in_the_middle(
    settings: Settings, shop: Path, machines: Machines, whole: pd.DataFrame, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with started(settings, shop, out, "--address", machines.cluster.address) as running:
        machines.kill(0)
        before = finished(out)
        said = json.loads(running.communicate(timeout=600)[0])
        assert running.returncode == 0
    assert before < SHARDS
    assert (said["finished_before"], said["scored"], said["quarantined"]) == (0, PRODUCTS - len(BAD), len(BAD))
    same(check_whole(out), whole)


def test_what_a_person_can_mend_is_one_line(settings: Settings, machines: Machines, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    pd.DataFrame({"product_id": [1], "title": [["a", "list"]]}).to_parquet(tmp_path / "shop" / "products.parquet", index=False)
    for address, says in (
        (machines.cluster.address, r"products.parquet: title is list<.*> and does not read as string"),
        ("127.0.0.1:1", r"^no Ray cluster at 127.0.0.1:1: [^\n]*$"),
    ):
        with pytest.raises(VitrinaError, match=says):
            score(settings, tmp_path / "shop", tmp_path / "out", engine="ray", ray={"address": address})
