"""How the metrics of a recommender read, in the order of the page."""

from models.evaluation.names import Names
from models.recommender.evaluate import MEANS, POPULARITY

NAMES = Names(
    metrics={
        "ndcg_at_10": ("nDCG@10", "higher"),
        "ndcg_at_20": ("nDCG@20", "higher"),
        "recall_at_20": ("Recall@20", "higher"),
        "hit_rate_at_10": ("Hit rate@10", "higher"),
        "mrr": ("Mean reciprocal rank", "higher"),
        "coverage": ("Coverage of the catalogue", "higher"),
        "gini": ("Gini: uneven exposure", "lower"),
        # Neither has a better direction: random items are the most novel and the most diverse.
        "novelty": ("Novelty, bits", None),
        "intra_list_diversity": ("Diversity within a list", None),
        # Judged by gates only: two versions are timed at different moments of a busy machine.
        "latency_p50_ms": ("One answer with a new event: median, ms", None),
        "latency_p95_ms": ("One answer with a new event: 95th percentile, ms", None),
    },
    headline=("ndcg_at_10", "recall_at_20", "coverage"),
    peers={name: (f"{POPULARITY}.{name}",) for name in (*MEANS, "coverage")},
    does={f"{POPULARITY}.{name}": "the most popular items" for name in (*MEANS, "coverage")},
    slices={"activity": "Items in the history", "bought": "Bought"},
)
