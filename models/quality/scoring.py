"""What the quality model answers in bulk: score, verdict, axes and the improvement that is worth most.

Duplicates are looked for among the products of training, as the API does; `vitrina assess` looks within the catalogue itself.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from catalog.catalogue import listing_of
from catalog.images import DecodedPhoto
from configs.schema import ScoringConfig
from models.family import Scorer
from models.quality.answers import AXES, Assessment, Axis, Candidate
from models.quality.predictor import QualityPredictor


def axis_column(axis: Axis) -> str:
    """Name of the column that holds an axis's score."""
    return f"axis_{axis}"


def assessed_row(said: Assessment) -> dict[str, Any]:
    """An assessment as a row of a table; see `assessed_schema`."""
    first = said.improvements[0] if said.improvements else None
    other = said.axes["duplicate"].evidence if "duplicate" in said.axes else ()
    return {
        "article_type": said.article_type,
        "score": said.score,
        "verdict": said.verdict,
        "worst_axis": said.worst,
        **{axis_column(axis): said.axes[axis].score if axis in said.axes else None for axis in AXES},
        "duplicate_of": next((str(e.values["product_id"]) for e in other if "product_id" in e.values), None),
        "improvements": len(said.improvements),
        "improvement_axis": first and first.axis,
        "improvement_text": first and first.text,
        "improvement_gain": first and first.gain,
        "improvement_score_after": first and first.score_after,
        "improvement_confidence": first and first.confidence,
        "improvement_change": json.dumps(dict(first.change), ensure_ascii=False) if first and first.change else None,
        "evidence": json.dumps({axis: [e.text for e in said.axes[axis].evidence] for axis in said.axes}, ensure_ascii=False),
        "left_out": json.dumps(dict(said.left_out), ensure_ascii=False),
    }


def assessed_schema() -> pa.Schema:
    """Types that do not depend on what is missing in all rows; texts of evidence and of what is left out are JSON objects."""
    first = [("axis", pa.string()), ("text", pa.string()), ("gain", pa.float64()), ("score_after", pa.float64())]
    first += [("confidence", pa.float64()), ("change", pa.string())]
    return pa.schema(
        [
            ("article_type", pa.string()),
            ("score", pa.float64()),
            ("verdict", pa.string()),
            ("worst_axis", pa.string()),
            *((axis_column(axis), pa.float64()) for axis in AXES),
            ("duplicate_of", pa.string()),
            ("improvements", pa.int64()),
            *((f"improvement_{name}", kind) for name, kind in first),
            ("evidence", pa.string()),
            ("left_out", pa.string()),
        ]
    )


class QualityScorer:
    """A listing as it lies in the catalogue, which is no duplicate of itself."""

    table, key, photos = "products", "product_id", True
    config: type[ScoringConfig] = ScoringConfig

    def schema(self, config: ScoringConfig) -> pa.Schema:
        """As `vitrina assess` writes them."""
        return assessed_schema()

    def read(self, record: Mapping[str, Any], photo: DecodedPhoto | None) -> Candidate:
        """The listing with its id."""
        return Candidate(listing_of(record, photo), record["product_id"])

    def answer(self, predictor: QualityPredictor, asked: Sequence[Candidate], config: ScoringConfig) -> list[dict[str, Any]]:
        """See `models.family.Scorer`."""
        return [assessed_row(said) for said in predictor.predict(asked)]


SCORERS: tuple[Scorer, ...] = (QualityScorer(),)
