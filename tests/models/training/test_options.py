"""Schedules, rules that end training, compilation, checkpointing of activations, and Weights & Biases."""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Timer
from pydantic import ValidationError
from tiny_task import PointRows, Points, PointTask, fit_points, point_config
from torch import Tensor

from models.training.task import Task
from models.training.trainer import LAST, Learner, TrainingError, fit, training_loader, validation_loader

pytestmark = [pytest.mark.slow, pytest.mark.trains]


def rates(schedule: str, updates: int, **values: object) -> list[float]:
    """Learning rate of each update."""
    learner = Learner(PointTask(), point_config(schedule=schedule, learning_rate=1.0, **values))
    learner.trainer = type("Trainer", (), {"estimated_stepping_batches": updates})()  # type: ignore[assignment]
    made = learner.configure_optimizers()
    found = []
    for _ in range(updates):
        found.append(made["optimizer"].param_groups[0]["lr"])
        made["optimizer"].step()
        made["lr_scheduler"]["scheduler"].step()
    return found


def test_cosine_by_hand() -> None:
    found = rates("cosine", 12, warmup=0.34)
    assert found[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert found[4:] == pytest.approx([(1 + math.cos(math.pi * n / 8)) / 2 for n in range(8)])
    assert rates("cosine", 2, warmup=0.0) == pytest.approx([1.0, 0.5])
    assert rates("cosine", 2, warmup=1.0) == pytest.approx([0.5, 1.0])


def test_onecycle_rises_to_its_peak_and_falls_to_nothing() -> None:
    found = rates("onecycle", 21, warmup=11 / 21)
    assert found.index(max(found)) == 10
    assert max(found) == pytest.approx(1.0)
    assert found[0] < 0.1
    assert found[-1] < 1e-3


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
def test_rates_are_low_when_time_ends_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: str) -> None:
    """A clock of which an update takes a twelfth of the time allowed; 300 updates are planned."""
    updates: list[int] = []

    class Counted(PointTask):
        def training_loss(self, batch: Points, generator: torch.Generator) -> dict[str, Tensor]:
            updates.append(len(updates))
            return super().training_loss(batch, generator)

    monkeypatch.setattr(Timer, "time_elapsed", lambda *_: 60 * len(updates) / 12)
    values = {"epochs": 100, "schedule": schedule, "learning_rate": 0.1, "max_minutes": 1, "early_stopping": []}
    _, result = fit_points(tmp_path, Counted(), **values)
    assert (result.updates, result.planned) == (12, 300)
    assert learning_rate(tmp_path) < 0.001


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
@pytest.mark.parametrize("gone", [0.0, 0.5], ids=["all the time", "a first update that takes half of it"])
def test_rates_are_the_updates_where_time_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: str, gone: float
) -> None:
    values = {"epochs": 4, "schedule": schedule, "learning_rate": 0.1, "early_stopping": []}
    fit_points(tmp_path / "unbounded", PointTask(), **values)
    monkeypatch.setattr(Timer, "time_elapsed", lambda *_: 60 * gone)
    _, result = fit_points(tmp_path / "enough", PointTask(), **values, max_minutes=1)
    assert result.updates == result.planned == 12
    assert learning_rate(tmp_path / "enough") == learning_rate(tmp_path / "unbounded")


class Scripted(PointTask):
    """Validation terms as given, epoch by epoch."""

    def __init__(self, breaks_at: int | None = None, **terms: list[float]) -> None:
        super().__init__(breaks_at=breaks_at)
        self.script, self.validated = terms, 0

    def validation_loss(self, batch: Points) -> dict[str, Tensor]:
        epoch = self.validated // 3  # 19 rows in batches of 8
        self.validated += 1
        return {name: torch.tensor(values[epoch]) for name, values in self.script.items()}


def learning_rate(folder: Path) -> float:
    return float(torch.load(folder / LAST, weights_only=True)["optimizer_states"][0]["param_groups"][0]["lr"])


def test_plateau_lowers_the_rate_when_the_loss_no_longer_falls(tmp_path: Path) -> None:
    values = {"schedule": "plateau", "plateau_patience": 1, "plateau_factor": 0.1, "learning_rate": 0.04, "early_stopping": []}
    for epochs, expected in ((3, 0.04), (4, 0.004), (6, 0.0004)):
        task = Scripted(loss=[2.0, 1.0, 1.5, 1.5, 1.5, 1.5])
        fit_points(tmp_path / str(epochs), task, epochs=epochs, **values)
        assert learning_rate(tmp_path / str(epochs)) == pytest.approx(expected)


