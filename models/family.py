"""What a model has to offer so that pipelines, registry, serving and monitoring can carry it.

A model is a folder `models/<name>/` whose `family.py` binds `FAMILY`. Nothing else knows its name:
adding a model adds files and changes none.

A *bundle* is the folder in which a trained model travels: `model.safetensors`, `config.json`, its
vocabularies and tokenizer as JSON, `seen.npy` (64-bit keys of the rows it was fitted on),
`reference.parquet` and `reference.json` (what monitoring compares with), `card.md`, and what else the model answers from (such
as `graphs/` of ONNX). Where the model embeds products, it is registered with `index/`, in which they are found. No pickle.

A model may *rest on* another: it is trained on what the champion of that model, its *base*, makes of the data. Its bundle holds a
copy of the base, without its index, in `base/`, and says in `base.json` which version that is (`models.bundles.copy_base`): what
was measured is what answers, whichever version of the base is champion later.
"""

import importlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from weakref import WeakValueDictionary

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from catalog.catalogue import Catalogue
from catalog.images import DecodedPhoto
from catalog.listing import Listing
from configs.errors import ConfigError
from configs.schema import EvaluationConfig, Launch, Precision, RunConfig, ScoringConfig, StrictModel
from models import devices
from models.bundles import BaseVersion, content_sha256
from models.evaluation.names import Names
from models.evaluation.results import Evaluation
from models.evaluation.verdict import Headline


@dataclass(frozen=True)
class Base:
    """The champion that a model is trained with.

    Attributes:
        model: Its name, such as product.
        version: Registered version.
        digest: SHA-256 of the manifest that sealed its files.
        folder: Its bundle, verified.
    """

    model: str
    version: int
    digest: str
    folder: Path


@dataclass(frozen=True)
class EvaluationRun:
    """An evaluation with the row-level predictions behind it (what the report shows).

    `predictions` has a row a product: product_id, the true and predicted value and the confidence of each head.
    """

    evaluation: Evaluation
    predictions: pd.DataFrame

    def knowing(self, known: int) -> "EvaluationRun":
        """The same of a version that was fitted on or chosen by so many of the test rows."""
        return replace(self, evaluation=self.evaluation.model_copy(update={"known": known}))


class Predictor(Protocol):
    """A bundle ready to answer; safe to call from several threads.

    What it is asked is the model's own: methods that take a sequence and give an answer an item. They raise VitrinaError for an
    item that is wrong, and `models.errors.NotSupported` for what this version cannot do.
    """

    name: str  # of its family


@runtime_checkable
class Embedder(Predictor, Protocol):
    """A predictor that turns listings into features, on which other models can rest; not every one does."""

    words: int  # last dimensions of the features, which are made of words alone: all 0 for a listing without any

    def features(self, listings: Sequence[Listing]) -> NDArray[np.float32]:
        """Features [n, d] of unit length, of title, description, photo, fields and attributes: price and categories do not count.

        Raises:
            VitrinaError: a listing says nothing that features are made of, or its photo cannot be decoded; says which.
        """
        ...

    def embeds(self, listing: Listing) -> bool:
        """Whether a listing says anything that features are made of."""
        ...

    @property
    def types(self) -> frozenset[str]:
        """Article types that it was trained on."""
        ...


@runtime_checkable
class Places(Predictor, Protocol):
    """A predictor that puts listings among the vectors that its family's `Embeds.embed` writes."""

    dimensions: int  # of a vector

    def place(self, listings: Sequence[Listing]) -> NDArray[np.float32]:
        """Vectors [n, d] of unit length.

        Raises:
            VitrinaError: a listing says nothing that vectors are made of, or its photo cannot be decoded; says which.
        """
        ...

    def embeds(self, listing: Listing) -> bool:
        """Whether a listing says anything that vectors are made of."""
        ...


@runtime_checkable
class Lists(Predictor, Protocol):
    """A predictor that answers with products of its own catalogue."""

    def lists(self, product_id: str) -> bool:
        """Whether that catalogue has a product, by its id as text."""
        ...


@runtime_checkable
class RestsOnBase(Protocol):
    """A predictor of a model that rests on another."""

    base: BaseVersion  # whose copy in the bundle it answers with


