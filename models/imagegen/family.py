"""`imagegen`, from a catalogue's photos to a generator: what pipelines, registry, serving and monitoring call."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from catalog.catalogue import Catalogue
from catalog.splits import split_products
from configs.errors import VitrinaError
from configs.schema import EvaluationConfig, RunConfig
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
from models.imagegen import bundle
from models.imagegen.config import ImagegenRunConfig
from models.imagegen.names import NAMES
from models.imagegen.rows import different, known_of, products_of

log = logging.getLogger(__name__)


class ImagegenFamily:
    """Implements `models.family.Family`."""

    name = "imagegen"
    tables: tuple[str, ...] = ("products", "images")
    events = False
    rests_on: str | None = "product"
    config: type[RunConfig] = ImagegenRunConfig
    metric_names = NAMES

    def split(self, catalogue: Catalogue, config: RunConfig) -> pd.DataFrame:
        """product_id and split of each product, as `product` divides them: its text features then are of unseen titles, too."""
        products = catalogue.products()
        return pd.DataFrame({"product_id": products["product_id"], "split": split_products(products, config.split)})

    def augment(self, catalogue: Catalogue, split: pd.DataFrame, config: RunConfig) -> pd.DataFrame:
        """Nothing: captions and styles are drawn anew in every epoch."""
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
            VitrinaError: no photo with a text to learn from, a base that does not say what listings show, a pipeline to start
                from that cannot be read, or `workdir` belongs to another run.
        """
        from models.imagegen.card import card, gallery
        from models.imagegen.fitting import train
        from models.imagegen.predictor import ImagegenPredictor
        from models.imagegen.summary import REFERENCE_SPEC, reference

        assert isinstance(config, ImagegenRunConfig) and base is not None
        workdir.mkdir(parents=True, exist_ok=True)
        rows = split.sort_values("product_id", key=lambda s: s.astype(str)).to_csv(index=False)
        claim(workdir, config, f"{catalogue.fingerprint()} {base.digest}", rows.encode())
        parts = {name: _part(catalogue, split, name) for name in ("train", "validation")}
        trained = train(catalogue, parts["train"], parts["validation"], base, config, workdir, loggers)
        known = np.concatenate([product_keys(part) for part in parts.values()])
        settings = trained.settings(catalogue.fingerprint(), int(np.isin(known, load_seen(base.folder)).sum()))
        with new_bundle(workdir) as folder:
            trained.save(folder)
            bundle.save_config(folder, settings, known)
            copy_base(folder, base)
            predictor = ImagegenPredictor.load(folder)
            save_reference(folder, reference(predictor, parts["validation"], config.model.generation), REFERENCE_SPEC)
            gallery(predictor, parts["validation"]["title"].dropna().tolist()).save(folder / bundle.GALLERY, optimize=True)
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

        Raises:
            VitrinaError: unknown split, a damaged bundle, or no product with a title and a photo to measure.
            NotSupported: `modalities` are given.
        """
        if modalities is not None:
            raise NotSupported("imagegen draws from titles; --modalities is for product")
        products = products_of(folder, catalogue, split, bundle.load_config(folder).config.split)
        return self._measured(folder, catalogue, config, products, split)

    def evaluate_rows(self, folder: Path, catalogue: Catalogue, config: RunConfig, rows: "pd.Series[Any]") -> EvaluationRun:
        """See `models.family`; `rows` are product ids.

        Raises:
            VitrinaError: a damaged bundle, or no product with a title and a photo to measure.
        """
        assert isinstance(config, ImagegenRunConfig)
        products, most = different(catalogue), config.model.measured.products
        wanted = products[products["product_id"].isin(rows)]
        run = self._measured(folder, catalogue, config.evaluation, wanted, "test", most)
        return run.knowing(count_seen(product_keys(wanted), folder, folder / BASE))

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
        from models.imagegen.evaluate import measure
        from models.imagegen.predictor import ImagegenPredictor

        settings = bundle.load_config(folder)
        known = known_of(folder, catalogue, products["product_id"], settings.config.split)
        predictor = ImagegenPredictor.load(folder)
        return measure(predictor, settings.config.model, catalogue, products, known, config, split, most=most)

    def report(
        self,
        run: EvaluationRun,
        champion: EvaluationRun | None,
        catalogue: Catalogue,
        gates: Any,
        out: Path,
        playground: str | None = None,
    ) -> Headline:
        """See `models.family`."""
        from models.imagegen.report import write_report

        return write_report(run, champion, catalogue, gates, out, playground)

    def load(self, folder: Path, device: str = "auto") -> Any:
        """See `models.family`."""
        from models.imagegen.predictor import ImagegenPredictor

        return ImagegenPredictor.load(folder, device)

    def export(self, folder: Path, out: Path, quantise: bool = False) -> dict[str, float]:
        """See `models.family`.

        Raises:
            NotSupported: always; a sampler calls its network many times.
        """
        raise NotSupported("imagegen has no ONNX form: its pipeline is read by diffusers (folder pipeline/ of the bundle)")


def _part(catalogue: Catalogue, split: pd.DataFrame, name: str) -> pd.DataFrame:
    """Products of one part of the split.

    Raises:
        VitrinaError: there are none.
    """
    products = different(catalogue)
    found = products[products["product_id"].isin(split.loc[split["split"] == name, "product_id"])].reset_index(drop=True)
    if found.empty:
        raise VitrinaError(f"there is no {name} product to learn from")
    return found


FAMILY = ImagegenFamily()
