"""Step: answer for every row of a table."""

from typing import Annotated

from zenml import step

from configs.settings import Settings
from scoring.request import ScoringOutcome, ScoringRequest
from scoring.run import require_share, run_scoring


@step(enable_cache=False)
def score_catalogue(request: ScoringRequest) -> Annotated[ScoringOutcome, "scores"]:
    """Compute what `out` does not hold yet; too few answers stop the run after its summary is written."""
    outcome = run_scoring(Settings.from_environment(), request)
    require_share(outcome)
    return outcome