@pytest.mark.parametrize("loss", ["uncertainty", "dwa"])
@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "plateau"])
@pytest.mark.parametrize(("step", "minutes"), [(7, 1e-6), (6, 60)], ids=["within an epoch", "between epochs"])
def test_a_cut_run_ends_as_if_it_was_not(tmp_path: Path, loss: str, schedule: str, step: int, minutes: float) -> None:
    """Three updates an epoch; a rate of 0.3 makes the validation loss rise, so that the plateau schedule acts."""
    values = {"epochs": 5, "schedule": schedule, "learning_rate": 0.3, "plateau_patience": 0, "early_stopping": [{"patience": 9}]}
    fit_points(tmp_path / "straight", PointTask(loss), **values)
    with pytest.raises(TrainingError, match="cut"):
        fit_points(tmp_path / "cut", PointTask(loss, breaks_at=step), checkpoint_minutes=minutes, **values)
    _, result = fit_points(tmp_path / "cut", PointTask(loss), **values)
    assert (result.resumed, result.updates) == (True, 15)
    if schedule == "plateau":
        assert learning_rate(tmp_path / "straight") < 0.3
    straight, cut = (torch.load(tmp_path / name / LAST, weights_only=True) for name in ("straight", "cut"))
    assert straight["optimizer_states"][0]["param_groups"][0]["lr"] == cut["optimizer_states"][0]["param_groups"][0]["lr"]
    for part in ("state_dict", "current_model_state"):
        for name, value in straight[part].items():
            torch.testing.assert_close(cut[part][name], value, msg=lambda text, name=name: f"{name}: {text}")
    for name, state in straight["callbacks"].items():
        if name.startswith("EarlyStop"):
            assert state["wait_count"] == cut["callbacks"][name]["wait_count"]


def test_any_rule_ends_training(tmp_path: Path) -> None:
    rules = [{"patience": 3}, {"metric": "validation/accuracy", "mode": "max", "patience": 2, "min_delta": 0.05}]
    losses = [1.0 - n / 100 for n in range(9)]
    accuracies = [0.5, 0.6, 0.62, 0.64, 0.66, 0.9, 0.9, 0.9, 0.9]  # epochs 3 and 4 gain less than 0.05
    task = Scripted(loss=losses, accuracy=accuracies)
    _, result = fit_points(tmp_path / "accuracy", task, epochs=9, early_stopping=rules)
    assert result.epochs == 4
    _, again = fit_points(tmp_path / "accuracy", Scripted(loss=losses, accuracy=accuracies), epochs=9, early_stopping=rules)
    assert (again.resumed, again.epochs, again.updates) == (True, 4, 12)
    task = Scripted(loss=[1.0, 1.1, 1.2, 1.3] + 5 * [1.4], accuracy=[n / 10 for n in range(9)])
    _, result = fit_points(tmp_path / "loss", task, epochs=9, early_stopping=rules)
    assert result.epochs == 4
    _, result = fit_points(tmp_path / "none", Scripted(loss=9 * [1.0]), epochs=9, early_stopping=[])
    assert result.epochs == 9


