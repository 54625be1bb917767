"""How the metrics of a describer read, in the order of the page."""

from models.evaluation.comparison import Better
from models.evaluation.names import Names

PEERS = {"template": "a template filled with the facts", "neighbour": "the text of the most similar product, copied"}
"""What it is held against, by the prefix of its metrics."""

TEXT_METRICS: dict[str, tuple[str, Better | None]] = {
    "attribute_precision": ("Stated values that are given", "higher"),
    "attribute_coverage": ("Given values that are stated", "higher"),
    "rouge_l": ("ROUGE-L with the shop's own text", "higher"),
    "distinct_2": ("Different pairs of words, over all pairs", "higher"),
    "self_bleu": ("Self-BLEU: how much texts are like each other", "lower"),
    "copy_rate": ("Sequences of 8 words copied from training texts", "lower"),
    "added_facts": ("Values stated a text that are not given", "lower"),
}
"""Those that peers have as well."""

NAMES = Names(
    metrics=TEXT_METRICS
    | {
        "sentences": ("Sentences and bullets a description", None),
        # Judged by gates only: two versions are timed at different moments of a busy machine.
        "describe_p50_ms": ("One description: median, ms", None),
        "describe_p95_ms": ("One description: 95th percentile, ms", None),
    },
    headline=("attribute_precision", "attribute_coverage", "rouge_l"),
    peers={name: tuple(f"{peer}.{name}" for peer in PEERS) for name in TEXT_METRICS},
    does={f"{peer}.{name}": what for peer, what in PEERS.items() for name in TEXT_METRICS},
    slices={"master_category": "Department", "facts": "Given facts"},
)
