"""What clients send to be assessed and get from it, and how answers are made of what `quality`, or until then `product`, says."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import Field, create_model

from models.quality import answers
from models.quality.answers import Axis, Verdict
from serving.routes import _product as product
from serving.routes._product import Fault, Prediction, Quality
from serving.schemas import Id, ListingIn, RequestModel, ResponseModel, Served
from serving.slots import Answer

MODEL = "quality"


class CandidateIn(ListingIn):
    """A listing to assess."""

    product_id: Id | None = Field(
        None,
        description="its own id, where the catalogue may hold it: it is then no duplicate of itself",
        examples=[1163],
    )


class CandidatesIn(RequestModel):
    """Several listings to assess."""

    items: list[CandidateIn]


def candidates_in(limit: int) -> type[CandidatesIn]:
    """`CandidatesIn` with at most `limit` listings."""
    bounded = Field(min_length=1, max_length=limit)
    return create_model("CandidatesIn", __base__=CandidatesIn, __doc__=CandidatesIn.__doc__, items=(list[CandidateIn], bounded))


class Evidence(ResponseModel):
    """Something about the listing that a person can check."""

    text: str = Field(description="one sentence", examples=["No sleeve length; 97 % of 1,204 Kurtas give it."])
    values: dict[str, str | int | float | list[str]] = Field(
        description="the numbers and words in it, by name", examples=[{"attribute": "Sleeve Length", "share": 0.97}]
    )


class AxisScore(ResponseModel):
    """One axis of the listing."""

    axis: Axis = Field(examples=["attributes"])
    score: float = Field(description="0 to 1, higher is better", examples=[0.41])
    evidence: list[Evidence] = Field(description="what it rests on, the weightiest first")


class Improvement(ResponseModel):
    """One change to the listing, and what it is worth."""

    axis: Axis = Field(examples=["attributes"])
    text: str = Field(description="what to do, one sentence", examples=["Give the sleeve length: Three-Quarter Sleeves."])
    change: dict[str, str | int | float] = Field(
        description="what to write where, ready made: title, price, article_type, attributes.NAME and so on; empty where a "
        "person has to make it",
        examples=[{"attributes.Sleeve Length": "Three-Quarter Sleeves"}],
    )
    confidence: float | None = Field(
        description="0 to 1, how sure a value that a model predicted is; null where nothing is predicted", examples=[0.91]
    )
    low: float | None = Field(description="of the range that a price should lie in; null for other parts")
    high: float | None = Field(description="of that range")
    gain: float = Field(description="by how much the score is higher with this change alone, above 0", examples=[0.12])
    score_after: float = Field(description="the score with this change alone", examples=[0.74])


class Assessment(Quality, Prediction):
    """How good a listing is, by axis, and what would make it better.

    Until a version of `quality` is promoted the fault head of `product` answers (`model` says which did): score and faults are
    then its own, and what only `quality` says is null.
    """

    verdict: Verdict | None = Field(description="publish where the score reaches the threshold; null where product answers")
    threshold: float | None = Field(description="of the version that answers; null where product answers", examples=[0.6])
    axes: list[AxisScore] | None = Field(description="the worst first; null where product answers")
    left_out: dict[Axis, str] | None = Field(
        description="axes that are not judged, and why; null where product answers",
        examples=[{"photo": "this version was trained without photos"}],
    )
    improvements: list[Improvement] | None = Field(
        description="the one that is worth most first; null where product answers, empty where nothing would raise the score"
    )
    article_type: str | None = Field(
        description="the type that the listing was compared with: the given one, else the predicted one", examples=["Kurtas"]
    )


class Assessments(ResponseModel):
    """One assessment an item, in order, all of one model version."""

    model: Served
    items: list[Assessment]


def by_product(answer: Answer) -> Assessment:
    """The fault head's answer.

    Raises:
        NotSupported: the version has no such head.
    """
    product.required(answer, "faults", "quality")
    quality = product.quality(answer)
    assert quality is not None
    unsaid: dict[str, Any] = dict.fromkeys(("verdict", "threshold", "axes", "left_out", "improvements", "article_type"))
    return Assessment(**product.head(answer), **dict(quality), **unsaid)


def by_quality(answer: Answer) -> Assessment:
    """The whole answer."""
    said: answers.Assessment = answer.prediction
    faults = [Fault.model_validate({"kind": kind, "probability": round(p, 6)}) for kind, p in said.faults.items()]
    axes = [_axis(name, score) for name, score in said.axes.items()]
    return Assessment(
        prediction_id=str(uuid.uuid4()),
        model=Served(name=MODEL, version=answer.version),
        modalities=list(said.modalities),
        score=round(said.score, 6),
        faults=sorted(faults, key=lambda fault: -fault.probability),
        verdict=said.verdict,
        threshold=said.threshold,
        axes=sorted(axes, key=lambda axis: axis.score),
        left_out=dict(said.left_out),
        improvements=[_improvement(change) for change in said.improvements],
        article_type=said.article_type,
    )


def _axis(name: Axis, axis: answers.AxisScore) -> AxisScore:
    return AxisScore(axis=name, score=round(axis.score, 6), evidence=_evidence(axis.evidence))


def _evidence(found: Iterable[answers.Evidence]) -> list[Evidence]:
    return [Evidence(text=one.text, values={name: _plain(value) for name, value in one.values.items()}) for one in found]


def _plain(value: str | float | Sequence[str]) -> str | int | float | list[str]:
    return list(value) if isinstance(value, tuple) else value  # type: ignore[return-value]  # a str, an int or a float


def _improvement(change: answers.Improvement) -> Improvement:
    return Improvement(
        axis=change.axis,
        text=change.text,
        change=dict(change.change),
        confidence=change.confidence,
        low=change.low,
        high=change.high,
        gain=round(change.gain, 6),
        score_after=round(change.score_after, 6),
    )
