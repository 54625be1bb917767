"""What does keeping freed memory in the process save in a training step on a CPU (`models.training.allocator`)?

Forward and backward pass and the update, with and without it, each in fresh processes that take turns: the setting cannot be
taken back. Page faults say why: each is a page that the kernel had to clear and give to the process.

    OMP_NUM_THREADS=2 python -m benchmarks.allocator [--preset base] [--steps 12] [--repeats 3]
"""

import argparse
import json
import resource
import sys
import time
from typing import Any

import numpy as np
import torch

from benchmarks.machine import in_a_process, write
from benchmarks.product import Step, batches
from models.product.config import ProductModelConfig
from models.training.allocator import keep_freed_memory

WAYS = ("default", "kept")
WARM = 3


def main() -> None:
    """Run the processes in turn and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="base")
    parser.add_argument("--rows", type=int, default=128, help="listings a step")
    parser.add_argument("--steps", type=int, default=12, help="of each process, after a few to warm up")
    parser.add_argument("--repeats", type=int, default=3, help="processes of each way")
    parser.add_argument("--way", choices=WAYS, help="measure this way in this process, and print it as JSON")
    parser.add_argument("--dry", action="store_true", help="print the result, write no file")
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measured(options.way, options.preset, options.rows, options.steps)))
        return
    shape = [f"--{name}={getattr(options, name)}" for name in ("preset", "rows", "steps")]
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(options.repeats):
        for way in WAYS:
            found[way].append(in_a_process("benchmarks.allocator", "--way", way, *shape))
    result = {"threads": torch.get_num_threads(), "preset": options.preset, "rows": options.rows, **judged(found)}
    print(json.dumps(result, indent=1))
    if not options.dry:
        write("allocator", result)


def measured(way: str, preset: str, rows: int, steps: int) -> dict[str, Any]:
    """Seconds and page faults of each step, and the largest memory of the process."""
    if way == "kept" and not keep_freed_memory():
        sys.exit("this C library is not glibc: there is nothing to measure")
    config = ProductModelConfig(preset=preset)
    step = Step(config)
    optimizer = torch.optim.AdamW(step.task.parameters(), lr=1e-4, fused=True)
    prepared = batches(config, rows, 4)
    seconds, faults = [], []
    for i in range(WARM + steps):
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
        step.run(prepared[i % len(prepared)])
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds[WARM:], "faults": faults[WARM:], "peak_mib": round(peak / 1024)}


def judged(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Of each way the median step, its page faults and the peak of memory; then how much faster keeping is."""
    ways = {
        way: {
            "step_ms": round(1000 * float(np.median(np.concatenate([run["seconds"] for run in runs]))), 1),
            "step_ms_by_process": [round(1000 * float(np.median(run["seconds"])), 1) for run in runs],
            "page_faults_a_step": round(float(np.median(np.concatenate([run["faults"] for run in runs])))),
            "peak_mib": max(run["peak_mib"] for run in runs),
        }
        for way, runs in found.items()
    }
    return {**ways, "speed_over_default": round(ways["default"]["step_ms"] / ways["kept"]["step_ms"], 3)}


if __name__ == "__main__":
    main()
