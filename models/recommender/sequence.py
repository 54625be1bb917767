"""The network that says what comes next: self-attention over the order of what a user did; `parts.sequence` blends it.

Notable features:
- SASRec (Kang & McAuley 2018): causal transformer over the newest items, trained to name the next at every place
- a softmax over all items instead of one sampled negative (Klenitskiy & Vasilev 2023); where there are many, over the batch's
  items and a drawn part of the others, which stands for all of them (Jean et al. 2015)
- an item's vector is its own plus the mean of its attributes', so that cold items have one
- rows are padded on the right: causal attention needs no mask then, and SDPA takes its fast path

Shapes: B users, T places, I items, A attributes, C width, N items of a softmax.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from configs.schema import PositiveFloat, PositiveInt, Share, StrictModel, TrainerConfig
from models.recommender.interactions import Histories
from models.training.batches import mix, moved, part_of, training_loader, validation_loader
from models.training.task import Task


class SequenceConfig(StrictModel):
    """Self-attention over the history (SASRec, Kang & McAuley 2018) with a softmax over items; where the order is known."""

    width: PositiveInt = Field(64, description="channels")
    layers: PositiveInt = Field(2, description="transformer blocks")
    heads: PositiveInt = Field(2, description="attention heads")
    length: PositiveInt = Field(50, description="newest items that are read")
    dropout: Share = Field(0.3, description="dropped channels of every residual branch")
    embedding_dropout: Share = Field(0.5, description="dropped channels of the items that are read")
    negatives: PositiveInt = Field(
        8192, description="items drawn as wrong answers of a step; all items where the catalogue has no more than twice as many"
    )
    epochs: PositiveInt = Field(14, description="passes over the users")
    refit_epochs: int = Field(2, ge=0, description="passes that add the validation purchases")
    batch_size: PositiveInt = Field(128, description="users a step")
    learning_rate: PositiveFloat = Field(2e-3, description="peak of the schedule")
    weight_decay: float = Field(0.01, ge=0.0, description="AdamW decay of matrices")
    places: PositiveInt = Field(20, description="nDCG@k of the last item, by which an epoch is chosen")
    watched: PositiveInt = Field(
        2000, description="users by whom an epoch is chosen where no purchase is held out, so that measuring stays short"
    )
    max_minutes: PositiveFloat | None = Field(
        12.0, description="wall time of a training; the schedule is fitted to it, and large catalogues see fewer passes"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads {self.heads} must divide width {self.width}")
        return self


class Block(nn.Module):
    """Causal attention and an MLP, each on its own residual branch, norms first."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.heads, self.rate = config.heads, config.dropout
        self.before_attention, self.before_mlp = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.query_key_value = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.mlp = nn.Sequential(nn.Linear(config.width, 4 * config.width), nn.GELU(), nn.Linear(4 * config.width, config.width))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """States (B, T, C)."""
        rows, places, width = x.shape
        heads = self.query_key_value(self.before_attention(x)).view(rows, places, 3, self.heads, -1)
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # (B, H, T, D) each
        rate = self.rate if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=rate)
        x = x + self.dropout(self.out(y.transpose(1, 2).reshape(rows, places, width)))
        out: Tensor = x + self.dropout(self.mlp(self.before_mlp(x)))
        return out

    def last(self, x: Tensor, ends: Tensor) -> Tensor:
        """The states (B, C) of `forward` at the places `ends` (B,) alone, without dropout."""
        rows, places, width = x.shape
        heads = self.query_key_value(self.before_attention(x)).view(rows, places, 3, self.heads, -1)
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # (B, H, T, D) each
        each = torch.arange(rows)
        seen = torch.arange(places) <= ends[:, None]
        y = F.scaled_dot_product_attention(q[each, :, ends][:, :, None], k, v, attn_mask=seen[:, None, None])
        x = x[each, ends] + self.out(y.reshape(rows, width))
        out: Tensor = x + self.mlp(self.before_mlp(x))
        return out


class SequenceNetwork(nn.Module):
    """See the module's feature list."""

    offsets: Tensor
    attributes: Tensor

    def __init__(self, config: SequenceConfig, attributes: csr_matrix) -> None:
        """`attributes` [I, A] of the items."""
        super().__init__()
        self.config = config
        items, values = attributes.shape
        self.items = nn.Embedding(items, config.width)
        self.values = nn.EmbeddingBag(max(1, values), config.width, mode="mean", include_last_offset=True)
        self.places = nn.Embedding(config.length, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.embedding_dropout)
        self.bias = nn.Embedding(items, 1)
        self.register_buffer("offsets", torch.from_numpy(attributes.indptr.astype(np.int64)), persistent=False)
        self.register_buffer("attributes", torch.from_numpy(attributes.indices.astype(np.int64)), persistent=False)
        for table in (self.items, self.values, self.places):
            nn.init.normal_(table.weight, std=0.02)
        nn.init.zeros_(self.bias.weight)

    def vectors(self) -> Tensor:
        """Every item (I, C)."""
        found: Tensor = self.items.weight + self.values(self.attributes, self.offsets)
        return found

    def forward(self, codes: Tensor, vectors: Tensor) -> Tensor:
        """What is expected after each place (B, T, C), from item codes (B, T) that are padded on the right."""
        x = self.dropout(vectors[codes] + self.places.weight[: codes.shape[1]])
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)
        return out

    def last(self, codes: Tensor, vectors: Tensor, ends: Tensor) -> Tensor:
        """What `forward` expects after the places `ends` (B,) alone (B, C), without dropout: the last block needs no others."""
        x = vectors[codes] + self.places.weight[: codes.shape[1]]
        *before, block = self.blocks
        for earlier in before:
            x = earlier(x)
        out: Tensor = self.norm(cast(Block, block).last(x, ends))
        return out


