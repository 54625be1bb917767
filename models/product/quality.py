"""How a listing contradicts itself: what the quality head knows besides its own query.

Each part of a listing says by itself which article type it shows and where it lies in the embedding space. In a good listing
the parts agree with each other and with the whole, the given categories are likely and the price is where it is expected.
One small network judges the agreement of every part alike and the worst counts, so that a part that was never seen to be
wrong in training can still be found wrong.

Shapes: B listings, P category paths, E embedding, V = 1 + 4 views: the whole listing, then each part alone.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.product.inputs import FACTS

PARTS = 4
PART_FEATURES = 5
JUDGED = 16
FLOOR = -12.0  # of log probabilities
FEATURES = PARTS * (PART_FEATURES + 1) + 5 + 3 + 4 + 3 + len(FACTS)


class PartCheck(nn.Module):
    """Judges each part alike and keeps the worst of each judgement."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(PART_FEATURES, 32), nn.SiLU(), nn.Linear(32, JUDGED), nn.SiLU())

    def forward(self, features: Tensor, present: Tensor) -> Tensor:
        """Features (B, 4, 5) of parts of which some are present (B, 4), to (B, 16)."""
        judged = self.layers(features)
        worst: Tensor = torch.where(present[:, :, None], judged, 0.0).amax(dim=1)
        return worst


class QualityHead(nn.Module):
    """Logits of "faulty" and of each kind of fault, from what was read and the contradictions.

    Read: the quality query's state, and that of the description's last token, which tells whether it breaks off.
    """

    def __init__(self, width: int, kinds: int, dropout: float) -> None:
        super().__init__()
        self.check = PartCheck()
        self.layers = nn.Sequential(
            nn.Linear(width + FEATURES + JUDGED, 256), nn.SiLU(), nn.Dropout(dropout), nn.Linear(256, 1 + kinds)
        )

    def forward(self, state: Tensor, parts: Tensor, present: Tensor, others: Tensor) -> Tensor:
        """States (B, C), part features (B, 4, 5), which are present (B, 4), other features, to logits (B, 1 + K)."""
        flags = present.to(parts.dtype)
        features = torch.cat([parts.flatten(1), flags, others], dim=1)
        out: Tensor = self.layers(torch.cat([state, features, self.check(parts, present)], dim=1))
        return out


def part_features(path_logits: Tensor, embedding: Tensor, present: Tensor) -> Tensor:
    """How each part agrees with the whole (B, 4, 5), 0 where it is missing.

    Of path logits (B, V, P) and embeddings (B, V, E): Bhattacharyya coefficient and log probability of the whole's answer,
    confidence, cosine with the whole and with the title.
    """
    logs = path_logits.log_softmax(-1)
    whole, parts = logs[:, :1], logs[:, 1:]
    overlap = ((whole + parts) / 2).exp().sum(-1)
    answer = whole.argmax(-1, keepdim=True).expand(-1, PARTS, -1)
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


def fault_losses(logits: Tensor, faults: Tensor) -> Tensor:
    """Mean cross-entropy of "faulty" and of the kinds, from logits (B, 1 + K) and faults (B, K)."""
    target = torch.cat([faults.any(dim=1, keepdim=True), faults], dim=1).to(logits.dtype)
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return losses[:, 0].mean() + losses[:, 1:].sum(dim=1).mean()