class Family(Protocol):
    """One kind of model, from data to predictions."""

    name: str
    tables: tuple[str, ...]  # catalogue tables it cannot do without
    events: bool  # whether it learns from what users did with the service's items (catalogue table events)
    config: type[RunConfig]
    metric_names: Names  # how its metrics read, and which three are told first
    rests_on: str | None  # the model with whose champion it is trained; written as a literal, which `provenance.source` reads

    def split(self, catalogue: Catalogue, config: RunConfig) -> pd.DataFrame:
        """Key columns and `split` in {train, validation, test}, a row an example."""
        ...

    def augment(self, catalogue: Catalogue, split: pd.DataFrame, config: RunConfig) -> pd.DataFrame:
        """Extra training rows made from training rows; may be empty."""
        ...

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
        """Train in `workdir`, resuming from its checkpoint if it has one; returns the bundle folder.

        `loggers` are Lightning loggers. `base` is the champion of `rests_on`, of which the bundle gets a copy; None for a model
        that rests on none.
        """
        ...

    def evaluate(
        self,
        bundle: Path,
        catalogue: Catalogue,
        config: EvaluationConfig,
        split: str = "unseen",
        modalities: Sequence[str] | None = None,
    ) -> EvaluationRun:
        """Measure a bundle.

        `split`: unseen (rows the model was fitted on or chosen by are left out), validation (rows it was chosen by),
        train or all. `modalities` restricts what the model may see, such as ("title", "image").
        """
        ...

    def evaluate_rows(self, bundle: Path, catalogue: Catalogue, config: RunConfig, rows: "pd.Series[Any]") -> EvaluationRun:
        """Measure a bundle on the test rows of a run, so that champion and challenger are measured on the same ones.

        `config` is the run's, not the bundle's: it says how rows without a key among `rows` are split, how many are measured, and
        how. A bundle may have been fitted on some of the rows, where it was split in another way: that favours it, so they are
        counted (`Evaluation.known`).

        `rows`: the first key column of `split`, of its test rows.
        """
        ...

    def report(
        self,
        run: EvaluationRun,
        champion: EvaluationRun | None,
        catalogue: Catalogue,
        gates: Any,
        out: Path,
        playground: str | None = None,
    ) -> Headline:
        """Write the one HTML page from which a reviewer decides; returns what it says first.

        `playground`: address of the service whose page lets versions be tried; None where it is not known.
        """
        ...

    def load(self, bundle: Path, device: str = "auto") -> Predictor:
        """The model's own predictor, in evaluation mode and warmed up by one prediction."""
        ...

    def export(self, bundle: Path, out: Path, quantise: bool = False) -> dict[str, float]:
        """Write the bundle as ONNX graphs into the new folder `out`; returns how far each answer is from PyTorch's at most.

        `quantise` stores weights as int8.
        """
        ...


@runtime_checkable
class Launches(Protocol):
    """A family whose predictors compute in bf16, and launch passes as graphs or compiled, where asked for; not every one does."""

    def load_launched(self, bundle: Path, device: str, precision: Precision, launch: Launch) -> Predictor:
        """As `Family.load`; the first answer in each way of launching is behind it."""
        ...


class EmbeddingSummary(StrictModel):
    """What became of a catalogue's products in a table of their embeddings."""

    out: str
    products: int = Field(description="products with an embedding")
    dimensions: int = Field(description="values of an embedding")
    says_nothing: int = Field(0, description="products left out: no title, description, readable photo or attribute")
    undecodable: int = Field(0, description="photos that cannot be decoded; their products are embedded without them")
    repeated: int = Field(0, description="rows left out: the id is missing, or that of an earlier row")


@runtime_checkable
class Embeds(Protocol):
    """A family whose bundles turn products into vectors; not every one does."""

    def embed(self, bundle: Path, catalogue: Catalogue, out: Path, device: str = "auto") -> EmbeddingSummary:
        """Write the embedding of every product that says something into the new catalogue directory `out`.

        Raises:
            NothingToEmbed: no product says anything.
        """
        ...


def embedder(name: str) -> Embeds:
    """The family called `name`, which embeds.

    Raises:
        ConfigError: no such model, or it makes no embeddings.
    """
    chosen = get(name)
    if not isinstance(chosen, Embeds):
        able = [other for other in names() if isinstance(get(other), Embeds)]
        raise ConfigError(f"model {name!r} makes no embeddings of products; allowed: {', '.join(able)}")
    return chosen


