"""A unit vector in which titles, photos and whole listings meet.

It has three parts, whose shares of a cosine are calibrated:

- type: the root of the article type's probabilities, whose inner product is the Bhattacharyya coefficient (with a title, which is
  sure of its type, the probabilities themselves), a quarter of the dimensions
- instance: which listing it is, learnt by InfoNCE between title, photo and whole listing (Radford et al. 2021), a half
- retrieval: which photo and title go together, learnt with the photo tower (`models.product.photos`), a quarter; where the tower
  has no lessons there is no such part, and instance has its room

Shapes: B listings, V views, C width, N article types, E embedding, T title tokens.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from configs.schema import EvaluationConfig, Share
from models.evaluation.metrics import graded_ndcg, match_ranks, nearest, recall_at_k
from models.layers import SwiGLU, norm
from models.product.heads.head import Codec, Decoded, HeadConfig, HeadContext, ListingHead
from models.product.heads.type_evidence import EvidenceWeights, TypeEvidenceHead
from models.product.inputs import Batch, Inputs
from models.product.losses import LOG_TEMPERATURE, MAX_LOG_SCALE, anywhere, info_nce, mean
from models.product.parts import PHOTO, SEGMENTS, TITLE, WHOLE

Floats = NDArray[np.float32]

FEWEST_PAIRS = 20
"""Validation rows with title and photo below which shares are not fitted."""

TYPE_SHARES = tuple(i / 20 for i in range(20))
RETRIEVAL_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


class EmbeddingConfig(HeadConfig):
    """Values of the embedding head."""

    contrastive: float = Field(0.7, ge=0.0, description="weight of InfoNCE between title, photo and whole listing")
    whole_share: float = Field(
        0.25, ge=0.0, description="what the whole listing with its title and its photo count beside the title with its photo"
    )
    embedding_type: float = Field(
        0.5, ge=0.0, description="weight of the negative log likelihood of the article type that the embedding tells"
    )
    type_share: Share = Field(
        0.5,
        description="share of a cosine that compares article types: until calibration fits another, and always in the embeddings "
        "that the quality head compares",
    )
    recall_kept: Share = Field(
        0.8,
        description="of recall@10 of the very photo, what calibration keeps: types pull towards other photos of the same type",
    )

    @classmethod
    def head(cls) -> type["EmbeddingHead"]:
        """What these values are for."""
        return EmbeddingHead


@dataclass(frozen=True)
class EmbeddingOutput:
    """embedding (B, V, E), made of type (B, V, N), instance (B, V, E/2) and retrieval (B, V, E/4).

    All are of unit length (retrieval: or 0). type_logits (B, V, N) are those of which type is made.
    """

    embedding: Tensor
    type: Tensor
    instance: Tensor
    retrieval: Tensor
    type_logits: Tensor


@dataclass(frozen=True)
class EmbeddingAnswers:
    """vectors [n, E], unit length."""

    vectors: Floats

    def at(self, row: int) -> Floats:
        """float32 [E]."""
        found: Floats = self.vectors[row]
        return found


class RetrievalEmbedding(nn.Module):
    """Photos and titles as unit vectors (B, E) that meet; a title is the mean of its tokens' embeddings.

    It finds more photos than what the whole model learns later.
    """

    def __init__(self, width: int, tokens: int, dimensions: int) -> None:
        super().__init__()
        self.photo_head = nn.Linear(width, dimensions, bias=False)
        self.words = nn.Embedding(tokens, dimensions)
        self.title_head = SwiGLU(dimensions, dimensions)

    def reset_parameters(self) -> None:
        """Only the direction of words counts, and it should not turn at once."""
        nn.init.normal_(self.words.weight)

    def photo(self, summary: Tensor) -> Tensor:
        """Of what the tower says of photos (B, C) in all."""
        return F.normalize(self.photo_head(summary).float(), dim=-1)

    def title(self, tokens: Tensor) -> Tensor:
        """Of titles (B, T), 0 where no token is; 0 without any."""
        there = (tokens != 0)[:, :, None]
        x = norm((self.words(tokens) * there).sum(1) / there.sum(1).clamp(min=1))
        return F.normalize((x + self.title_head(x)).float(), dim=-1)


class EmbeddingHead(ListingHead[EmbeddingOutput, EmbeddingAnswers]):
    """See the module; it sees neither price nor categories."""

    name = "embedding"
    visible = SEGMENTS
    frame: Tensor
    type_share: Tensor
    retrieval_share: Tensor

    def __init__(self, values: EmbeddingConfig, context: HeadContext) -> None:
        super().__init__(values, context)
        width, types = context.width, context.sizes.levels[-1]
        self.values, self.quarter = values, context.embedding_dim // 4
        of_instance = context.embedding_dim - (2 if context.photo_lessons else 1) * self.quarter
        self.instance = nn.Linear(width, of_instance, bias=False)
        self.retrieval = RetrievalEmbedding(width, context.sizes.tokens, self.quarter) if context.photo_lessons else None
        self.type_layer = nn.Linear(width, types)
        self.evidence_weights = EvidenceWeights()
        self.log_scale = nn.Parameter(torch.tensor(LOG_TEMPERATURE))
        self.register_buffer("frame", frame(types, self.quarter))
        self.register_buffer("type_share", torch.tensor(values.type_share if types > 1 else 0.0))  # see `cosine_shares`
        self.register_buffer("retrieval_share", torch.tensor(0.0))

    def weights(self) -> Mapping[str, float]:
        """Of the article type that it tells, and of InfoNCE."""
        return {"embedding_type": self.values.embedding_type, "contrastive": self.values.contrastive}

    def reset_parameters(self) -> None:
        """Of what learns with the photo tower."""
        if self.retrieval is not None:
            self.retrieval.reset_parameters()

    def forward(self, decoded: Decoded) -> EmbeddingOutput:
        """Its three parts, joined by their shares."""
        state, evidence = decoded.states[self.name], decoded.of(TypeEvidenceHead)
        logits = self.type_layer(state).float() + self.evidence_weights(evidence)
        types = root(logits * (1 + evidence.titled)[:, :, None])
        instance = F.normalize(self.instance(state).float(), dim=-1)
        retrieval = self._retrieved(decoded)
        shares = cosine_shares(self.type_share, self.retrieval_share)
        parts = zip(shares, (types @ self.frame, instance, retrieval), strict=True)
        embedding = F.normalize(torch.cat([share**0.5 * part for share, part in parts], dim=-1), dim=-1)
        return EmbeddingOutput(embedding, types, instance, retrieval, logits)

    def _retrieved(self, decoded: Decoded) -> Tensor:
        """Retrieval embedding (B, V, E/4) of the title and the photo that a view shows, 0 without either; (B, V, 0) untaught."""
        inputs, photo = decoded.inputs, decoded.memory.photo
        rows, views = decoded.states[self.name].shape[:2]
        if self.retrieval is None:
            return torch.zeros(rows, views, 0, device=inputs.has_image.device)
        found = torch.zeros(rows, views, self.quarter, device=inputs.has_image.device)
        if inputs.title.shape[1]:
            found = found + self.retrieval.title(inputs.title)[:, None] * decoded.shows("title")[..., None]
        if photo is not None:
            of_photo = self.retrieval.photo(photo) * inputs.has_image[:, None]
            found = found + of_photo[:, None] * decoded.shows("image")[..., None]
        return F.normalize(found, dim=-1)

    def view_losses(
        self, output: EmbeddingOutput, view: int, targets: Inputs, rows: Tensor, smoothing: float
    ) -> dict[str, Tensor]:
        """Negative log likelihood of the article type that it tells."""
        label = targets.categories[:, -1]
        likelihood = F.cross_entropy(output.type_logits[:, view], label, reduction="none", label_smoothing=smoothing)
        return {"embedding_type": mean(likelihood, (label != 0) & rows)}

    def batch_losses(self, decoded: Decoded, batch: Batch) -> dict[str, Tensor]:
        """InfoNCE between title, photo and whole of listings without a fault; nothing without two rows to compare."""
        listings = batch.listings
        rows = (listings.title != 0).any(dim=1) & listings.has_image & batch.good
        if not anywhere(rows, least=2):
            return {}
        scale = self.log_scale.clamp(max=MAX_LOG_SCALE).exp()
        instance = decoded.of(EmbeddingHead).instance
        whole, title, photo = (instance[rows, view] for view in (WHOLE, TITLE, PHOTO))
        near = info_nce(title, photo, scale)
        of_whole = info_nce(whole, title, scale) + info_nce(whole, photo, scale)
        return {"contrastive": near + self.values.whole_share * of_whole}

    def answers(self, output: EmbeddingOutput) -> dict[str, Tensor]:
        """Embedding (B, E)."""
        return {"embedding": output.embedding[:, WHOLE]}

    @classmethod
    def interpret(cls, answers: Mapping[str, NDArray[Any]], codec: Codec) -> EmbeddingAnswers:
        """As it is."""
        return EmbeddingAnswers(answers["embedding"])

    def calibration_rows(self, decoded: Decoded) -> dict[str, Tensor]:
        """Parts of the embeddings of titles and photos that belong together, and their article types."""
        inputs, output = decoded.inputs, decoded.of(EmbeddingHead)
        both = (inputs.title != 0).any(dim=1) & inputs.has_image
        parts = {"type": output.type, "instance": output.instance, "retrieval": output.retrieval}
        found = {f"title.{name}": part[both][:, TITLE] for name, part in parts.items()}
        found |= {f"photo.{name}": part[both][:, PHOTO] for name, part in parts.items()}
        return found | {"labels": inputs.categories[:, -1][both]}

    def calibrate(self, rows: Mapping[str, Tensor], config: EvaluationConfig) -> None:
        """The shares with which titles find photos best, in a pool as large as evaluation's."""
        found = {name: part[: config.retrieval_pool].numpy() for name, part in rows.items()}
        if len(found["labels"]) < FEWEST_PAIRS:
            return
        titles, photos = ([found[f"{view}.{part}"] for part in ("type", "instance", "retrieval")] for view in ("title", "photo"))
        type_share, retrieval_share = embedding_shares(titles, photos, found["labels"], self.values.recall_kept)
        self.type_share.fill_(type_share)
        self.retrieval_share.fill_(retrieval_share)


