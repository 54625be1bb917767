"""A product bundle that was not trained: encoders fitted on real rows, a network of a preset's sizes with fresh weights.

How long an answer takes hangs on sizes, on vocabularies, and on the rows among which neighbours are found, and on no weight: so
it stands for a trained version where only time is measured. What it says means nothing.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.product import SEED
from catalog.catalogue import Catalogue
from configs.load import environment_file, load
from models.product import bundle
from models.product.config import ProductRunConfig
from models.product.data import Part
from models.product.export import export_model
from models.product.fitting import fit_encoders


def write_bundle(out: Path, *data: Path, preset: str = "base", rows: int | None = None) -> Path:
    """A bundle in the new folder `out`, fitted on the first `rows` products of a catalogue and its reviews, with ONNX graphs."""
    config = load(ProductRunConfig, environment_file("base", "product"), [f"model.preset={preset}"])
    catalogue = Catalogue.open(*data)
    products = catalogue.products().drop_duplicates("product_id").iloc[:rows].reset_index(drop=True)
    encoders, lacks = fit_encoders(Part(products, _reviews(catalogue)), catalogue.images, config)
    torch.manual_seed(SEED)
    model = bundle.build(encoders, config.model).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    settings = bundle.BundleConfig(
        config=config,
        baselines=bundle.Baselines(article_type=None, price=None),
        price_edges=(),
        head_brands=(),
        data=catalogue.fingerprint(),
        training_rows=len(products),
        augmented_rows=0,
        validation_rows=0,
        training_reviews=0,
        updates=bundle.Updates(made=0, planned=0),
        photo_updates=None,
        lacks=lacks,
        threads=torch.get_num_threads(),
    )
    bundle.save(out, model, encoders, settings, np.zeros(0, dtype=np.uint64))
    if config.cpu_runtime != "pytorch":
        export_model(model, out / bundle.GRAPHS, config.cpu_runtime == "int8")
    return out


def _reviews(catalogue: Catalogue) -> pd.DataFrame:
    if "reviews" in catalogue.tables():
        return catalogue.reviews().drop_duplicates("review_id").reset_index(drop=True)
    return pd.DataFrame(columns=["review_id", "title", "review", "recommended", "rating"])
