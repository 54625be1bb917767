"""From a catalogue to what a bundle holds: a pipeline, the score that images carry, and the judge of versions."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from catalog.catalogue import Catalogue, listing_of, records_of
from catalog.errors import ImageError
from catalog.images import decode
from configs.errors import VitrinaError
from models import family
from models.errors import TrainingError
from models.family import Base
from models.imagegen import bundle
from models.imagegen.answers import STYLES, Style
from models.imagegen.bundle import BundleConfig
from models.imagegen.config import ImagegenModelConfig, ImagegenRunConfig
from models.imagegen.judge.judge import Judge, learnable
from models.imagegen.own import fitting as own
from models.imagegen.own import pipeline as own_pipeline
from models.imagegen.own.captions import captions
from models.imagegen.rows import labelled
from models.imagegen.scoring.scorer import Scorer, Shown
from models.imagegen.shots import Pictured, Shot
from models.imagegen.started import bundle as started_bundle
from models.imagegen.started import fitting as started
from models.inspection import Inspector

log = logging.getLogger(__name__)

_CHECKED = (16, 16)
"""Height and width to which a photo is decoded to learn whether it can be: JPEG is fast at that."""


@dataclass(frozen=True, eq=False)
class Trained:
    """What training leaves.

    Attributes:
        generator: The pipeline.
        scorer: Scores images.
        judge: Measures versions; None where the catalogue says neither types nor colours of enough photos.
        photos: Products that were learned from: of training and of validation.
        without_photo: Products that were left out.
        config: Of the run.
    """

    generator: own.OwnTrained | started.StartedTrained
    scorer: Scorer
    judge: Judge | None
    photos: tuple[int, int]
    without_photo: int
    config: ImagegenRunConfig

    def settings(self, data: str, known_to_base: int) -> BundleConfig:
        """For `config.json`; `data` is the catalogue's fingerprint."""
        generator, result = self.generator, self.generator.result
        return BundleConfig(
            config=self.config,
            data=data,
            training_photos=self.photos[0],
            validation_photos=self.photos[1],
            without_photo=self.without_photo,
            known_to_base=known_to_base,
            parameters=sum(weights.numel() for network in generator.networks for weights in network.parameters()),
            updates=result.updates,
            planned=result.planned,
            validation_loss=result.best_loss,
            explained=generator.explained,
            start=generator.start,
        )

    def save(self, folder: Path) -> None:
        """Write all but the settings and the base."""
        if isinstance(self.generator, own.OwnTrained):
            own_pipeline.save(self.generator.pipeline, folder / started_bundle.PIPELINE)
            bundle.save_words(folder, self.generator.words)
        else:
            started_bundle.save(folder, self.generator)
        bundle.save_scorer(folder, self.scorer)
        if self.judge is not None:
            self.judge.save(folder)


def train(
    catalogue: Catalogue,
    training: pd.DataFrame,
    validation: pd.DataFrame,
    base: Base,
    config: ImagegenRunConfig,
    workdir: Path,
    loggers: Sequence[Any] = (),
) -> Trained:
    """Train on the photos of `training`; what there is to choose is chosen by those of `validation`.

    Raises:
        VitrinaError: no photo with a text to learn from, a base that does not say what listings show, or a pipeline to start from
            that cannot be read; see also `models.training.trainer.fit`.
    """
    inspector, model = family.load(base.model, base.folder), config.model
    if not isinstance(inspector, Inspector):
        raise VitrinaError(f"{base.folder}: {base.model} does not say what prompts and photos show")
    learned, chosen_by = pictured(catalogue, training), pictured(catalogue, validation)
    for name, part in (("training", learned), ("validation", chosen_by)):
        if not part:
            raise TrainingError(f"no {name} product has a photo that can be decoded and a title or an article type")
    generator: own.OwnTrained | started.StartedTrained
    if model.start is None:
        generator = own.train(learned, chosen_by, catalogue.images, inspector, base.folder, config, workdir, loggers)
    else:
        shots = Shots(learned, catalogue, model), Shots(chosen_by, catalogue, model)
        generator = started.train(shots[0], shots[1], model, config.trainer, workdir, loggers)
    left_out = len(training) + len(validation) - len(learned) - len(chosen_by)
    judge = _judge(catalogue, training, validation, model, workdir / "judge", loggers)
    scorer = Scorer.fit(inspector, _shown(learned, catalogue), list(_shown(chosen_by, catalogue)), model.score, model.sizes[0])
    return Trained(generator, scorer, judge, (len(learned), len(chosen_by)), left_out, config)


def pictured(catalogue: Catalogue, products: pd.DataFrame) -> list[Pictured]:
    """Products with a photo and a text; those whose photo cannot be decoded are left out, and logged."""
    found = []
    for row in records_of(products):
        data = catalogue.images.get(row["product_id"])
        listing = listing_of(row, None)
        if data is None or not (listing.title or "article_type" in listing.categories):
            continue
        try:
            decode(data, _CHECKED)
        except ImageError as error:
            log.warning("product %s is left out: %s", row["product_id"], error)
            continue
        found.append(Pictured(row["product_id"], listing))
    return found


@dataclass(frozen=True)
class Shots(Sequence[Shot]):
    """Products as shots, read one by one."""

    products: Sequence[Pictured]
    catalogue: Catalogue
    config: ImagegenModelConfig

    def __len__(self) -> int:
        return len(self.products)

    def __getitem__(self, place: Any) -> Any:
        """One shot under its title and its type, what it has of them; in the style that the catalogue says its photo has."""
        product = self.products[place]
        photo = self.catalogue.images.get(product.product_id)
        assert photo is not None, "products without a photo are left out"
        attribute = self.config.styles.attribute
        number = own.style_of(product.listing.attributes.get(attribute, "") if attribute else "")
        style: Style = STYLES[max(number, 0)]
        return Shot(captions(product.listing), photo, style)


def _judge(
    catalogue: Catalogue,
    training: pd.DataFrame,
    validation: pd.DataFrame,
    model: ImagegenModelConfig,
    workdir: Path,
    loggers: Sequence[Any],
) -> Judge | None:
    """Trained on real photos alone; None where no label has two values with enough of them."""
    learned, chosen_by = labelled(catalogue, training, model.judge), labelled(catalogue, validation, model.judge)
    if not learnable(learned, model.judge):
        log.warning("no type or colour has enough photos: what is drawn cannot be judged")
        return None
    return Judge.fit(learned, chosen_by, model.judge, workdir, loggers)


def _shown(products: Sequence[Pictured], catalogue: Catalogue) -> Iterator[Shown]:
    """Their photos under their titles, or else their types."""
    for product in products:
        photo, listing = catalogue.images.get(product.product_id), product.listing
        assert photo is not None, "products without a photo are left out"
        yield Shown(product.product_id, listing.title or listing.categories["article_type"], photo)
