"""What the product model learns from a batch: one pass over the tokens, read in five views and with parts hidden.

Listings without a fault teach every head; listings with a fault teach the quality head alone; reviews teach the sentiment head.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from catalog.listing import CATEGORY_LEVELS
from models.product.inputs import Batch, Inputs, Reviews
from models.product.model import PARTS, PHOTO, SEGMENTS, TITLE, WHOLE, Heads, ProductModel
from models.product.quality import fault_losses
from models.product.towers import PhotoTower
from models.training.balancing import balancer
from models.training.distributed import gather_rows, rank, sum_over_ranks, world_size
from models.training.trainer import Task

MAX_LOG_SCALE = 4.6052  # ln 100, as in CLIP
HIDDEN = 1 + len(SEGMENTS)  # the view after the standard ones: the listing with parts hidden


class ProductTask(Task):
    """`ProductModel` with its multi-task loss.

    Args:
        photo_rate: Factor on the photo tower's learning rate; 0 freezes it, and the head that learnt with it. What matches
            photos and titles never learns here.
    """

    def __init__(self, model: ProductModel, photo_rate: float = 1.0) -> None:
        super().__init__()
        self.model, self.photo_rate = model, photo_rate
        model.match.requires_grad_(False)
        if not photo_rate and isinstance(model.photo, PhotoTower):
            model.photo.freeze()
            model.photo_type_head.requires_grad_(False)
        self.balancer = balancer(model.config.loss.strategy, model.config.loss.weights)

    def training_loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Each head's loss over the rows that have a label for it, balanced by the strategy."""
        listings, config = batch.listings, self.model.config
        shown = torch.cat([self.model.views.expand(len(batch), -1, -1), self._hidden(listings, generator)[:, None]], dim=1)
        memory = self.model.remember(listings)
        heads = self.model.read(memory, shown, listings)
        good = ~batch.faults.any(dim=1)
        rows = {WHOLE: good, HIDDEN: good} | {1 + part: good & memory.has(part) for part in range(len(SEGMENTS))}
        weights = {WHOLE: 0.5, HIDDEN: 0.5} | dict.fromkeys(range(1, HIDDEN), config.loss.single_view / len(SEGMENTS))
        losses = {view: head_losses(self.model, heads, view, listings, there) for view, there in rows.items()}
        terms = {name: torch.stack([weights[view] * losses[view][name] for view in rows]).sum() for name in losses[WHOLE]}
        terms |= self._contrast(heads, listings, good)
        terms["quality"] = fault_losses(self.model.judge(memory, heads, listings), batch.faults)
        terms |= self._opinions(batch.reviews)
        return {"loss": self.balancer(terms), **terms}

    def validation_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The same terms on whole listings, weighted by their base weights, and the accuracy of the article type."""
        listings = batch.listings
        memory = self.model.remember(listings)
        heads = self.model.read(memory, self.model.views[None], listings)
        good = ~batch.faults.any(dim=1)
        terms = head_losses(self.model, heads, WHOLE, listings, good, smoothing=0.0)
        terms |= self._contrast(heads, listings, good)
        terms["quality"] = fault_losses(self.model.judge(memory, heads, listings), batch.faults)
        terms |= self._opinions(batch.reviews)
        weights = self.model.config.loss.weights
        total = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
        views = {"article_type": WHOLE, "title_only": TITLE, "image_only": PHOTO}
        accuracy = {f"{name}_accuracy": self._accuracy(heads, view, listings, good) for name, view in views.items()}
        return {"loss": total, **terms, **accuracy}

    def compile_parts(self) -> Iterable[nn.Module]:
        """The towers and readouts."""
        return (*self.model.text.blocks, self.model.photo, *self.model.readouts)

    def slow_parts(self) -> Mapping[nn.Module, float]:
        """The photo tower, where it has had its lessons."""
        return {self.model.photo: self.photo_rate or 1.0}

    def checkpoint_activations(self) -> None:
        """Recompute the towers' blocks in the backward pass."""
        self.model.text.checkpointing = self.model.photo.checkpointing = True

    def _hidden(self, listings: Inputs, generator: torch.Generator) -> Tensor:
        """Modality dropout: which of `PARTS` (B, parts) a random view shows."""
        dropout, device = self.model.config.modality_dropout, listings.price.device
        probability = torch.tensor([getattr(dropout, name, dropout.categories) for name in PARTS])
        return (torch.rand(len(listings), len(PARTS), generator=generator) >= probability).to(device)

    def _contrast(self, heads: Heads, listings: Inputs, good: Tensor) -> dict[str, Tensor]:
        """InfoNCE between title, photo and whole listing; nothing without two rows to compare."""
        rows = (listings.title != 0).any(dim=1) & listings.has_image & good
        if world_size() == 1 and int(rows.sum()) < 2:
            return {}
        scale = self.model.log_scale.clamp(max=MAX_LOG_SCALE).exp()
        whole, title, photo = (heads.identity[rows, view] for view in (WHOLE, TITLE, PHOTO))
        near = info_nce(title, photo, scale) + 0.25 * (info_nce(whole, title, scale) + info_nce(whole, photo, scale))
        return {"contrastive": near}

    def _opinions(self, reviews: Reviews) -> dict[str, Tensor]:
        """Cross-entropy of "recommended", and a tenth of the squared error of the rating; nothing without labels."""
        known = ~reviews.recommended.isnan()
        if world_size() == 1 and not bool(known.any()):
            return {}
        logit, rating = self.model.opinion(reviews)
        loss = F.binary_cross_entropy_with_logits(logit, reviews.recommended.nan_to_num(), reduction="none")
        error = (rating - reviews.rating.nan_to_num()) ** 2
        return {"sentiment": mean(loss, known) + 0.1 * mean(error, ~reviews.rating.isnan())}

    def _accuracy(self, heads: Heads, view: int, listings: Inputs, good: Tensor) -> Tensor:
        predicted = self.model.level_probabilities(heads.path_logits[:, view])[-1].argmax(-1)
        return mean((predicted == listings.categories[:, -1]).float(), good & (listings.categories[:, -1] != 0))


