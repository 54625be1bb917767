"""Scoring: a catalogue in, an answer for every row out."""

from zenml import pipeline

from pipelines.hooks import remember
from scoring.request import ScoringRequest
from steps.score_catalogue import score_catalogue


@pipeline(name="scoring", enable_cache=False, on_failure=remember)
def scoring(request: ScoringRequest) -> None:
    """A schedule that names a new `out` scores anew; the same one goes on where it was killed."""
    score_catalogue(request)
