"""`product`, from data to predictions: what pipelines, registry, serving and monitoring call."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from catalog.augmentation import number_copies, oversample
from catalog.catalogue import Catalogue, listing_of
from catalog.errors import ImageError
from catalog.images import decode
from catalog.schema import PRODUCT_COLUMNS
from catalog.splits import split_products, split_reviews
from configs.errors import VitrinaError
from configs.schema import EvaluationConfig, RunConfig
from models.bundles import claim, digests, load_seen, write_json
from models.evaluation.results import Evaluation
from models.evaluation.slices import PriceBands, head_brands
from models.family import EmbeddingSummary, EvaluationRun
from models.product import bundle
from models.product.bundle import Baselines, BundleConfig
from models.product.config import ProductRunConfig
from models.product.data import Changes, ListingDataset, ReviewRows, Rows, records_of
from models.product.encoders import Encoders
from models.product.predictor import ProductPredictor
from models.product.rewording import translated
from models.product.summary import REFERENCE_SPEC, summarise, ways

REFERENCE_ROWS = 2000
SPLITS = ("unseen", "validation", "train", "all")


class ProductFamily:
    """Implements `models.family.Family`."""

    name = "product"
    tables: tuple[str, ...] = ("products",)
    events = False
    config: type[RunConfig] = ProductRunConfig

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
    ) -> Path:
        """See `models.family`; the bundle is `workdir/bundle`.

        Raises:
            VitrinaError: no rows in a split, fewer than two article types, or `workdir` belongs to another run.
        """
        from models.product.calibrate import calibrate
        from models.product.photos import minutes, teach
        from models.product.task import ProductTask
        from models.training import fit, training_loader, validation_loader

        assert isinstance(config, ProductRunConfig)
        started = time.monotonic()
        workdir.mkdir(parents=True, exist_ok=True)
        rows = split.sort_values("product_id", key=lambda s: s.astype(str)).to_csv(index=False)
        claim(workdir, config, catalogue.fingerprint(), rows.encode())
        products, held_out = (_part(catalogue, split, name) for name in ("train", "validation"))
        reviews, held_out_reviews = (_reviews(catalogue, config, name) for name in ("train", "validation"))
        text_plan, image_plan = bundle.plans(config.model)
        encoders = _encoders(products, reviews, config, workdir)
        training, validation = (
            self._dataset(catalogue, part, said, encoders, config, changes, extra)
            for part, said, changes, extra in (
                (products, reviews, Changes(config.augmentation, config.corruption, config.trainer.seed), augmented),
                (held_out, held_out_reviews, Changes(None, config.corruption, config.trainer.seed), augmented[:0]),
            )
        )
        torch.manual_seed(config.trainer.seed)
        model = bundle.build(encoders, config.model, text_plan, image_plan)
        model.load_start()
        taught = teach(model, training, validation, config, workdir / "photos", started)
        task = ProductTask(model, config.photo_lessons.rate_afterwards if taught else 1.0)
        trainer = config.trainer.model_copy(update=minutes(config.trainer, started))
        loaders = training_loader(training, trainer), validation_loader(validation, trainer)
        fit(task, *loaders, trainer, workdir, loggers)
        calibration = calibrate(task.model, validation.batches(config.evaluation.batch_size))
        prices = products["price"].astype(float)
        positive = prices[prices > 0]
        settings = BundleConfig(
            config=config,
            calibration=calibration,
            baselines=Baselines(
                article_type=encoders.levels[-1].decode(1),
                price=float(positive.median()) if len(positive) else None,
            ),
            price_edges=PriceBands.fit(positive).edges,
            head_brands=tuple(sorted(head_brands(products["brand"]))),
            data=catalogue.fingerprint(),
            training_rows=len(products),
            augmented_rows=len(augmented),
            validation_rows=len(held_out),
            training_reviews=len(reviews),
            text_plan=text_plan,
            image_plan=image_plan,
        )
        predictor = ProductPredictor(task.model, encoders, calibration, config, "cpu")
        partial, out = workdir / "bundle.partial", workdir / "bundle"
        for folder in (partial, out):
            shutil.rmtree(folder, ignore_errors=True)
        seen = np.concatenate([keys(products), keys(held_out), review_keys(reviews), review_keys(held_out_reviews)])
        bundle.save(partial, task.model, encoders, settings, seen)
        reference = held_out.sample(min(REFERENCE_ROWS, len(held_out)), random_state=config.trainer.seed)
        write_reference(partial, predictor, reference, catalogue)
        (partial / "card.md").write_text(card(settings, encoders), encoding="utf-8")
        partial.replace(out)
        return out

    @staticmethod
    def _dataset(
        catalogue: Catalogue,
        products: pd.DataFrame,
        reviews: pd.DataFrame,
        encoders: Encoders,
        config: ProductRunConfig,
        changes: Changes,
        extra: pd.DataFrame,
    ) -> ListingDataset:
        """Rows as the model learns from them; what is augmented in every epoch is training, and was fitted on."""
        rows = Rows.of(products) + Rows.of(extra) if len(extra) else Rows.of(products)
        training = changes.augmentation is not None
        return ListingDataset(
            rows,
            catalogue.images,
            encoders,
            config.model,
            changes,
            ReviewRows.of(reviews),
            config.reviews_per_listing if training else float("inf"),
            fitted=training,
        )

    def evaluate(
        self,
        folder: Path,
        catalogue: Catalogue,
        config: EvaluationConfig,
        split: str = "unseen",
        modalities: Sequence[str] | None = None,
        rows: "pd.Series[Any] | None" = None,
    ) -> EvaluationRun:
        """See `models.family`.

        Raises:
            VitrinaError: unknown split or modality, a damaged bundle, or no row to measure.
        """
        from models.product.evaluate import check_modalities, measure

        if rows is None and split not in SPLITS:
            raise VitrinaError(f"split {split!r} is not known; allowed: {', '.join(SPLITS)}")
        check_modalities(modalities)
        settings, seen = bundle.load_config(folder), load_seen(folder)
        products = _products(catalogue)
        if rows is not None:
            products = products[products["product_id"].isin(rows)]
        else:
            products = _select(products, keys(products), split_products(products, settings.config.split), seen, split)
        reviews = _all_reviews(catalogue)
        wanted = "unseen" if rows is not None else split
        reviews = _select(reviews, review_keys(reviews), split_reviews(reviews, settings.config.split), seen, wanted)
        if products.empty and reviews.empty:
            raise VitrinaError(
                f"{_where(catalogue)} has no {split} product or review to measure; other splits: {', '.join(SPLITS)}"
            )
        predictor = ProductPredictor.load(folder)
        measured = measure(predictor, settings, catalogue, products, reviews, config, modalities)
        evaluation = Evaluation(
            model=self.name,
            version=None,
            data=catalogue.fingerprint(),
            split=split,
            n=len(products) or len(reviews),
            metrics=measured.metrics,
            slices=measured.slices,
        )
        return EvaluationRun(evaluation, measured.predictions)

    def report(
        self,
        run: EvaluationRun,
        champion: EvaluationRun | None,
        catalogue: Catalogue,
        gates: Any,
        out: Path,
    ) -> None:
        """The page from which a reviewer decides."""
        from models.product.report import write_report

        write_report(run, champion, catalogue, gates, out)

    def load(self, folder: Path, device: str = "auto") -> ProductPredictor:
        """The predictor, warmed up."""
        return ProductPredictor.load(folder, device)

    def export(self, folder: Path, out: Path, quantise: bool = False) -> dict[str, float]:
        """`listings.onnx` and `reviews.onnx`; see `models.product.export`."""
        from models.product.export import export

        return export(folder, out, quantise)

    def embed(self, folder: Path, catalogue: Catalogue, out: Path, device: str = "auto") -> EmbeddingSummary:
        """See `models.product.embed`."""
        from models.product.embed import embed

        return embed(ProductPredictor.load(folder, device), catalogue, out)


def keys(products: pd.DataFrame) -> NDArray[np.uint64]:
    """64-bit key [n] of each product: BLAKE2b of product_id and title, so that a changed title is a new example."""
    return digests(products["product_id"].tolist(), products["title"].fillna("").tolist())


def review_keys(reviews: pd.DataFrame) -> NDArray[np.uint64]:
    """64-bit key [n] of each review: BLAKE2b of review_id and text."""
    return digests(("review " + reviews["review_id"].astype(str)).tolist(), reviews["review"].fillna("").tolist())


def write_reference(folder: Path, predictor: ProductPredictor, products: pd.DataFrame, catalogue: Catalogue) -> None:
    """`reference.parquet` and `reference.json`: what predictions on validation rows look like, and what was true.

    Each is told in all its `ways`.
    """
    listings, truth = [], []
    for row in records_of(products):
        listing = listing_of(row, _decodable(catalogue, row["product_id"]))
        known = {"true_article_type": listing.categories.get("article_type"), "true_price": listing.price}
        for way in ways(listing):
            listings.append(way)
            truth.append(known | {"product_id": row["product_id"]})
    predictions = predictor.predict(listings)
    rows = [summarise(a, b) | c for a, b, c in zip(listings, predictions, truth, strict=True)]
    pd.DataFrame(rows).to_parquet(folder / "reference.parquet", index=False)
    write_json(folder / "reference.json", REFERENCE_SPEC)


def card(settings: BundleConfig, encoders: Encoders) -> str:
    """Model card (Mitchell et al. 2019); its metrics are added by whoever measures the bundle."""
    model = settings.config.model
    levels = ", ".join(f"{len(values)} {name}" for name, values in encoders.labels().items())
    price = f"{settings.baselines.price:g}" if settings.baselines.price is not None else "unknown"
    text = f"""# Product model

