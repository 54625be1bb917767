"""`product`, from data to predictions: what pipelines, registry, serving and monitoring call."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from catalog.augmentation import number_copies, oversample
from catalog.catalogue import Catalogue, listing_of, records_of
from catalog.errors import ImageError
from catalog.images import decode
from catalog.schema import PRODUCT_COLUMNS
from catalog.splits import for_test, split_products, split_reviews
from configs.errors import VitrinaError
from configs.schema import EvaluationConfig, Launch, Precision, RunConfig
from models.bundles import BUNDLE, claim, count_seen, digests, load_seen, new_bundle, product_keys, save_card, save_reference
from models.evaluation.results import Evaluation
from models.evaluation.slices import PriceBands, head_brands
from models.evaluation.verdict import Headline
from models.family import Base, EmbeddingSummary, EvaluationRun
from models.product import bundle
from models.product.baselines import SimpleModels
from models.product.bundle import Baselines, BundleConfig
from models.product.card import card
from models.product.config import ProductRunConfig
from models.product.data import ListingDataset, Part, Rows
from models.product.names import NAMES
from models.product.predictor import ProductPredictor
from models.product.rewording import translated
from models.product.summary import reference_spec, summarise, ways

if TYPE_CHECKING:
    from models.product.fitting import Trained

REFERENCE_ROWS = 2000
SPLITS = ("unseen", "validation", "train", "all")


class ProductFamily:
    """Implements `models.family.Family`."""

    name = "product"
    tables: tuple[str, ...] = ("products",)
    events = False
    config: type[RunConfig] = ProductRunConfig
    metric_names = NAMES
    rests_on: str | None = None

    def split(self, catalogue: Catalogue, config: RunConfig) -> pd.DataFrame:
        """product_id and split of each product."""
        products = catalogue.products()
        return pd.DataFrame({"product_id": products["product_id"], "split": split_products(products, config.split)})

    def augment(self, catalogue: Catalogue, split: pd.DataFrame, config: RunConfig) -> pd.DataFrame:
        """Copies of rare article types' training rows (`catalog.augmentation.oversample`), and rows translated there and back."""
        training, settings = _part(catalogue, split, "train"), config.augmentation
        copies = oversample(training, settings, config.trainer.seed)
        if settings.back_translation:
            reworded = translated(training, settings.back_translation, config.trainer.seed)
            copies = number_copies(pd.concat([copies, reworded], ignore_index=True), training)
        if pd.api.types.is_integer_dtype(copies["product_id"]):  # new ids start above the training rows' largest
            copies["product_id"] += max(0, int(split["product_id"].max() - training["product_id"].max()))
        return copies

    def train(
        self,
        catalogue: Catalogue,
        split: pd.DataFrame,
        augmented: pd.DataFrame,
        config: RunConfig,
        workdir: Path,
        loggers: Sequence[Any] = (),
        base: Base | None = None,
    ) -> Path:
        """See `models.family`; the bundle is `workdir/bundle`.

        Raises:
            VitrinaError: no rows in a split, nothing to read or to learn in them, or `workdir` belongs to another run.
        """
        from models.product.export import export_model
        from models.product.fitting import train

        assert isinstance(config, ProductRunConfig)
        started = time.monotonic()
        workdir.mkdir(parents=True, exist_ok=True)
        rows = split.sort_values("product_id", key=lambda s: s.astype(str)).to_csv(index=False)
        claim(workdir, config, catalogue.fingerprint(), rows.encode())
        training, validation = (
            Part(_part(catalogue, split, name), _reviews(catalogue, config, name)) for name in ("train", "validation")
        )
        trained = train(training, validation, augmented, catalogue.images, config, workdir, started, loggers)
        settings = _settings(trained, training, validation, len(augmented), catalogue.fingerprint(), config)
        seen = [found for part in (training, validation) for found in (product_keys(part.products), review_keys(part.reviews))]
        with new_bundle(workdir) as folder:
            bundle.save(folder, trained.model, trained.encoders, settings, np.concatenate(seen))
            as_they_are = ListingDataset(Rows.of(training.products), catalogue.images, trained.encoders, config.model)
            SimpleModels.fit(as_they_are, config.model).save(folder)
            if config.cpu_runtime != "pytorch":
                export_model(trained.model, folder / bundle.GRAPHS, quantise=config.cpu_runtime == "int8")
            held_out = validation.products
            products = held_out.sample(min(REFERENCE_ROWS, len(held_out)), random_state=config.trainer.seed)
            rows_of_reference = reference(ProductPredictor.load(folder, "cpu"), products, catalogue)
            save_reference(folder, rows_of_reference, reference_spec(trained.lacks))
            save_card(folder, card(settings, trained.encoders, trained.model.calibrated()))
        return workdir / BUNDLE

    def evaluate(
        self,
        folder: Path,
        catalogue: Catalogue,
        config: EvaluationConfig,
        split: str = "unseen",
        modalities: Sequence[str] | None = None,
    ) -> EvaluationRun:
        """See `models.family`.

        Raises:
            VitrinaError: unknown split or modality, a damaged bundle, or no row to measure.
        """
        from models.product.evaluate import check_modalities

        if split not in SPLITS:
            raise VitrinaError(f"split {split!r} is not known; allowed: {', '.join(SPLITS)}")
        check_modalities(modalities)
        products, seen = _products(catalogue), load_seen(folder)
        if split in ("unseen", "all"):
            chosen = _select(products, product_keys(products), None, seen, split)
        else:
            parts = split_products(products, bundle.load_config(folder).config.split)
            chosen = _select(products, product_keys(products), parts, seen, split)
        if split == "unseen":  # of a published split the test rows alone
            chosen = chosen[for_test(products)[chosen.index]]
        reviews = _all_reviews(catalogue)
        parts = split_reviews(reviews, bundle.load_config(folder).config.split)
        reviews = _select(reviews, review_keys(reviews), parts, seen, split)
        return self._measured(folder, catalogue, config, chosen, reviews, split, modalities)

    def evaluate_rows(self, folder: Path, catalogue: Catalogue, config: RunConfig, rows: "pd.Series[Any]") -> EvaluationRun:
        """See `models.family`; `rows` are product ids, and the test reviews of the run are measured with them.

        Raises:
            VitrinaError: a damaged bundle, or no row to measure.
        """
        assert isinstance(config, ProductRunConfig)
        products = _products(catalogue)
        chosen, reviews = products[products["product_id"].isin(rows)], _reviews(catalogue, config, "test")
        known = count_seen(np.concatenate([product_keys(chosen), review_keys(reviews)]), folder)
        return self._measured(folder, catalogue, config.evaluation, chosen, reviews, "test").knowing(known)

    def _measured(
        self,
        folder: Path,
        catalogue: Catalogue,
        config: EvaluationConfig,
        products: pd.DataFrame,
        reviews: pd.DataFrame,
        split: str,
        modalities: Sequence[str] | None = None,
    ) -> EvaluationRun:
        """Of `products` and `reviews`; `split` says what they are together."""
        from models.product.evaluate import measure

        if products.empty and reviews.empty:
            raise VitrinaError(
                f"{_where(catalogue)} has no {split} product or review to measure; other splits: {', '.join(SPLITS)}"
            )
        settings, predictor = bundle.load_config(folder), ProductPredictor.load(folder)
        measured = measure(
            predictor, settings, catalogue, products, reviews, config, modalities, simple=SimpleModels.load(folder)
        )
        evaluation = Evaluation(
            model=self.name,
            version=None,
            data=catalogue.fingerprint(),
            split=split,
            n=len(products) or len(reviews),
            metrics=measured.metrics,
            slices=measured.slices,
            against=measured.against,
            not_applicable=dict(measured.not_applicable),
        )
        return EvaluationRun(evaluation, measured.predictions)

    def report(
        self,
        run: EvaluationRun,
        champion: EvaluationRun | None,
        catalogue: Catalogue,
        gates: Any,
        out: Path,
        playground: str | None = None,
    ) -> Headline:
        """The page from which a reviewer decides."""
        from models.product.report import write_report

        return write_report(run, champion, catalogue, gates, out, playground)

    def load(self, folder: Path, device: str = "auto") -> ProductPredictor:
        """The predictor, warmed up."""
        return ProductPredictor.load(folder, device)

    def load_launched(self, folder: Path, device: str, precision: Precision, launch: Launch) -> ProductPredictor:
        """See `models.family.Launches`."""
        return ProductPredictor.load(folder, device, precision, launch)

    def export(self, folder: Path, out: Path, quantise: bool = False) -> dict[str, float]:
        """`photos.onnx`, `listings.onnx` and `reviews.onnx`; see `models.product.export`."""
        from models.product.export import export

        return export(folder, out, quantise)

    def embed(self, folder: Path, catalogue: Catalogue, out: Path, device: str = "auto") -> EmbeddingSummary:
        """See `models.product.embed`."""
        from models.product.embed import embed

        return embed(ProductPredictor.load(folder, device), catalogue, out)


