"""From listings to answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from catalog.corruption import KINDS
from catalog.errors import ImageError
from catalog.images import decode
from catalog.listing import CATEGORY_LEVELS, Listing
from configs.errors import VitrinaError
from models.errors import NotSupported
from models.product import bundle
from models.product.bundle import Calibration, Network
from models.product.config import ProductRunConfig
from models.product.encoders import CleanListing, CleanReview, Encoders, clean
from models.product.inputs import Inputs
from models.product.model import level_probabilities

TOP = 5


@dataclass(frozen=True)
class PriceEstimate:
    """In the catalogue's currency; the true price is between low and high for 90 % of products like those trained on."""

    median: float
    low: float
    high: float


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
class Sentiment:
    """What a review says: the probability that its writer recommends the product, and the expected rating in 1…5."""

    recommended: float
    rating: float


@dataclass(frozen=True)
class ProductPrediction:
    """What the model says about one listing.

    Attributes:
        categories: For each of `CATEGORY_LEVELS`, the `TOP` most probable values and their probabilities, best first.
        price: None where the model was trained without prices.
        embedding: float32 [1024], unit length; of title, description, photo and attributes only.
        modalities: Which of `models.product.inputs.MODALITIES` the listing had.
        quality: Whether the parts of the listing fit together.
    """

    categories: Mapping[str, list[tuple[str, float]]]
    price: PriceEstimate | None
    embedding: NDArray[np.float32]
    modalities: tuple[str, ...]
    quality: QualityEstimate


@dataclass(frozen=True)
class Answers:
    """Calibrated outputs of a batch.

    Attributes:
        probabilities: [n, values] of each level, without the missing value.
        price: Median [n] in the catalogue's currency, or NaN; `price_low` and `price_high` hold 90 %.
        embedding: [n, 1024], unit length.
        faults: [n, 1 + kinds] probabilities: faulty at all, then each of `catalog.corruption.KINDS`.
    """

    probabilities: tuple[NDArray[np.float32], ...]
    price: NDArray[np.float64]
    price_low: NDArray[np.float64]
    price_high: NDArray[np.float64]
    embedding: NDArray[np.float32]
    faults: NDArray[np.float32]


