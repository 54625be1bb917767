"""One worker, in this process."""

from collections.abc import Iterator, Sequence

from scoring.plan import Shard
from scoring.shard import Job, ShardScorer


def score(job: Job, numbers: Sequence[int]) -> Iterator[Shard]:
    """The shards `numbers`, each when it is finished.

    Raises:
        VitrinaError: see `scoring.shard`.
    """
    worker = ShardScorer(job)
    for number in numbers:
        yield worker.score(number)
