"""How true and how complete are the describer's texts, beside a template and beside copying the most similar product's text?

Measured on products that the version has not seen (`models.describer.evaluate`); how near each text lies to the shop's own one
is measured in the embedding of a `product` version.

    vitrina train describer --data myntra/
    python -m benchmarks.describer --bundle DIR --product PRODUCT [--data DIR] [--split unseen|validation]
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.machine import write
from catalog.catalogue import Catalogue
from catalog.listing import Listing
from configs.schema import EvaluationConfig
from models import family
from models.describer.shown import read_row
from models.evaluation.bootstrap import mean_interval
from models.family import Embedder

DATA = Path(os.environ.get("VITRINA_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
GOALS = {"attribute_precision": 0.99, "attribute_coverage": 0.90, "describe_p95_ms": 1500}
WRITERS = ("own", "template", "neighbour")


def main() -> None:
    """Measure a bundle and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--product", type=Path, required=True, help="bundle of the product version in whose embedding texts lie")
    parser.add_argument("--data", type=Path, default=DATA / "myntra")
    parser.add_argument("--split", default="unseen", choices=("unseen", "validation"))
    options = parser.parse_args()
    catalogue, started = Catalogue.open(options.data), time.monotonic()
    run = family.get("describer").evaluate(options.bundle, catalogue, EvaluationConfig(latency_calls=100), options.split)
    near = similarity(run.predictions, options.product)
    for name, metric in run.evaluation.metrics.items():
        goal = f" (goal {GOALS[name]})" if name in GOALS else ""
        print(f"{name:40} {metric.value}{goal}")
    print(json.dumps(near, indent=1))
    result: dict[str, Any] = {
        "split": options.split,
        "products": run.evaluation.n,
        "goals": GOALS,
        "seconds": round(time.monotonic() - started, 1),
        "metrics": {name: metric.model_dump() for name, metric in run.evaluation.metrics.items()},
        "similarity_in_embedding": near,
        "against": [one.model_dump() for one in run.evaluation.against],
    }
    write("describer_test" if options.split == "unseen" else "describer_validation", result)


def similarity(frame: pd.DataFrame, product: Path) -> dict[str, Any]:
    """Mean cosine, with its interval, between each writer's description and the shop's own in `product`'s embedding."""
    embedder = family.load("product", product)
    assert isinstance(embedder, Embedder)
    rows = frame[frame["shop_text"].str.strip() != ""]
    size = -embedder.words or None
    own = embedder.features([Listing(description=text) for text in rows["shop_text"]])[:, :size]
    found = {}
    for writer in WRITERS:
        if f"{writer}_text" not in rows:
            continue
        texts = [" ".join(s.text for s in read_row(row).parts["description"]) for row in rows[f"{writer}_text"]]
        there = [i for i, text in enumerate(texts) if text.strip()]
        made = embedder.features([Listing(description=texts[i]) for i in there])[:, :size]
        cosines = (made * own[there]).sum(1) / (np.linalg.norm(made, axis=1) * np.linalg.norm(own[there], axis=1))
        found[writer] = mean_interval(cosines).model_dump()
    return found


if __name__ == "__main__":
    main()