def review_keys(reviews: pd.DataFrame) -> NDArray[np.uint64]:
    """64-bit key [n] of each review: BLAKE2b of review_id and text."""
    return digests(("review " + reviews["review_id"].astype(str)).tolist(), reviews["review"].fillna("").tolist())


def _settings(
    trained: "Trained", training: Part, validation: Part, copies: int, data: str, config: ProductRunConfig
) -> BundleConfig:
    prices = training.products["price"].astype(float)
    positive = prices[prices > 0]
    return BundleConfig(
        config=config,
        baselines=Baselines(
            article_type=trained.encoders.levels[-1].decode(1) if "article_type" not in trained.lacks.tasks else None,
            price=float(positive.median()) if "price" not in trained.lacks.tasks else None,
        ),
        price_edges=PriceBands.fit(positive).edges,
        head_brands=tuple(sorted(head_brands(training.products["brand"]))),
        data=data,
        training_rows=len(training.products),
        augmented_rows=copies,
        validation_rows=len(validation.products),
        training_reviews=len(training.reviews),
        text_plan=trained.text_plan,
        image_plan=trained.image_plan,
        updates=trained.updates,
        photo_updates=trained.photo_updates,
        lacks=trained.lacks,
        threads=torch.get_num_threads(),
    )


def reference(predictor: ProductPredictor, products: pd.DataFrame, catalogue: Catalogue) -> list[dict[str, Any]]:
    """What predictions on validation rows look like, and what was true; each is told in all its `ways`."""
    listings, truth = [], []
    levels = [level for level, values in predictor.labels.items() if values]
    for row in records_of(products):
        listing = listing_of(row, _decodable(catalogue, row["product_id"]))
        known = {"true_article_type": listing.categories.get("article_type"), "true_price": listing.price}
        for way in filter(predictor.reads, ways(listing, levels)):
            listings.append(way)
            truth.append(known | {"product_id": row["product_id"]})
    predictions = predictor.predict(listings)
    return [summarise(a, b) | c for a, b, c in zip(listings, predictions, truth, strict=True)]


