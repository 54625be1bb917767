"""Score a catalogue where the active stack runs things: in this process, or in a pod."""

from configs.settings import Settings
from operations.cluster import ActiveStack, deliveries, on_volume, shares_store, stack_for_run
from operations.environment import prepare
from operations.run import execute, output_of
from scoring.request import ScoringOutcome, ScoringRequest
from scoring.run import Progress, run_scoring


def score(settings: Settings, request: ScoringRequest, progress: Progress | None = None) -> ScoringOutcome:
    """Compute what `out` does not hold yet.

    Raises:
        VitrinaError: the request, the data or a service stopped it; the message says which.
    """
    prepare(settings)
    stack = stack_for_run(settings) if shares_store(settings) else ActiveStack(name="default", store="", cluster=None)
    asked = request.model_copy(update={"data": tuple(deliveries(stack, request.data))})
    if stack.cluster is None:
        return run_scoring(settings, asked, progress)
    from pipelines.scoring import scoring

    asked = asked.model_copy(update={"out": on_volume(stack, "--out", request.out)})
    found: ScoringOutcome = output_of(execute(scoring, request=asked), "score_catalogue", "scores")
    return found
