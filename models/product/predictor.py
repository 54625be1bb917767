"""From listings to answers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catalog.errors import ImageError
from catalog.images import decode
from catalog.listing import CATEGORY_LEVELS, Listing
from configs.errors import VitrinaError
from configs.schema import Launch, Precision
from models import devices
from models.errors import NotSupported
from models.inspection import Inspection, PriceRange
from models.product import bundle
from models.product.bundle import Network
from models.product.cleaning import CleanListing, CleanReview, clean
from models.product.config import ProductRunConfig
from models.product.encoders import Encoders
from models.product.features import WORDS, features
from models.product.heads.category import CategoryHead
from models.product.heads.embedding import EmbeddingHead
from models.product.heads.head import HeadAnswers, ListingHead, arrays, joined
from models.product.heads.price import PriceEstimate, PriceHead
from models.product.heads.quality import QualityAnswers, QualityEstimate, QualityHead
from models.product.heads.sentiment import Sentiment, SentimentAnswers, SentimentHead
from models.product.inputs import Inputs
from models.product.launched import load_launched
from models.product.parts import SEGMENTS
from models.product.tasks import Lacks, Task

OfHead = TypeVar("OfHead", bound=HeadAnswers)


@dataclass(frozen=True)
class ProductPrediction:
    """What the model says about one listing.

    Attributes:
        answers: What each head answers, by its name.
        modalities: Which of `models.product.parts.MODALITIES` the listing had, without those that the version does not read.
        lacks: Tasks that the version has not, and why: their answers are None, or hold nothing.
    """

    answers: Mapping[str, Any]
    modalities: tuple[str, ...]
    lacks: Mapping[Task, str] = field(default_factory=dict)

    @property
    def categories(self) -> Mapping[str, list[tuple[str, float]]]:
        """The most probable values of each of `CATEGORY_LEVELS` and their probabilities, best first; none where it is no task."""
        found: Mapping[str, list[tuple[str, float]]] = self.answers[CategoryHead.name]
        return found

    @property
    def price(self) -> PriceEstimate | None:
        """None where prices are no task of the version."""
        found: PriceEstimate | None = self.answers[PriceHead.name]
        return found

    @property
    def embedding(self) -> NDArray[np.float32]:
        """float32 [1024], unit length; of title, description, photo and attributes only."""
        found: NDArray[np.float32] = self.answers[EmbeddingHead.name]
        return found

    @property
    def quality(self) -> QualityEstimate | None:
        """Whether the parts of the listing fit together; None where it is no task of the version."""
        found: QualityEstimate = self.answers[QualityHead.name]
        return None if "quality" in self.lacks else found


@dataclass(frozen=True)
class Answers:
    """Calibrated answers of several listings, by head."""

    by_head: Mapping[str, HeadAnswers]

    def of(self, head: type[ListingHead[Any, OfHead]]) -> OfHead:
        """Those of one head."""
        found: OfHead = self.by_head[head.name]  # type: ignore[assignment]
        return found

    def at(self, row: int) -> dict[str, Any]:
        """Those of one listing."""
        return {name: answers.at(row) for name, answers in self.by_head.items()}


class ProductPredictor:
    """A trained model ready to answer. Safe to call from several threads: nothing in it changes."""

    name = "product"
    words = WORDS

    def __init__(
        self, network: Network, encoders: Encoders, config: ProductRunConfig, device: str, lacks: Lacks | None = None
    ) -> None:
        self.network, self.encoders, self.config, self.device = network, encoders, config, device
        self.lacks = lacks or Lacks()
        self.labels = encoders.labels()

    @classmethod
    def load(
        cls, folder: Path, device: str = "auto", precision: Precision = "fp32", launch: Launch = "none"
    ) -> "ProductPredictor":
        """Read a bundle and warm up; `device` is auto, cpu, cuda or another torch device.

        Raises:
            VitrinaError: a file is missing or damaged, the device does not exist, or cannot launch passes so.
        """
        settings, encoders, device = bundle.load_config(folder), Encoders.load(folder), devices.resolve(device)
        if (precision, launch) == ("fp32", "none"):
            network = bundle.load_network(folder, encoders, settings, device)
        else:
            network = load_launched(folder, encoders, settings, device, precision, launch)
        predictor = cls(network, encoders, settings.config, device, settings.lacks)
        model = settings.config.model
        photo = np.zeros((model.image_height, model.image_width, 3), dtype=np.uint8)
        warm_up = clean(Listing(title="warm up"))
        try:
            predictor.answer(encoders.encode([warm_up], [None if encoders.read(warm_up).title else photo], model))
        except KeyError as error:
            raise VitrinaError(f"{folder} lacks the answer {error}: it was made by an older Vitrina; train again") from error
        predictor.answer_reviews([CleanReview("warm", "up")])
        return predictor

    def predict(self, listings: Sequence[Listing]) -> list[ProductPrediction]:
        """One prediction a listing.

        Raises:
            VitrinaError: a listing says nothing that the version reads, or its photo cannot be decoded; says which.
        """
        cleaned = [self.encoders.read(clean(listing)) for listing in listings]
        photos = [self._photo(i, listing) for i, listing in enumerate(listings)]
        seen = [_modalities(row, photo) for row, photo in zip(cleaned, photos, strict=True)]
        empty = [i for i, modalities in enumerate(seen) if not modalities]
        if empty:
            raise VitrinaError(self._says_nothing(empty[0]))
        size = self.config.evaluation.batch_size
        found: list[ProductPrediction] = []
        for start in range(0, len(listings), size):
            part = slice(start, start + size)
            answers = self.answer(self.encoders.encode(cleaned[part], photos[part], self.config.model))
            found += [ProductPrediction(answers.at(i), modalities, self.lacks.tasks) for i, modalities in enumerate(seen[part])]
        return found

    def inspect(self, listings: Sequence[Listing]) -> list[Inspection]:
        """What each part of each listing shows; see `models.inspection.Inspector`.

        Raises:
            VitrinaError: as `predict`.
        """
        size, found = self.config.evaluation.batch_size, list[Inspection]()
        for start in range(0, len(listings), size):
            numbered = list(enumerate(listings[start : start + size], start))
            rows = [self.encoders.read(clean(listing)) for _, listing in numbered]
            photos = [self._photo(i, listing) for i, listing in numbered]
            for (i, _), row, photo in zip(numbered, rows, photos, strict=True):
                if not _modalities(row, photo):
                    raise VitrinaError(self._says_nothing(i))
            inputs = self.encoders.encode(rows, photos, self.config.model)
            answers = self.answer(inputs)
            scaled = (
                self.encoders.price.transform(np.array([np.nan if row.price is None else row.price for row in rows]))
                if (self.encoders.price)
                else np.full(len(rows), np.nan)
            )
            vectors = features(answers.of(EmbeddingHead).vectors, rows, self.encoders.priors)
            found += [
                self._inspection(answers, i, row, photo, float(price), vectors[i])
                for i, (row, photo, price) in enumerate(zip(rows, photos, scaled, strict=True))
            ]
        return found

    def _inspection(
        self,
        answers: Answers,
        at: int,
        row: CleanListing,
        photo: NDArray[np.uint8] | None,
        price: float,
        vector: NDArray[np.float32],
    ) -> Inspection:
        """Of one listing, whose price is `price` in standardised logs and whose features are `vector`."""
        parts, lacks = answers.of(QualityHead), self.lacks.tasks
        modalities = _modalities(row, photo)
        present = tuple(part for part in SEGMENTS if part in modalities)
        views = {"whole": 0} | {part: 1 + SEGMENTS.index(part) for part in present}
        estimate = None if "price" in lacks else answers.of(PriceHead).at(at)
        return Inspection(
            present=present,
            types={name: parts.types[at, view] for name, view in views.items()},
            cosines={(a, b): float(parts.cosines[at, views[a], views[b]]) for a in present for b in present if a != b},
            given=self._given(parts, at, row),
            categories={level: best[0] for level, best in answers.of(CategoryHead).at(at).items() if best and level not in lacks},
            price=None if estimate is None else self._range(estimate, price),
            faults={} if "quality" in lacks else parts.at(at).faults,
            score=None if "quality" in lacks else parts.at(at).score,
            modalities=modalities,
            features=vector if can_be_embedded(row, photo) else None,
        )

    def _given(self, parts: QualityAnswers, at: int, row: CleanListing) -> dict[str, float]:
        """Probability of each given category; 0 for a value that no training row had."""
        codes = [v.encode(value) for v, value in zip(self.encoders.levels, row.categories, strict=True)]
        return {
            level: float(parts.paths[at, 0, self.encoders.paths[:, i] == code].sum()) if code else 0.0
            for i, (level, code, value) in enumerate(zip(CATEGORY_LEVELS, codes, row.categories, strict=True))
            if value and level not in self.lacks.tasks
        }

    def _range(self, estimate: PriceEstimate, price: float) -> PriceRange:
        assert self.encoders.price is not None
        median, high = self.encoders.price.transform(np.array([estimate.median, estimate.high]))
        deviation = None if np.isnan(price) else abs(price - float(median)) / max(float(high - median), 1e-6)
        return PriceRange(estimate.median, estimate.low, estimate.high, deviation)

    @property
    def type_labels(self) -> tuple[str, ...]:
        """Article types, in the order of `Inspection.types`."""
        return self.labels[CATEGORY_LEVELS[-1]]

    @property
    def readable(self) -> frozenset[str]:
        """Parts of listings that this version reads: title, description, image, attributes, price."""
        priced = {"price"} if self.encoders.price else set()
        return frozenset({*SEGMENTS, *priced} - set(self.encoders.unread))

    def reads(self, listing: Listing) -> bool:
        """Whether the listing says anything that the version reads."""
        image = listing.image is not None and "image" not in self.encoders.unread
        row = self.encoders.read(clean(listing))
        return image or bool(row.title or row.description or row.pairs or row.price is not None or any(row.categories))

    def _says_nothing(self, index: int) -> str:
        if not self.encoders.unread and self.encoders.price is not None:
            return f"listing {index} is empty; give a title, description, image, price, category or attribute"
        read = ", ".join(part for part in SEGMENTS if part not in self.encoders.unread)
        why = ", ".join(self.lacks.parts.values() or [self.lacks.tasks.get("price", "no prices")])
        return f"listing {index} says nothing that this version reads: {read}; its training rows had {why}"

    def answer(self, inputs: Inputs) -> Answers:
        """Answers of a batch that is already encoded; it may hold empty listings."""
        return self.answer_all([inputs])

    def answer_all(self, batches: Iterable[Inputs]) -> Answers:
        """Answers of several batches, one after the other; there is at least one."""
        tensors = arrays(joined([self._answers(inputs) for inputs in batches]))
        asked = {name: head for name, head in self.config.model.head.listing_heads().items() if head.asked}
        return Answers({name: head.interpret(tensors, self.encoders) for name, head in asked.items()})

    @torch.inference_mode()
    def _answers(self, inputs: Inputs) -> dict[str, Tensor]:
        return self.network(inputs.to(self.device))

    @torch.inference_mode()
    def embed(self, listings: Sequence[CleanListing], photos: Sequence[NDArray[np.uint8] | None]) -> NDArray[np.float32]:
        """Embedding alone [n, 1024] of one batch, for the price of that; unit length, no listing may be empty."""
        inputs = self.encoders.encode(listings, photos, self.config.model, self.encoders.priors.expect_types(listings))
        found: NDArray[np.float32] = self.network.embed(inputs.to(self.device)).cpu().numpy()
        return found

    def features(self, listings: Sequence[Listing]) -> NDArray[np.float32]:
        """Embedding and words [n, 1024 + `words`] of each listing, unit length; see `models.family.Embedder`.

        Raises:
            VitrinaError: a listing says nothing that an embedding is made of, or its photo cannot be decoded; says which.
        """
        found = np.empty((len(listings), self.config.model.embedding_dim + self.words), dtype=np.float32)
        for part, rows, vectors in self._embedded(listings):
            found[part] = features(vectors, rows, self.encoders.priors)
        return found

    def place(self, listings: Sequence[Listing]) -> NDArray[np.float32]:
        """Embedding alone [n, 1024] of each listing, unit length; see `models.family.Places`.

        Raises:
            VitrinaError: as `features`.
        """
        found = np.empty((len(listings), self.config.model.embedding_dim), dtype=np.float32)
        for part, _, vectors in self._embedded(listings):
            found[part] = vectors
        return found

    def _embedded(self, listings: Sequence[Listing]) -> Iterator[tuple[slice, list[CleanListing], NDArray[np.float32]]]:
        """Batch by batch: where it stands, its cleaned listings, and their embeddings."""
        size = self.config.evaluation.batch_size
        for start in range(0, len(listings), size):
            numbered = list(enumerate(listings[start : start + size], start))
            rows = [self.encoders.read(clean(listing)) for _, listing in numbered]
            photos = [self._photo(i, listing) for i, listing in numbered]
            for (i, _), row, photo in zip(numbered, rows, photos, strict=True):
                if not can_be_embedded(row, photo):
                    raise VitrinaError(self._cannot_be_embedded(i))
            yield slice(start, start + size), rows, self.embed(rows, photos)

    def embeds(self, listing: Listing) -> bool:
        """Whether a listing says anything that an embedding is made of."""
        row, image = self.encoders.read(clean(listing)), "image" not in self.encoders.unread
        return bool(row.title or row.description or row.pairs or (image and listing.image is not None))

    @property
    def types(self) -> frozenset[str]:
        """Article types that it was trained on."""
        return frozenset(self.labels[CATEGORY_LEVELS[-1]])

    def _cannot_be_embedded(self, index: int) -> str:
        if self.encoders.unread:
            return self._says_nothing(index)
        return f"listing {index} has nothing that an embedding is made of; give a title, description, image or attribute"

    def predict_reviews(self, reviews: Sequence[CleanReview]) -> list[Sentiment]:
        """What each review says.

        Raises:
            NotSupported: reviews are no task of the version.
            VitrinaError: a review is empty; says which.
        """
        if self.encoders.priors.review is None:
            reason = self.lacks.tasks.get("sentiment", "no reviews")
            found = f"this version was trained without reviews; train on a catalogue with reviews.parquet ({reason} in this one)"
            raise NotSupported(found)
        empty = [i for i, review in enumerate(reviews) if not (review.title or review.text)]
        if empty:
            raise VitrinaError(f"review {empty[0]} is empty; give a title or a text")
        answers = self.answer_reviews(reviews)
        return [answers.at(i) for i in range(len(reviews))]

    @torch.inference_mode()
    def answer_reviews(self, reviews: Sequence[CleanReview]) -> SentimentAnswers:
        """Answers of several reviews."""
        size = self.config.evaluation.batch_size
        found = []
        for start in range(0, max(1, len(reviews)), size):
            batch = self.encoders.encode_reviews(reviews[start : start + size], self.config.model).to(self.device)
            found.append(self.network.forward_reviews(batch))
        return SentimentHead.interpret(arrays(joined(found)), self.encoders)

    def _photo(self, index: int, listing: Listing) -> NDArray[np.uint8] | None:
        if listing.image is None or "image" in self.encoders.unread:
            return None
        try:
            return decode(listing.image, (self.config.model.image_height, self.config.model.image_width))
        except ImageError as error:
            raise VitrinaError(f"listing {index}: {error}") from error


def can_be_embedded(row: CleanListing, photo: NDArray[np.uint8] | None) -> bool:
    """Whether a listing has any part that an embedding is made of; a price and categories are none."""
    return bool(row.title or row.description or row.pairs or photo is not None)


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