def test_a_rule_on_what_is_not_logged_is_refused_at_once(tmp_path: Path) -> None:
    told = r"^validation/acuracy is not logged, yet training depends on it; logged are .*train/value.*validation/contrastive"
    with pytest.raises(TrainingError, match=told):
        fit_points(tmp_path, early_stopping=[{"metric": "validation/acuracy", "mode": "max"}])
    assert not (tmp_path / LAST).exists()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"early_stopping": [{}, {"mode": "max"}]}, "validation/loss has several early_stopping rules"),
        ({"batch_size": 2, "devices": 4}, "batch_size 2 cannot be divided between 4 devices"),
        ({"strategy": "fsdp"}, "needs devices of 2 or more"),
        ({"strategy": "fsdp", "devices": 2}, "fsdp keeps no weight average: set ema_decay to 0, not 0.5"),
        ({"schedule": "linear"}, "'onecycle', 'cosine' or 'plateau'"),
        ({"wandb": True}, "'off', 'offline' or 'online'"),
    ],
)
def test_settings_that_exclude_each_other(values: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        point_config(**values)


def test_more_devices_than_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(TrainingError, match=r"trainer\.devices is 2, and this machine has 1"):
        fit_points(tmp_path / "run", devices=2)
    assert not (tmp_path / "run").exists()


def test_parts_are_compiled_while_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dynamo without the code generator, which takes longer than all the rest."""
    compiled: list[Callable[..., object]] = []

    def traced(function: Callable[..., object], **values: object) -> object:
        compiled.append(function)
        return compile_torch(function, backend="eager", **values)

    compile_torch = torch.compile
    monkeypatch.setattr(torch, "compile", traced)
    plain, _ = fit_points(tmp_path / "plain")
    assert compiled == []
    task, _ = fit_points(tmp_path / "compiled", compile=True)
    assert [getattr(function, "__self__", None) for function in compiled] == [task.block]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert task.block._compiled_call_impl is None
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(task.state_dict()[name], value, atol=1e-5, rtol=0)


def test_activations_are_computed_again_in_the_backward_pass(tmp_path: Path) -> None:
    calls = {False: 0, True: 0}
    found = {}
    for again in calls:
        task = PointTask()
        task.block.register_forward_pre_hook(lambda module, _, again=again: calls.update({again: calls[again] + module.training}))
        found[again], _ = fit_points(tmp_path / str(again), task, ema_decay=0.0, gradient_checkpointing=again)
    assert calls == {False: 6, True: 12}  # three steps in each of two epochs
    for name, value in found[False].state_dict().items():
        torch.testing.assert_close(found[True].state_dict()[name], value)


def test_a_task_without_checkpointing_says_so(tmp_path: Path) -> None:
    class Plain(PointTask):
        checkpoint_activations = Task.checkpoint_activations

    with pytest.raises(TrainingError, match=r"no gradient checkpointing; set trainer\.gradient_checkpointing to false"):
        fit_points(tmp_path, Plain(), gradient_checkpointing=True)


def told_to_wandb(path: Path) -> tuple[dict[str, str], bool]:
    """Newest value by name in an offline run's file, and whether the run's end is written."""
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    store, logged, ended = DataStore(), {}, False
    store.open_for_scan(str(path))
    while (data := store.scan_data()) is not None:
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        ended |= record.HasField("exit")
        for item in record.history.item:
            logged[item.key or "/".join(item.nested_key)] = item.value_json
    return logged, ended


def test_weights_and_biases_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    _, result = fit_points(tmp_path, wandb="offline", epochs=2)
    (path,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    logged, ended = told_to_wandb(path)
    for _ in range(300):  # a process of its own writes the file, on a busy machine after the run is finished
        if ended:
            break
        time.sleep(0.1)
        logged, ended = told_to_wandb(path)
    assert ended
    assert float(logged["validation/loss"]) >= result.best_loss - 1e-6
    assert "validation/value" in logged
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.safetensors", "last.ckpt", "wandb"]


def test_weights_and_biases_online_needs_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(TrainingError, match=r"trainer\.wandb=online needs WANDB_API_KEY in the environment"):
        fit_points(tmp_path / "run", wandb="online")
    assert not (tmp_path / "run").exists()


def test_weights_and_biases_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(TrainingError, match=r"trainer\.wandb=offline needs the package wandb, which is not installed"):
        fit_points(tmp_path / "run", wandb="offline")
    assert not (tmp_path / "run").exists()


def test_weights_and_biases_is_not_imported_unless_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # an import would fail
    _, result = fit_points(tmp_path, epochs=1)
    assert result.updates == 3


def test_a_bare_off_in_yaml_is_a_word() -> None:
    assert point_config(wandb=False).wandb == "off"


def test_a_batch_without_labels_stops_with_a_reason(tmp_path: Path) -> None:
    class Unlabelled(PointTask):
        def terms(self, batch: Points, everywhere: bool) -> dict[str, Tensor]:
            return {} if everywhere else super().terms(batch, everywhere)

    with pytest.raises(ValueError, match="no loss in this batch; it needs labels for one at least of value, sign, contrastive"):
        fit_points(tmp_path, Unlabelled())


def test_a_validation_term_is_a_mean_over_the_rows_that_had_it(tmp_path: Path) -> None:
    class Sometimes(PointTask):
        batches = 0

        def validation_loss(self, batch: Points) -> dict[str, Tensor]:
            self.batches += 1
            terms = {"loss": torch.tensor(float(len(batch)))}
            return terms | ({"seldom": torch.tensor(float(self.batches))} if self.batches > 1 else {})

    config = point_config(epochs=1, early_stopping=[{"metric": "validation/seldom"}])
    task = Sometimes()
    result = fit(task, training_loader(PointRows(8), config), validation_loader(PointRows(19), config), config, tmp_path)
    assert result.best_loss == pytest.approx((8 * 8 + 8 * 8 + 3 * 3) / 19)
    stop = next(s for k, s in torch.load(tmp_path / LAST, weights_only=True)["callbacks"].items() if "seldom" in k)
    assert float(stop["best_score"]) == pytest.approx((8 * 2 + 3 * 3) / 11)
