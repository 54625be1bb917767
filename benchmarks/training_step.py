"""What does the shared trainer cost: our Lightning step against a bare PyTorch loop over the same model and batches?

Both take the same prepared batches from the same kind of loader, with the same optimizer, schedule, clipping and precision. The
trainer also checks that the loss is finite, logs, and can be resumed; with `averaged` it also keeps the weight average that is
evaluated. A step lasts from one request for a batch to the next. The ways take turns.

    OMP_NUM_THREADS=2 python -m benchmarks.training_step [--preset base] [--steps 20] [--repeats 3]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, Dataset

from benchmarks.machine import write
from benchmarks.product import accelerator, batches, device, product_model, synchronise
from configs.schema import TrainerConfig
from models.product.config import ProductModelConfig
from models.product.inputs import Batch
from models.product.task import ProductTask
from models.training.batches import training_loader, validation_loader
from models.training.trainer import fit, precision

PREPARED = 8
WARM = 4
FEWEST = 14
GOAL = 0.95


class Prepared(Dataset[Batch]):
    """`steps` batches, over and over the same few; notes when each is asked for."""

    def __init__(self, batches: Sequence[Batch], steps: int) -> None:
        self.batches, self.steps = batches, steps
        self.asked: list[float] = []

    def __len__(self) -> int:
        return self.steps * len(self.batches[0])

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch:
        """The next batch, whatever its keys."""
        self.asked.append(time.perf_counter())
        return self.batches[len(self.asked) % len(self.batches)]

    def seconds(self) -> list[float]:
        """Of each step after the first few."""
        return np.diff(self.asked)[WARM:].tolist()


def main() -> None:
    """Run the ways in turn and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="base")
    parser.add_argument("--rows", type=int, default=128, help="listings a step")
    parser.add_argument("--steps", type=int, default=20, help="of each repetition")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="print the result, write no file")
    options = parser.parse_args()
    if options.steps < FEWEST:
        parser.error(f"--steps must be at least {FEWEST}: {WARM} are left out, and the schedule rises over the first tenth")
    config = ProductModelConfig(preset=options.preset)
    prepared = batches(config, options.rows, PREPARED)
    ways: dict[str, Callable[[Prepared], None]] = {
        "bare": lambda data: bare(config, data, trainer(options.rows)),
        "lightning": lambda data: lightning(config, data, trainer(options.rows)),
        "lightning_averaged": lambda data: lightning(config, data, trainer(options.rows, ema_decay=0.999)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repeats):
        for name, way in ways.items():
            data = Prepared(prepared, options.steps)
            way(data)
            seconds[name] += data.seconds()
    result = {"accelerator": accelerator(), "preset": options.preset, "rows": options.rows, **judged(seconds, options.rows)}
    print(json.dumps(result, indent=1))
    if not options.dry:
        write("training_step", result)


def judged(seconds: dict[str, list[float]], rows: int) -> dict[str, Any]:
    """Samples a second by the median step, and shares of the bare loop's."""
    rates = {name: rows / float(np.median(values)) for name, values in seconds.items()}
    return {
        "steps": {name: len(values) for name, values in seconds.items()},
        "samples_per_second": {name: round(rate, 1) for name, rate in rates.items()},
        "share_of_bare": {name: round(rate / rates["bare"], 3) for name, rate in rates.items()},
        "goal": GOAL,
    }


def trainer(rows: int, ema_decay: float = 0.0) -> TrainerConfig:
    """As trained, but for what is measured apart."""
    return TrainerConfig(epochs=1, batch_size=rows, ema_decay=ema_decay, workers=0, checkpoint_minutes=60.0)


def lightning(config: ProductModelConfig, data: Prepared, settings: TrainerConfig) -> None:
    """The trainer as pipelines call it."""
    held_out = Prepared(data.batches, 1)
    with tempfile.TemporaryDirectory() as folder:
        task = ProductTask(product_model(config))
        fit(task, training_loader(data, settings), validation_loader(held_out, settings), settings, Path(folder))


def bare(config: ProductModelConfig, data: Prepared, settings: TrainerConfig) -> None:
    """The same arithmetic and nothing else."""
    task = ProductTask(product_model(config)).to(device()).train()
    embeddings = {id(p) for m in task.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    decayed = [p for p in task.parameters() if p.ndim >= 2 and id(p) not in embeddings]
    kept = [p for p in task.parameters() if p.ndim < 2 or id(p) in embeddings]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": kept, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=data.steps, pct_start=settings.warmup, cycle_momentum=False
    )
    loader: DataLoader[Any] = training_loader(data, settings)
    low = precision(settings) == "bf16-mixed"
    kernels = [SDPBackend.MATH] if low and device() == "cpu" else list(SDPBackend.__members__.values())  # as the trainer chooses
    for step, batch in enumerate(loader):
        with torch.autocast(device(), torch.bfloat16, enabled=low), sdpa_kernel(kernels):
            loss = task.training_loss(batch.to(device()), torch.Generator().manual_seed(step))["loss"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(task.parameters(), settings.clip_norm)
        optimizer.step()
        schedule.step()
    synchronise()


if __name__ == "__main__":
    main()