**What it is.** A multimodal transformer (preset {model.preset}: width {model.width}, {model.layers} layers, {model.heads} heads).
It reads any subset of a listing (title, description, photo, attributes, price, categories) and answers category, price,
embedding, and whether something is wrong with the listing; of a review, whether its writer recommends the
product.{_starts(settings)}

**Intended use.** Suggesting categories and a price range for listings of the shop it was trained on, search by
embedding, and checks by a person. **Not for** decisions without a person, prices in another currency or year, or goods
of other kinds.

**Training data.** Catalogue `{settings.data}`: {settings.training_rows} training rows ({settings.augmented_rows} augmented
copies besides), {settings.validation_rows} validation rows, {settings.training_reviews} training
reviews. Values it knows: {levels}.

**Calibration.** On validation rows: temperature {settings.calibration.temperature:.3f}, price quantile
{settings.calibration.price_quantile:.3f} scales for 90 % intervals. Both hold for complete listings like those; with parts
missing, intervals are approximate.

**Faults.** Quality was learnt from faults put into good listings: {", ".join(settings.config.corruption.trained)}; never shown:
{", ".join(settings.config.corruption.held_out) or "none"}. What a person calls a bad listing may be something else.

**Baselines.** Most frequent type: {settings.baselines.article_type}. Median price: {price}.