def head_losses(
    model: ProductModel, heads: Heads, view: int, targets: Inputs, rows: Tensor, smoothing: float | None = None
) -> dict[str, Tensor]:
    """Mean loss of each head in one view over those of `rows` (B,) that have its target; 0 where none has."""
    logits = heads.path_logits[:, view]
    total = logits.logsumexp(dim=-1)
    epsilon = model.config.label_smoothing if smoothing is None else smoothing
    spread = total - logits.mean(dim=-1)  # cross-entropy against the uniform distribution over paths
    terms = {}
    for i, name in enumerate(CATEGORY_LEVELS):
        label = targets.categories[:, i, None]
        match = (model.path[None, :, i] == label) & (label != 0)  # (B, P): leaves under the true value
        known = match.any(dim=1)
        # A row without a known value keeps all its leaves: logsumexp over none would poison the gradient.
        likelihood = total - logits.masked_fill(~match & known[:, None], -torch.inf).logsumexp(dim=-1)
        terms[name] = mean((1 - epsilon) * likelihood + epsilon * spread, known & rows)
    location, scale = heads.price_location[:, view], heads.price_scale[:, view]
    label = targets.categories[:, -1]
    likelihood = F.cross_entropy(heads.type_logits[:, view], label, reduction="none", label_smoothing=epsilon)
    terms["embedding_type"] = mean(likelihood, (label != 0) & rows)
    error = (targets.price.nan_to_num() - location).abs()
    terms["price"] = mean(error / scale + (2 * scale).log(), ~targets.price.isnan() & rows)
    return terms


def info_nce(first: Tensor, second: Tensor, scale: Tensor) -> Tensor:
    """Symmetric cross-entropy of matching row i of one (n, E) with row i of the other (Radford et al. 2021).

    In training the rows of every rank are matched among each other.
    """
    keys, others, own = first, second, torch.full((len(first),), float(rank()), device=first.device)
    if torch.is_grad_enabled():
        keys, others, own = (gather_rows(rows) for rows in (first, second, own))
    target = torch.arange(len(first), device=first.device) + int((own < rank()).sum())
    forth = F.cross_entropy(scale * first @ others.T, target, reduction="none")
    back = F.cross_entropy(scale * second @ keys.T, target, reduction="none")
    return mean((forth + back) / 2, torch.ones_like(target, dtype=torch.bool))


def mean(values: Tensor, rows: Tensor) -> Tensor:
    """Mean of values (n,) over `rows` (n,) bool, in training over those of every rank; 0 over none."""
    found = torch.stack([torch.where(rows, values, 0.0).sum(), rows.sum().to(values.dtype)])
    total, count = sum_over_ranks(found) if torch.is_grad_enabled() else found
    average: Tensor = total / count.clamp(min=1)
    return average
