"""torchrun starts the ranks: trainings that end well, that one rank refuses, and that lose ranks to `kill -9`."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import commands
import pytest
import torch
from safetensors.torch import load_file
from tiny_task import fit_points

from catalog.sample import write_sample
from models.training.trainer import BEST, LAST

pytestmark = [pytest.mark.slow, pytest.mark.trains]

if torch.cuda.is_available():
    pytest.skip("gloo is tested where there is no GPU; hide it with CUDA_VISIBLE_DEVICES=", allow_module_level=True)

ROOT = Path(__file__).parents[2]
TORCHRUN = str(Path(sys.executable).with_name("torchrun"))


def torchrun(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Two ranks of a module, each with one thread."""
    command = [TORCHRUN, "--standalone", "--nproc-per-node", "2", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=variables(home), cwd=home, timeout=600)


def variables(home: Path) -> dict[str, str]:
    where = os.pathsep.join([str(ROOT), str(ROOT / "client"), str(ROOT / "tests")])
    return commands.environment(home) | {"PYTHONPATH": where, "OMP_NUM_THREADS": "1"}


def told(folder: Path, case: str, *options: str) -> tuple[dict[str, Any], "subprocess.CompletedProcess[str]"]:
    """What a case of `torchrun_cases` wrote, and how it ended."""
    ended = torchrun(folder, *options, "-m", "torchrun_cases", case, str(folder))
    assert ended.returncode == 0, ended.stderr
    return json.loads((folder / "told.json").read_text()), ended


def last_weights(folder: Path) -> dict[str, torch.Tensor]:
    found = torch.load(folder / LAST, weights_only=True)
    return found.get("current_model_state", found["state_dict"])


@pytest.fixture(scope="module")
def fits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    folder = tmp_path_factory.mktemp("fits")
    found, ended = told(folder, "fits")
    return folder, found, ended.stdout


@pytest.mark.parametrize(("name", "values"), [("ddp", {}), ("fsdp", {"ema_decay": 0.0}), ("again", {"rows": 17})])
def test_its_ranks_train_as_one(fits: tuple[Path, dict[str, Any], str], tmp_path: Path, name: str, values: Any) -> None:
    """Also after trainings in between that a rank refused; 17 rows leave a batch with none for the second rank."""
    folder, found, _ = fits
    _, alone = fit_points(tmp_path, epochs=3, **values)
    assert found[name] == pytest.approx(alone.best_loss, rel=1e-5)
    expected, trained = load_file(tmp_path / BEST), load_file(folder / name / BEST)
    for weight, value in trained.items():
        torch.testing.assert_close(value, expected[weight], atol=1e-5, rtol=0)
    assert sorted(path.name for path in (folder / name).iterdir()) == [BEST, LAST]


def test_what_a_rank_refuses_is_one_line_of_rank_0(fits: tuple[Path, dict[str, Any], str]) -> None:
    _, found, _ = fits
    assert found["refused by 0"] == "refused by 0"
    assert found["refused by 1"] == "rank 1: refused by 1"
    assert found["three"] == (
        "trainer.devices is 3, and torchrun started 2 processes on this machine, 2 in all: allowed is 1 or 2"
    )
    assert "does not see what rank 0 writes into" in found["elsewhere"]
    assert "VITRINA_HOME and the data must lie on a volume that all machines share" in found["elsewhere"]


def test_standard_output_is_rank_0s_and_it_is_alone_between_trainings(fits: tuple[Path, dict[str, Any], str]) -> None:
    _, found, out = fits
    assert out == "rank 0 alone prints\n"
    assert found["world between"] == [1]


def test_a_gates_no_is_not_asked_for_again(tmp_path: Path) -> None:
    """torchrun starts the command again, twice or, where it counts the end of another rank, once; it says the same at once."""
    ended = torchrun(tmp_path, "--max-restarts", "2", "-m", "torchrun_refused", str(tmp_path))
    assert ended.returncode == 1
    assert (tmp_path / "starts").read_text() == "one\n"
    said = [line for line in ended.stderr.splitlines() if line.startswith("no better than the champion")]
    again = "no better than the champion (said before torchrun started this again) (1)"
    assert said[0] == "no better than the champion (1)"
    assert set(said[1:]) == {again}


def rank_1_of(agent: int) -> int:
    """The process that a torchrun started as rank 1, of those that are its children now."""
    for child in Path(f"/proc/{agent}/task/{agent}/children").read_text().split():
        with contextlib.suppress(OSError):
            if b"LOCAL_RANK=1" in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
                return int(child)
    raise AssertionError("rank 1 is not there")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the rank by /proc")
def test_the_command_goes_on_where_a_killed_rank_left_it(tmp_path: Path) -> None:
    """`vitrina train` of the describer: registered once, told once, by rank 0 alone."""
    shop = write_sample(tmp_path / "shop", products=200)
    small = {
        "model.writer": "{width: 32, layers: 1, heads: 2, kv_heads: 1, mlp_hidden: 64, vocab_size: 512, context: 256, "
        "prompt_tokens: 120}",
        "model.measured": "4",
        "trainer.epochs": "20",
        "trainer.max_minutes": "null",
        "trainer.checkpoint_minutes": "0.001",
        "gates": "{thresholds: [{metric: attribute_precision, at_least: 0.0}]}",
        "evaluation.latency_calls": "2",
    }
    arguments = ["train", "describer", "--data", str(shop), "--env", "demo", "--json"]
    arguments += [part for name, value in small.items() for part in ("--set", f"{name}={value}")]
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        command = [TORCHRUN, "--standalone", "--nproc-per-node", "2", "--max-restarts", "3", "-m", "cli", *arguments]
        agent = subprocess.Popen(command, stdout=out, stderr=err, env=variables(tmp_path), cwd=tmp_path)
        try:
            ends = time.monotonic() + 600
            while not list(tmp_path.rglob(LAST)):
                assert agent.poll() is None and time.monotonic() < ends, (tmp_path / "err").read_text()
                time.sleep(0.05)
            os.kill(rank_1_of(agent.pid), signal.SIGKILL)
            assert agent.wait(timeout=600) == 0, (tmp_path / "err").read_text()
        finally:
            agent.terminate()
            agent.wait(timeout=60)
    outcome = json.loads((tmp_path / "out").read_text())
    assert (outcome["model"], outcome["version"]) == ("describer", 1)
    assert "exitcode: -9" in (tmp_path / "err").read_text()
    (folder,) = {path.parent for path in tmp_path.rglob(LAST)}
    assert _epochs(folder) == 20


def _epochs(folder: Path) -> int:
    return int(torch.load(folder / LAST, weights_only=True)["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])


def test_a_training_that_loses_ranks_ends_as_one_that_does_not(tmp_path: Path) -> None:
    """Rank 1 is killed in the first start, rank 0 in the second; the third goes on to the end."""
    cut, straight = tmp_path / "cut", tmp_path / "straight"
    cut.mkdir()
    found, _ = told(cut, "killed", "--max-restarts", "3")
    assert sorted(path.name for path in cut.glob("killed-*")) == ["killed-0-in-start-1", "killed-1-in-start-0"]
    _, result = fit_points(straight, epochs=5)
    assert found == {"resumed": True, "loss": pytest.approx(result.best_loss, rel=1e-5)}
    expected, trained = last_weights(straight), last_weights(cut)
    assert expected.keys() == trained.keys()
    for weight, value in trained.items():
        torch.testing.assert_close(value, expected[weight], atol=1e-5, rtol=0)
