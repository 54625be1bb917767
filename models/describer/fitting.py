"""From products to a writer: lexicon, cleaned texts, tokenizer, transformer."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from catalog.catalogue import listing_of, records_of
from catalog.listing import Listing
from configs.schema import TrainerConfig
from models.describer.bundle import BundleConfig, Trained
from models.describer.config import DescriberRunConfig, WriterConfig
from models.describer.data import LessonDataset
from models.describer.facts.cleaning import Example, examples
from models.describer.facts.given import facts_of
from models.describer.facts.lexicon import Lexicon
from models.describer.frames import Frames
from models.describer.lessons import lesson, sentences_of, slot_counts, texts_of
from models.describer.model import (
    Architecture,
    WriterTask,
    build,
    load_start,
    own_architecture,
    started_architecture,
    started_tokenizer,
)
from models.describer.tokens import WriterTokenizer, slot_names
from models.errors import TrainingError
from models.training.trainer import fit, training_loader, validation_loader

log = logging.getLogger(__name__)

LEAST_MINUTES = 0.05
USUAL = 0.5
"""A fact that this share of a type's listings gives is usual for it."""


def train(
    training: pd.DataFrame,
    validation: pd.DataFrame,
    data: str,
    config: DescriberRunConfig,
    workdir: Path,
    loggers: Sequence[Any] = (),
) -> Trained:
    """Train on the texts of `training`, and keep the weights that are best on those of `validation`.

    Raises:
        VitrinaError: no text states only what its listing gives; see `models.training.trainer.fit` and `models.describer.model`.
    """
    started = time.monotonic()
    listings = [listing_of(row, None) for row in records_of(training)]
    lexicon = Lexicon.fit(listings)
    told = _examples(listings, lexicon, "training")
    model_config = config.model
    chosen_by = validation.sample(min(model_config.chosen_by, len(validation)), random_state=config.trainer.seed)
    held_out = _examples([listing_of(row, None) for row in records_of(chosen_by)], lexicon, "validation")
    tokenizer = fit_tokenizer(told, model_config.writer)
    torch.manual_seed(config.trainer.seed)
    architecture, model = new_model(tokenizer, model_config.writer)
    sets = [
        LessonDataset(
            [lesson(example, tokenizer, lexicon) for example in part], tokenizer, model_config.writer, model_config.lessons, seed
        )
        for part, seed in ((told, config.trainer.seed), (held_out, config.trainer.seed + 1))
    ]
    trainer = _in_time(config.trainer, started)
    begun, task = time.monotonic(), WriterTask(model)
    fitted = fit(task, training_loader(sets[0], trainer), validation_loader(sets[1], trainer), trainer, workdir, loggers)
    taken = time.monotonic() - begun
    tokens = _tokens_read(sets[0], fitted.updates * trainer.batch_size * trainer.accumulate)
    log.info("%s tokens in %.1f minutes: %.0f a second", f"{tokens:,}", taken / 60, tokens / taken)
    settings = BundleConfig(
        config=config,
        data=data,
        architecture=architecture,
        slots=tuple(tokenizer.slots),
        usual=usual(listings, lexicon),
        training_rows=len(training),
        validation_rows=len(validation),
        training_texts=len(told),
        parameters=sum(weights.numel() for weights in task.model.parameters()),
        updates=fitted.updates,
        planned=fitted.planned,
        tokens=tokens,
        tokens_per_second=tokens / taken,
        validation_loss=fitted.best_loss,
        threads=torch.get_num_threads(),
    )
    frames = Frames.fit(cut for example in told for cut in sentences_of(example))
    return Trained(task.model, tokenizer, lexicon, frames, settings)


def fit_tokenizer(told: Sequence[Example], config: WriterConfig) -> WriterTokenizer:
    """Byte pairs of the training texts, or the tokens of `init_from`, with slots for the facts that are often given.

    Raises:
        VitrinaError: `init_from` has no tokenizer that can be read.
    """
    names = [name for name, count in sorted(slot_counts(told).items()) if count >= config.min_slot_rows]
    slots = slot_names(names, config.shared_slots)
    if config.init_from:
        return WriterTokenizer.extended(started_tokenizer(config), slots)
    return WriterTokenizer.fit(texts_of(told), config.vocab_size, slots)


def new_model(tokenizer: WriterTokenizer, config: WriterConfig) -> tuple[Architecture, Any]:
    """The transformer before training, with the configuration that builds it again.

    Raises:
        VitrinaError: see `models.describer.model`.
    """
    architecture = started_architecture(config) if config.init_from else own_architecture(config, len(tokenizer))
    model = build(architecture, len(tokenizer))
    if config.init_from:
        load_start(model, config)
    return architecture, model


def usual(listings: Sequence[Listing], lexicon: Lexicon) -> dict[str, tuple[str, ...]]:
    """What at least `USUAL` of the listings of each article type give."""
    types: Counter[str] = Counter()
    given: dict[str, Counter[str]] = {}
    for listing in listings:
        kind = listing.categories.get("article_type")
        if kind is not None:
            types[kind] += 1
            given.setdefault(kind, Counter()).update({fact.name for fact in facts_of(listing, lexicon)})
    return {
        kind: tuple(name for name, count in given[kind].most_common() if count >= USUAL * total) for kind, total in types.items()
    }


def _examples(listings: Sequence[Listing], lexicon: Lexicon, which: str) -> list[Example]:
    found = [example for example in examples(listings, lexicon) if any(example.targets.values())]
    if not found:
        raise TrainingError(f"none of {len(listings):,} {which} products has a text that states only what its listing gives")
    log.info("%s of %s %s products have texts to learn from", f"{len(found):,}", f"{len(listings):,}", which)
    return found


def _in_time(config: TrainerConfig, started: float) -> TrainerConfig:
    """`max_minutes` less what has gone by."""
    if config.max_minutes is None:
        return config
    left = config.max_minutes - (time.monotonic() - started) / 60
    return config.model_copy(update={"max_minutes": max(left, LEAST_MINUTES)})


def _tokens_read(dataset: LessonDataset, rows: int) -> int:
    """Tokens of so many rows, by those of the first epoch's first thousand."""
    some = min(1000, len(dataset))
    return round(sum(len(dataset.row(0, index)) for index in range(some)) / some * rows)
