"""Several processes that train one model: starting them, and what they tell each other. A rank is a process's number.

Gradients are averaged over ranks. A task whose loss is a mean over the rows of its batch need do nothing about that. A
mean over some rows only, or a loss between rows, is exactly that of the global batch through these two:

    sum_over_ranks   sums and counts of rows with a label: divide after adding
    gather_rows      the rows of all ranks, for contrastive losses

Every rank must call them equally often, so never where only some ranks come by, and not in validation: there, each rank
has whole batches of its own. Of a last batch with fewer rows than ranks, the others see a row twice: it weighs nothing in
means over rows, but counts in these two.
"""

import logging
import logging.handlers
import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist
from torch.multiprocessing.spawn import ProcessRaisedException, start_processes

from configs.errors import VitrinaError
from models.errors import TrainingError

T = TypeVar("T")


def world_size() -> int:
    """Number of ranks; 1 outside distributed training."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process; 0 outside distributed training."""
    return dist.get_rank() if dist.is_initialized() else 0


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


def sum_over_ranks(values: Tensor) -> Tensor:
    """Sum of a tensor that has the same shape on every rank; gradients flow back to each rank's own."""
    return values if world_size() == 1 else _Sum.apply(values)  # type: ignore[no-untyped-call]


def gather_rows(values: Tensor) -> Tensor:
    """Rows (n, ...) of all ranks (N, ...), first rank first; n may differ. Gradients flow back to each rank's own."""
    if world_size() == 1:
        return values
    counts = torch.zeros(world_size(), dtype=torch.long, device=values.device)
    counts[rank()] = len(values)
    dist.all_reduce(counts)
    before, after = int(counts[: rank()].sum()), int(counts[rank() + 1 :].sum())
    padding = [values.new_zeros(n, *values.shape[1:]) for n in (before, after)]
    return sum_over_ranks(torch.cat([padding[0], values, padding[1]]))


def gather_objects(value: T) -> list[T]:
    """What every rank holds, in their order."""
    if world_size() == 1:
        return [value]
    found: list[Any] = [None] * world_size()
    dist.all_gather_object(found, value)
    return found


def run_ranks(function: Callable[..., Any], ranks: int, *arguments: Any, method: str = "spawn") -> Any:
    """`function(rank, *arguments)` in `ranks` new processes of this machine; returns what rank 0 returned.

    Arguments and result are pickled; the result holds no tensor, those of the arguments are shared: copy what changes. Log
    records are handled here. `method` is one of multiprocessing's; only spawn can use a GPU, and fork has one thread a rank.

    Raises:
        TrainingError: a rank raised a domain error.
        ProcessRaisedException: a rank raised something else.
    """
    context = multiprocessing.get_context(method)
    records, outcome = context.Queue(), context.SimpleQueue()
    listener = logging.handlers.QueueListener(records, _Handled())
    listener.start()
    level = logging.getLogger().getEffectiveLevel()
    threads = 1 if method == "fork" else max(1, torch.get_num_threads() // ranks)  # OpenMP hangs in a fork
    try:
        start_processes(  # type: ignore[no-untyped-call]
            _rank, (function, ranks, _free_port(), threads, records, level, outcome, arguments), nprocs=ranks, start_method=method
        )
    except ProcessRaisedException:
        if not outcome.empty() and isinstance(told := outcome.get(), _Refusal):
            raise TrainingError(told.message) from None
        raise
    finally:
        listener.stop()
    return outcome.get()


class _Refusal:
    """A domain error on its way to the process that asked."""

    def __init__(self, message: str) -> None:
        self.message = message


class _Handled(logging.Handler):
    """Gives a record to the logger it was meant for."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)


def _rank(
    rank: int,
    function: Callable[..., Any],
    ranks: int,
    port: int,
    threads: int,
    records: Any,
    level: int,
    outcome: Any,
    arguments: tuple[Any, ...],
) -> None:
    """Runs in the new process. With LOCAL_RANK set, Lightning takes the processes as started."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    root = logging.getLogger()
    root.handlers = [logging.handlers.QueueHandler(records)]
    root.setLevel(level)
    torch.set_num_threads(threads)
    try:
        result = function(rank, *arguments)
    except VitrinaError as error:
        outcome.put(_Refusal(str(error)))
        raise
    if rank == 0:
        outcome.put(result)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
