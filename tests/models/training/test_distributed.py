"""Training on two processes against one, over the same batches."""

import logging
from pathlib import Path

import pytest
import torch
from product_batches import TERMS
from product_ranks import compared
from quick_ranks import quick_ranks
from rank_steps import drawn_and_normed, reduced, rows_alone
from safetensors.torch import load_file
from tiny_task import PointTask, fit_points
from torch import Tensor

from models.training import distributed
from models.training.batches import EpochBatches, OrderedBatches
from models.training.distributed import gather_rows, run_ranks, sum_over_ranks
from models.training.trainer import BEST, LAST, TrainingError

pytestmark = [pytest.mark.slow, pytest.mark.trains, pytest.mark.usefixtures("quick_start")]

if torch.cuda.is_available():
    pytest.skip("gloo is tested where there is no GPU; hide it with CUDA_VISIBLE_DEVICES=", allow_module_level=True)

DDP = {"devices": 2}
FSDP = {"devices": 2, "strategy": "fsdp", "ema_decay": 0.0}


def same(first: Path, second: Path) -> None:
    """The best weights, averaged, and the last ones as they are."""
    for read in (best_weights, last_weights):
        found, expected = read(first), read(second)
        assert found.keys() == expected.keys()
        for name, value in found.items():
            torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=0, msg=lambda text, name=name: f"{name}: {text}")


def best_weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / BEST)


def last_weights(folder: Path) -> dict[str, Tensor]:
    found = torch.load(folder / LAST, weights_only=True)
    return found.get("current_model_state", found["state_dict"])


@pytest.mark.parametrize("loss", ["uncertainty", "dwa"])
@pytest.mark.parametrize("values", [DDP, FSDP], ids=["ddp", "fsdp"])
def test_two_ranks_train_as_one(tmp_path: Path, values: dict[str, object], loss: str) -> None:
    """21 rows in batches of 8: the last batch is 3 rows to one rank and 2 to the other, and few rows are labelled."""
    ema = values.get("ema_decay", 0.5)
    _, alone = fit_points(tmp_path / "one", PointTask(loss), ema_decay=ema, epochs=3)
    two, both = fit_points(tmp_path / "two", PointTask(loss), epochs=3, **values)
    same(tmp_path / "two", tmp_path / "one")
    assert both.best_loss == pytest.approx(alone.best_loss, abs=1e-5)
    assert (both.updates, both.epochs) == (alone.updates, alone.epochs) == (9, 3)
    start = PointTask(loss).state_dict()
    assert all(not torch.equal(start[name], value) for name, value in two.state_dict().items() if "inward" in name)
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == [BEST, LAST]


@pytest.mark.parametrize("then", [{"devices": 2}, {"devices": 1, "strategy": "auto"}], ids=["two", "one"])
@pytest.mark.parametrize(("values", "loss"), [(DDP, "dwa"), (FSDP, "uncertainty")], ids=["ddp", "fsdp"])
def test_a_cut_run_goes_on_with_as_many_ranks_or_fewer(
    tmp_path: Path, values: dict[str, object], then: dict[str, object], loss: str
) -> None:
    fit_points(tmp_path / "straight", PointTask(loss), ema_decay=values.get("ema_decay", 0.5), epochs=3)
    with pytest.raises(TrainingError, match=r"^cut at step 5$"):  # in the middle of the second epoch
        fit_points(tmp_path / "cut", PointTask(loss, breaks_at=5), epochs=3, checkpoint_minutes=1e-6, **values)
    whole = torch.load(tmp_path / "cut" / LAST, weights_only=True)["state_dict"]
    assert {name: value.shape for name, value in whole.items()} == {
        f"task.{name}": value.shape for name, value in PointTask(loss).state_dict().items()
    }
    _, result = fit_points(tmp_path / "cut", PointTask(loss), epochs=3, **(values | then))
    assert (result.resumed, result.updates) == (True, 9)
    same(tmp_path / "cut", tmp_path / "straight")


