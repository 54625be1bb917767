"""How good is the product model, beside what a linear model reaches on the same rows?

Peers in the same run: a linear SVM on TF-IDF of title and description for the three category levels, ridge regression on the
same features for the price, a linear SVM on TF-IDF of title and review for "recommended". They are trained on the rows that the
bundle was trained on, and both are measured on rows that it never saw.

    python -m benchmarks.product_quality --bundle DIR [--split unseen|validation]
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.svm import LinearSVC

from benchmarks.machine import write
from catalog.catalogue import Catalogue
from catalog.listing import CATEGORY_LEVELS
from catalog.splits import split_products, split_reviews
from catalog.text import normalise
from configs.schema import EvaluationConfig
from models import family
from models.product import bundle

DATA = Path(os.environ.get("VITRINA_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
GOALS = {
    "article_type_accuracy": 0.98,
    "sub_category_accuracy": 0.994,
    "master_category_accuracy": 0.998,
    "price_rmsle": 0.20,
    "sentiment_auc": 0.965,
    "title_to_image_recall_at_10": 0.60,
    "retrieval_ndcg_at_10": 0.94,
    "knn_f1": 0.94,
    "expected_calibration_error": 0.02,
    "fault_auc_lowest": 0.95,
    "fault_auc_unseen": 0.80,
    "title only": 0.97,
    "photo only": 0.88,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--split", default="unseen", choices=("unseen", "validation"))
    options = parser.parse_args()
    catalogue = Catalogue.open(DATA / "myntra", DATA / "reviews")
    result = {
        "split": options.split,
        "goals": GOALS,
        "model": model_metrics(options.bundle, catalogue, options.split),
        "peers": peer_metrics(options.bundle, catalogue, options.split),
    }
    print(json.dumps(result, indent=1))
    write(f"product_quality_{options.split}", result)


def model_metrics(folder: Path, catalogue: Catalogue, split: str) -> dict[str, Any]:
    """Every metric with its interval; article type from the title or the photo alone."""
    product, config = family.get("product"), EvaluationConfig()
    metrics: dict[str, Any] = dict(product.evaluate(folder, catalogue, config, split).evaluation.flat())
    for name, modalities in (("title only", ["title"]), ("photo only", ["image"])):
        seen = product.evaluate(folder, catalogue, config, split, modalities).evaluation.metrics["article_type_accuracy"]
        metrics |= {name: seen.value, f"{name}_low": seen.low, f"{name}_high": seen.high}
    return {name: value if value is None else round(value, 4) for name, value in metrics.items()}


def peer_metrics(folder: Path, catalogue: Catalogue, split: str) -> dict[str, Any]:
    """Linear models on the same rows."""
    config, wanted = bundle.load_config(folder).config.split, "test" if split == "unseen" else split
    products, reviews = catalogue.products(), catalogue.reviews()
    parts, said = split_products(products, config), split_reviews(reviews, config)
    text = _joined(products["title"], products["description"])
    train, held_out = _features(text[parts == "train"], text[parts == wanted])
    found: dict[str, Any] = {"products": int((parts == wanted).sum()), "reviews": int((said == wanted).sum())}
    started = time.perf_counter()
    for level in CATEGORY_LEVELS:
        svm = LinearSVC(C=0.5).fit(train, products.loc[parts == "train", level])
        found[f"{level}_accuracy"] = float((svm.predict(held_out) == products.loc[parts == wanted, level]).mean())
    price = np.log1p(products["price"])
    known = [(parts == name) & (products["price"] > 0) for name in ("train", wanted)]
    rows = [train[known[0][parts == "train"].to_numpy()], held_out[known[1][parts == wanted].to_numpy()]]
    ridge = Ridge(alpha=0.5, solver="lsqr").fit(rows[0], price[known[0]])
    found["price_rmsle"] = float(np.sqrt(np.mean((ridge.predict(rows[1]) - price[known[1]]) ** 2)))
    opinion = _joined(reviews["title"], reviews["review"])
    train, held_out = _features(opinion[said == "train"], opinion[said == wanted])
    target = reviews["recommended"].astype(int)
    svm = LinearSVC(C=0.3).fit(train, target[said == "train"])
    found["sentiment_auc"] = float(roc_auc_score(target[said == wanted], svm.decision_function(held_out)))
    return found | {"seconds": round(time.perf_counter() - started, 1)}


def _joined(title: "pd.Series[Any]", body: "pd.Series[Any]") -> "pd.Series[Any]":
    return title.fillna("").map(normalise) + " . " + body.fillna("").map(normalise)


def _features(train: "pd.Series[Any]", held_out: "pd.Series[Any]") -> tuple[Any, Any]:
    words = TfidfVectorizer(min_df=2, ngram_range=(1, 2), sublinear_tf=True)
    return words.fit_transform(train), words.transform(held_out)


if __name__ == "__main__":
    main()
