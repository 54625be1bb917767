"""How the metrics of a quality model read, in the order of the page."""

from catalog.corruption import PART
from models.evaluation.comparison import Better
from models.evaluation.names import Names

KIND_LABELS = {
    "poor_title": "title of a word or two",
    "stuffed_title": "stuffed title",
    "swapped_title": "title of another product",
    "truncated_description": "description cut off",
    "swapped_description": "description of another product",
    "blurred_image": "blurred photo",
    "dark_image": "dark photo",
    "missing_attributes": "attributes missing",
    "mismatched_image": "photo of another product",
    "wrong_category": "category of another product",
    "wrong_price": "slipped decimal point",
}
"""Kinds of fault in words."""


def _metrics() -> dict[str, tuple[str, Better | None]]:
    found: dict[str, tuple[str, Better | None]] = {
        "twin_order": ("A listing made worse scores lower", "higher"),
        "fault_attribution": ("The lowest axis is that of the fault", "higher"),
        "fault_attribution_unseen": ("The same for kinds of fault that no axis was shown", "higher"),
        "first_suggestion_raises": ("The first suggestion, carried out, raises the score", "higher"),
        "suggestion_share": ("Listings made worse for which there is a suggestion", "higher"),
        "improvement_never_lowers": ("A true attribute or a sharper photo does not lower the score", "higher"),
        "improvement_violations": ("Tries in which it did", "lower"),
        "duplicate_precision_at_recall_80": ("Duplicates found: precision at recall 0.8", "higher"),
        "duplicate_recall": ("Duplicates found, of all", "higher"),
        "publish_share": ("Listings as they are that are published", None),
        "fault_publish_share": ("Listings made worse that are published", None),
        # Judged by gates only: two versions are timed at different moments of a busy machine.
        "assess_p50_ms": ("One assessment with improvements: median, ms", None),
        "assess_p95_ms": ("One assessment with improvements: 95th percentile, ms", None),
    }
    for metric in ("twin_order", "fault_attribution", "fault_attribution_unseen"):
        found |= {f"{metric}.{kind}": (f"{found[metric][0]}: {KIND_LABELS[kind]}", "higher") for kind in PART}
    return found


NAMES = Names(
    metrics=_metrics(),
    headline=("twin_order", "fault_attribution", "first_suggestion_raises"),
    peers={
        "twin_order": ("completeness.twin_order", "product.twin_order"),
        "fault_attribution": ("chance.fault_attribution", "product.fault_attribution"),
    },
    does={
        "completeness.twin_order": "counting the parts and usual attributes that are given",
        "product.twin_order": "the product model's one score of quality",
        "chance.fault_attribution": "naming an axis at random",
        "product.fault_attribution": "the fault that the product model finds most probable",
    },
    slices={"kind": "Fault", "master_category": "Department"},
)
