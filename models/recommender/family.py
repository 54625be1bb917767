"""`recommender`, from purchases to recommendations: what pipelines, registry, serving and monitoring call."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from catalog.catalogue import Catalogue
from configs.errors import VitrinaError
from configs.schema import EvaluationConfig, RunConfig, SplitConfig
from models.bundles import BUNDLE, claim, count_seen, digests, load_seen, new_bundle, save_card, save_reference
from models.errors import NotSupported
from models.evaluation.metrics import normalised
from models.evaluation.results import Evaluation
from models.evaluation.verdict import Headline
from models.family import Base, EvaluationRun
from models.recommender import bundle
from models.recommender.answers import Query
from models.recommender.bundle import BundleConfig
from models.recommender.card import card
from models.recommender.config import RecommenderRunConfig
from models.recommender.held_out import HeldOut
from models.recommender.interactions import BOUGHT, Histories, split_interactions
from models.recommender.items import Items, item_keys
from models.recommender.model import Recommender
from models.recommender.names import NAMES
from models.recommender.predictor import RecommenderPredictor
from models.recommender.summary import REFERENCE_SPEC, summarise

REFERENCE_ROWS = 2000


class RecommenderFamily:
    """Implements `models.family.Family`."""

    name = "recommender"
    tables: tuple[str, ...] = ("purchases",)
    config: type[RunConfig] = RecommenderRunConfig
    metric_names = NAMES
    rests_on: str | None = None
    events = True

    def split(self, catalogue: Catalogue, config: RunConfig) -> pd.DataFrame:
        """See `models.recommender.interactions.split_interactions`."""
        assert isinstance(config, RecommenderRunConfig)
        return split_interactions(catalogue, config.split, config.model.history)

    def augment(self, catalogue: Catalogue, split: pd.DataFrame, config: RunConfig) -> pd.DataFrame:
        """Nothing: purchases are not made up."""
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
            VitrinaError: no purchase to train on or to choose by, or `workdir` belongs to another run.
        """
        from models.recommender.fitting import train
        from models.recommender.part import Purchases

        assert isinstance(config, RecommenderRunConfig)
        workdir.mkdir(parents=True, exist_ok=True)
        rows = pd.util.hash_pandas_object(split, index=False).to_numpy()
        claim(workdir, config, catalogue.fingerprint(), rows.tobytes())
        table = Coded.of(split, item_keys(catalogue, split["item_id"]))
        content = _content(catalogue, table.items)
        held = HeldOut.of(table.histories("train"), table.relevant("validation"))
        _require(catalogue, held)

        def purchases(*parts: str) -> Purchases:
            histories = table.histories(*parts)
            items = Items.of(catalogue, table.items, histories.buyers(len(table.items)))
            return Purchases(histories, items, content, bool(split["ordered"].any()))

        recommender = train(
            purchases("train"),
            purchases("train", "validation"),
            held,
            config.model,
            config.trainer,
            workdir,
            loggers,
        )
        settings = BundleConfig(
            config=config,
            weights=dict(recommender.weights),
            ordered=bool(split["ordered"].any()),
            data=catalogue.fingerprint(),
            users=len(table.users),
            items=len(table.items),
            training_purchases=int((split["split"] == "train").sum()),
            validation_purchases=int((split["split"] == "validation").sum()),
        )
        known = table.histories(*("train", "validation") if "purchases_test" in catalogue.tables() else table.parts)
        seen = pair_keys(split[(split["split"] != "test") & _bought(split)])
        with new_bundle(workdir) as folder:
            bundle.save(folder, recommender, table.users, known, settings, seen)
            save_reference(folder, reference(recommender, table, held, config), REFERENCE_SPEC)
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
            NotSupported: modalities.
            VitrinaError: unknown split, a damaged bundle, or no purchase to measure.
        """
        if modalities is not None:
            raise NotSupported("a recommender has no modalities to restrict; leave --modalities out")
        if split != "unseen":
            raise VitrinaError(  # parts are fitted again with the validation purchases: nothing can be measured on them
                f"split {split!r} is not known to the recommender, which is fitted on all but the test purchases; allowed: unseen"
            )
        found = self._split(folder, catalogue)
        unseen = pd.Series(~np.isin(pair_keys(found), load_seen(folder)), found.index)
        return self._measured(folder, catalogue, config, split, found, (found["split"] == "test") & _bought(found) & unseen)

    def evaluate_rows(self, folder: Path, catalogue: Catalogue, config: RunConfig, rows: "pd.Series[Any]") -> EvaluationRun:
        """See `models.family`; `rows` are user ids, whose test purchases by the run's split are measured.

        Raises:
            VitrinaError: a damaged bundle, or no purchase to measure.
        """
        assert isinstance(config, RecommenderRunConfig)
        found = self._split(folder, catalogue, config.split)
        test, keys = (found["split"] == "test") & _bought(found), pair_keys(found)
        before = np.isin(keys, keys[((found["split"] != "test") & _bought(found)).to_numpy()])
        wanted = test & ~before & found["user_id"].isin(rows.unique())
        known = count_seen(keys[wanted.to_numpy()], folder)
        return self._measured(folder, catalogue, config.evaluation, "test", found, wanted).knowing(known)

    def _split(self, folder: Path, catalogue: Catalogue, split: SplitConfig | None = None) -> pd.DataFrame:
        """What users did, divided by `split`, or as the version's configuration says; its weights are the version's own."""
        own = bundle.load_config(folder).config
        return split_interactions(catalogue, split or own.split, own.model.history)

    def _measured(
        self,
        folder: Path,
        catalogue: Catalogue,
        config: EvaluationConfig,
        split: str,
        found: pd.DataFrame,
        wanted: "pd.Series[bool]",
    ) -> EvaluationRun:
        """Of the rows of `found` that are `wanted`; `split` says what they are."""
        from models.recommender.evaluate import measure

        settings = bundle.load_config(folder)
        recommender, _, _ = bundle.load(folder, settings)
        table = Coded.of(found, list(recommender.items.keys))
        relevant, unknown = table.relevant_of(wanted)
        users = np.flatnonzero((np.diff(relevant.indptr) + unknown) > 0)
        if not len(users):
            raise VitrinaError(f"{', '.join(map(str, catalogue.folders))} has no {split} purchase to measure")
        histories = table.histories("train", "validation").select(users)
        keys = [table.users[user] for user in users]
        predictor = RecommenderPredictor(recommender, keys, histories, settings.config.model)
        measured = measure(
            recommender,
            predictor,
            keys,
            histories,
            relevant[users],
            config,
            unknown=unknown[users],
            training_users=settings.users,
        )
        evaluation = Evaluation(
            model=self.name,
            version=None,
            data=catalogue.fingerprint(),
            split=split,
            n=len(users),
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
        from models.recommender.report import write_report

        return write_report(run, champion, catalogue, gates, out, playground)

    def load(self, folder: Path, device: str = "auto") -> RecommenderPredictor:
        """The predictor, warmed up; it computes on the CPU."""
        return RecommenderPredictor.load(folder)

    def export(self, folder: Path, out: Path, quantise: bool = False) -> dict[str, float]:
        """There is nothing to export.

        Raises:
            NotSupported: always.
        """
        raise NotSupported("a recommender has no ONNX graphs: most of it are sparse matrices; serve it with `vitrina serve`")


class Coded:
    """A split whose users and items are codes; interactions with items that are not among `items` are left out."""

    parts = ("train", "validation", "test")

    def __init__(self, split: pd.DataFrame, users: list[Any], items: list[Any], codes: pd.DataFrame) -> None:
        self.split, self.users, self.items, self.codes = split, users, items, codes

    @classmethod
    def of(cls, split: pd.DataFrame, items: list[Any]) -> "Coded":
        """Users in order of appearance, items in the given order."""
        user, users = pd.factorize(split["user_id"])
        index = pd.Series(np.arange(len(items)), index=[str(key) for key in items])
        item = split["item_id"].astype(str).map(index).fillna(-1).astype(np.int64)
        plain = [key.item() if isinstance(key, np.generic) else key for key in users]
        return cls(split, plain, items, pd.DataFrame({"user": user, "item": item.to_numpy()}))

    def histories(self, *parts: str) -> Histories:
        """What every user did in these parts."""
        rows = (self.split["split"].isin(parts) & (self.codes["item"] >= 0).to_numpy()).to_numpy()
        weights = self.split["weight"].to_numpy(dtype=np.float32)[rows]
        return Histories.of(self.codes["user"].to_numpy()[rows], self.codes["item"].to_numpy()[rows], weights, len(self.users))

    def relevant(self, part: str) -> csr_matrix:
        """Users × items that were bought in a part."""
        return self.relevant_of((self.split["split"] == part) & _bought(self.split))[0]

    def relevant_of(self, wanted: "pd.Series[bool]") -> tuple[csr_matrix, NDArray[np.int64]]:
        """Users × items of the rows wanted, and how many more [U] are of items that are not known."""
        rows = self.codes[wanted.to_numpy()].drop_duplicates()
        known = rows[rows["item"] >= 0]
        shape = (len(self.users), len(self.items))
        cells = csr_matrix((np.ones(len(known), np.float32), (known["user"], known["item"])), shape=shape)
        return cells, np.bincount(rows.loc[rows["item"] < 0, "user"], minlength=len(self.users))


def _bought(split: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows are purchases; the others were only looked at."""
    return split["weight"] >= BOUGHT


