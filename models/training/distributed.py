"""Several processes that train one model: starting them, and what they tell each other. A rank is a process's number.

Gradients are averaged over ranks. A task whose loss is a mean over the rows of its batch need do nothing about that. What is
not the mean of what each row says alone is that of the global batch through these:

    sum_over_ranks   sums and counts of rows with a label: divide after adding
    gather_rows      the rows of all ranks, for contrastive losses
    gather_parts     what each rank computed of something that all need
    drawn_rows       random numbers of rows: a row gets those that it has without other ranks

Batch normalisation is in `models.training.norms`. Every rank must call them equally often, so never where only some ranks come
by, and not in validation: there, each rank has whole batches of its own. Of a last batch with fewer rows than ranks, the others
see a row twice, which counts nowhere.
"""

import contextlib
import logging
import logging.handlers
import multiprocessing
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist
from torch.multiprocessing.spawn import ProcessRaisedException, start_processes

from configs.errors import VitrinaError
from models.errors import TrainingError
from models.training import torchrun

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


@dataclass(frozen=True)
class Shared:
    """The batch that ranks train on.

    Attributes:
        rows: Of the global batch.
        own: Those of them that are this rank's, every so manieth; where that is none, it goes along with the first row.
    """

    rows: int
    own: int


_shared: Shared | None = None


def share(batch: Shared | None) -> None:
    """From now on, the functions below are asked about rows of this batch; None: of no batch that ranks share."""
    global _shared
    _shared = batch


def has_rows() -> bool:
    """Whether a row of the batch is this rank's own."""
    return _shared is None or _shared.own > 0


def sum_over_ranks(values: Tensor) -> Tensor:
    """Sum of a tensor that has the same shape on every rank; gradients flow back to each rank's own."""
    if world_size() == 1:
        return values
    return summed(values if has_rows() else 0 * values)


def gather_rows(values: Tensor) -> Tensor:
    """Rows (n, ...) of all ranks (N, ...), first rank first; n may differ. Gradients flow back to each rank's own."""
    return gather_parts(values if has_rows() else values[:0])


def drawn_rows(rows: int, draw: Callable[[int], Tensor]) -> Tensor:
    """`draw(n)` of n rows (n, ...) for the `rows` of a rank's batch.

    All ranks draw for all rows of the global batch, from generators in the same state, and take their own.
    """
    if world_size() == 1 or _shared is None:
        return draw(rows)
    everyone = draw(_shared.rows)
    return everyone[rank() :: world_size()] if _shared.own else everyone[:1]


def gather_parts(values: Tensor) -> Tensor:
    """Parts (n, ...) of all ranks, one after another (N, ...); n may differ. Gradients flow back to each rank's own."""
    if world_size() == 1:
        return values
    counts = torch.zeros(world_size(), dtype=torch.long, device=values.device)
    counts[rank()] = len(values)
    dist.all_reduce(counts)
    before, after = int(counts[: rank()].sum()), int(counts[rank() + 1 :].sum())
    padding = [values.new_zeros(n, *values.shape[1:]) for n in (before, after)]
    return summed(torch.cat([padding[0], values, padding[1]]))


def summed(values: Tensor) -> Tensor:
    """As `sum_over_ranks` of what does not belong to rows; there must be several ranks."""
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


def agreed(value: float) -> float:
    """Rank 0's value, for what ranks decide by a clock."""
    if world_size() == 1:
        return value
    told = torch.tensor([value if rank() == 0 else 0.0], dtype=torch.float64)
    dist.all_reduce(told)
    return float(told)


@contextlib.contextmanager
def grouped(rank: int, ranks: int) -> Iterator[None]:
    """Meanwhile, ranks that `on_ranks` started form a process group over gloo, where they have none yet."""
    if ranks == 1 or dist.is_initialized():
        yield
        return
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
    try:
        yield
    finally:
        dist.destroy_process_group()


def gather_objects(value: T) -> list[T]:
    """What every rank holds, in their order."""
    if world_size() == 1:
        return [value]
    found: list[Any] = [None] * world_size()
    dist.all_gather_object(found, value)
    return found


def on_ranks(function: Callable[..., Any], ranks: int, folder: Path, *arguments: Any, loggers: Sequence[Any] = ()) -> Any:
    """`function(rank, folder, *arguments, loggers=...)` on all ranks that torchrun started, else in `ranks` new processes.

    For one, it runs here. Ranks work in the same folder; loggers are rank 0's. Returns what rank 0 returned; see `run_ranks` for
    what becomes of arguments and errors.
    """
    if world := torchrun.world():
        world.check(ranks)
        return world.call(function, folder, *arguments, loggers=loggers)
    if ranks == 1:
        return function(0, folder, *arguments, loggers=loggers)
    return run_ranks(_with_loggers, ranks, function, loggers, folder, *arguments)


def _with_loggers(rank: int, function: Callable[..., Any], loggers: Sequence[Any], *arguments: Any) -> Any:
    return function(rank, *arguments, loggers=() if rank else loggers)


def run_ranks(function: Callable[..., Any], ranks: int, *arguments: Any, method: str = "spawn") -> Any:
    """`function(rank, *arguments)` in `ranks` new processes of this machine; returns what rank 0 returned.

    Arguments and result are pickled; the result holds no tensor, those of the arguments are shared: copy what changes. Log
    records are handled here. `method` is one of multiprocessing's that start from a process without threads: spawn or forkserver.

    Raises:
        TrainingError: a rank raised a domain error.
        ProcessRaisedException: a rank raised something else.
    """
    context = multiprocessing.get_context(method)
    records, outcome = context.Queue(), context.SimpleQueue()
    listener = logging.handlers.QueueListener(records, _Handled())
    listener.start()
    level = logging.getLogger().getEffectiveLevel()
    threads = max(1, torch.get_num_threads() // ranks)
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
    if dist.is_initialized():  # gloo's threads must not outlive what they work on: an exit would abort
        dist.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
