"""Which rows a step sees: the same in every run, after every kill and on any number of devices."""

from collections.abc import Iterator, Sequence, Sized
from dataclasses import fields
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from configs.schema import TrainerConfig
from models.training.distributed import Shared

Batch = list[tuple[int, int]]
"""(epoch, index) of the rows of a batch."""

T = TypeVar("T")


class Part(list[tuple[int, int]]):
    """The rows of a batch that are one rank's, every so manieth; the first where none is, which goes along with a share of 0.

    Attributes:
        whole: The batch.
        rank: Whose part this is.
        ranks: Of how many.
    """

    def __init__(self, whole: Batch, rank: int, ranks: int) -> None:
        self.whole, self.rank, self.ranks = whole, rank, ranks
        super().__init__(whole[place] for place in self.places)

    @property
    def places(self) -> list[int]:
        """Of its rows in the whole."""
        return list(range(self.rank, len(self.whole), self.ranks)) or [0]

    def __reduce__(self) -> Any:
        return Part, (self.whole, self.rank, self.ranks)


def part_of(keys: Sequence[tuple[int, int]]) -> Part:
    """What a dataset is asked for, as a part of the whole batch, from which it draws what rows of a batch share."""
    return keys if isinstance(keys, Part) else Part(list(keys), 0, 1)


class EpochBatches(Sampler[Batch]):
    """Batches of (epoch, index), shuffled by seed and epoch; `skip` batches of the first epoch were already seen.

    After `shard`, a rank gets every so manieth row of each batch.
    """

    def __init__(self, rows: int, batch_size: int, seed: int) -> None:
        self.rows, self.batch_size, self.seed = rows, batch_size, seed
        self.epoch = 0
        self.rank, self.ranks = 0, 1
        self._skip = (0, 0)  # (epoch, batches)
        self.sampler = self  # Lightning sets the epoch on a batch sampler's sampler

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def skip(self, epoch: int, batches: int) -> None:
        """Leave out the first `batches` of `epoch`."""
        self._skip = (epoch, batches)

    def shard(self, rank: int, ranks: int) -> None:
        """Give only the part of `rank`."""
        self.rank, self.ranks = rank, ranks

    def shared(self, batch: int) -> Shared:
        """Rows of the batch with this number, and those of them that are this rank's."""
        rows = min(self.batch_size, self.rows - batch * self.batch_size)
        return Shared(rows, len(range(self.rank, rows, self.ranks)))

    def share(self, batch: int) -> float:
        """Rows of the batch with this number that are this rank's, over those of an average rank.

        The mean over ranks of (share · mean over the rank's rows) is the mean over the rows of the global batch.
        """
        shared = self.shared(batch)
        return shared.own * self.ranks / shared.rows

    def __len__(self) -> int:
        return -(-self.rows // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(mix(self.seed, self.epoch))
        order = torch.randperm(self.rows, generator=generator).tolist()
        first = self._skip[1] if self.epoch == self._skip[0] else 0
        for start in range(first * self.batch_size, self.rows, self.batch_size):
            rows = order[start : start + self.batch_size]
            yield Part([(self.epoch, index) for index in rows], self.rank, self.ranks)


class OrderedBatches(Sampler[Batch]):
    """Every row once, in order, as (-1, index). After `shard`, a rank gets every so manieth batch, whole.

    All ranks get equally many, for they may have to meet at each; `counts` tells a batch from a repeated one.
    """

    def __init__(self, rows: int, batch_size: int) -> None:
        self.batches = [[(-1, i) for i in range(start, min(start + batch_size, rows))] for start in range(0, rows, batch_size)]
        self.rank, self.ranks = 0, 1

    def shard(self, rank: int, ranks: int) -> None:
        """Give only the part of `rank`."""
        self.rank, self.ranks = rank, ranks

    def counts(self, batch: int) -> bool:
        """Whether this rank's batch with this number is its own."""
        return batch * self.ranks + self.rank < len(self.batches)

    def __len__(self) -> int:
        return -(-len(self.batches) // self.ranks)

    def __iter__(self) -> Iterator[Batch]:
        for batch in range(len(self)):
            yield self.batches[batch * self.ranks + self.rank if self.counts(batch) else 0]


def training_loader(dataset: Dataset[Any], config: TrainerConfig) -> DataLoader[Any]:
    """Shuffled, resumable batches; `dataset.__getitems__` turns a list of (epoch, index) into one batch."""
    return _loader(dataset, EpochBatches(len(cast(Sized, dataset)), config.batch_size, config.seed), config.workers)


def validation_loader(dataset: Dataset[Any], config: TrainerConfig) -> DataLoader[Any]:
    """Every row once, in order, as (-1, index): nothing is augmented."""
    return _loader(dataset, OrderedBatches(len(cast(Sized, dataset)), config.batch_size), config.workers)


def moved(batch: T, device: torch.device | str, non_blocking: bool) -> T:
    """A dataclass of tensors, of further batches and tuples of them, on another device; what has no device stays as it is."""

    def on_device(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(on_device(part) for part in value)
        return value.to(device, non_blocking=non_blocking) if hasattr(value, "to") else value

    kind: Any = type(batch)
    return cast(T, kind(**{field.name: on_device(getattr(batch, field.name)) for field in fields(kind)}))


def mix(*parts: int) -> int:
    """A seed from several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _loader(dataset: Dataset[Any], batches: Sampler[Batch], workers: int) -> DataLoader[Any]:
    return DataLoader(dataset, batch_sampler=batches, collate_fn=_as_is, num_workers=workers, persistent_workers=workers > 0)


def _as_is(batch: Any) -> Any:
    return batch
