"""`quality`, from a catalogue and what `product` reads in it to a judge: what pipelines, registry and serving call."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from catalog.catalogue import Catalogue
from catalog.corruption import PART
from catalog.splits import for_test, split_products
from configs.errors import VitrinaError
from configs.schema import EvaluationConfig, RunConfig
from models import family
from models.bundles import (
    BASE,
    BUNDLE,
    claim,
    copy_base,
    count_seen,
    load_seen,
    new_bundle,
    product_keys,
    save_card,
    save_reference,
)
from models.errors import NotSupported
from models.evaluation.verdict import Headline
from models.family import Base, EvaluationRun
from models.inspection import Inspector
from models.quality import bundle
from models.quality.answers import Candidate
from models.quality.axes import readers
from models.quality.bundle import BundleConfig, Fitted
from models.quality.card import card
from models.quality.config import QualityRunConfig
from models.quality.names import NAMES
from models.quality.predictor import QualityPredictor
from models.quality.rows import candidates_of, products_of
from models.quality.seen import bare
from models.quality.summary import REFERENCE_SPEC, reference

log = logging.getLogger(__name__)

SPLITS = ("unseen", "validation", "train", "all")

MIN_GOOD = 3
"""Listings to learn from: two for the axes, one for the threshold."""


class QualityFamily:
    """Implements `models.family.Family`."""

    name = "quality"
    tables: tuple[str, ...] = ("products",)
    events = False
    rests_on: str | None = "product"
    config: type[RunConfig] = QualityRunConfig
    metric_names = NAMES

    def split(self, catalogue: Catalogue, config: RunConfig) -> pd.DataFrame:
        """product_id and split of each product: as `product` divides them, so that no axis is learned from its training rows."""
        products = catalogue.products()
        return pd.DataFrame({"product_id": products["product_id"], "split": split_products(products, config.split)})

    def augment(self, catalogue: Catalogue, split: pd.DataFrame, config: RunConfig) -> pd.DataFrame:
        """Nothing: faults are put into listings while it learns."""
        return split.iloc[:0]

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
            VitrinaError: no listing to learn from, a base that does not say what listings show, or `workdir` belongs to another
                run.
        """
        from models.quality.fitting import fit, fitted_on

        assert isinstance(config, QualityRunConfig) and base is not None
        workdir.mkdir(parents=True, exist_ok=True)
        rows = pd.util.hash_pandas_object(split, index=False).to_numpy()
        claim(workdir, config, f"{catalogue.fingerprint()} {base.digest}", rows.tobytes())
        inspector = family.load(base.model, base.folder)
        if not isinstance(inspector, Inspector):
            raise VitrinaError(f"{base.folder}: {base.model} does not say what the parts of a listing show")
        known = _rows(catalogue, split.loc[split["split"].isin(["train", "validation"]), "product_id"])
        good = _drawn(inspector, catalogue, split, config)
        fitted = fit(inspector, products_of(catalogue, known), good, config.model, config.trainer.seed)
        learned = fitted_on(len(good))
        keys = product_keys(known)
        settings = BundleConfig(
            config=config,
            data=catalogue.fingerprint(),
            threshold=fitted.threshold,
            remembered=len(known),
            fitted=learned,
            chosen=len(good) - learned,
            known_to_base=int(np.isin(keys, load_seen(base.folder)).sum()),
            not_learned=_not_learned(fitted),
        )
        with new_bundle(workdir) as folder:
            bundle.save(folder, fitted, settings, keys)
            copy_base(folder, base)
            save_reference(folder, reference(QualityPredictor.load(folder), good), REFERENCE_SPEC)
            save_card(folder, card(settings))
        return workdir / BUNDLE

    def evaluate(
        self,
        folder: Path,
        catalogue: Catalogue,
        config: EvaluationConfig,
        split: str = "unseen",
        modalities: Sequence[str] | None = None,
    ) -> EvaluationRun:
        """See `models.family`; `unseen` are products that neither this version nor its base knows.

        Of `validation` those are left out that the axes were learned from, where there are others.

        Raises:
            VitrinaError: unknown split, a damaged bundle, or no listing to measure.
            NotSupported: `modalities` are given.
        """
        if split not in SPLITS:
            raise VitrinaError(f"split {split!r} is not known; allowed: {', '.join(SPLITS)}")
        if modalities is not None:
            raise NotSupported("quality is measured on whole listings; --modalities is for product")
        settings = bundle.load_config(folder)
        products = catalogue.products().drop_duplicates("product_id").reset_index(drop=True)
        seen = np.isin(
            product_keys(products),
            np.concatenate([load_seen(folder), load_seen(folder / BASE)]),
        )
        if split == "unseen":
            wanted = ~seen & for_test(products).to_numpy()
        elif split == "all":
            wanted = np.ones(len(products), dtype=bool)
        else:
            parts = split_products(products, settings.config.split)
            wanted = seen & (parts == split).to_numpy()
        if split == "validation":
            others = wanted & ~products["product_id"].isin(_sample(products[wanted], settings.config)["product_id"]).to_numpy()
            wanted = others if others.any() else wanted
        return self._measured(folder, catalogue, config, products[wanted], split)

    def evaluate_rows(self, folder: Path, catalogue: Catalogue, config: RunConfig, rows: "pd.Series[Any]") -> EvaluationRun:
        """See `models.family`; `rows` are product ids.

        Raises:
            VitrinaError: a damaged bundle, or no listing to measure.
        """
        assert isinstance(config, QualityRunConfig)
        products, most = _rows(catalogue, rows), config.model.measured
        run = self._measured(folder, catalogue, config.evaluation, products, "test", most)
        return run.knowing(count_seen(product_keys(products), folder, folder / BASE))

    def _measured(
        self,
        folder: Path,
        catalogue: Catalogue,
        config: EvaluationConfig,
        products: pd.DataFrame,
        split: str,
        most: int | None = None,
    ) -> EvaluationRun:
        """Of at most `most` products; by default of as many as the version's configuration says."""
        from models.quality.evaluate import measure

        predictor = QualityPredictor.load(folder)
        most = most or predictor.settings.config.model.measured
        drawn = products.sample(min(most, len(products)), random_state=0)
        good = [one for one in candidates_of(catalogue, drawn) if predictor.inspector.reads(bare(one.listing))]
        if not good:
            raise VitrinaError(f"no {split} listing of the catalogue says anything that is read: there is nothing to measure")
        return measure(predictor, good, catalogue.fingerprint(), config, split)

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
        from models.quality.report import write_report

        return write_report(run, champion, catalogue, gates, out, playground)

    def load(self, folder: Path, device: str = "auto") -> QualityPredictor:
        """The predictor, warmed up."""
        return QualityPredictor.load(folder, device)

    def export(self, folder: Path, out: Path, quantise: bool = False) -> dict[str, float]:
        """Nothing to export.

        Raises:
            NotSupported: always; says why.
        """
        raise NotSupported("quality is arithmetic on what product reads; `vitrina export product` writes what computes that")


