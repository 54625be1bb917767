"""From a catalogue to a judge: its memory, what one listing and its duplicate have in common, and the axes.

Shapes: n products, D features, d projected ones.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from catalog.corruption import PART
from configs.errors import VitrinaError
from models.inspection import Inspector
from models.quality.answers import Axis, Candidate
from models.quality.axes import readers
from models.quality.axis import Reading
from models.quality.belonging import SWAPPED, Belonging
from models.quality.bundle import Fitted
from models.quality.config import QualityModelConfig
from models.quality.evened import Evened
from models.quality.judge import Judge
from models.quality.learned import Learned
from models.quality.memory.duplicates import NAMES, Signatures
from models.quality.memory.guesses import Guesses
from models.quality.memory.known import Known
from models.quality.memory.memory import Memory, colour_words, principal, projected
from models.quality.memory.norms import Norms
from models.quality.monotone import Monotone
from models.quality.twice import features_of, learn_duplicates
from models.quality.twins import ALL, twins

log = logging.getLogger(__name__)

BATCH = 512
"""Listings whose photos are in memory at once."""

Read = tuple[str | None, dict[Axis, Reading]]
"""A kind of fault, None for a good listing, and what every axis read."""


def fit(
    inspector: Inspector, products: Sequence[Known], good: Sequence[Candidate], config: QualityModelConfig, seed: int
) -> Fitted:
    """Memory of `products`, the axes by two thirds of `good`, which are among them, and the threshold by the rest.

    Raises:
        VitrinaError: there is nothing to compare products by, or no fault could be made of any of them.
    """
    rng, inspector = np.random.default_rng(seed), Evened(inspector, config)
    memory = remember(inspector, products, config, seed)
    memory = replace(memory, same=learn_duplicates(inspector, memory, good[: config.fit.pairs], rng))
    judge = Judge(inspector, memory, memory.duplicates(), {}, None, config)
    shown, rest = good[: fitted_on(len(good))], good[fitted_on(len(good)) :]
    readings = read_twins(judge, shown, rng)
    learned = fit_axes(readings, config, config.fit.held_out)
    if not learned.models:
        raise VitrinaError("no fault can be put into any listing of the validation split: there is nothing to learn from")
    unseen = {kind: fit_axes(readings, config, [kind]) for kind in ALL}
    judge = replace(judge, models=learned.models, belonging=learned.belonging)
    able = {kind: held for kind, held in unseen.items() if held.can_score(PART[kind])}
    publish = config.overall.publish
    return Fitted(memory, learned, able, _threshold(judge, rest or shown) if publish is None else publish)


def fitted_on(listings: int) -> int:
    """How many of the good listings the axes are learned from; the threshold is set by the others."""
    return listings - listings // 3


def _threshold(judge: Judge, good: Sequence[Candidate]) -> float:
    """The score that `held` of good listings fall below."""
    scores: list[float] = []
    for start in range(0, len(good), BATCH):
        scores += [one.score for one in judge.judge(judge.compare(judge.look(good[start : start + BATCH])))]
    return float(np.quantile(scores, judge.config.overall.held, method="lower"))


def remember(inspector: Inspector, products: Sequence[Known], config: QualityModelConfig, seed: int) -> Memory:
    """What the model knows of the catalogue's products, whose listings have their photos."""
    features = features_of(inspector, [product.listing for product in products])
    projection = principal(features, min(config.memory.dimensions, features.shape[1]))
    vectors = projected(features, projection)
    norms = Norms.fit(products, [product.listing.image is not None for product in products], config.memory)
    usual = sorted({one.name for group in (*norms.groups, None) for one in norms.usual(group)})
    guesses = Guesses.fit(products, vectors, usual, config.memory, seed)
    signatures = Signatures.of(products, vectors, colour_words(norms))
    none = Monotone(np.zeros((len(NAMES), 2)), np.zeros((len(NAMES), 1)), 0.0, np.zeros(len(NAMES)))
    return Memory(projection, norms, guesses, signatures, none, config.memory)


def read_twins(judge: Judge, good: Sequence[Candidate], rng: np.random.Generator) -> list[Read]:
    """Evidence of good listings, and of each with every kind of fault that it can carry."""
    found: list[Read] = []
    for start in range(0, len(good), BATCH):
        part = good[start : start + BATCH]
        for kind, candidates in _by_kind(part, ALL, rng).items():
            found += [(kind, dict(one.readings)) for one in judge.judge(judge.look(candidates))]
        log.info("axes: read %d of %d listings with their faults", start + len(part), len(good))
    return found


def fit_axes(readings: Sequence[Read], config: QualityModelConfig, hidden: Collection[str] = ()) -> Learned:
    """Axes, from listings whose part is good, originals and such with a fault elsewhere, against those with a fault in it.

    `hidden` kinds of fault are not shown.
    """
    shown = [(kind, reading) for kind, reading in readings if kind not in hidden]
    found: dict[Axis, Monotone] = {}
    for axis, reader in readers().items():
        rows = [(kind, reading[axis].row) for kind, reading in shown if reading[axis].there]
        bad = [row for kind, row in rows if kind is not None and PART[kind] == axis]
        fine = [row for kind, row in rows if kind is None or PART[kind] != axis]
        if bad and fine:
            found[axis] = Monotone.fit(np.stack(fine), np.stack(bad), reader.saturates, config.fit.steps, config.fit.penalty)
    return Learned(found, _fit_belonging(shown))


def _fit_belonging(readings: Sequence[Read]) -> Belonging | None:
    good, bad = dict[str, NDArray[np.float64]](), dict[str, NDArray[np.float64]]()
    for axis, reader in readers().items():
        if reader.part is not None:
            there = [(kind, reading[axis].belonging) for kind, reading in readings if reading[axis].there]
            fine = [row for kind, row in there if kind is None or PART[kind] != axis]
            wrong = [row for kind, row in there if kind == SWAPPED[reader.part]]
            good[reader.part], bad[reader.part] = (np.array(rows).reshape(-1, 2) for rows in (fine, wrong))
    return Belonging.fit(good, bad)


def _by_kind(good: Sequence[Candidate], kinds: Sequence[str], rng: np.random.Generator) -> dict[str | None, list[Candidate]]:
    found: dict[str | None, list[Candidate]] = {None: list(good)}
    for twin in twins(good, kinds, rng):
        found.setdefault(twin.kind, []).append(twin.candidate)
    return found
