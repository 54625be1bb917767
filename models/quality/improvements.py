"""What would make a listing better, and by how much: each change is applied to the listing, which is then scored again.

Where a model can make the change it comes ready made: a better title, a value for a missing attribute, the category, a price.
What a person has to do is worth what the axis would gain if its evidence were as good as that of half of the good listings.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from catalog.listing import CATEGORY_LEVELS, Listing
from models.quality.answers import Axis, Candidate, Improvement
from models.quality.axes import readers
from models.quality.axis import Reading
from models.quality.judge import Judge, Judgement
from models.quality.memory.guesses import Guess
from models.quality.memory.known import FINEST, pairs, reads, with_pairs
from models.quality.memory.titles import better
from models.quality.overall import overall
from models.quality.seen import Seen

LEAST = 1e-3
"""A smaller gain is not worth a suggestion."""


@dataclass(frozen=True)
class Proposal:
    """A change that has not been scored.

    Attributes:
        change: As in `Improvement`.
        listing: With the change applied; None where a person has to make it.
    """

    axis: Axis
    text: str
    change: dict[str, Any]
    listing: Listing | None = None
    confidence: float | None = None
    low: float | None = None
    high: float | None = None


def improvements(
    judge: Judge, judged: Sequence[Judgement], compare: Callable[[Sequence[Seen]], Sequence[Seen]]
) -> list[tuple[Improvement, ...]]:
    """Of each listing, what raises its score, from the change that is worth most on.

    `compare` says of which other listing a changed one probably is a duplicate, as it was said of those in `judged`.
    """
    proposed = [list(proposals(judge, one)) for one in judged]
    scores = _scored(judge, judged, proposed, compare)
    found = []
    for one, proposal, score in zip(judged, proposed, scores, strict=True):
        worth = [(p, after) for p, after in zip(proposal, score, strict=True) if after - one.score > LEAST]
        worth.sort(key=lambda pair: (-pair[1], pair[0].axis, pair[0].text))
        found.append(tuple(_improvement(p, after, one.score) for p, after in worth[: judge.config.improvements]))
    return found


def applied(listing: Listing, change: dict[str, Any]) -> Listing:
    """A listing with a ready-made change: parts, category levels, fields, and attributes by `ATTRIBUTE` and their name."""
    parts = {name: value for name, value in change.items() if name in ("title", "description", "price")}
    levels = {name: value for name, value in change.items() if name in CATEGORY_LEVELS}
    rest = {name: value for name, value in change.items() if name not in parts and name not in levels}
    fields, attributes = with_pairs(listing, rest)
    return replace(listing, **parts, categories={**listing.categories, **levels}, fields=fields, attributes=attributes)


def proposals(judge: Judge, one: Judgement) -> Iterator[Proposal]:
    """Every change that may raise the score of a listing."""
    seen, listing, memory = one.seen, one.seen.listing, judge.memory
    guesses = memory.lacking(seen.candidate, seen.article_type, seen.vector)
    yield from _ready(listing, one, guesses, judge)
    known = {guess.name for guess in guesses}
    for usual in memory.norms.usual(seen.article_type):
        if usual.name not in known and usual.name not in {name for name, _ in pairs(listing)} and "attributes" in one.scores:
            text = f"Give the {reads(usual.name)}: {usual.share:.0%} of {usual.of:,} {usual.group} have it."
            yield Proposal("attributes", text, {}, replace(listing, **_with(listing, usual.name, "?")))
    for axis in ("title", "description", "photo", "agreement", "duplicate"):
        reader = readers()[axis]
        if one.scores.get(reader.name, 1.0) < 1.0:
            missing = one.readings[reader.name].missing is not None
            yield Proposal(reader.name, reader.absent if missing and reader.absent else reader.todo, {})


def _ready(listing: Listing, one: Judgement, guesses: Sequence[Guess], judge: Judge) -> Iterator[Proposal]:
    """What comes ready made."""
    seen, memory = one.seen, judge.memory
    sure = {guess.name: guess.value for guess in guesses if guess.confidence >= memory.config.title_confidence}
    if "title" in one.scores and (title := better(listing, seen.article_type, memory.norms, sure)) is not None:
        yield _proposal("title", f"Change the title to {title!r}.", {"title": title}, listing)
    for guess in guesses:
        text = f"Add the {reads(guess.name)} {guess.value!r}: {guess.why}."
        yield replace(_proposal("attributes", text, {guess.name: guess.value}, listing), confidence=guess.confidence)
    if len(guesses) > 1:
        told = ", ".join(f"{reads(guess.name)} {guess.value!r}" for guess in guesses)
        together: dict[str, Any] = {guess.name: guess.value for guess in guesses}
        least = min(guess.confidence for guess in guesses)
        text = f"Add {len(guesses)} attributes: {told}."
        yield replace(_proposal("attributes", text, together, listing), confidence=least)
    inspection = seen.inspection
    if inspection is None:
        return
    best = inspection.categories.get(FINEST)
    if best and best[0] != seen.given_type and "category" in one.scores:
        change = {level: value for level, (value, _) in inspection.categories.items()}
        text = f"Put it into the category {best[0]}."
        yield replace(_proposal("category", text, change, listing), confidence=best[1])
    if inspection.price is not None and "price" in one.scores:
        price = inspection.price
        cost = f"such products cost about {price.median:,.4g}, between {price.low:,.4g} and {price.high:,.4g}"
        text = f"{'Give a price' if listing.price is None else 'Check the price'}: {cost}."
        worth: dict[str, Any] = {"price": round(price.median, 2)}
        yield replace(_proposal("price", text, worth, listing), low=round(price.low, 2), high=round(price.high, 2))


def _proposal(axis: Axis, text: str, change: dict[str, Any], listing: Listing) -> Proposal:
    return Proposal(axis, text, change, applied(listing, change))


def _with(listing: Listing, name: str, value: str) -> dict[str, Any]:
    fields, attributes = with_pairs(listing, {name: value})
    return {"fields": fields, "attributes": attributes}


def _scored(
    judge: Judge,
    judged: Sequence[Judgement],
    proposed: Sequence[Sequence[Proposal]],
    compare: Callable[[Sequence[Seen]], Sequence[Seen]],
) -> list[list[float]]:
    """The score after each proposal; all listings of which more than one axis may change are looked at in one batch."""
    scores = [[0.0] * len(proposals) for proposals in proposed]
    again: list[tuple[int, int, Candidate]] = []
    for i, (one, group) in enumerate(zip(judged, proposed, strict=True)):
        for j, proposal in enumerate(group):
            if proposal.listing is None:
                scores[i][j] = _as_usual(judge, one, proposal.axis)
                continue
            changed = replace(one.seen.candidate, listing=proposal.listing)
            if proposal.axis == "attributes" and not (proposal.change and one.seen.match):  # a colour tells products apart
                scores[i][j] = _reread(judge, one, replace(one.seen, candidate=changed), "attributes")
            else:
                again.append((i, j, changed))
    seen = compare(judge.look([candidate for _, _, candidate in again])) if again else []
    for (i, j, _), after in zip(again, judge.judge(seen), strict=True):
        scores[i][j] = after.score
    return scores


def _reread(judge: Judge, one: Judgement, changed: Seen, axis: Axis) -> float:
    """The score where one axis alone is read again."""
    reading = readers()[axis].read(changed, judge.memory)
    return _with_reading(judge, one, axis, reading)


def _as_usual(judge: Judge, one: Judgement, axis: Axis) -> float:
    """The score where the evidence of an axis is as good as that of half of the good listings, or as it is."""
    reading = one.readings[axis]
    if axis not in judge.models:
        return _with_reading(judge, one, axis, Reading((1.0,)))
    typical = judge.models[axis].typical
    row = typical if not reading.there else np.where(np.isnan(reading.row), np.nan, np.fmax(reading.row, typical))
    return _with_reading(judge, one, axis, Reading(tuple(row.tolist())))  # a part that belongs: nothing speaks against it


def _with_reading(judge: Judge, one: Judgement, axis: Axis, reading: Reading) -> float:
    [scores] = judge.scores([{**one.readings, axis: reading}])
    return overall(scores, judge.config.overall)


def _improvement(proposal: Proposal, after: float, before: float) -> Improvement:
    return Improvement(
        axis=proposal.axis,
        text=proposal.text,
        change=proposal.change,
        confidence=proposal.confidence,
        score_after=after,
        gain=after - before,
        low=proposal.low,
        high=proposal.high,
    )
