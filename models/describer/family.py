"""`describer`, from a catalogue to texts that state only given facts: what pipelines, registry, serving and monitoring call."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from catalog.catalogue import Catalogue
from catalog.splits import for_test, split_products
from configs.errors import VitrinaError
from configs.schema import EvaluationConfig, RunConfig
from models.bundles import BUNDLE, claim, count_seen, load_seen, new_bundle, product_keys, save_card, save_reference
from models.describer.config import DescriberRunConfig
from models.describer.names import NAMES
from models.describer.summary import REFERENCE_SPEC, reference
from models.errors import NotSupported
from models.evaluation.verdict import Headline
from models.family import Base, EvaluationRun

if TYPE_CHECKING:  # transformers is seconds of every start
    from models.describer.predictor import DescriberPredictor

SPLITS = ("unseen", "validation", "train", "all")


class DescriberFamily:
    """Implements `models.family.Family`."""

    name = "describer"
    tables: tuple[str, ...] = ("products",)
    events = False
    rests_on: str | None = None
    config: type[RunConfig] = DescriberRunConfig
    metric_names = NAMES

    def split(self, catalogue: Catalogue, config: RunConfig) -> pd.DataFrame:
        """product_id and split of each product, as `product` divides them."""
        products = catalogue.products()
        return pd.DataFrame({"product_id": products["product_id"], "split": split_products(products, config.split)})

    def augment(self, catalogue: Catalogue, split: pd.DataFrame, config: RunConfig) -> pd.DataFrame:
        """Nothing: the brief of a listing is another one in every epoch."""
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
            VitrinaError: no rows in a split, no text that states only what its listing gives, or `workdir` belongs to another
                run.
        """
        from models.describer import bundle
        from models.describer.card import card
        from models.describer.fitting import train
        from models.describer.predictor import DescriberPredictor

        assert isinstance(config, DescriberRunConfig)
        workdir.mkdir(parents=True, exist_ok=True)
        rows = split.sort_values("product_id", key=lambda s: s.astype(str)).to_csv(index=False)
        claim(workdir, config, catalogue.fingerprint(), rows.encode())
        training, validation = (_part(catalogue, split, name) for name in ("train", "validation"))
        trained = train(training, validation, catalogue.fingerprint(), config, workdir, loggers)
        settings, seen = trained.settings, np.concatenate([product_keys(training), product_keys(validation)])
        with new_bundle(workdir) as folder:
            bundle.save(folder, trained, seen)
            save_reference(folder, reference(DescriberPredictor.load(folder), validation), REFERENCE_SPEC)
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
        """See `models.family`.

        Raises:
            VitrinaError: unknown split, a damaged bundle, or no row to measure.
            NotSupported: `modalities` are given.
        """
        from models.describer import bundle

        if split not in SPLITS:
            raise VitrinaError(f"split {split!r} is not known; allowed: {', '.join(SPLITS)}")
        if modalities is not None:
            raise NotSupported("describer is measured on whole listings; --modalities is for product")
        products = catalogue.products().drop_duplicates("product_id").reset_index(drop=True)
        seen = np.isin(product_keys(products), load_seen(folder))
        if split == "unseen":  # of a published split the test rows alone
            chosen = ~seen & for_test(products).to_numpy()
        elif split == "all":
            chosen = np.ones(len(products), dtype=bool)
        else:
            chosen = seen & (split_products(products, bundle.load_config(folder).config.split) == split).to_numpy()
        return self._measured(folder, catalogue, config, products[chosen], split)

    def evaluate_rows(self, folder: Path, catalogue: Catalogue, config: RunConfig, rows: "pd.Series[Any]") -> EvaluationRun:
        """See `models.family`; `rows` are product ids.

        Raises:
            VitrinaError: a damaged bundle, or no row to measure.
        """
        assert isinstance(config, DescriberRunConfig)
        products, most = _rows(catalogue, rows), config.model.measured
        run = self._measured(folder, catalogue, config.evaluation, products, "test", most)
        return run.knowing(count_seen(product_keys(products), folder))

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
        from models.describer.evaluate import measure
        from models.describer.predictor import DescriberPredictor

        if products.empty:
            raise VitrinaError(f"there is no {split} product to measure; other splits: {', '.join(SPLITS)}")
        everything = catalogue.products().drop_duplicates("product_id").reset_index(drop=True)
        learned = np.isin(product_keys(everything), load_seen(folder))
        known = everything[learned & ~everything["product_id"].isin(products["product_id"])]
        return measure(DescriberPredictor.load(folder), catalogue.fingerprint(), products, known, config, split, most)

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
        from models.describer.report import write_report

        return write_report(run, champion, catalogue, gates, out, playground)

    def load(self, folder: Path, device: str = "auto") -> "DescriberPredictor":
        """The predictor, warmed up."""
        from models.describer.predictor import DescriberPredictor

        return DescriberPredictor.load(folder, device)

    def export(self, folder: Path, out: Path, quantise: bool = False) -> dict[str, float]:
        """Nothing to export.

        Raises:
            NotSupported: always; says why.
        """
        raise NotSupported(
            "describer writes token by token under a constraint that no graph holds; `vitrina export product` writes graphs"
        )


def _part(catalogue: Catalogue, split: pd.DataFrame, name: str) -> pd.DataFrame:
    """Products of one split, the first of duplicate ids.

    Raises:
        VitrinaError: there are none.
    """
    part = _rows(catalogue, split.loc[split["split"] == name, "product_id"])
    if part.empty:
        where = ", ".join(map(str, catalogue.folders))
        raise VitrinaError(f"the {name} split of {where} has no products; more products or another `split` are needed")
    return part


def _rows(catalogue: Catalogue, product_ids: "pd.Series[Any]") -> pd.DataFrame:
    """Products of some ids, the first of duplicates."""
    products = catalogue.products()
    return products[products["product_id"].isin(product_ids)].drop_duplicates("product_id").reset_index(drop=True)


FAMILY = DescriberFamily()