def _part(catalogue: Catalogue, split: pd.DataFrame, name: str) -> pd.DataFrame:
    """Products of one split, the first of duplicate ids.

    Raises:
        VitrinaError: there are none.
    """
    products = catalogue.products()
    wanted = split.loc[split["split"] == name, "product_id"]
    part = products[products["product_id"].isin(wanted)].drop_duplicates("product_id").reset_index(drop=True)
    if part.empty:
        raise VitrinaError(
            f"the {name} split of {_where(catalogue)} has no products; more products or another `split` are needed"
        )
    return part


def _products(catalogue: Catalogue) -> pd.DataFrame:
    """Products, the first of duplicate ids; no rows where there is no table."""
    if "products" not in catalogue.tables():
        return pd.DataFrame(columns=list(PRODUCT_COLUMNS))
    return catalogue.products().drop_duplicates("product_id").reset_index(drop=True)


def _all_reviews(catalogue: Catalogue) -> pd.DataFrame:
    """Reviews, the first of duplicate ids; no rows where there is no table."""
    if "reviews" not in catalogue.tables():
        return pd.DataFrame(columns=["review_id", "title", "review", "recommended", "rating"])
    return catalogue.reviews().drop_duplicates("review_id").reset_index(drop=True)


def _reviews(catalogue: Catalogue, config: ProductRunConfig, split: str) -> pd.DataFrame:
    """Reviews of one split; there may be none."""
    reviews = _all_reviews(catalogue)
    return reviews[split_reviews(reviews, config.split) == split]


def _select(
    rows: pd.DataFrame, found: NDArray[np.uint64], parts: "pd.Series[Any] | None", seen: NDArray[np.uint64], split: str
) -> pd.DataFrame:
    """Rows of a split as the model knows it: what it has seen is by key, not by what a new split would say.

    `parts` says which of the seen rows were for training and which for validation; only those two splits need it.
    """
    if split == "all":
        return rows
    known = np.isin(found, seen)
    if split == "unseen":
        return rows[~known]
    assert parts is not None
    return rows[known & (parts == split).to_numpy()]


def _where(catalogue: Catalogue) -> str:
    return ", ".join(map(str, catalogue.folders))


def _decodable(catalogue: Catalogue, product_id: Any) -> bytes | None:
    data = catalogue.images.get(product_id)
    if data is None:
        return None
    try:
        decode(data, (16, 16))
    except ImageError:  # quarantined by validation; the reference describes what can be served
        return None
    return data


FAMILY = ProductFamily()