def test_what_ranks_log_is_handled_here_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    _, result = fit_points(tmp_path, epochs=1, **DDP)
    told = [record.getMessage() for record in caplog.records if record.name == "models.training.callbacks"]
    assert len(told) == 1
    assert told[0].startswith(f"epoch 1 of 1: validation loss {result.best_loss:.4f}")


def test_ranks_start_as_fresh_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "run_ranks", run_ranks)
    fit_points(tmp_path / "one", epochs=1)
    fit_points(tmp_path / "two", epochs=1, **DDP)
    same(tmp_path / "two", tmp_path / "one")


def test_the_parts_of_a_batch_make_the_batch() -> None:
    whole = EpochBatches(17, 8, seed=3)
    parts = [EpochBatches(17, 8, seed=3) for _ in range(2)]
    for rank, part in enumerate(parts):
        part.shard(rank, 2)
        assert len(part) == len(whole) == 3
    for batch, first, second in zip(whole, *parts, strict=True):
        assert first == batch[0::2]
        assert second == (batch[1::2] or batch)
    values = torch.arange(17.0).square()
    for number, (batch, *shards) in enumerate(zip(whole, *parts, strict=True)):
        means = [part.share(number) * values[[i for _, i in rows]].mean() for part, rows in zip(parts, shards, strict=True)]
        assert sum(means) / 2 == pytest.approx(values[[i for _, i in batch]].mean().item())
    assert parts[1].share(2) == 0.0


def test_every_validation_batch_counts_once() -> None:
    whole = list(OrderedBatches(19, 8))
    counted = []
    for rank in range(2):
        part = OrderedBatches(19, 8)
        part.shard(rank, 2)
        batches = list(part)
        assert len(part) == len(batches) == 2
        counted += [batch for number, batch in enumerate(batches) if part.counts(number)]
    assert sorted(counted) == whole


def test_sums_and_gathered_rows_by_hand() -> None:
    first, gradient0, total, own0, second, gradient1, _, own1 = quick_ranks(reduced, 2)
    assert first == second == [[0.0, 1.0], [2.0, 3.0], [7.0, -1.0]]
    assert gradient0 + gradient1 == [[1.0, 0.0], [3.0, 2.0], [-1.0, 7.0]]
    assert total == [3.0, 6.0]
    assert own0 == own1 == [12.0, 6.0]  # both ranks' losses depend on each rank's part


def test_a_row_that_two_ranks_have_counts_once() -> None:
    expected = torch.rand(1, generator=torch.Generator().manual_seed(5)).tolist()
    assert quick_ranks(rows_alone, 2) == 2 * [[[[2.0, 3.0]], [4], expected, 7.0]]


def test_rows_are_drawn_and_normed_as_on_one_rank() -> None:
    rows = torch.randn(5, 4, generator=torch.Generator().manual_seed(5)).requires_grad_()
    norm = torch.nn.BatchNorm1d(4, momentum=0.3)
    out = norm(rows)
    (out**3).sum().backward()
    for rank, found in enumerate(quick_ranks(drawn_and_normed, 2)):
        expected = [out[rank::2], rows.grad[rank::2], norm.running_mean, norm.running_var]  # type: ignore[index]
        for value, told in zip(expected, found, strict=True):
            torch.testing.assert_close(torch.tensor(told), value.detach(), atol=1e-5, rtol=1e-5)


def test_one_rank_alone_adds_nothing() -> None:
    rows = torch.ones(2, 2)
    assert gather_rows(rows) is rows
    assert sum_over_ranks(rows) is rows


def test_the_product_models_step_on_two_ranks_is_that_of_one() -> None:
    """Labels that few rows have, pairs between the rows of both ranks, reviews."""
    names = run_ranks(compared, 2)
    assert {"loss", *TERMS} <= set(names)
    assert "gradient of model.heads.quality.layers.0.weight" in names
