"""How well does the quality model tell good listings from the same ones made worse, and find the fault, beside simple peers?

Trained on a catalogue with a product version, and measured on products that neither has seen (`models.quality.evaluate`). Peers
on the same listings: counting what is filled in, the product model's own head for faults, naming an axis at random; for
duplicates the words that titles share.

    python -m benchmarks.fewshot_product --out PRODUCT
    python -m benchmarks.quality --product PRODUCT/run/bundle --data PRODUCT/seen --out DIR [--test]

Without `--test` products of the validation split are measured that axes were not learned from, on which choices are made; with it
the test products, once.
"""

import argparse
import logging
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import write
from catalog.catalogue import Catalogue
from configs.load import environment_file, load
from models import family
from models.bundles import BUNDLE, content_sha256
from models.family import Base
from models.quality.config import QualityRunConfig

GOALS = {
    "twin_order": 0.97,
    "fault_attribution": 0.90,
    "fault_attribution_unseen": 0.70,
    "first_suggestion_raises": 0.95,
    "improvement_violations": 0,
    "duplicate_precision_at_recall_80": 0.90,
    "assess_p95_ms": 300,
}


def main() -> None:
    """Train where there is no bundle yet, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--product", type=Path, required=True, help="bundle of the product version that it rests on")
    parser.add_argument("--data", type=Path, required=True, help="catalogue directory")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--test", action="store_true", help="measure the test products and write the result")
    parser.add_argument("--set", action="append", default=[], help="value of the configuration")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    quality, config = family.get("quality"), load(QualityRunConfig, environment_file("base", "quality"), options.set)
    catalogue, seconds = Catalogue.open(options.data), 0.0
    if not (options.out / BUNDLE).is_dir():
        started, split = time.monotonic(), quality.split(catalogue, config)
        base = Base("product", 1, content_sha256(options.product), options.product)
        quality.train(catalogue, split, split.iloc[:0], config, options.out, base=base)
        seconds = time.monotonic() - started
    split_name = "unseen" if options.test else "validation"
    run = quality.evaluate(options.out / BUNDLE, catalogue, config.evaluation, split_name)
    metrics = {name: metric.model_dump() for name, metric in run.evaluation.metrics.items()}
    for name, metric in run.evaluation.metrics.items():
        goal = f" (goal {GOALS[name]})" if name in GOALS else ""
        print(f"{name:60} {metric.value}{goal}")
    result: dict[str, Any] = {
        "split": split_name,
        "products": run.evaluation.n,
        "goals": GOALS,
        "training_seconds": round(seconds, 1),
        "metrics": metrics,
        "against": [one.model_dump() for one in run.evaluation.against],
    }
    write("quality_test" if options.test else "quality_validation", result)


if __name__ == "__main__":
    main()
