import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from configs.schema import TrainerConfig
from models.training.batches import EpochBatches
from models.training.callbacks import warm_average
from models.training.task import Task
from models.training.trainer import BEST, LAST, Learner, TrainingError, fit, precision, training_loader, validation_loader

pytestmark = pytest.mark.trains

ROOT = Path(__file__).parents[3]


class Line(Dataset[tuple[Tensor, Tensor]]):
    """y = 3 x - 1, and which rows were asked for."""

    def __init__(self, rows: int) -> None:
        self.x = torch.linspace(-1, 1, rows)[:, None]
        self.asked: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self.x)

    def __getitems__(self, keys: list[tuple[int, int]]) -> "Pair":
        self.asked += keys
        x = self.x[[index for _, index in keys]]
        return Pair(x, 3 * x - 1)


class Pair:
    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device, non_blocking: bool = False) -> "Pair":
        return Pair(self.x.to(device), self.y.to(device))


class Regression(Task):
    def __init__(self, breaks_at: int | None = None, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.linear = nn.Linear(1, 1)
        self.steps, self.breaks_at = 0, breaks_at
        self.draws: list[float] = []

    def training_loss(self, batch: Pair, generator: torch.Generator) -> dict[str, Tensor]:
        self.draws.append(float(torch.rand((), generator=generator)))
        loss = (self.linear(batch.x) - batch.y).square().mean()
        if self.steps == self.breaks_at:
            loss = loss * math.nan
        self.steps += 1
        return {"loss": loss}

    def validation_loss(self, batch: Pair) -> dict[str, Tensor]:
        return {"loss": (self.linear(batch.x) - batch.y).square().mean()}


def config(**values: object) -> TrainerConfig:
    base = {"epochs": 20, "batch_size": 8, "learning_rate": 0.1, "weight_decay": 0.0, "ema_decay": 0.5, "workers": 0}
    return TrainerConfig.model_validate(base | {"tensorboard": False, "precision": "32-true"} | values)


def run(folder: Path, task: Task | None = None, rows: int = 64, **values: object) -> tuple[Task, Line, object]:
    task, chosen, data = task or Regression(), config(**values), Line(rows)
    result = fit(task, training_loader(data, chosen), validation_loader(Line(16), chosen), chosen, folder)
    return task, data, result


def test_fit_learns_and_leaves_the_best_weights(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], seed: int, measured: Callable[[str, float], float]
) -> None:
    task, _, result = run(tmp_path, Regression(seed=seed), seed=seed, early_stopping=[])
    assert isinstance(task, Regression)
    assert measured("best loss", result.best_loss) < 0.01  # 0.000002–0.00002
    assert (result.updates, result.resumed) == (160, False)
    assert measured("distance of the weight from 3", abs(task.linear.weight.item() - 3)) < 0.2  # 0.001–0.007
    assert task.validation_loss(Line(16).__getitems__([(-1, i) for i in range(16)]))["loss"].item() == pytest.approx(
        result.best_loss, rel=1e-4
    )
    assert capfd.readouterr().out == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == [BEST, LAST]


def test_tensorboard_events_are_written_where_wanted(tmp_path: Path) -> None:
    run(tmp_path, epochs=1, tensorboard=True)
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_average_by_hand() -> None:
    average = warm_average(0.5)
    value = torch.tensor(10.0)
    for n, (current, decay) in enumerate([(4.0, 0.1), (8.0, 2 / 11), (6.0, 3 / 12)]):
        expected = decay * value + (1 - decay) * current
        value = average(value, torch.tensor(current), torch.tensor(n))
        assert value == pytest.approx(expected.item())
    late = average(torch.tensor(10.0), torch.tensor(0.0), torch.tensor(1000))
    assert late == pytest.approx(5.0)


