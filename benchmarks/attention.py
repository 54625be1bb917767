"""What does `scaled_dot_product_attention` save over softmax(QKᵀ)V, and what do packing, checkpointing, compiling and bf16 do?

Three parts. `kernels`: forward and backward of SDPA against the written-out softmax, with a mask, without, and packed, by
sequence length; the peers take turns, and their answers are compared. `training`: the product model's training step with one
thing changed at a time. `peak`: on a GPU of known peak, the share of its bf16 FLOP/s that the `large` preset reaches.

Memory on a GPU is the highest of the step; on a CPU it is what autograd keeps for the backward pass.

    OMP_NUM_THREADS=2 python -m benchmarks.attention [--lengths 64 256 1024] [--preset base]
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import write
from benchmarks.product import Step, accelerator, alternate, batches, device, milliseconds
from models.product.config import Preset, ProductModelConfig
from models.training.packing import Packing

TOKENS = 16384
"""Of a batch, whatever the length: longer sequences come in smaller batches."""
HEADS, HEAD_DIM = 4, 64
PEAK = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}
"""Dense bf16 FLOP/s with fp32 accumulation, from the makers' data sheets."""


def main() -> None:
    """Run the parts and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[32, 128, 512, 1024, 2048])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--preset", default="base", help="of the training part")
    parser.add_argument("--rows", type=int, default=64, help="listings a training step")
    parser.add_argument("--no-compile", action="store_true", help="leave compiled steps out: compiling takes a minute or more")
    parser.add_argument("--dry", action="store_true", help="print the result, write no file")
    options = parser.parse_args()
    result = {
        "accelerator": accelerator(),
        "kernels": [kernels(length, options.repeats) for length in options.lengths],
        "training": training(options.preset, options.rows, options.repeats, not options.no_compile),
        "peak": peak(options.rows, options.repeats),
    }
    print(json.dumps(result, indent=1))
    if not options.dry:
        write("attention", result)


def eager(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax(QKᵀ / √D) V with the (S, S) matrix of weights in memory; mask True where a key may be seen."""
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ v


def kernels(length: int, repeats: int) -> dict[str, Any]:
    """Time, memory and agreement at one sequence length; half of the tokens of the padded batch are padding on average."""
    rows = max(1, TOKENS // length // HEADS)
    generator = torch.Generator(device=device()).manual_seed(0)
    kind = torch.bfloat16 if device() == "cuda" else torch.float32
    shape = (rows, HEADS, length, HEAD_DIM)
    q, k, v = (torch.randn(shape, generator=generator, device=device(), dtype=kind).requires_grad_() for _ in range(3))
    lengths = torch.randint(1, length + 1, (rows,), generator=generator, device=device())
    present = torch.arange(length, device=device()) < lengths[:, None]
    mask, packing = present[:, None, None], Packing.of(present)
    packed = [packing.pack(x.detach().transpose(1, 2)).requires_grad_() for x in (q, k, v)]
    ways: dict[str, Callable[[], Tensor]] = {
        "eager": partial(eager, q, k, v),
        "sdpa": partial(F.scaled_dot_product_attention, q, k, v),
        "eager_mask": partial(eager, q, k, v, mask),
        "sdpa_mask": partial(F.scaled_dot_product_attention, q, k, v, attn_mask=mask),
        "sdpa_packed": partial(packing._jagged, *packed),
    }
    with torch.no_grad():
        masked = packing.pack(ways["sdpa_mask"]().transpose(1, 2))
        difference = {
            "sdpa": largest(ways["sdpa"]() - ways["eager"]()),
            "sdpa_packed": largest(ways["sdpa_packed"]() - masked),
        }
    measured = compare({name: partial(backward, way) for name, way in ways.items()}, repeats)
    speed = measured["eager"]["ms"] / measured["sdpa"]["ms"]
    return {
        "length": length,
        "rows": rows,
        **measured,
        "sdpa_speed_over_eager": round(speed, 2),
        "largest_difference": difference,
    }


def backward(way: Callable[[], Tensor]) -> Tensor:
    """A forward and a backward pass."""
    out = way().float().square().mean()
    out.backward()
    return out


def largest(x: Tensor) -> float:
    """Largest absolute value."""
    return float(x.abs().max())


def training(preset: Preset, rows: int, repeats: int, compiled: bool) -> dict[str, Any]:
    """The training step of the product model with one thing changed at a time."""
    config = ProductModelConfig(preset=preset)
    steps = {
        "fp32": Step(config),
        "bf16": Step(config, autocast=True),
        "fp32_checkpointing": Step(config, checkpointing=True),
    }
    if compiled:
        steps["fp32_compiled"] = Step(config, compiled=True)
    if compiled and device() == "cuda":
        steps["bf16_compiled"] = Step(config, autocast=True, compiled=True)
    batch = batches(config, rows, 1)[0]
    measured = compare({name: partial(step.run, batch) for name, step in steps.items()}, repeats)
    for name in measured:
        measured[name]["speed_over_fp32"] = round(measured["fp32"]["ms"] / measured[name]["ms"], 2)
    return {"preset": preset, "rows": rows, **measured}


def peak(rows: int, repeats: int) -> dict[str, Any]:
    """Share of the GPU's peak that the `large` preset reaches in training."""
    if device() != "cuda":
        return {"skipped": "no GPU here: the share of peak FLOP/s is measured on one"}
    name = torch.cuda.get_device_name()
    known = next((value for key, value in PEAK.items() if key in name), None)
    if known is None:
        return {"skipped": f"the peak of {name} is not known; known are {', '.join(PEAK)}"}
    config = ProductModelConfig(preset="large")
    batch = batches(config, rows, 1)[0]
    with FlopCounterMode(display=False) as counter:
        Step(config, autocast=True).run(batch)
    step = Step(config, autocast=True, compiled=True)
    measured = compare({"large": partial(step.run, batch)}, repeats)["large"]
    rate = counter.get_total_flops() / measured["ms"] * 1000
    return {**measured, "tflops_a_step": counter.get_total_flops() / 1e12, "share_of_peak": round(rate / known, 3), "goal": 0.4}


def compare(ways: dict[str, Callable[[], Any]], repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds and memory in MiB of each way."""
    seconds = alternate(ways, repeats)
    return {
        name: milliseconds(seconds[name]) | {"memory_mib": round(measure_memory(way) / 2**20, 1)} for name, way in ways.items()
    }


def measure_memory(way: Callable[[], Any]) -> float:
    """Bytes: the peak on a GPU, what autograd keeps on a CPU."""
    if device() == "cuda":
        way()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        way()
        return float(torch.cuda.max_memory_allocated() - before)
    kept: dict[int, torch.UntypedStorage] = {}  # holds them, so that no address is used twice

    def keep(x: Tensor) -> Tensor:
        storage = (x.values() if x.is_nested else x).untyped_storage()
        kept[storage.data_ptr()] = storage
        return x

    with saved_tensors_hooks(keep, lambda x: x):
        way()
    return float(sum(storage.nbytes() for storage in kept.values()))


if __name__ == "__main__":
    main()
