"""What a version is tried on: listings made worse, made better, and listed twice.

Each trial gives a row a try, of listings drawn by chance in an order that is always the same: champion and challenger meet the
same ones.
"""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageFilter

from catalog.corruption import KINDS, PART
from catalog.images import DecodedPhoto
from catalog.listing import Listing
from models.quality.answers import Assessment, Axis, Candidate
from models.quality.improvements import applied
from models.quality.judge import Judge, Judgement
from models.quality.memory.duplicates import Duplicates
from models.quality.memory.known import pairs
from models.quality.memory.memory import Memory
from models.quality.predictor import QualityPredictor
from models.quality.twice import real_duplicates
from models.quality.twins import ALL, Twin, mended, photographed, pixels, reworded, twins

GOOD = "none"
"""The kind of fault of a listing as it is."""
BATCH = 64
"""Listings that are tried at once, each with all its twins."""
SIDE = 160
"""Pixels of the longer side of a photo that a page shows."""
SLIGHT = (0.005, 0.08)
"""Standard deviation of the blur that a sharper photo is compared with, as a share of the photo's shorter side."""


@dataclass(frozen=True)
class Tried:
    """A listing, or a twin of it, and what became of it.

    Attributes:
        row: Of the frame that reports are made of.
        candidate: What was judged.
        twin: The twin; None for the listing as it is.
        of: Place of the listing.
        judgement: Of the candidate.
    """

    row: dict[str, object]
    candidate: Candidate
    twin: Twin | None
    of: int
    judgement: Judgement


def faults(predictor: QualityPredictor, good: Sequence[Candidate]) -> Iterator[list[Tried]]:
    """Each listing as it is and with every fault that it can carry, judged; in batches."""
    rng, judge = np.random.default_rng(0), predictor.judge
    for start in range(0, len(good), BATCH):
        part = good[start : start + BATCH]
        made = list(twins(part, ALL, rng))
        asked: list[tuple[Candidate, Twin | None, int]] = [(candidate, None, i) for i, candidate in enumerate(part)]
        asked += [(twin.candidate, twin, twin.of) for twin in made]
        judged = judge.judge(judge.compare(judge.look([candidate for candidate, _, _ in asked])))
        whole = predictor.inspector.inspect([candidate.listing for candidate, _, _ in asked])
        found = []
        for (candidate, twin, of), one, inspection in zip(asked, judged, whole, strict=True):
            kind = twin.kind if twin else GOOD
            row: dict[str, object] = {"product_id": str(candidate.product_id), "kind": kind, "axis": PART.get(kind)}
            row |= {"master_category": candidate.listing.categories.get("master_category"), "score": one.score}
            row |= {f"axis_{axis}": score for axis, score in one.scores.items()}
            row |= {"worst": one.worst, "unseen_worst": _unseen_worst(predictor, one, kind)}
            guessed = max(inspection.faults, key=lambda fault: inspection.faults[fault], default=None)
            row |= {"product_score": inspection.score, "product_worst": PART[guessed] if guessed else None}
            row["completeness"] = completeness(candidate.listing, one, judge.memory)
            row["product_sees"] = kind in KINDS
            found.append(Tried(row, candidate, twin, start + of, one))
        before = {tried.of: tried.row for tried in found if tried.twin is None}
        for tried in found:
            own = before[tried.of]
            tried.row.update({f"{name}_before": own[name] for name in ("score", "product_score", "completeness")})
        yield found


def _unseen_worst(predictor: QualityPredictor, one: Judgement, kind: str) -> Axis | None:
    """The lowest axis, as axes are that were never shown the kind."""
    learned = predictor.fitted.unseen.get(kind)
    if learned is None:
        return None
    judge = replace(predictor.judge, models=learned.models, belonging=learned.belonging)
    [scores] = judge.scores([one.readings])
    return min(scores, key=lambda axis: scores[axis], default=None)


def completeness(listing: Listing, one: Judgement, memory: Memory) -> float:
    """Share of five parts and of the attributes usual for the type that a listing has: what a form would count."""
    usual = [found.name for found in memory.norms.usual(one.seen.article_type)]
    given = {name for name, _ in pairs(listing)}
    parts = (listing.title, listing.description, listing.image, listing.price, listing.categories.get("article_type"))
    there = [part is not None for part in parts] + [name in given for name in usual]
    return float(np.mean(there))