def test_the_average_is_what_is_validated_and_saved(tmp_path: Path) -> None:
    """One epoch of two updates: the average is decay · first + (1 - decay) · second, with Lightning starting at the first."""
    seen: list[float] = []

    class Spy(Regression):
        def training_loss(self, batch: Pair, generator: torch.Generator) -> dict[str, Tensor]:
            seen.append(self.linear.weight.item())
            return super().training_loss(batch, generator)

    task = Spy()
    run(tmp_path, task, rows=24, epochs=1)
    assert isinstance(task, Spy)
    checkpoint = torch.load(tmp_path / LAST, weights_only=True)
    last = checkpoint["current_model_state"]["task.linear.weight"].item()
    second, third = seen[1], seen[2]  # weights after the first and the second update
    expected = second
    for n, weight in ((1, third), (2, last)):
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * weight
    assert task.linear.weight.item() == pytest.approx(expected, rel=1e-5)
    assert task.linear.weight.item() != pytest.approx(last, rel=1e-5)


def test_a_loss_that_is_not_finite_stops_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"not finite at update 11 \(epoch 1, batch 3\): loss nan; lower trainer.learning_rate"
    ):
        run(tmp_path, Regression(breaks_at=11))


def test_epochs_are_shuffled_by_seed_and_epoch_alone() -> None:
    first, second = EpochBatches(10, 4, seed=1), EpochBatches(10, 4, seed=1)
    assert len(first) == 3
    batches = list(first)
    assert batches == list(second)
    assert sorted(index for batch in batches for _, index in batch) == list(range(10))
    second.set_epoch(1)
    assert [i for b in second for _, i in b] != [i for b in batches for _, i in b]
    assert list(EpochBatches(10, 4, seed=2)) != batches
    second.skip(1, 2)
    rest = list(second)
    second.skip(0, 0)
    assert rest == list(second)[2:]


@pytest.mark.slow
def test_a_run_cut_in_the_middle_of_an_epoch_ends_as_if_it_was_not(tmp_path: Path) -> None:
    straight, data, _ = run(tmp_path / "straight", epochs=4, checkpoint_minutes=60)
    with pytest.raises(TrainingError):  # checkpoints after every update; breaks in epoch 2, batch 3
        run(tmp_path / "cut", Regression(breaks_at=19), epochs=4, checkpoint_minutes=1e-6)
    resumed, rest, result = run(tmp_path / "cut", epochs=4, checkpoint_minutes=60)
    assert isinstance(straight, Regression)
    assert isinstance(resumed, Regression)
    assert result.resumed
    assert result.updates == 32
    assert rest.asked == data.asked[19 * 8 :]
    assert resumed.draws == straight.draws[19:]
    assert resumed.linear.weight.item() == pytest.approx(straight.linear.weight.item(), rel=1e-6)


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first, _, result = run(tmp_path, epochs=2)
    again, data, second = run(tmp_path, epochs=2)
    assert isinstance(first, Regression)
    assert isinstance(again, Regression)
    assert data.asked == []
    assert second.best_loss == result.best_loss
    assert again.linear.weight.item() == first.linear.weight.item()


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    run(tmp_path, epochs=1)

    class Wider(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.more = nn.Linear(2, 2)

    with pytest.raises(TrainingError, match=r"last\.ckpt does not belong to this model"):
        run(tmp_path, Wider(), epochs=2)
    (tmp_path / LAST).write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match=r"last\.ckpt is not a readable checkpoint"):
        run(tmp_path, epochs=2)


@pytest.mark.slow
def test_patience_and_time_end_a_run(tmp_path: Path) -> None:
    stop = [{"patience": 2, "min_delta": 0.1}]
    _, _, patient = run(tmp_path / "patience", epochs=50, learning_rate=1e-9, early_stopping=stop, ema_decay=0.0)
    assert patient.epochs == 3
    _, _, timed = run(tmp_path / "time", epochs=5000, max_minutes=0.02)
    assert timed.epochs < 5000
    assert math.isfinite(timed.best_loss)


def test_gradients_are_accumulated_and_clipped(tmp_path: Path) -> None:
    _, _, result = run(tmp_path, epochs=2, accumulate=4)
    assert result.updates == result.planned == 4
    learner = Learner(Regression(), config(clip_norm=0.5))
    (1000 * learner.task.linear(torch.ones(1, 1))).sum().backward()
    learner.configure_gradient_clipping(None)
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in learner.parameters() if p.grad is not None))
    assert norm == pytest.approx(0.5, rel=1e-4)


