"""What the quality model says of a listing: axes with evidence, what would raise the score and by how much, and a verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from catalog.listing import Listing

Axis = Literal["title", "description", "photo", "attributes", "agreement", "category", "price", "duplicate"]
AXES: tuple[Axis, ...] = get_args(Axis)
"""Title and description as texts; the photo as a photo; attributes against what the type usually has; whether photo and text
agree, the category fits and the price is plausible; whether another listing is the same product."""

Verdict = Literal["publish", "hold"]


@dataclass(frozen=True)
class Candidate:
    """A listing to assess.

    Attributes:
        listing: What the merchant wrote.
        product_id: Its own id, where the catalogue may already hold it: it is then no duplicate of itself.
    """

    listing: Listing
    product_id: int | str | None = None


@dataclass(frozen=True)
class Evidence:
    """Something about a listing that a person can check.

    Attributes:
        text: One sentence.
        values: The numbers and words in it, by name.
    """

    text: str
    values: Mapping[str, str | float | int | tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class AxisScore:
    """One axis of a listing.

    Attributes:
        score: 0 to 1, higher is better.
        evidence: What it rests on, the weightiest first.
    """

    score: float
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Improvement:
    """One change, and what it is worth.

    Attributes:
        axis: Which one it is for.
        text: What to do, one sentence.
        change: What to write where, ready made: a part or field (`title`, `price`, `article_type`, `attributes.Fit`)
            and its value; empty where a person has to make it (another photo, a longer description).
        confidence: 0 to 1, how sure a value that a model predicted is; None where nothing is predicted.
        low, high: The range that a price should lie in; None for other parts.
        score_after: Score of the listing with this change alone.
        gain: By how much that is higher than the score now, above 0.
    """

    axis: Axis
    text: str
    change: Mapping[str, Any]
    confidence: float | None
    score_after: float
    gain: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Assessment:
    """What the model says of one listing.

    Attributes:
        score: 0 to 1, the stated monotone function of the axes (`models.quality.overall`).
        verdict: publish where the score reaches the version's threshold.
        threshold: That threshold.
        axes: Every axis that applies to the listing and that the version can judge.
        left_out: Axis to the reason why it is not among them.
        improvements: The one that is worth most first.
        faults: Probability of each of `catalog.corruption.KINDS`, by the product model's head for the fault.
        modalities: Parts of the listing that the product model saw.
        article_type: The type it was compared with: the given one, else the predicted one; None where neither is known.
    """

    score: float
    verdict: Verdict
    threshold: float
    axes: Mapping[Axis, AxisScore]
    left_out: Mapping[Axis, str]
    improvements: tuple[Improvement, ...]
    faults: Mapping[str, float]
    modalities: tuple[str, ...]
    article_type: str | None

    @property
    def worst(self) -> Axis | None:
        """The axis that scores lowest: what a fault is attributed to."""
        return min(self.axes, key=lambda axis: self.axes[axis].score, default=None)
