"""How fast does the product model answer on a CPU: eager, compiled, as ONNX, and as ONNX with int8 weights?

Latency and throughput by batch size on made-up listings, with photos and without; the four take turns. How far answers depend
on the other listings of a batch. With `--bundle` and `--data` also whether the answers are as good: accuracy of the article type
on the products that the bundle was chosen by (its validation split).

    OMP_NUM_THREADS=2 python -m benchmarks.prediction [--preset base | --bundle DIR --data DIR] [--sizes 1 4 16 64]
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import write
from benchmarks.product import alternate, listings, milliseconds, product_model
from catalog.catalogue import Catalogue
from catalog.splits import split_products
from models.product import bundle
from models.product.config import ProductModelConfig
from models.product.data import ListingDataset, Rows
from models.product.encoders import Encoders
from models.product.export import differences, export_model
from models.product.graphs import OnnxModel
from models.product.heads.category import CategoryHead
from models.product.inputs import Inputs
from models.product.model import ProductModel
from models.product.parts import MODALITIES

Answer = Callable[[Inputs], dict[str, torch.Tensor]]


def main() -> None:
    """Export, time, compare and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="base")
    parser.add_argument("--bundle", type=Path, help="a trained bundle instead of fresh weights")
    parser.add_argument("--data", type=Path, help="the catalogue it was trained on")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--no-compile", action="store_true", help="leave the compiled model out, which takes a minute")
    parser.add_argument("--dry", action="store_true", help="print the result, write no file")
    options = parser.parse_args()
    model = trained(options.bundle) if options.bundle else product_model(ProductModelConfig(preset=options.preset)).cpu().eval()
    with tempfile.TemporaryDirectory() as folder:
        sample = listings(model.config, 16, sizes=model.sizes)
        ways, gaps = prepared(model, Path(folder), compiled=not options.no_compile)
        result: dict[str, Any] = {
            "threads": torch.get_num_threads(),
            "model": str(options.bundle.name if options.bundle else options.preset),
            "largest_difference_from_eager": gaps,
            "largest_change_by_company": {name: company(way, sample) for name, way in ways.items()},
            "batches": [
                {"listings": name} | timed(ways, inputs, options.repeats)
                for size in options.sizes
                for name, inputs in kinds(listings(model.config, size, sizes=model.sizes)).items()
            ],
        }
        if options.bundle and options.data:
            result["article_type_accuracy"] = accuracies(ways, model, options.bundle, options.data)
    print(json.dumps(result, indent=1))
    if not options.dry:
        write("prediction", result)


def trained(folder: Path) -> ProductModel:
    """The model of a bundle."""
    return bundle.load_model(folder, Encoders.load(folder), bundle.load_config(folder))


def prepared(model: ProductModel, folder: Path, compiled: bool) -> tuple[dict[str, Answer], dict[str, dict[str, float]]]:
    """The ways to answer, and how far each exported one is from eager PyTorch on listings with parts missing."""
    for name, quantise in (("onnx", False), ("int8", True)):
        export_model(model, folder / name, quantise)
    exported = {name: OnnxModel(folder / name) for name in ("onnx", "int8")}
    whole = listings(model.config, 8, sizes=model.sizes)
    samples = [whole, whole.only(["title"]), whole.only(["image"]), whole.only(["description", "price"])]
    gaps = {name: differences(model, way, samples) for name, way in exported.items()}
    ways: dict[str, Answer] = {"eager": model}
    if compiled:
        ways["compiled"] = torch.compile(model)
    return {name: torch.inference_mode()(way) for name, way in (ways | exported).items()}, gaps


def kinds(inputs: Inputs) -> dict[str, Inputs]:
    """The same listings as they are, and without photos."""
    return {"whole": inputs, "without photos": inputs.only([name for name in MODALITIES if name != "image"])}


def company(way: Answer, inputs: Inputs) -> dict[str, float]:
    """How far an answer changes at most when a listing comes alone instead of with the others."""
    together, rows = way(inputs), range(len(inputs))
    alone = [way(Inputs(**{f.name: getattr(inputs, f.name)[i : i + 1] for f in fields(Inputs)})) for i in rows]
    found = {}
    for name, answers in together.items():
        found[name] = max((alone[i][name][0] - answers[i]).abs().max().item() for i in rows)
    return found


def timed(ways: dict[str, Answer], inputs: Inputs, repeats: int) -> dict[str, Any]:
    """Latency, listings a second and speed against eager of one batch."""
    seconds = alternate({name: partial(way, inputs) for name, way in ways.items()}, repeats)
    measured: dict[str, Any] = {name: milliseconds(values) for name, values in seconds.items()}
    for values in measured.values():
        values["listings_per_second"] = round(1000 * len(inputs) / values["ms"], 1)
        values["speed_over_eager"] = round(measured["eager"]["ms"] / values["ms"], 2)
    return {"batch": len(inputs), **measured}


def accuracies(ways: dict[str, Answer], model: ProductModel, folder: Path, data: Path) -> dict[str, float]:
    """Share of validation products whose article type is right, by way."""
    right, known = dict.fromkeys(ways, 0), 0
    for inputs in validation(folder, data):
        target = inputs.categories[:, -1]
        known += int((target != 0).sum())
        hidden = inputs.only(["title", "description", "image", "attributes", "price"])
        for name, way in ways.items():
            predicted = model.head(CategoryHead).probabilities(way(hidden)["path_logits"])[-1].argmax(-1)
            right[name] += int(((predicted == target) & (target != 0)).sum())
    return {name: round(count / known, 5) for name, count in right.items()}


def validation(folder: Path, data: Path) -> Iterator[Inputs]:
    """Products of the bundle's validation split, whole."""
    config, catalogue = bundle.load_config(folder).config, Catalogue.open(data)
    products = catalogue.products().drop_duplicates("product_id")
    held_out = products[split_products(products, config.split) == "validation"]
    dataset = ListingDataset(Rows.of(held_out), catalogue.images, Encoders.load(folder), config.model)
    return dataset.batches(config.evaluation.batch_size)


if __name__ == "__main__":
    main()