def pair_keys(rows: pd.DataFrame) -> NDArray[np.uint64]:
    """64-bit key [n] of each purchase: BLAKE2b of user and item."""
    return digests(rows["user_id"].tolist(), rows["item_id"].tolist())


def reference(recommender: Recommender, table: Coded, held: HeldOut, config: RecommenderRunConfig) -> list[dict[str, Any]]:
    """What answers to validation users look like, and what they bought next."""
    held = held.draw(REFERENCE_ROWS, config.trainer.seed)
    keys = [table.users[user] for user in held.users]
    predictor = RecommenderPredictor(recommender, keys, held.histories, config.model)
    queries = [Query(user_id=key) for key in keys]
    rows = []
    for row, (query, answer) in enumerate(zip(queries, predictor.recommend(queries), strict=True)):
        bought = recommender.items.keys[int(held.relevant[row].indices[0])]
        rows.append(summarise(query, answer) | {"true_item_id": str(bought)})
    return rows


def _content(catalogue: Catalogue, items: list[Any]) -> NDArray[np.float32] | None:
    """Embeddings [I, d] of unit length, zeros for items without one; None where the catalogue has none."""
    if "embeddings" not in catalogue.tables():
        return None
    ids, vectors = catalogue.embeddings()
    first = ~ids.astype(str).duplicated()
    place = pd.Series(np.flatnonzero(first), index=ids.astype(str)[first])
    rows = pd.Series([str(key) for key in items]).map(place)
    found = np.zeros((len(items), vectors.shape[1]), dtype=np.float32)
    there = rows.notna().to_numpy()
    found[there] = vectors[rows[there].astype(np.int64)]
    return normalised(found)


def _require(catalogue: Catalogue, held: HeldOut) -> None:
    """There must be something to learn from and to choose by.

    Raises:
        VitrinaError: there is not.
    """
    if not len(held):
        where = ", ".join(map(str, catalogue.folders))
        raise VitrinaError(
            f"{where} has no user with purchases both to train on and to choose by; "
            "users with three or more, of different items, are needed"
        )


FAMILY = RecommenderFamily()
