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
from models.quality.memory.duplicates import NAMES, SATURATES, Duplicates, Signatures, asked, compared
from models.quality.memory.guesses import Guesses
from models.quality.memory.known import Known
from models.quality.memory.memory import Memory, colour_words, principal, projected
from models.quality.memory.norms import Norms
from models.quality.monotone import Monotone
from models.quality.seen import bare
from models.quality.twins import ALL, photographed, reworded, twins

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


def features_of(inspector: Inspector, listings: Sequence[object]) -> NDArray[np.float32]:
    """Features [n, D] of bare listings; 0 where there is nothing that they are made of."""
    plain = [bare(listing) for listing in listings]  # type: ignore[arg-type]
    told = [i for i, listing in enumerate(plain) if inspector.embeds(listing)]
    if not told:
        raise VitrinaError("no product has a title, description or photo: there is nothing to compare products by")
    found: NDArray[np.float32] | None = None
    for start in range(0, len(told), BATCH):
        part = told[start : start + BATCH]
        made = inspector.features([plain[i] for i in part])
        if found is None:
            found = np.zeros((len(plain), made.shape[1]), dtype=np.float32)
        found[part] = made
        log.info("features of %d of %d products", start + len(part), len(told))
    assert found is not None
    return found


def learn_duplicates(inspector: Inspector, memory: Memory, good: Sequence[Candidate], rng: np.random.Generator) -> Monotone:
    """What a listing and a duplicate of it have in common, and two similar products have not.

    Duplicates are made of `good` listings, which the memory holds, and real ones are found in it; what they are told from are the
    most similar listings of other products.
    """
    row_of = {product: row for row, product in enumerate(memory.signatures.ids)}
    made = [
        (row_of[candidate.product_id], Candidate(listing))
        for candidate in good
        for listing in (reworded(candidate.listing, rng), photographed(candidate.listing, rng))
        if listing is not None and candidate.product_id in row_of
    ]
    if not made:
        raise VitrinaError("no listing has a title of three words or a photo: there is nothing to learn duplicates from")
    features = features_of(inspector, [candidate.listing for _, candidate in made])
    signed = Signatures.of(asked([candidate for _, candidate in made]), memory.project(features), memory.colours)
    rows = np.array([row for row, _ in made])
    same = compared(signed, np.arange(len(made)), memory.signatures, rows)
    known = real_duplicates(memory.signatures)
    search = Duplicates(memory.signatures, memory.same, memory.config.candidates, 1.0)
    others, left = list[int](), list[int]()
    for row, (own, near) in enumerate(zip(rows, search.similar(signed), strict=True)):
        picked = [
            i for i in near if i != own and (min(i, own), max(i, own)) not in known and not _alike(memory.signatures, i, own)
        ]
        left += [row] * len(picked[:5])
        others += picked[:5]
    different = compared(signed, np.array(left, dtype=np.int64), memory.signatures, np.array(others, dtype=np.int64))
    twice = np.array(sorted(known), dtype=np.int64).reshape(-1, 2)[:2000]
    real = compared(memory.signatures, twice[:, 0], memory.signatures, twice[:, 1])
    log.info("duplicates: %d made, %d real, %d pairs of different products", len(same), len(real), len(different))
    return Monotone.fit(np.concatenate([same, real]), different, SATURATES)


def real_duplicates(signatures: Signatures) -> set[tuple[int, int]]:
    """Pairs of rows whose photo is the same and whose titles share a word: one product that is listed twice."""
    groups: dict[bytes, list[int]] = {}
    for row, photo in enumerate(signatures.photos):
        if photo.any():
            groups.setdefault(photo.tobytes(), []).append(row)
    found = set()
    for rows in groups.values():
        for i, a in enumerate(rows):
            for b in rows[i + 1 : i + 10]:
                if np.intersect1d(signatures.words[a][signatures.words[a] > 0], signatures.words[b]).size:
                    found.add((a, b))
    return found


def _alike(signatures: Signatures, a: int, b: int) -> bool:
    """Whether nobody could tell two rows apart by their texts: they are no evidence of a difference."""
    same_title = set(signatures.words[a].tolist()) == set(signatures.words[b].tolist())
    described = signatures.sketches[a].any() and (signatures.sketches[a] == signatures.sketches[b]).all()
    return bool(same_title and described)


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