**Limits.** It answers only values it has seen. A price is what the catalogue would ask, not what a product is worth.
Photos are read at {model.image_width} × {model.image_height} pixels; the first {model.title_tokens} tokens of a title and
{model.description_tokens} of a description count.
"""
    # MLflow shows each line break: a paragraph is one line.
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in text.strip().split("\n\n")) + "\n"


def _starts(settings: BundleConfig) -> str:
    plans = {"Texts": settings.text_plan, "Photos": settings.image_plan}
    told = [f" {what} are read by `{plan.start.init_from}` ({plan.start.mode})." for what, plan in plans.items() if plan]
    return "".join(told)


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


def _encoders(products: pd.DataFrame, reviews: pd.DataFrame, config: ProductRunConfig, workdir: Path) -> Encoders:
    """Fitted on training rows."""
    rows, said = Rows.of(products), ReviewRows.of(reviews)
    return Encoders.fit(rows.listings, rows.photos, config.model, said.reviews, said.keys)


def _select(
    rows: pd.DataFrame, found: NDArray[np.uint64], parts: "pd.Series[Any]", seen: NDArray[np.uint64], split: str
) -> pd.DataFrame:
    """Rows of a split as the model knows it: what it has seen is by key, not by what a new split would say."""
    if split == "all":
        return rows
    known = np.isin(found, seen)
    return rows[~known] if split == "unseen" else rows[known & (parts == split).to_numpy()]


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