@dataclass(frozen=True)
class SequenceBatch:
    """Histories (B, T), padded on the right, which cells are there, and the items of the softmax (N,), in order, all or drawn.

    `shift` (N,) is the log of how many items each stands for.
    """

    codes: Tensor
    there: Tensor
    items: Tensor
    shift: Tensor
    last_alone: bool

    def __len__(self) -> int:
        return len(self.codes)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The batch on another device."""
        return moved(self, device, non_blocking)


class Sequences(Dataset[SequenceBatch]):
    """A user a row; with `last_alone`, only the last item is to be named, as in validation."""

    def __init__(self, histories: Histories, items: int, config: SequenceConfig, seed: int, last_alone: bool = False) -> None:
        self.users = np.flatnonzero(histories.lengths > 1)
        self.histories, self.count, self.config = histories, items, config
        self.seed, self.last_alone = seed, last_alone

    def __len__(self) -> int:
        return len(self.users)

    def __getitem__(self, key: tuple[int, int]) -> SequenceBatch:
        return self.__getitems__([key])

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> SequenceBatch:
        """The batch of (epoch, index) keys; items are drawn for the whole of it."""
        codes, there = self._padded(keys)
        items, shift = np.arange(self.count), np.zeros(self.count, dtype=np.float32)
        if self.count > 2 * self.config.negatives and not self.last_alone:
            whole = part_of(keys).whole
            (epoch, first), (every, known) = whole[0], self._padded(whole)
            items, shift = self._drawn(np.unique(every[known]), np.random.default_rng(mix(self.seed, epoch + 1, first)))
        as_tensor = torch.from_numpy
        return SequenceBatch(as_tensor(codes), as_tensor(there), as_tensor(items), as_tensor(shift), self.last_alone)

    def _padded(self, keys: Sequence[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        return self.histories.select(self.users[[index for _, index in keys]]).padded(self.config.length + 1)

    def _drawn(self, named: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The named items and a drawn part of the others, in order, with the log of how many each stands for."""
        items = np.union1d(named, rng.integers(0, self.count, self.config.negatives))
        others = ~np.isin(items, named, assume_unique=True)
        shift = np.zeros(len(items), dtype=np.float32)
        if others.any():
            shift[others] = np.log((self.count - len(named)) / others.sum())
        return items, shift


class NextItemTask(Task):
    """Cross-entropy of the next item at every place."""

    def __init__(self, network: SequenceNetwork) -> None:
        super().__init__()
        self.network = network

    def training_loss(self, batch: SequenceBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """Mean over the places of each user, then over users: who buys much does not count for more."""
        logits, target = self._logits(batch)
        asked = batch.there[:, 1:]
        weight = (asked / asked.sum(1, keepdim=True).clamp(min=1))[asked]
        return {"loss": (F.cross_entropy(logits, target, reduction="none") * weight).sum() / len(batch)}

    def validation_loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Of the last place: 1 - nDCG, by which the epoch is chosen; the cross-entropy rises while ranks still improve."""
        logits, target = self._logits(batch)
        place = (logits > logits.gather(1, target[:, None])).sum(1)
        gain = (place < self.network.config.places) / torch.log2(place + 2.0)
        return {"loss": 1.0 - gain.mean(), "cross_entropy": F.cross_entropy(logits, target)}

    def _logits(self, batch: SequenceBatch) -> tuple[Tensor, Tensor]:
        """Logits (n, N) at every place that is asked, and the place of the right item among them."""
        vectors = self.network.vectors()
        states = self.network(batch.codes[:, :-1], vectors)
        asked = batch.there[:, 1:]
        if batch.last_alone:
            asked = asked & (batch.there[:, 1:].flip(1).cumsum(1).flip(1) == 1)
        target = torch.searchsorted(batch.items, batch.codes[:, 1:][asked])
        logits = states[asked] @ vectors[batch.items].T + self.network.bias(batch.items)[:, 0]
        return logits.float() + batch.shift, target


def train(
    network: SequenceNetwork,
    histories: Histories,
    held: Histories | None,
    epochs: int,
    trainer: TrainerConfig,
    workdir: Path,
    loggers: Sequence[Any] = (),
) -> None:
    """Train `network` on histories; `held` are histories whose last item chooses the epoch, some of the same where it is None."""
    from models.training.trainer import fit  # brings Lightning: seconds for whoever only answers

    config, items = network.config, len(network.items.weight)
    settings = trainer.model_copy(
        update={
            "epochs": epochs,
            "batch_size": config.batch_size,
            "learning_rate": config.learning_rate,
            "weight_decay": config.weight_decay,
            "max_minutes": config.max_minutes,
            "early_stopping": (),
        }
    )
    training = Sequences(histories, items, config, trainer.seed)
    watched = histories.select(range(min(len(histories), config.watched))) if held is None else held
    validation = Sequences(watched, items, config, trainer.seed, last_alone=True)
    fit(
        NextItemTask(network),
        training_loader(training, settings),
        validation_loader(validation, settings),
        settings,
        workdir,
        loggers,
    )