class ProductPredictor:
    """A trained model ready to answer. Safe to call from several threads: nothing in it changes."""

    name = "product"

    def __init__(
        self, network: Network, encoders: Encoders, calibration: Calibration, config: ProductRunConfig, device: str
    ) -> None:
        self.network, self.encoders, self.calibration, self.config, self.device = network, encoders, calibration, config, device
        self.labels = encoders.labels()
        self._paths = torch.from_numpy(encoders.paths).to(device)

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> "ProductPredictor":
        """Read a bundle and warm up; `device` is auto, cpu, cuda or another torch device.

        Raises:
            VitrinaError: a file is missing or damaged, or the device does not exist.
        """
        settings, encoders, device = bundle.load_config(folder), Encoders.load(folder), _device(device)
        network = bundle.load_network(folder, encoders, settings, device)
        predictor = cls(network, encoders, settings.calibration, settings.config, device)
        predictor.predict([Listing(title="warm up")])
        predictor.opinions([CleanReview("warm", "up")])
        return predictor

    def predict(self, listings: Sequence[Listing]) -> list[ProductPrediction]:
        """One prediction a listing.

        Raises:
            VitrinaError: a listing is empty or its photo cannot be decoded; says which.
        """
        cleaned = [clean(listing) for listing in listings]
        photos = [self._photo(i, listing) for i, listing in enumerate(listings)]
        seen = [_modalities(row, photo) for row, photo in zip(cleaned, photos, strict=True)]
        empty = [i for i, modalities in enumerate(seen) if not modalities]
        if empty:
            raise VitrinaError(f"listing {empty[0]} is empty; give a title, description, image, price, category or attribute")
        size = self.config.evaluation.batch_size
        found: list[ProductPrediction] = []
        for start in range(0, len(listings), size):
            part = slice(start, start + size)
            answers = self.answer(self.encoders.encode(cleaned[part], photos[part], self.config.model))
            found += [self._prediction(answers, i, modalities) for i, modalities in enumerate(seen[part])]
        return found

    @torch.inference_mode()
    def answer(self, inputs: Inputs) -> Answers:
        """Calibrated outputs of a batch that is already encoded; it may hold empty listings."""
        outputs = self.network(inputs.to(self.device))
        sizes = [len(level) for level in self.encoders.levels]
        levels = level_probabilities(outputs.path_logits / self.calibration.temperature, self._paths, sizes)
        known = [p[:, 1:] / p[:, 1:].sum(dim=1, keepdim=True).clamp(min=1e-9) for p in levels]
        location, scale = outputs.price_location.cpu().numpy(), outputs.price_scale.cpu().numpy()
        half = self.calibration.price_quantile * scale
        price, low, high = (self._currency(x) for x in (location, location - half, location + half))
        return Answers(
            probabilities=tuple(p.cpu().numpy() for p in known),
            price=price,
            price_low=low,
            price_high=high,
            embedding=outputs.embedding.cpu().numpy(),
            faults=outputs.fault_logits.sigmoid().cpu().numpy(),
        )

    @torch.inference_mode()
    def embed(self, listings: Sequence[CleanListing], photos: Sequence[NDArray[np.uint8] | None]) -> NDArray[np.float32]:
        """Embedding alone [n, 1024] of one batch, for the price of that; unit length, no listing may be empty."""
        inputs = self.encoders.encode(listings, photos, self.config.model, self.encoders.expect_types(listings))
        found: NDArray[np.float32] = self.network.embed(inputs.to(self.device)).cpu().numpy()
        return found

    def opine(self, reviews: Sequence[CleanReview]) -> list[Sentiment]:
        """What each review says.

        Raises:
            NotSupported: the model was trained without reviews.
            VitrinaError: a review is empty; says which.
        """
        if self.encoders.review_prior is None:
            raise NotSupported("this version was trained without reviews; train on a catalogue with reviews.parquet")
        empty = [i for i, review in enumerate(reviews) if not (review.title or review.text)]
        if empty:
            raise VitrinaError(f"review {empty[0]} is empty; give a title or a text")
        probability, rating = self.opinions(reviews)
        return [Sentiment(float(p), float(r)) for p, r in zip(probability, rating, strict=True)]

    @torch.inference_mode()
    def opinions(self, reviews: Sequence[CleanReview]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probability of "recommended" [n] and expected rating [n] in 1…5."""
        size = self.config.evaluation.batch_size
        found = []
        for start in range(0, len(reviews), size):
            batch = self.encoders.encode_reviews(reviews[start : start + size], self.config.model).to(self.device)
            found.append(self.network.opinion(batch))
        if not found:
            return np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.float32)
        logits, ratings = (torch.cat(part).cpu() for part in zip(*found, strict=True))
        return logits.sigmoid().numpy(), ratings.clamp(1.0, 5.0).numpy()

    def _currency(self, scaled: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        scaler = self.encoders.price
        return scaler.inverse(scaled) if scaler else np.full(len(scaled), np.nan)

    def _photo(self, index: int, listing: Listing) -> NDArray[np.uint8] | None:
        if listing.image is None:
            return None
        try:
            return decode(listing.image, (self.config.model.image_height, self.config.model.image_width))
        except ImageError as error:
            raise VitrinaError(f"listing {index}: {error}") from error

    def _prediction(self, answers: Answers, i: int, modalities: tuple[str, ...]) -> ProductPrediction:
        categories = {}
        for level, probabilities in zip(CATEGORY_LEVELS, answers.probabilities, strict=True):
            best = np.argsort(-probabilities[i], kind="stable")[:TOP]
            categories[level] = [(self.labels[level][k], float(probabilities[i, k])) for k in best]
        price = None
        if self.encoders.price:
            price = PriceEstimate(float(answers.price[i]), float(answers.price_low[i]), float(answers.price_high[i]))
        score, *faults = (float(value) for value in answers.faults[i])
        quality = QualityEstimate(1.0 - score, dict(zip(KINDS, faults, strict=True)))
        return ProductPrediction(categories, price, answers.embedding[i], modalities, quality)


def _modalities(row: CleanListing, photo: NDArray[np.uint8] | None) -> tuple[str, ...]:
    present = {
        "title": bool(row.title),
        "description": bool(row.description),
        "image": photo is not None,
        "attributes": bool(row.pairs),
        "price": row.price is not None,
        "categories": any(row.categories),
    }
    return tuple(name for name, there in present.items() if there)


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise VitrinaError(f"device {name!r} is not available here; allowed: auto, cpu, cuda") from error
    return name