class Scorer(Protocol):
    """How a model answers for every row of a table, with the predictor that answers the API; one of `SCORERS` in `scoring.py`."""

    table: str  # of the catalogue
    key: str  # column that names a row; where it does not name the table's rows, such as user_id of purchases, each value is one
    photos: bool  # whether the main photo of a product is read
    config: type[ScoringConfig]

    def schema(self, config: Any) -> pa.Schema:
        """Columns of an answer; `config` is of the type above, here and below."""
        ...

    def read(self, record: Mapping[str, Any], photo: DecodedPhoto | None) -> Any:
        """What the predictor is asked about a row.

        Raises:
            VitrinaError: the row cannot be read; says why.
        """
        ...

    def answer(self, predictor: Any, asked: Sequence[Any], config: Any) -> list[dict[str, Any]]:
        """One answer a row, by column.

        Raises:
            NotSupported: the version answers for no row of this table.
            VitrinaError: something asked is wrong.
        """
        ...


def scorer(name: str, table: str | None = None) -> Scorer:
    """How the model `name` answers for the rows of `table`; of the first table that it can, by default.

    Raises:
        ConfigError: no such model, or it answers for no table, or not for this one.
    """
    found = scorers(name)
    chosen = next((one for one in found if table in (None, one.table)), None)
    if chosen is None:
        raise ConfigError(f"model {name!r} scores no table {table!r}; allowed: {', '.join(one.table for one in found)}")
    return chosen


def scorers(name: str) -> Sequence[Scorer]:
    """Every way in which the model `name` answers for the rows of a table.

    Raises:
        ConfigError: no such model, or there is none.
    """
    get(name)
    if name not in (able := scoring()):
        raise ConfigError(f"model {name!r} scores no catalogue: it says nothing of a row by itself; allowed: {', '.join(able)}")
    found: Sequence[Scorer] = importlib.import_module(f"models.{name}.scoring").SCORERS
    return found


def scoring() -> list[str]:
    """Models that answer for the rows of a table, by the file that says how."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/scoring.py"))


def names() -> list[str]:
    """Models that exist, by folder."""
    return sorted(p.parent.name for p in Path(__file__).parent.glob("*/family.py"))


def get(name: str) -> Family:
    """The family called `name`.

    Raises:
        ConfigError: no such model.
    """
    if name not in names():
        raise ConfigError(f"model {name!r} does not exist; allowed: {', '.join(names())}")
    family: Family = importlib.import_module(f"models.{name}.family").FAMILY
    return family


_loaded: WeakValueDictionary[tuple[str, ...], Predictor] = WeakValueDictionary()
_loading = threading.RLock()  # a model that rests on another loads that one as well


def check_launch(model: str, device: str, precision: Precision, launch: Launch) -> None:
    """That a model can be served so on this machine.

    Raises:
        ConfigError: no such model, or it computes and is launched in one way alone.
        VitrinaError: the device does not exist.
    """
    if (precision, launch) != ("fp32", "none") and not isinstance(get(model), Launches):
        able = ", ".join(name for name in names() if isinstance(get(name), Launches))
        asked = f"precision = {precision}" if precision != "fp32" else f"compile = {launch}"
        raise ConfigError(f"{asked}: {model} computes in fp32 and is not recorded or compiled; allowed for: {able}")
    found = devices.resolve(device)
    if launch == "cuda_graphs" and found != "cuda":
        raise ConfigError(f"compile = cuda_graphs: there is no GPU here, the device is {found}; allowed: none, compile")


def load(model: str, folder: Path, device: str = "auto", precision: Precision = "fp32", launch: Launch = "none") -> Predictor:
    """The predictor of a bundle of `model`, warmed up; a process holds the same files on the same device once.

    So a champion and its copy inside the bundle of a model that rests on it are one predictor in memory. It is freed when nobody
    holds it.

    Raises:
        ConfigError: no such model, or it cannot compute so.
        VitrinaError: a file is missing or damaged, or the device does not exist.
    """
    chosen = get(model)
    with _loading:
        key = model, device, precision, launch, content_sha256(folder)
        found = _loaded.get(key)
        if found is None:
            if (precision, launch) == ("fp32", "none"):
                found = chosen.load(folder, device)
            elif isinstance(chosen, Launches):
                found = chosen.load_launched(folder, device, precision, launch)
            else:
                raise ConfigError(f"model {model!r} computes in fp32, and is not recorded or compiled")
            _loaded[key] = found
        return found
