"""The two samples that monitoring compares: the reference in a bundle, and the newest predictions."""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ValidationError

from configs.errors import VitrinaError
from database.predictions import PredictionRow, feedback_for, newest_predictions
from monitoring.verdict import ReferenceSpec

REFERENCE, SPEC = "reference.parquet", "reference.json"


class ReferenceError(VitrinaError):
    """A bundle has no reference that can be compared with."""


@dataclass(frozen=True)
class Window:
    """The newest predictions of one version.

    Attributes:
        frame: A row for each input, or identity: input and output columns, `true_X` where feedback came, the embedding.
        rows: Predictions looked at, repeated inputs among them.
        key: Names the window: the same predictions of the same version have the same key.
        start: Time of the oldest prediction, None for an empty window.
        end: Time of the newest prediction.
    """

    frame: pd.DataFrame
    rows: int
    key: str
    start: datetime | None
    end: datetime | None


def read_reference(bundle: Path) -> tuple[pd.DataFrame, ReferenceSpec]:
    """The rows kept with a model, and what their columns are.

    Raises:
        ReferenceError: a file is missing or not what it should be.
    """
    try:
        spec = ReferenceSpec.model_validate_json((bundle / SPEC).read_text(encoding="utf-8"))
        frame = pd.read_parquet(bundle / REFERENCE)
    except (OSError, ValidationError) as error:
        raise ReferenceError(f"the reference in {bundle} cannot be read: {' '.join(str(error).split())[:200]}") from error
    named = [*spec.kinds(), *spec.match, *([spec.example] if spec.example else [])]
    absent = [column for column in named if column not in frame]
    if absent:
        raise ReferenceError(f"{bundle / REFERENCE} lacks column {', '.join(absent)}; it has: {', '.join(frame.columns)}")
    return frame, spec


def read_window(url: str, model: str, version: int, limit: int, spec: ReferenceSpec) -> Window:
    """At most `limit` newest predictions of `version`, as `spec` says.

    Tests need rows that were drawn independently. So repeated inputs (retries, the same product looked at again, also told
    in another way) count once, and where the spec has an identity, such as the user, so do all answers to it. The newest that
    has feedback counts, or the newest.

    Raises:
        DatabaseError: the database cannot be read.
    """
    rows = newest_predictions(url, model, limit, version)
    labels = feedback_for(url, [row.id for row in rows])
    records = []
    for row in _distinct(rows, labels, spec):
        record = {**row.inputs, **row.outputs, **{f"true_{name}": value for name, value in labels.get(row.id, {}).items()}}
        if spec.embedding is not None:
            record[spec.embedding] = None if row.embedding is None else np.frombuffer(row.embedding, dtype="<f4")
        records.append(record)
    times = [row.created_at for row in rows]
    return Window(
        frame=pd.DataFrame.from_records(records),
        rows=len(rows),
        key=_key(model, version, rows),
        start=min(times, default=None),
        end=max(times, default=None),
    )


def _distinct(rows: Sequence[PredictionRow], labels: Collection[str], spec: ReferenceSpec) -> Collection[PredictionRow]:
    """One of `rows` (newest first) for each input; `labels` holds the ids with feedback."""
    chosen: dict[str, PredictionRow] = {}
    for row in rows:
        about = _about(row, spec)
        if about not in chosen or (row.id in labels and chosen[about].id not in labels):
            chosen[about] = row
    return chosen.values()


def _about(row: PredictionRow, spec: ReferenceSpec) -> str:
    """What the answer is about, as text."""
    if spec.identity is None:
        return json.dumps({name: value for name, value in row.inputs.items() if name not in spec.match}, sort_keys=True)
    values = [row.inputs.get(column) for column in spec.identity]
    return row.id if not values or None in values else json.dumps(values)


def _key(model: str, version: int, rows: Sequence[PredictionRow]) -> str:
    ends = [rows[0].id, rows[-1].id] if rows else []
    return hashlib.sha256("\n".join([model, str(version), str(len(rows)), *ends]).encode()).hexdigest()[:16]
