"""What comes next: self-attention over the order of what a user did.

Notable features:
- SASRec (Kang & McAuley 2018): causal transformer over the newest items, trained to name the next at every place
- a softmax over all items instead of one sampled negative (Klenitskiy & Vasilev 2023); where there are many, over the batch's
  items and a drawn part of the others, which stands for all of them (Jean et al. 2015)
- an item's vector is its own plus the mean of its attributes', so that cold items have one
- rows are padded on the right: causal attention needs no mask then, and SDPA takes its fast path

Shapes: B users, T places, I items, A attributes, C width, N items of a softmax.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from configs.schema import TrainerConfig
from models.recommender.config import SequenceConfig
from models.recommender.interactions import Histories
from models.recommender.parts import Scored, State
from models.recommender.readings import DenseReading, Floats, Reading, Vectors
from models.training.batches import mix, training_loader, validation_loader
from models.training.trainer import Task, fit

USERS_AT_ONCE = 512
PLACES = 20
WATCHED = 2000
"""Users by whom an epoch is chosen where no purchase is held out."""


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


class SequenceModel(nn.Module):
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
class Walks:
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

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Walks":
        """The batch on another device."""
        parts = (self.codes, self.there, self.items, self.shift)
        codes, there, items, shift = (part.to(device, non_blocking=non_blocking) for part in parts)
        return Walks(codes, there, items, shift, self.last_alone)


class Sequences(Dataset[Walks]):
    """A user a row; with `last_alone`, only the last item is to be named, as in validation."""

    def __init__(self, histories: Histories, items: int, config: SequenceConfig, seed: int, last_alone: bool = False) -> None:
        self.users = np.flatnonzero(histories.lengths > 1)
        self.histories, self.count, self.config = histories, items, config
        self.seed, self.last_alone = seed, last_alone

    def __len__(self) -> int:
        return len(self.users)

    def __getitem__(self, key: tuple[int, int]) -> Walks:
        return self.__getitems__([key])

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Walks:
        """The batch of (epoch, index) keys."""
        epoch, chosen = keys[0][0], np.array([index for _, index in keys])
        codes, there = self.histories.select(self.users[chosen]).padded(self.config.length + 1)
        items, shift = np.arange(self.count), np.zeros(self.count, dtype=np.float32)
        if self.count > 2 * self.config.negatives and not self.last_alone:
            items, shift = self._drawn(np.unique(codes[there]), np.random.default_rng(mix(self.seed, epoch + 1, int(chosen[0]))))
        as_tensor = torch.from_numpy
        return Walks(as_tensor(codes), as_tensor(there), as_tensor(items), as_tensor(shift), self.last_alone)

    def _drawn(self, named: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The named items and a drawn part of the others, in order, with the log of how many each stands for."""
        items = np.union1d(named, rng.integers(0, self.count, self.config.negatives))
        others = ~np.isin(items, named, assume_unique=True)
        shift = np.zeros(len(items), dtype=np.float32)
        if others.any():
            shift[others] = np.log((self.count - len(named)) / others.sum())
        return items, shift


class NextItem(Task):
    """Cross-entropy of the next item at every place."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.model = model

    def training_loss(self, batch: Walks, generator: torch.Generator) -> dict[str, Tensor]:
        """Mean over the places of each user, then over users: who buys much does not count for more."""
        logits, target = self._logits(batch)
        asked = batch.there[:, 1:]
        weight = (asked / asked.sum(1, keepdim=True).clamp(min=1))[asked]
        return {"loss": (F.cross_entropy(logits, target, reduction="none") * weight).sum() / len(batch)}

    def validation_loss(self, batch: Walks) -> dict[str, Tensor]:
        """Of the last place: 1 - nDCG, by which the epoch is chosen; the cross-entropy rises while ranks still improve."""
        logits, target = self._logits(batch)
        place = (logits > logits.gather(1, target[:, None])).sum(1)
        gain = (place < PLACES) / torch.log2(place + 2.0)
        return {"loss": 1.0 - gain.mean(), "cross_entropy": F.cross_entropy(logits, target)}

    def _logits(self, batch: Walks) -> tuple[Tensor, Tensor]:
        """Logits (n, N) at every place that is asked, and the place of the right item among them."""
        vectors = self.model.vectors()
        states = self.model(batch.codes[:, :-1], vectors)
        asked = batch.there[:, 1:]
        if batch.last_alone:
            asked = asked & (batch.there[:, 1:].flip(1).cumsum(1).flip(1) == 1)
        target = torch.searchsorted(batch.items, batch.codes[:, 1:][asked])
        logits = states[asked] @ vectors[batch.items].T + self.model.bias(batch.items)[:, 0]
        return logits.float() + batch.shift, target


@dataclass(frozen=True)
class NextItems(Scored):
    """The trained transformer as a part of the blend."""

    model: SequenceModel
    items: Floats  # [I, C + 1], the vector and the bias
    kind: ClassVar[str] = "sequence"

    @classmethod
    @torch.inference_mode()
    def of(cls, model: SequenceModel) -> Self:
        """With the vectors of all items at hand."""
        model = model.eval().cpu()
        return cls(model, torch.cat([model.vectors(), model.bias.weight], dim=1).numpy())

    @torch.inference_mode()
    def query(self, histories: Histories) -> Floats:
        """What meets `items`: the expected vector, and 1 for the bias [B, C + 1]; zeros without a history."""
        table = torch.from_numpy(self.items[:, :-1])
        found = []
        for start in range(0, len(histories), USERS_AT_ONCE):
            part = histories.select(range(start, min(start + USERS_AT_ONCE, len(histories))))
            codes, there = part.padded(self.model.config.length)
            ends = torch.from_numpy(np.maximum(there.sum(axis=1) - 1, 0))
            last = self.model.last(torch.from_numpy(codes), table, ends)
            full = torch.cat([last, torch.ones(len(last), 1)], dim=1)
            found.append(full * torch.from_numpy(there[:, :1]))
        return torch.cat(found).numpy()

    def read(self, histories: Histories) -> Reading:
        """See `models.recommender.parts.Part`."""
        return DenseReading(self.query(histories), self._vectors)

    @cached_property
    def _vectors(self) -> Vectors:
        return Vectors.of(self.items)

    def state(self) -> State:
        """See `models.recommender.parts.Part`."""
        return {name: value.numpy() for name, value in self.model.state_dict().items()}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]], config: SequenceConfig, attributes: csr_matrix) -> Self:
        """The part that `state` was taken of.

        Raises:
            RuntimeError: the arrays are those of another architecture.
        """
        model = SequenceModel(config, attributes)
        model.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
        return cls.of(model)


def teach(
    model: SequenceModel,
    histories: Histories,
    held: Histories | None,
    epochs: int,
    trainer: TrainerConfig,
    workdir: Path,
    loggers: Sequence[Any] = (),
) -> None:
    """Train `model` on histories; `held` are histories whose last item chooses the epoch, some of the same where it is None."""
    config, items = model.config, len(model.items.weight)
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
    watched = histories.select(range(min(len(histories), WATCHED))) if held is None else held
    validation = Sequences(watched, items, config, trainer.seed, last_alone=True)
    fit(NextItem(model), training_loader(training, settings), validation_loader(validation, settings), settings, workdir, loggers)