def test_only_matrices_of_layers_decay() -> None:
    class Mixed(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(4, 3)

    learner = Learner(Mixed(), config(weight_decay=0.1))
    learner.trainer = type("Trainer", (), {"estimated_stepping_batches": 10})()  # type: ignore[assignment]
    decayed, kept = learner.configure_optimizers()["optimizer"].param_groups
    assert [tuple(p.shape) for p in decayed["params"]] == [(1, 1)]
    assert sorted(tuple(p.shape) for p in kept["params"]) == [(1,), (4, 3)]
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)


def test_slow_parts_learn_at_their_share_of_the_rate_throughout(tmp_path: Path) -> None:
    class Slow(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.other = nn.Linear(1, 1)

        def slow_parts(self) -> dict[nn.Module, float]:
            return {self.other: 0.25}

    learner = Learner(Slow(), config(learning_rate=0.2))
    learner.trainer = type("Trainer", (), {"estimated_stepping_batches": 10})()  # type: ignore[assignment]
    made = learner.configure_optimizers()
    groups, schedule = made["optimizer"].param_groups, made["lr_scheduler"]["scheduler"]
    slow = {id(p) for p in learner.task.other.parameters()}
    rates = {}
    for _ in range(9):
        for group in groups:
            rates.setdefault({id(p) for p in group["params"]} <= slow, []).append(group["lr"])
        made["optimizer"].step()
        schedule.step()
    assert 0.1 < max(rates[False]) <= 0.2
    assert sorted({group["max_lr"] for group in groups}) == pytest.approx([0.05, 0.2])
    assert rates[True] == pytest.approx([rate / 4 for rate in rates[False]])


def test_no_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="0 training"):
        run(tmp_path, rows=0)


def test_precision_is_what_was_asked_for() -> None:
    assert precision(config(precision="32-true")) == "32-true"
    assert precision(config(precision="auto")) in {"32-true", "bf16-mixed", "16-mixed"}


KILLED = """
import sys
from pathlib import Path
from bundles import tiny_catalogue, tiny_config
from catalog.catalogue import Catalogue
from models.product.family import FAMILY
folder = Path(sys.argv[1])
config = tiny_config(epochs=int(sys.argv[2]), checkpoint_minutes=1e-6, batch_size=8)
catalogue = Catalogue.open(folder / "catalogue")
split = FAMILY.split(catalogue, config)
FAMILY.train(catalogue, split, FAMILY.augment(catalogue, split, config), config, folder / "work")
"""


@pytest.mark.slow
def test_training_resumes_after_kill_9(tmp_path: Path) -> None:
    from bundles import tiny_catalogue

    from models.product.predictor import ProductPredictor

    tiny_catalogue(tmp_path / "catalogue", products=120)
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, str(tmp_path), "4"]
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    last = tmp_path / "work" / LAST
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if last.is_file() and torch.load(last, weights_only=True)["global_step"] >= 3:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    reached = torch.load(last, weights_only=True)["global_step"]
    assert reached >= 3
    assert not (tmp_path / "work" / "bundle").exists()

    from bundles import tiny_config

    from catalog.catalogue import Catalogue
    from models.product import fitting
    from models.product.family import FAMILY

    results = []
    original = fitting.fit

    def spy(*args: object) -> object:
        results.append(original(*args))  # type: ignore[arg-type]
        return results[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "fit", spy)
        config = tiny_config(epochs=4, checkpoint_minutes=1e-6, batch_size=8)
        catalogue = Catalogue.open(tmp_path / "catalogue")
        split = FAMILY.split(catalogue, config)
        bundle = FAMILY.train(catalogue, split, FAMILY.augment(catalogue, split, config), config, tmp_path / "work")
    rows = int((split["split"] == "train").sum())
    assert results[0].resumed
    assert results[0].updates == 4 * -(-rows // 8)
    assert ProductPredictor.load(bundle).labels["article_type"]
