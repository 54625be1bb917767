"""Whether the parts of a listing fit together, and which fault it most probably has.

Each part of a listing says by itself which article type it shows and where it lies in the embedding space. In a good listing
the parts agree with each other and with the whole, the given categories are likely and the price is where it is expected.
One small network judges the agreement of every part alike and the worst counts, so that a part that was never seen to be
wrong in training can still be found wrong. The head learns from faults put into good listings (`catalog.corruption`).

Shapes: B listings, C width, P category paths, E embedding, V = 1 + 4 views: the whole listing, then each part alone; K kinds of
fault.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from catalog.corruption import KINDS
from catalog.listing import CATEGORY_LEVELS
from configs.schema import PositiveInt
from models.product.heads.category import CategoryHead
from models.product.heads.embedding import EmbeddingHead, root
from models.product.heads.head import Codec, Decoded, HeadConfig, HeadContext, ListingHead
from models.product.heads.price import PriceHead
from models.product.inputs import Batch
from models.product.parts import FACTS, PARTS, SEGMENTS, WHOLE

VIEWS = 1 + len(SEGMENTS)
PART_FEATURES = 5
FLOOR = -12.0
"""Of log probabilities."""

LUMA = (0.299, 0.587, 0.114)
LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))
"""Buffers of the head, and no tensors made in a forward pass: such cannot be recorded as a CUDA graph."""

FEATURES = len(SEGMENTS) * (PART_FEATURES + 1) + VIEWS + len(CATEGORY_LEVELS) + 4 + 3 + len(FACTS)
"""Part features and flags; the type's likelihood in each view, coarser levels' and a flag; price, light, sizes."""


class QualityConfig(HeadConfig):
    """Values of the quality head."""

    weight: float = Field(0.5, ge=0.0, description="weight of the cross-entropy of faulty or not, and of each kind of fault")

    judgements: PositiveInt = Field(16, description="what is judged of each part; of all parts the worst counts")
    hidden: PositiveInt = Field(256, description="channels of the network that reads state, features and judgements")

    @classmethod
    def head(cls) -> type["QualityHead"]:
        """What these values are for."""
        return QualityHead


@dataclass(frozen=True)
class QualityOutput:
    """What was found in the whole listing.

    Attributes:
        fault_logits: (B, 1 + K), faulty at all, then each of `catalog.corruption.KINDS`.
        view_paths: (B, V, P), probability of each category path in each view.
        view_cosines: (B, V, V), between the embeddings of two views.
    """

    fault_logits: Tensor
    view_paths: Tensor
    view_cosines: Tensor


@dataclass(frozen=True)
class QualityEstimate:
    """How good a listing is, as a listing.

    Attributes:
        score: Probability that nothing is wrong with it, in 0…1.
        faults: Probability of each of `catalog.corruption.KINDS`.
    """

    score: float
    faults: Mapping[str, float]


@dataclass(frozen=True)
class QualityAnswers:
    """Of n listings.

    Attributes:
        faults: [n, 1 + K], probabilities: faulty at all, then each of `catalog.corruption.KINDS`.
        types: [n, V, T], probability of each article type that can be answered in each view.
        cosines: [n, V, V], between the embeddings of two views.
        paths: [n, V, P], as `QualityOutput`.
    """

    faults: NDArray[np.float32]
    types: NDArray[np.float32]
    cosines: NDArray[np.float32]
    paths: NDArray[np.float32]

    def at(self, row: int) -> QualityEstimate:
        """Of one listing."""
        faulty, *faults = (float(value) for value in self.faults[row])
        return QualityEstimate(1.0 - faulty, dict(zip(KINDS, faults, strict=True)))


class PartCheck(nn.Module):
    """Judges each part alike and keeps the worst of each judgement."""

    def __init__(self, judgements: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(PART_FEATURES, 2 * judgements), nn.SiLU())
        self.layers.extend([nn.Linear(2 * judgements, judgements), nn.SiLU()])

    def forward(self, features: Tensor, present: Tensor) -> Tensor:
        """Features (B, 4, 5) of parts of which some are present (B, 4), to (B, judgements)."""
        judged = self.layers(features)
        worst: Tensor = torch.where(present[:, :, None], judged, 0.0).amax(dim=1)
        return worst


class QualityHead(ListingHead[QualityOutput, QualityAnswers]):
    """See the module; it sees everything, and what the other heads answer.

    Of what was read it takes its query's state, and that of the description's last token, which tells whether it breaks off.
    """

    name = "quality"
    visible = PARTS
    path: Tensor
    luma: Tensor
    laplacian: Tensor

    def __init__(self, values: QualityConfig, context: HeadContext) -> None:
        super().__init__(values, context)
        self.values, self.type_share = values, context.type_share
        self.register_buffer("path", context.paths, persistent=False)
        self.register_buffer("luma", torch.tensor(LUMA).view(3, 1, 1), persistent=False)
        self.register_buffer("laplacian", torch.tensor(LAPLACIAN).view(1, 1, 3, 3), persistent=False)
        self.check = PartCheck(values.judgements)
        self.layers = nn.Sequential(
            nn.Linear(2 * context.width + FEATURES + values.judgements, values.hidden),
            nn.SiLU(),
            nn.Dropout(context.dropout),
            nn.Linear(values.hidden, 1 + len(KINDS)),
        )

    def weights(self) -> Mapping[str, float]:
        """Of both terms together."""
        return {"quality": self.values.weight}

    def forward(self, decoded: Decoded) -> QualityOutput:
        """Nothing flows back through the contradictions: other heads learn their own tasks."""
        inputs, memory = decoded.inputs, decoded.memory
        category, price, embedding = decoded.of(CategoryHead), decoded.of(PriceHead), decoded.of(EmbeddingHead)
        paths = category.path_logits[:, :VIEWS].detach()
        shares = (self.type_share**0.5, (1 - self.type_share) ** 0.5)
        parts = (root(embedding.type_logits[:, :VIEWS]), embedding.instance[:, :VIEWS])
        compared = torch.cat([share * part for share, part in zip(shares, parts, strict=True)], dim=-1).detach()
        present = torch.stack([memory.has(segment) for segment in SEGMENTS], dim=1)
        image = inputs.image if inputs.image.shape[-1] else inputs.image.new_zeros(inputs.title.shape[0], 3, 3, 3)
        others = [
            category_features(paths, self.path, inputs.categories),
            price_features(inputs.price, price.location[:, WHOLE].detach(), price.scale[:, WHOLE].detach()),
            light(image, self.luma, self.laplacian) * inputs.has_image[:, None],
            inputs.facts / 5,
        ]
        features = part_features(paths, compared, present)
        state = decoded.states[self.name][:, WHOLE]
        read = [state, memory.ending.to(state.dtype), features.flatten(1), present.to(features.dtype), *others]
        logits = self.layers(torch.cat([*read, self.check(features, present)], dim=1)).float()
        return QualityOutput(logits, paths.float().softmax(-1), compared.float() @ compared.float().transpose(1, 2))

    def batch_losses(self, decoded: Decoded, batch: Batch) -> dict[str, Tensor]:
        """Of every listing, faulty or not."""
        return {"quality": fault_losses(decoded.of(QualityHead).fault_logits, batch.faults)}

    def answers(self, output: QualityOutput) -> dict[str, Tensor]:
        """As `QualityOutput`."""
        return {
            "fault_logits": output.fault_logits,
            "view_paths": output.view_paths,
            "view_cosines": output.view_cosines,
        }

    @classmethod
    def interpret(cls, answers: Mapping[str, NDArray[Any]], codec: Codec) -> QualityAnswers:
        """As probabilities."""
        paths, finest = answers["view_paths"], codec.paths[:, -1]
        types = paths @ np.eye(len(codec.levels[-1]), dtype=np.float32)[finest]
        faults = torch.from_numpy(answers["fault_logits"]).sigmoid().numpy()
        return QualityAnswers(faults, types[..., 1:], answers["view_cosines"], paths)


def part_features(path_logits: Tensor, embedding: Tensor, present: Tensor) -> Tensor:
    """How each part agrees with the whole (B, 4, 5), 0 where it is missing.

    Of path logits (B, V, P) and embeddings (B, V, E): Bhattacharyya coefficient and log probability of the whole's answer,
    confidence, cosine with the whole and with the title.
    """
    logs = path_logits.log_softmax(-1)
    whole, parts = logs[:, :1], logs[:, 1:]
    overlap = ((whole + parts) / 2).exp().sum(-1)
    answer = whole.argmax(-1, keepdim=True).expand(-1, len(SEGMENTS), -1)
    agreed = parts.gather(-1, answer).squeeze(-1).clamp(min=FLOOR) / 4
    confidence = parts.amax(-1).exp()
    near_whole = (embedding[:, :1] * embedding[:, 1:]).sum(-1)
    near_title = (embedding[:, 1:2] * embedding[:, 1:]).sum(-1)
    found = torch.stack([overlap, agreed, confidence, near_whole, near_title], dim=-1)
    return found * present[:, :, None].to(found.dtype)


def category_features(path_logits: Tensor, path: Tensor, given: Tensor) -> Tensor:
    """How likely the given categories (B, 3) are, 0 where none is given.

    Log probability of the article type in every view (B, V) and of the coarser levels in the whole (B, 2), and whether an
    article type is given (B, 1).
    """
    logs = path_logits.log_softmax(-1)
    found = []
    for level in range(path.shape[1]):
        views = logs if level == path.shape[1] - 1 else logs[:, :1]
        match = path[None, :, level] == given[:, level, None]  # (B, P)
        likely = views.masked_fill(~match[:, None], FLOOR).logsumexp(-1).clamp(FLOOR, 0.0) / 4
        found.append(likely * (given[:, level, None] != 0))
    return torch.cat([*found[::-1], (given[:, -1:] != 0).to(logs.dtype)], dim=1)


def price_features(price: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """Deviation (B, 4) of the given price (B,) from the expected one, 0 where no price is given.

    Signed and absolute, in standardised logs and in predicted scales.
    """
    known = ~price.isnan()
    error = torch.where(known, price.nan_to_num() - location, 0.0)
    relative = (error / scale).clamp(-20.0, 20.0) / 5
    return torch.stack([error, error.abs(), relative, relative.abs()], dim=-1)


def light(image: Tensor, weights: Tensor, laplacian: Tensor) -> Tensor:
    """Brightness, contrast and sharpness (B, 3) of photos (B, 3, h, w), each about 0…1.

    Sharpness is the mean absolute Laplacian of the luma (after Pech-Pacheco et al. 2000), relative to its contrast. `weights`
    (3, 1, 1) and `laplacian` (1, 1, 3, 3) are `LUMA` and `LAPLACIAN` where the photos are.
    """
    luma = (image.float() * weights).sum(1, keepdim=True) / 255
    edges = F.conv2d(luma, laplacian).abs().mean(dim=(1, 2, 3))
    contrast = luma.std(dim=(1, 2, 3))
    return torch.stack([luma.mean(dim=(1, 2, 3)), contrast, edges / (contrast + 0.02)], dim=-1)


def fault_losses(logits: Tensor, faults: Tensor) -> Tensor:
    """Mean cross-entropy of "faulty" and of the kinds, from logits (B, 1 + K) and faults (B, K)."""
    target = torch.cat([faults.any(dim=1, keepdim=True), faults], dim=1).to(logits.dtype)
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return losses[:, 0].mean() + losses[:, 1:].sum(dim=1).mean()
