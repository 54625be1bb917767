"""`fewshot`, from a catalogue and features of `product` to learners: what pipelines, registry, serving and monitoring call."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from catalog.catalogue import Catalogue
from configs.errors import VitrinaError
from configs.schema import EvaluationConfig, RunConfig
from models import family
from models.bundles import BUNDLE, claim, copy_base, count_seen, new_bundle, product_keys, save_card, save_reference
from models.errors import NotSupported
from models.evaluation.verdict import Headline
from models.family import Base, Embedder, EvaluationRun
from models.fewshot import bundle
from models.fewshot.bundle import BundleConfig
from models.fewshot.card import card
from models.fewshot.config import FewshotRunConfig
from models.fewshot.learner import Pools
from models.fewshot.names import NAMES
from models.fewshot.pools import bare_pools, chosen, parts, pool_of
from models.fewshot.predictor import FewshotPredictor
from models.fewshot.reference import reference
from models.fewshot.summary import REFERENCE_SPEC
from models.fewshot.types import TypesConfig, split_types

log = logging.getLogger(__name__)

SPLITS = ("unseen", "validation", "train")
TESTED = ("test", "novel")
"""Parts of the types that a version is measured on."""


class FewshotFamily:
    """Implements `models.family.Family`."""

    name = "fewshot"
    tables: tuple[str, ...] = ("products",)
    events = False
    rests_on: str | None = "product"
    config: type[RunConfig] = FewshotRunConfig
    metric_names = NAMES

    def split(self, catalogue: Catalogue, config: RunConfig) -> pd.DataFrame:
        """product_id and split of each product of a type with enough of them, at most `most_of_a_type` of each.

        A product's split is its type's (`models.fewshot.types`); products of novel master categories are tested.
        """
        assert isinstance(config, FewshotRunConfig)
        products, types = catalogue.products(), config.model.types
        rows = chosen(products, types.most_products, types.salt)
        part = rows["article_type"].map(split_types(rows, types)).replace("novel", "test")
        return pd.DataFrame({"product_id": rows["product_id"], "split": part}).dropna(subset="split").reset_index(drop=True)

    def augment(self, catalogue: Catalogue, split: pd.DataFrame, config: RunConfig) -> pd.DataFrame:
        """Nothing: an episode is another draw of the same products."""
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
            VitrinaError: too few types or products, or `workdir` belongs to another run.
        """
        from models.fewshot.fitting import fit

        assert isinstance(config, FewshotRunConfig) and base is not None
        workdir.mkdir(parents=True, exist_ok=True)
        rows = pd.util.hash_pandas_object(split, index=False).to_numpy()
        claim(workdir, config, f"{catalogue.fingerprint()} {base.digest}", rows.tobytes())
        embedder = family.load(base.model, base.folder)
        assert isinstance(embedder, Embedder)
        products = _rows(catalogue, split["product_id"])
        types = split_types(products, config.model.types)
        learning = products[products["article_type"].map(types).isin(["train", "validation"])]
        found = parts(pool_of(catalogue, learning, embedder, config.model), dict(types))
        pools = Pools(found["train"], found["validation"])
        bare = bare_pools(catalogue, learning, embedder, config.model, pools)
        fitted, best = fit(pools, bare, config, workdir, loggers)
        counts = products["article_type"].map(types).value_counts()
        settings = BundleConfig(
            config=config,
            data=catalogue.fingerprint(),
            types={str(name): str(part) for name, part in types.items()},
            products={str(part): int(count) for part, count in counts.items()},
            chosen=best,
            learned_by_base=tuple(sorted(name for name, part in types.items() if part != "train" and name in embedder.types)),
        )
        with new_bundle(workdir) as folder:
            bundle.save(folder, fitted, settings, product_keys(learning))
            copy_base(folder, base)
            save_reference(folder, reference(FewshotPredictor.load(folder), catalogue, learning), REFERENCE_SPEC)
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
        """See `models.family`; `unseen` are products of the types that no learner was trained on or chosen by.

        Raises:
            VitrinaError: unknown split, a damaged bundle, or too few types to make episodes of.
            NotSupported: `modalities` are given.
        """
        if split not in SPLITS:
            raise VitrinaError(f"split {split!r} is not known; allowed: {', '.join(SPLITS)}")
        if modalities is not None:
            raise NotSupported("fewshot is measured on features of whole listings; --modalities is for product")
        types = bundle.load_config(folder).types
        products = catalogue.products().drop_duplicates("product_id")  # before types are looked at: the first row counts
        part = products["article_type"].map(types)
        wanted = ~part.isin(["train", "validation"]) if split == "unseen" else part == split
        return self._measured(folder, catalogue, config, products[wanted], split)

    def evaluate_rows(self, folder: Path, catalogue: Catalogue, config: RunConfig, rows: "pd.Series[Any]") -> EvaluationRun:
        """See `models.family`; `rows` are product ids.

        Raises:
            VitrinaError: a damaged bundle, or too few types to make episodes of.
        """
        assert isinstance(config, FewshotRunConfig)
        products = _rows(catalogue, rows)
        run = self._measured(folder, catalogue, config.evaluation, products, "test", config.model.types)
        return run.knowing(count_seen(product_keys(products), folder))

    def _measured(
        self,
        folder: Path,
        catalogue: Catalogue,
        config: EvaluationConfig,
        products: pd.DataFrame,
        split: str,
        types: TypesConfig | None = None,
    ) -> EvaluationRun:
        """Of so many products as `types` says; by default as the version's configuration does."""
        from models.fewshot.evaluate import measure

        predictor = FewshotPredictor.load(folder)
        types = types or predictor.settings.config.model.types
        rows = chosen(products, types.most_products, types.salt)
        enough = rows["article_type"].map(rows["article_type"].value_counts()) >= types.min_products
        return measure(predictor, catalogue, rows[enough], config, split)

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
        from models.fewshot.report import write_report

        return write_report(run, champion, catalogue, gates, out, playground)

    def load(self, folder: Path, device: str = "auto") -> FewshotPredictor:
        """The predictor, warmed up."""
        return FewshotPredictor.load(folder, device)

    def export(self, folder: Path, out: Path, quantise: bool = False) -> dict[str, float]:
        """Nothing to export.

        Raises:
            NotSupported: always; says why.
        """
        raise NotSupported("fewshot is arithmetic on the features of product; `vitrina export product` writes what computes them")


def _rows(catalogue: Catalogue, product_ids: "pd.Series[Any]") -> pd.DataFrame:
    """Products of some ids, the first of duplicates."""
    products = catalogue.products()
    return products[products["product_id"].isin(product_ids)].drop_duplicates("product_id").reset_index(drop=True)


FAMILY = FewshotFamily()