def suggestions(predictor: QualityPredictor, tried: Sequence[Tried], good: Sequence[Candidate]) -> list[dict[str, object]]:
    """Whether the first suggestion for each twin, carried out, raises its score.

    What a person has to do is done by putting the part of the original back; where the original has no other part, nothing can be
    tried.
    """
    answers = predictor.assess([one.candidate for one in tried])
    todo: list[tuple[int, Candidate]] = []
    rows: list[dict[str, object]] = []
    for i, (one, answer) in enumerate(zip(tried, answers, strict=True)):
        first = answer.improvements[0] if answer.improvements else None
        row: dict[str, object] = {"product_id": one.row["product_id"], "kind": one.row["kind"], "suggested": first is not None}
        rows.append(row | {"suggestion_axis": first.axis if first else None, "before": answer.score})
        if first is not None and one.twin is not None:
            listing = one.candidate.listing
            if first.change:
                after = replace(one.candidate, listing=applied(listing, dict(first.change)))
            elif first.axis == "duplicate":
                continue
            else:
                after = mended(one.twin, good[one.of], first.axis)
            if after.listing != listing:
                todo.append((i, after))
    for (i, _), answer in zip(todo, predictor.assess([after for _, after in todo], improve=False), strict=True):
        rows[i]["after"] = answer.score
    return rows


def never_lower(judge: Judge, good: Sequence[Candidate]) -> pd.DataFrame:
    """Score of listings as they are (`better`), without one of their attributes or with a less sharp photo (`worse`)."""
    rng, rows = np.random.default_rng(0), []
    for start in range(0, len(good), BATCH):
        pairs_of = [pair for candidate in good[start : start + BATCH] for pair in _worse(candidate, rng)]
        flat = [candidate for _, worse, better in pairs_of for candidate in (worse, better)]
        scores = [one.score for one in judge.judge(judge.compare(judge.look(flat)))] if flat else []
        for (what, worse, _), low, high in zip(pairs_of, scores[::2], scores[1::2], strict=True):
            rows.append({"product_id": str(worse.product_id), "what": what, "worse": low, "better": high})
    return pd.DataFrame(rows, columns=["product_id", "what", "worse", "better"])


def _worse(candidate: Candidate, rng: np.random.Generator) -> Iterator[tuple[str, Candidate, Candidate]]:
    """What is tried, the listing without it, and the listing with it."""
    listing = candidate.listing
    places = [(part, name) for part in ("fields", "attributes") for name in getattr(listing, part)]
    if places:
        part, name = places[int(rng.integers(len(places)))]
        kept: dict[str, Any] = {part: {key: value for key, value in getattr(listing, part).items() if key != name}}
        yield "a true attribute", replace(candidate, listing=replace(listing, **kept)), candidate
    photo = pixels(listing)
    if photo is not None:
        radius = float(rng.uniform(*SLIGHT)) * min(photo.shape[:2])
        soft = np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(radius)), dtype=np.uint8)
        sharp = replace(candidate, listing=replace(listing, image=DecodedPhoto(photo)))
        yield "a sharper photo", replace(candidate, listing=replace(listing, image=DecodedPhoto(soft))), sharp


def duplicates(predictor: QualityPredictor, good: Sequence[Candidate]) -> pd.DataFrame:
    """Listings made anew of each product, with another photo or a reworded title, and each listing itself as a stranger.

    Both are looked for among the products of training and all of `good`; a row has the probability of the nearest, and whether it
    is the same product. Listings that are in the catalogue twice are no strangers.
    """
    rng, judge, memory = np.random.default_rng(0), predictor.judge, predictor.fitted.memory
    signed = judge.sign(judge.look(good))
    known = memory.signatures.without(frozenset(signed.ids)).joined(signed)
    search = Duplicates(known, memory.same, memory.config.candidates, 0.0)
    twice = {known.ids[row] for pair in real_duplicates(known) for row in pair}
    rows = []
    for own, match in zip(good, search.nearest(signed), strict=True):
        if own.product_id not in twice:
            rows.append({"product_id": str(own.product_id), "what": "stranger", "p": match.probability if match else 0.0})
    for start in range(0, len(good), BATCH):
        made = [
            (what, candidate, Candidate(listing))
            for candidate in good[start : start + BATCH]
            for what, listing in (
                ("reworded title", reworded(candidate.listing, rng)),
                ("another photo", photographed(candidate.listing, rng)),
            )
            if listing is not None
        ]
        asked = judge.sign(judge.look([again for _, _, again in made]))
        for (what, own, _), match in zip(made, search.nearest(asked), strict=True):
            row = {"product_id": str(own.product_id), "what": what, "p": match.probability if match else 0.0}
            rows.append(row | {"right": match is not None and match.product_id == own.product_id})
    return pd.DataFrame(rows, columns=["product_id", "what", "p", "right"])


def as_json(answer: Assessment) -> str:
    """An assessment as text, for pages."""
    return json.dumps(asdict(answer), ensure_ascii=False, default=list)


def shown(candidate: Candidate) -> dict[str, object]:
    """Title and photo (JPEG) of a listing, for pages."""
    photo, buffer = pixels(candidate.listing), io.BytesIO()
    if photo is not None:
        small = Image.fromarray(photo)
        small.thumbnail((SIDE, SIDE))
        small.save(buffer, "JPEG", quality=80)
    return {"title": candidate.listing.title or "(no title)", "photo": buffer.getvalue() or None}