def _drawn(inspector: Inspector, catalogue: Catalogue, split: pd.DataFrame, config: QualityRunConfig) -> list[Candidate]:
    """Validation listings that say something, in an order drawn by chance.

    Raises:
        VitrinaError: there are fewer than three.
    """
    rows = _rows(catalogue, split.loc[split["split"] == "validation", "product_id"])
    good = [one for one in candidates_of(catalogue, _sample(rows, config)) if inspector.reads(bare(one.listing))]
    if len(good) < MIN_GOOD:
        told = "three listings of the validation split that say something are needed"
        raise VitrinaError(f"{told}; it has {len(good)}: more products or another `split` are needed")
    return good


def _sample(rows: pd.DataFrame, config: QualityRunConfig) -> pd.DataFrame:
    """What of the validation rows the axes and the threshold are learned from."""
    return rows.sample(min(len(rows), config.model.fit.listings), random_state=config.trainer.seed)


def _not_learned(fitted: Fitted) -> dict[str, str]:
    """Axes that cannot be scored, and why."""
    found: dict[str, str] = {}
    for axis in readers():
        if not fitted.learned.can_score(axis):
            kinds = ", ".join(kind for kind, of in PART.items() if of == axis)
            found[axis] = f"no listing it learned from could be given a fault of it: {kinds}"
    return found


def _rows(catalogue: Catalogue, product_ids: "pd.Series[Any]") -> pd.DataFrame:
    """Products of some ids, the first of duplicates."""
    products = catalogue.products()
    return products[products["product_id"].isin(product_ids)].drop_duplicates("product_id").reset_index(drop=True)


FAMILY = QualityFamily()
