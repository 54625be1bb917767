"""How the metrics of a few-shot model read, in the order of the page."""

from models.evaluation.comparison import Better
from models.evaluation.names import Names

SIMPLE = {"chance": "guessing", "nearest_centroid": "the nearest class mean", "prototypes": "ProtoNet on the same features"}
"""What what answers by default is held against, the simplest first."""

_ACCURACY = {
    "5way_1shot": "5 classes, 1 example",
    "5way_2shot": "5 classes, 2 examples",
    "5way_5shot": "5 classes, 5 examples",
    "5way_10shot": "5 classes, 10 examples",
    "5way_20shot": "5 classes, 20 examples",
    "20way_5shot": "20 classes, 5 examples",
    "novel_5way_5shot": "New department, 5 classes, 5 examples",
}
_HELD = ("5way_1shot", "5way_5shot", "20way_5shot", "novel_5way_5shot")
_REJECTED = {"": "5 examples", "_5way_1shot": "1 example", "_novel_5way_5shot": "new department"}


def _metrics() -> dict[str, tuple[str, Better | None]]:
    found: dict[str, tuple[str, Better | None]] = {
        f"accuracy_{setting}": (f"{label}: accuracy", "higher") for setting, label in _ACCURACY.items()
    }
    for suffix, label in _REJECTED.items():
        found[f"unknown_rejection{suffix}"] = (f"Strangers rejected, {label}", "higher")
        found[f"false_rejection{suffix}"] = (f"Members falsely rejected, {label}", "lower")
    return found | {
        "expected_calibration_error": ("Expected calibration error, 5 classes, 5 examples", "lower"),
        # Judged by gates only: two versions are timed at different moments of a busy machine.
        "adapt_p50_ms": ("Teaching 5 classes, 5 examples, features ready: median, ms", None),
        "adapt_p95_ms": ("Teaching 5 classes, 5 examples, features ready: 95th percentile, ms", None),
        "types_seen_before": ("Share of the tested types that training has seen", None),
    }


def _peers() -> dict[str, tuple[str, ...]]:
    found = {f"accuracy_{setting}": tuple(f"{name}.accuracy_{setting}" for name in SIMPLE) for setting in _HELD}
    return found | {f"unknown_rejection{suffix}": (f"nearest_centroid.unknown_rejection{suffix}",) for suffix in _REJECTED}


def _does() -> dict[str, str]:
    found = {peer: SIMPLE[peer.partition(".")[0]] for peers in _peers().values() for peer in peers}
    distance = "the distance to the nearest class mean, its bound set on what is measured"
    return found | {f"nearest_centroid.unknown_rejection{suffix}": distance for suffix in _REJECTED}


NAMES = Names(
    metrics=_metrics(),
    headline=("accuracy_5way_1shot", "accuracy_5way_5shot", "unknown_rejection"),
    peers=_peers(),
    does=_does(),
    slices={"article_type": "Type"},
)
