"""What the product model learns from a batch: one pass over the tokens, read in five views and with parts hidden.

Listings without a fault teach every head; listings with a fault teach the quality head alone; reviews teach the heads that read
reviews.

Shapes: B listings, V views.
"""

from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor, nn

from models.product.heads.category import CategoryHead
from models.product.heads.embedding import EmbeddingHead
from models.product.heads.head import Decoded
from models.product.heads.type_evidence import TypeEvidenceHead
from models.product.inputs import Batch, Inputs
from models.product.losses import mean
from models.product.model import ProductModel
from models.product.parts import PARTS, PHOTO, SEGMENTS, TITLE, WHOLE
from models.product.towers import PhotoTower
from models.training.balancing import balancer
from models.training.distributed import drawn_rows
from models.training.task import Task

HIDDEN = 1 + len(SEGMENTS)
"""The view after the standard ones: the listing with parts hidden."""


class ProductTask(Task):
    """`ProductModel` with its multi-task loss.

    Args:
        left_out: Terms of tasks that the training rows lack.
        photo_rate: Factor on the photo tower's learning rate; 0 freezes it, and the head that learnt with it. The retrieval
            embedding, which learnt with it too, never learns here; a model without such lessons has none.
    """

    def __init__(self, model: ProductModel, photo_rate: float = 1.0, left_out: Collection[str] = ()) -> None:
        super().__init__()
        self.model, self.photo_rate, self.left_out = model, photo_rate, frozenset(left_out)
        if (retrieval := model.head(EmbeddingHead).retrieval) is not None:
            retrieval.requires_grad_(False)
        if not photo_rate and isinstance(model.photo, PhotoTower):
            model.photo.freeze()
            model.head(TypeEvidenceHead).photo_types.requires_grad_(False)
        weights = {term: weight for head in model.all_heads for term, weight in head.weights().items()}
        self.weights = {term: weight for term, weight in weights.items() if term not in left_out}
        self.balancer = balancer(model.config.loss.strategy, self.weights)

    def training_loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Each head's losses over the rows that have a label for it, balanced by the strategy."""
        model, listings = self.model, batch.listings
        shown = torch.cat([model.views.expand(len(batch), -1, -1), self._hidden(listings, generator)[:, None]], dim=1)
        decoded = model.decode(model.encode(listings), shown, listings)
        weights, rows = self._views(decoded, batch)
        smoothing = model.config.label_smoothing
        terms: dict[str, Tensor] = {}
        for head in model.listing_heads.values():
            output = decoded.of(type(head))
            by_view = {view: head.view_losses(output, view, listings, there, smoothing) for view, there in rows.items()}
            for name in by_view[WHOLE]:
                terms[name] = torch.stack([weights[view] * losses[name] for view, losses in by_view.items()]).sum()
        terms = self._learnt(terms | self._batch_losses(decoded, batch))
        return {"loss": self.balancer(terms), **terms}

    def validation_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The same terms on whole listings, weighted by their base weights, and the accuracy of the article type."""
        model, listings = self.model, batch.listings
        decoded = model.decode(model.encode(listings), model.views[None], listings)
        terms: dict[str, Tensor] = {}
        for head in model.listing_heads.values():
            terms |= head.view_losses(decoded.of(type(head)), WHOLE, listings, batch.good, smoothing=0.0)
        terms = self._learnt(terms | self._batch_losses(decoded, batch))
        total = torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()
        views = {"article_type": WHOLE, "title_only": TITLE, "image_only": PHOTO}
        accuracy = {f"{name}_accuracy": self._accuracy(decoded, view, batch) for name, view in views.items()}
        return {"loss": total, **terms, **accuracy}

    def compile_parts(self) -> Iterable[nn.Module]:
        """The towers and the layers of the readout."""
        return (*self.model.text.blocks, self.model.photo, *self.model.readout.layers)

    def slow_parts(self) -> Mapping[nn.Module, float]:
        """The photo tower, where it has had its lessons."""
        return {self.model.photo: self.photo_rate or 1.0}

    def checkpoint_activations(self) -> None:
        """Recompute the towers' blocks in the backward pass."""
        self.model.text.checkpointing = self.model.photo.checkpointing = True

    def _views(self, decoded: Decoded, batch: Batch) -> tuple[dict[int, float], dict[int, Tensor]]:
        """Weight of each view's losses, and the listings (B,) that it teaches: those without a fault that have the part."""
        loss, good = self.model.config.loss, batch.good
        alone = range(1, HIDDEN)
        weights = {WHOLE: loss.whole_view, HIDDEN: loss.whole_view} | dict.fromkeys(alone, loss.single_view / len(SEGMENTS))
        rows = {view: good & decoded.memory.has(SEGMENTS[view - 1]) for view in alone}
        return weights, {WHOLE: good, HIDDEN: good} | rows

    def _learnt(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Those of tasks that there are."""
        return {name: value for name, value in terms.items() if name not in self.left_out}

    def _batch_losses(self, decoded: Decoded, batch: Batch) -> dict[str, Tensor]:
        """Losses of the batch as a whole, and of its reviews."""
        terms: dict[str, Tensor] = {}
        for head in self.model.listing_heads.values():
            terms |= head.batch_losses(decoded, batch)
        outputs = self.model.decode_reviews(batch.reviews)
        for name, reader in self.model.review_heads.items():
            terms |= reader.losses(outputs[name], batch.reviews)
        return terms

    def _hidden(self, listings: Inputs, generator: torch.Generator) -> Tensor:
        """Modality dropout: which of `PARTS` (B, parts) a random view shows."""
        dropout, device = self.model.config.modality_dropout, listings.price.device
        probability = torch.tensor([getattr(dropout, name, dropout.categories) for name in PARTS])
        drawn = drawn_rows(len(listings), lambda rows: torch.rand(rows, len(PARTS), generator=generator))
        return (drawn >= probability).to(device)

    def _accuracy(self, decoded: Decoded, view: int, batch: Batch) -> Tensor:
        head, label = self.model.head(CategoryHead), batch.listings.categories[:, -1]
        predicted = head.probabilities(decoded.of(CategoryHead).path_logits[:, view])[-1].argmax(-1)
        return mean((predicted == label).float(), batch.good & (label != 0))
