"""Learns what two listings of the same product have in common, and the listings of two similar products have not.

Shapes: n listings, D features, m pairs, E evidence (`models.quality.memory.duplicates.NAMES`).
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from catalog.listing import Listing
from configs.errors import VitrinaError
from models.inspection import Inspector
from models.quality.answers import Candidate
from models.quality.memory.duplicates import NAMES, SATURATES, Duplicates, Signatures, asked, compared, there
from models.quality.memory.memory import Memory
from models.quality.monotone import Floats, Monotone
from models.quality.seen import bare
from models.quality.twins import photographed, reworded

log = logging.getLogger(__name__)

BATCH = 512
"""Listings whose photos are in memory at once."""
NEAR = 5
"""Most similar listings of other products that each listing is told from."""
REAL = 2000
"""Pairs of listings with one photo that are learned from, at most: more would outweigh those with another one."""
WITHOUT = 0.3
"""Share of pairs that are shown once more without their photos, and without their descriptions: such listings come too."""
PHOTO = ("photo", "photo_colours")


def learn_duplicates(inspector: Inspector, memory: Memory, good: Sequence[Candidate], rng: np.random.Generator) -> Monotone:
    """What a listing and a duplicate of it have in common, and two similar products have not.

    Duplicates are made of `good` listings, which the memory holds, and real ones are found in it; what they are told from are the
    most similar listings of other products, those with the same texts among them: shops describe one model after another in the
    same words.

    Raises:
        VitrinaError: no duplicate can be made of any of them.
    """
    row_of = {product: row for row, product in enumerate(memory.signatures.ids)}
    held = [candidate for candidate in good if candidate.product_id in row_of]
    made = [
        (row_of[candidate.product_id], Candidate(listing))  # type: ignore[index]
        for candidate in held
        for listing in made_anew(candidate.listing, rng).values()
    ]
    if not made:
        raise VitrinaError("no listing has a title of three words or a photo: there is nothing to learn duplicates from")
    features = features_of(inspector, [candidate.listing for _, candidate in made])
    signed = Signatures.of(asked([candidate for _, candidate in made]), memory.project(features), memory.colours)
    rows = np.array([row for row, _ in made], dtype=np.int64)
    known = real_duplicates(memory.signatures)
    twice = np.array(sorted(known), dtype=np.int64).reshape(-1, 2)
    twice = twice[np.sort(rng.permutation(len(twice))[:REAL])]
    same = [compared(signed, np.arange(len(made)), memory.signatures, rows)]
    if len(twice):
        shown = np.resize(twice, (max(len(twice), len(made) // 2), 2))
        same += [compared(memory.signatures, shown[:, 0], memory.signatures, shown[:, 1])]
    own = np.unique(rows)
    different = [_others(signed, rows, memory, known), _others(_rows(memory.signatures, own), own, memory, known)]
    log.info("duplicates: %d made, %d real, %d pairs of different products", len(made), len(twice), sum(map(len, different)))
    found = Monotone.fit(_with_gaps(np.concatenate(same), rng), _with_gaps(np.concatenate(different), rng), SATURATES)
    rare = memory.config.twice  # both weighed the same: what is rare among pairs was made to look as common as what is not
    return replace(found, bias=found.bias - float(np.log((1 - rare) / rare)))


def made_anew(listing: Listing, rng: np.random.Generator) -> dict[str, Listing]:
    """The same product listed once more: `reworded title`, `another photo`, as far as it has them."""
    made = {"reworded title": reworded(listing, rng), "another photo": photographed(listing, rng)}
    return {what: again for what, again in made.items() if again is not None}


def real_duplicates(signatures: Signatures) -> set[tuple[int, int]]:
    """Pairs of rows whose photo is the same and whose titles share a word: one product that is listed twice.

    A brand, gender or colour that differs makes them two, though they share a photo.
    """
    groups: dict[bytes, list[int]] = {}
    for row, (photo, colours) in enumerate(zip(signatures.photos, signatures.colours, strict=True)):
        if photo.any():
            groups.setdefault(photo.tobytes() + colours.tobytes(), []).append(row)
    pairs = [(a, b) for rows in groups.values() for i, a in enumerate(rows) for b in rows[i + 1 : i + 10]]
    if not pairs:
        return set()
    left, right = np.array(pairs, dtype=np.int64).T
    evidence = compared(signatures, left, signatures, right)
    title, given = (evidence[:, NAMES.index(name)] for name in ("title", "given"))
    return {pair for pair, same in zip(pairs, (title > 0) & (given == 0), strict=True) if same}


def _others(signed: Signatures, rows: NDArray[np.int64], memory: Memory, known: set[tuple[int, int]]) -> Floats:
    """Evidence (m, E) of listings that were signed and the most similar ones of other products than their own `rows`."""
    search = Duplicates(memory.signatures, memory.same, memory.config.candidates, 1.0)
    left, right = list[int](), list[int]()
    for i, (own, near) in enumerate(zip(rows.tolist(), search.similar(signed), strict=True)):
        other = [row for row in near.tolist() if row != own and (min(row, own), max(row, own)) not in known][:NEAR]
        left += [i] * len(other)
        right += other
    a, b = np.array(left, dtype=np.int64), np.array(right, dtype=np.int64)
    found = compared(signed, a, memory.signatures, b)
    originals = compared(memory.signatures, rows[a], memory.signatures, b)
    return found[~_alike(originals)]


def _alike(evidence: Floats) -> NDArray[np.bool_]:
    """Pairs (m,) that nobody could tell apart by what is there to compare: they are no evidence of a difference."""
    title, description, colours, photo = (evidence[:, NAMES.index(n)] for n in ("title", "description", "photo_colours", "photo"))
    seen = np.isnan(colours) | ((colours > 0.98) & (photo > 0.95))
    return np.asarray((title == 1) & ~(description < 1) & seen)


def _with_gaps(evidence: Floats, rng: np.random.Generator) -> Floats:
    """The pairs (m, E), and some of them once more as if they had no photos, or no descriptions."""
    parts = [evidence]
    for names in (PHOTO, ("description",)):
        less = evidence[rng.random(len(evidence)) < WITHOUT].copy()
        less[:, [NAMES.index(name) for name in names]] = np.nan
        less[:, NAMES.index("compared")] = there(*(less[:, NAMES.index(name)] for name in ("title", "description", PHOTO[1])))
        parts.append(less)
    return np.concatenate(parts)


def _rows(signatures: Signatures, rows: NDArray[np.int64]) -> Signatures:
    kept = frozenset(signatures.ids[row] for row in rows.tolist())
    return signatures.without(frozenset(signatures.ids) - kept)


def features_of(inspector: Inspector, listings: Sequence[Listing]) -> NDArray[np.float32]:
    """Features [n, D] of bare listings; 0 where there is nothing that they are made of."""
    plain = [bare(listing) for listing in listings]
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