def frame(values: int, dimensions: int) -> Tensor:
    """Fixed directions (values, dimensions): orthonormal where there is room, else nearly so (Johnson & Lindenstrauss 1984)."""
    drawn = torch.randn(values, dimensions, generator=torch.Generator().manual_seed(0))
    if values > dimensions:
        return drawn / math.sqrt(dimensions)
    rows: Tensor = torch.linalg.qr(drawn.T)[0].T
    return rows.contiguous()


def root(logits: Tensor) -> Tensor:
    """Unit vectors (…, N) of types' logits: inner products are Bhattacharyya coefficients of their probabilities."""
    return logits.log_softmax(-1).div(2).exp()


def cosine_shares(type_share: Any, retrieval_share: Any) -> tuple[Any, Any, Any]:
    """What type, instance and retrieval embedding count in a cosine: `retrieval_share` is that of what types leave."""
    return type_share, (1 - type_share) * (1 - retrieval_share), (1 - type_share) * retrieval_share


def embedding_shares(
    titles: Sequence[Floats], photos: Sequence[Floats], labels: NDArray[np.int64], recall_kept: float
) -> tuple[float, float]:
    """`type_share` and `retrieval_share` with which titles (n) find photos (n) best.

    The second is the one with the best recall@10 of the very photo; the first the one with the best nDCG@10 of its type, among
    those that keep `recall_kept` of the best recall.

    Args:
        titles: Unit vectors (n, ·) of type, instance and retrieval embedding of each title.
        photos: The same of its photo.
        labels: Its article type.
        recall_kept: See `EmbeddingConfig`.
    """
    ideal = (np.arange(10) < np.bincount(labels)[labels][:, None]).astype(float)

    def blended(parts: Sequence[Floats], kind: float, retrieval: float) -> Floats:
        shares = cosine_shares(kind, retrieval)
        return np.concatenate([share**0.5 * part for share, part in zip(shares, parts, strict=True)], axis=1)

    def recall(kind: float, retrieval: float) -> float:
        ranks = match_ranks(blended(titles, kind, retrieval), blended(photos, kind, retrieval))
        return float(np.mean(recall_at_k(ranks, 10)))

    def ndcg(kind: float, retrieval: float) -> float:
        found = nearest(blended(titles, kind, retrieval), blended(photos, kind, retrieval), 10)
        return float(np.mean(graded_ndcg((labels[found] == labels[:, None]).astype(float), ideal)))

    retrieval = max(RETRIEVAL_SHARES, key=lambda share: recall(0.0, share))
    recalls = {share: recall(share, retrieval) for share in TYPE_SHARES}
    kept = [share for share, found in recalls.items() if found >= recall_kept * max(recalls.values())]
    return max(kept, key=lambda share: ndcg(share, retrieval)), retrieval
