"""Are generated images right, and are they no copies, beside what simple models show?

Trained on a catalogue with a product version, and measured on titles of products that neither has seen
(`models.imagegen.evaluate`), as judged by a classifier of its own seed that knows real photos alone. Beside the version stand the
linear prior without the network, the mean of the photos of the most similar titles' products, and real photos.

    python -m benchmarks.fewshot_product --out PRODUCT
    python -m benchmarks.imagegen --product PRODUCT/run/bundle --data PRODUCT/seen --out DIR [--limit N]
    python -m benchmarks.imagegen --product PRODUCT/run/bundle --data PRODUCT/seen --out DIR --split unseen

Without `--split unseen` products of the validation split are measured, on which choices are made. What is drawn is kept in DIR: a
run that is ended goes on where it was.
"""

import argparse
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from benchmarks.machine import write
from catalog.catalogue import Catalogue
from configs.load import environment_file, load
from models import family
from models.bundles import BUNDLE, content_sha256
from models.evaluation.latency import latency_metrics
from models.evaluation.results import Evaluation
from models.family import Base
from models.imagegen.answers import SAMPLERS, Prompt
from models.imagegen.config import ImagegenModelConfig, ImagegenRunConfig
from models.imagegen.drawn import Measurable
from models.imagegen.evaluate import measure
from models.imagegen.judge.judge import TYPE
from models.imagegen.rows import known_of, products_of
from models.imagegen.sweeps import PRODUCT

GOALS = {
    "type_agreement": 0.75,
    "best.type_agreement": 0.85,
    "colour_agreement": 0.75,
    "seconds_64x64_20_steps_2_threads": 2.0,
}
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95)
TIMED_STEPS = 20
CALLS = 20
"""Images timed one by one with each number of threads."""


def main() -> None:
    """Train where there is no bundle yet, then measure."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    imagegen, config = family.get("imagegen"), load(ImagegenRunConfig, environment_file("base", "imagegen"), options.set)
    catalogue, bundle = Catalogue.open(options.data), options.out / BUNDLE
    seconds: float | None = None  # of a bundle that is there already nobody knows
    if not bundle.is_dir():
        started, split = time.monotonic(), imagegen.split(catalogue, config)
        base = Base("product", 1, content_sha256(options.product), options.product)
        imagegen.train(catalogue, split, split.iloc[:0], config, options.out, base=base)
        seconds = round(time.monotonic() - started, 1)
    subject: Any = family.load("imagegen", bundle)
    model = chosen(subject.settings.config.model, options)
    split_config = subject.settings.config.split
    products = products_of(bundle, catalogue, options.split, split_config)
    known = known_of(bundle, catalogue, products["product_id"], split_config)
    keep = options.out / f"drawn-{content_sha256(bundle)[:12]}-{settings(model)}-{options.split}-{options.limit or 'all'}"
    most = options.limit or len(products)
    run = measure(subject, model, catalogue, products, known, config.evaluation, options.split, keep, most)
    found = figures(run.evaluation, run.predictions) | times(subject)
    for name, value in found["metrics"].items():
        goal = f" (goal {GOALS[name]})" if name in GOALS else ""
        print(f"{name:40} {value['value']}{goal}")
    print({name: value for name, value in found.items() if name != "metrics"})
    result: dict[str, Any] = {
        "split": options.split,
        "generation": model.generation.model_dump(),
        "candidates": model.measured.candidates,
        "goals": GOALS,
        "training_seconds": seconds,
        "training_updates": subject.settings.updates,
    }
    write("imagegen_test" if options.split == "unseen" else "imagegen_validation", result | found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--product", type=Path, required=True, help="bundle of the product version that it rests on")
    parser.add_argument("--data", type=Path, required=True, help="catalogue directory")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--split", default="validation", choices=("validation", "unseen"))
    parser.add_argument("--limit", type=int, help="products at most; all without it")
    parser.add_argument("--candidates", type=int, help="images a prompt; the version's own without it")
    parser.add_argument("--guidance", type=float, help="the version's own without it")
    parser.add_argument("--steps", type=int, help="the version's own without it")
    parser.add_argument("--sampler", choices=SAMPLERS, help="the version's own without it")
    parser.add_argument("--set", action="append", default=[], help="value of the configuration that is trained with")
    return parser.parse_args()


def chosen(model: ImagegenModelConfig, options: argparse.Namespace) -> ImagegenModelConfig:
    """The version's configuration with what the command line says of drawing."""
    drawing = {name: getattr(options, name) for name in ("guidance", "steps", "sampler") if getattr(options, name) is not None}
    generation = type(model.generation).model_validate(model.generation.model_dump() | drawing)
    measured = {"candidates": options.candidates} if options.candidates is not None else {}
    return model.model_copy(
        update={
            "generation": generation,
            "measured": type(model.measured).model_validate(model.measured.model_dump() | measured),
        }
    )


def settings(model: ImagegenModelConfig) -> str:
    """What drawing hangs on beside the version, as part of a folder's name."""
    drawing = model.generation
    return f"{drawing.sampler}-{drawing.steps}-{drawing.guidance:g}-{model.measured.candidates}"


def figures(evaluation: Evaluation, predictions: pd.DataFrame) -> dict[str, Any]:
    """What the run found, for the result."""
    rows = predictions[predictions["kind"] == PRODUCT]
    return {
        "products": evaluation.n,
        "types": int(rows[f"seen_{TYPE}"].nunique()),
        "metrics": {name: metric.model_dump() for name, metric in evaluation.metrics.items()},
        "against": [one.model_dump() for one in evaluation.against],
        "slices": [one.model_dump() for one in evaluation.slices],
        "nearest": nearest(rows["distance"].to_numpy(dtype=float), rows["real_distance"].to_numpy(dtype=float)),
    }


def nearest(drawn: NDArray[np.float64], real: NDArray[np.float64]) -> dict[str, Any]:
    """Distances to the nearest training photo of drawings (n) and of unseen real photos (n).

    The Kolmogorov-Smirnov test asks whether drawings lie nearer: its statistic is the largest excess of their distribution
    function, and a small p says that they do.
    """
    test = ks_2samp(drawn, real, alternative="greater")
    shares = {f"{q:.2f}": (float(np.quantile(drawn, q)), float(np.quantile(real, q))) for q in QUANTILES}
    return {
        "quantiles_drawn_real": {name: [round(a, 4), round(b, 4)] for name, (a, b) in shares.items()},
        "nearer": {"statistic": round(float(test.statistic), 4), "p": float(test.pvalue)},
    }


def times(subject: Measurable) -> dict[str, Any]:
    """Seconds of wall time for one image at 20 steps, without its score, with one thread and with two."""
    width, height = subject.painter.sizes[0]
    prompt = subject.resolved(Prompt(text="men black shirt", size=(width, height), steps=TIMED_STEPS))
    found: dict[str, Any] = {}
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            subject.painter.paint([prompt], [0])
            milliseconds = []
            for seed in range(CALLS):
                started = time.perf_counter()
                subject.painter.paint([prompt], [seed])
                milliseconds.append(1000 * (time.perf_counter() - started))
            timed = latency_metrics(milliseconds)
            word = "thread" if count == 1 else "threads"
            found[f"seconds_{width}x{height}_{TIMED_STEPS}_steps_{count}_{word}"] = {
                name.removeprefix("latency_").removesuffix("_ms"): round((metric.value or 0.0) / 1000, 3)
                for name, metric in timed.items()
            }
    finally:
        torch.set_num_threads(threads)
    return found


if __name__ == "__main__":
    main()
