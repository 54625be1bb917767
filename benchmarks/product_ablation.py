"""What each augmentation, each way of balancing the losses and the photo lessons are worth.

Small models that differ in one setting: a part of the training split, the whole validation split; the test split is not
touched. The first row of each table is the peer: everything as it ships, and fixed weights.

    python -m benchmarks.product_ablation augmentation|losses|lessons [--rows 8000] [--epochs 4] [--seeds 1]
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import write
from catalog.catalogue import Catalogue
from configs.load import load
from configs.schema import EvaluationConfig
from models import family
from models.product.config import ProductRunConfig

DATA = Path(os.environ.get("VITRINA_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
BASE = Path(__file__).parents[1] / "configs" / "base" / "product.yaml"
SMALL = [
    "model.preset=tiny",
    "trainer.workers=0",
    "trainer.tensorboard=false",
    "trainer.ema_decay=0.99",
    "photo_lessons.epochs=1",
]
WITHOUT = ("word_dropout", "word_swap", "typo", "attribute_dropout", "flip", "crop", "colour_jitter", "erase", "min_class_rows")
METRICS = (
    "article_type_accuracy",
    "article_type_macro_f1",
    "price_rmsle",
    "sentiment_auc",
    "title_to_image_recall_at_10",
    "retrieval_ndcg_at_10",
    "fault_auc_lowest",
)
TABLES: dict[str, dict[str, list[str]]] = {
    "augmentation": {
        "all": [],
        **{f"no {name}": [f"augmentation.{name}=0"] for name in WITHOUT},
        "none": [f"augmentation.{name}=0" for name in WITHOUT],
    },
    "losses": {name: [f"model.loss.strategy={name}"] for name in ("fixed", "uncertainty", "dwa")},
    "optimizer": {
        "AdamW": [],
        "Muon": ["trainer.optimizer=muon"],
        "Muon, twice the rate": ["trainer.optimizer=muon", "trainer.learning_rate=0.006"],
    },
    "lessons": {"one for each epoch": [], "none": ["photo_lessons.epochs=0"]},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--rows", type=int, default=8000, help="training products")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    catalogue = Catalogue.open(DATA / "myntra", DATA / "reviews")
    table = {}
    for name, changes in TABLES[options.table].items():
        for seed in range(options.seeds):
            settings = [*SMALL, *changes, f"trainer.epochs={options.epochs}", f"trainer.seed={seed}"]
            table[f"{name}, seed {seed}"] = measured(catalogue, settings, options.rows)
            print(name, seed, json.dumps(table[f"{name}, seed {seed}"]), flush=True)
    settings = {"rows": options.rows, "epochs": options.epochs, "split": "validation", "preset": "tiny"}
    write(f"product_{options.table}", {**settings, "table": table})


def measured(catalogue: Catalogue, settings: list[str], rows: int) -> dict[str, Any]:
    """Validation metrics of one model; of the first 1,000 products also with the title or the photo alone."""
    config, product, started = load(ProductRunConfig, BASE, settings), family.get("product"), time.perf_counter()
    split = product.split(catalogue, config)
    training = split[split["split"] == "train"].sample(rows, random_state=0)
    split = split[(split["split"] == "validation") | split.index.isin(training.index)]
    augmented = product.augment(catalogue, split, config)
    with tempfile.TemporaryDirectory() as folder:
        bundle = product.train(catalogue, split, augmented, config, Path(folder))
        seconds = time.perf_counter() - started
        evaluate = EvaluationConfig(bootstrap_samples=50)
        evaluation = product.evaluate(bundle, catalogue, evaluate, "validation").evaluation
    found = evaluation.flat()
    alone = {
        f"article_type_accuracy_{part.value.replace(' ', '_')}": part.result.value
        for part in evaluation.slices
        if part.slice == "modalities" and part.metric == "article_type_accuracy" and part.value in ("title only", "image only")
    }
    values = {**{name: found[name] for name in METRICS}, **alone}
    return {**{name: value if value is None else round(value, 4) for name, value in values.items()}, "seconds": round(seconds)}


if __name__ == "__main__":
    main()
