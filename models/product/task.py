"""What the product model learns from: one pass over the listing with parts hidden, one over its title, one over its photo."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from models.product.inputs import Inputs
from models.product.model import Outputs, ProductModel, Segment
from models.training import Task

MAX_LOG_SCALE = 4.6052  # ln 100, as in CLIP


class ProductTask(Task):
    """`ProductModel` with its multi-task loss."""

    def __init__(self, model: ProductModel) -> None:
        super().__init__()
        self.model = model

    def training_loss(self, batch: Inputs, generator: torch.Generator) -> dict[str, Tensor]:
        """Head losses of the three views, and InfoNCE between them."""
        config = self.model.config
        segments = self.model.embed(batch)
        price, categories = self._hide_sides(batch, generator)
        full = self.model.read(*self.model.encode(self._hide(segments, generator), len(batch)), price, categories)
        terms = head_losses(self.model, full, batch)
        both = self._both(batch)
        if int(both.sum()) > 1:
            title, photo = (self._view(segments, name, batch) for name in ("title", "image"))
            single = [head_losses(self.model, view, batch) for view in (title, photo)]
            terms = {
                name: value + config.loss.single_view * (single[0][name] + single[1][name]) / 2 for name, value in terms.items()
            }
            terms["contrastive"] = self._contrastive(full, title, photo, both)
        return {"loss": self._total(terms), **terms}

    def validation_loss(self, batch: Inputs) -> dict[str, Tensor]:
        """The same terms with nothing hidden, and the accuracy of the article type."""
        full = self.model(batch)
        terms = head_losses(self.model, full, batch, smoothing=0.0)
        both = self._both(batch)
        if int(both.sum()) > 1:
            segments = self.model.embed(batch)
            title, photo = (self._view(segments, name, batch) for name in ("title", "image"))
            terms["contrastive"] = self._contrastive(full, title, photo, both)
        predicted = self.model.level_probabilities(full.path_logits)[-1].argmax(-1)
        accuracy = (predicted == batch.categories[:, -1]).float().mean()
        return {"loss": self._total(terms), **terms, "article_type_accuracy": accuracy}

    def _total(self, terms: dict[str, Tensor]) -> Tensor:
        weights = self.model.config.loss
        return torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()

    def _view(self, segments: dict[str, Segment], name: str, batch: Inputs) -> Outputs:
        """Answers from one part alone."""
        unknown = torch.full_like(batch.price, torch.nan), torch.zeros_like(batch.categories)
        return self.model.read(*self.model.encode({name: segments[name]}, len(batch)), *unknown)

    @staticmethod
    def _both(batch: Inputs) -> Tensor:
        """Rows (B,) that have a title and a photo."""
        return (batch.title != 0).any(dim=1) & batch.has_image

    def _contrastive(self, full: Outputs, title: Outputs, photo: Outputs, rows: Tensor) -> Tensor:
        scale = self.model.log_scale.clamp(max=MAX_LOG_SCALE).exp()
        t, p, f = (view.embedding[rows] for view in (title, photo, full))
        return info_nce(t, p, scale) + 0.25 * (info_nce(f, t, scale) + info_nce(f, p, scale))

    def _hide(self, segments: dict[str, Segment], generator: torch.Generator) -> dict[str, Segment]:
        """Modality dropout. A description is hidden for the whole batch, which makes the sequence short."""
        dropout, kept = self.model.config.modality_dropout, {}
        for name, segment in segments.items():
            probability = getattr(dropout, name)
            if name == "description":
                if float(torch.rand((), generator=generator)) >= probability:
                    kept[name] = segment
                continue
            stays = (torch.rand(len(segment.present), 1, generator=generator) >= probability).to(segment.present.device)
            kept[name] = replace(segment, present=segment.present & stays)
        return kept

    def _hide_sides(self, batch: Inputs, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Price and categories as inputs, some of them hidden."""
        dropout, device = self.model.config.modality_dropout, batch.price.device
        no_price = torch.rand(batch.price.shape, generator=generator).to(device) < dropout.price
        no_category = torch.rand(batch.categories.shape, generator=generator).to(device) < dropout.categories
        return batch.price.masked_fill(no_price, torch.nan), batch.categories.masked_fill(no_category, 0)


def head_losses(model: ProductModel, outputs: Outputs, targets: Inputs, smoothing: float | None = None) -> dict[str, Tensor]:
    """Mean loss of each head over the rows that have its target; 0 where none has."""
    logits = outputs.path_logits
    total = logits.logsumexp(dim=-1)
    epsilon = model.config.label_smoothing if smoothing is None else smoothing
    spread = total - logits.mean(dim=-1)  # cross-entropy against the uniform distribution over paths
    names: Sequence[str] = ("master_category", "sub_category", "article_type")
    terms = {}
    for i, name in enumerate(names):
        label = targets.categories[:, i, None]
        match = (model.path[None, :, i] == label) & (label != 0)  # (B, P): leaves under the true value
        known = match.any(dim=1)
        # A row without a known value keeps all its leaves: logsumexp over none would poison the gradient.
        likelihood = total - logits.masked_fill(~match & known[:, None], -torch.inf).logsumexp(dim=-1)
        terms[name] = _mean((1 - epsilon) * likelihood + epsilon * spread, known)
    known = ~targets.price.isnan()
    error = (targets.price.nan_to_num() - outputs.price_location).abs()
    terms["price"] = _mean(error / outputs.price_scale + (2 * outputs.price_scale).log(), known)
    return terms


def info_nce(first: Tensor, second: Tensor, scale: Tensor) -> Tensor:
    """Symmetric cross-entropy of matching row i of one (n, E) with row i of the other among n (Radford et al. 2021)."""
    logits = scale * first @ second.T
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def _mean(values: Tensor, rows: Tensor) -> Tensor:
    return torch.where(rows, values, 0.0).sum() / rows.sum().clamp(min=1)
