"""Products that clients put: embedded and written, at once or in a job."""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from configs.errors import VitrinaError
from configs.schema import ServingConfig
from configs.settings import Settings
from database.audit import ANYONE
from database.catalog import Change, Placing, put
from database.errors import CatalogFull, DatabaseError, NotFound
from models.bundles import INDEX
from models.errors import NotSupported as CannotAnswer
from models.family import Places
from registry.fetch import fetch
from registry.versions import resolve
from serving import errors
from serving.errors import ApiError, InvalidInput, TooMany, Unavailable, refused
from serving.kinds import Answers, Done, Kind
from serving.listings import read_listing
from serving.search.index import PRODUCTS
from serving.search.schemas import MODEL, ProductIn, ProductItem, PutItem
from serving.slots import Loaded


def change(name: str, body: ProductIn, *, known: bool, vector: Any = None) -> Change:
    """What a client says of a product, with its vector where it says what the product is."""
    return Change(
        product_id=name,
        hidden=body.hidden,
        listing=body.stored() if body.told else None,
        photo=body.image,
        known=known,
        vector=None if vector is None else np.asarray(vector, dtype="<f4").tobytes(),
    )


def check(body: ProductIn, path: str = "") -> None:
    """Refuse a body that says nothing; `path` is where it stands."""
    if not body.told and "hidden" not in body.model_fields_set:
        where = path or "the product"
        raise InvalidInput(f"{where} says nothing; give a title, a photo or another field, or hidden", path or None)


def unknown(product_id: str) -> errors.NotFound:
    """There is no such product."""
    return errors.NotFound(f"no product {product_id!r}", "product_id")


def not_written(error: NotFound | CatalogFull) -> ApiError:
    """Why the catalogue did not take a change."""
    return TooMany("catalogue_full", str(error)) if isinstance(error, CatalogFull) else unknown(error.name or "")


def putting(url: str, who: str) -> Answers:
    """`Kind.answer` that writes to the application database at `url` for `who`: each item is put, or says why not."""
    return partial(_put, url, who)


def _put(url: str, who: str, loaded: Loaded, config: ServingConfig, items: Sequence[ProductItem]) -> list[Done | ApiError]:
    outcomes: list[Done | ApiError | None] = [None] * len(items)
    listings, changes = {}, []
    for place, item in enumerate(items):
        try:
            if item.told:
                listings[place] = read_listing(item, config)
        except InvalidInput as error:
            outcomes[place] = error
    try:
        vectors = dict(zip(listings, _placed(loaded, list(listings.values())), strict=True))
        left = [place for place, outcome in enumerate(outcomes) if outcome is None]
        for place in left:
            item = items[place]
            known = not item.told and str(item.product_id) in _ids(loaded.version, loaded.digest)
            changes.append(change(str(item.product_id), item, known=known, vector=vectors.get(place)))
        by = Placing(MODEL, loaded.version, loaded.digest)
        written = put(url, changes, most=config.search.max_products, by=by, who=who)
    except (NotFound, CatalogFull) as error:
        return _alone(items, not_written(error), error)
    except DatabaseError as error:
        return [outcome or Unavailable("database_unavailable", str(error), 5) for outcome in outcomes]
    except VitrinaError as error:
        return _alone(items, refused(error), error)
    for place in left:
        outcomes[place] = Done(PutItem.of(items[place], written))
    return [outcome for outcome in outcomes if outcome is not None]


def _alone(items: Sequence[Any], refusal: ApiError, error: Exception) -> list[Done | ApiError]:
    if len(items) > 1:
        raise error
    return [refusal]


def _placed(loaded: Loaded, listings: Sequence[Any]) -> Any:
    if not listings:
        return []
    if not isinstance(loaded.predictor, Places):
        raise CannotAnswer(f"version {loaded.version} places no products")
    return loaded.predictor.place(listings)


@lru_cache(maxsize=1)
def _ids(version: int, digest: str) -> frozenset[str]:
    """Products that a version, whose bundle has this digest, was registered with, as text."""
    settings = Settings.from_environment()
    path = fetch(settings, resolve(settings, f"{MODEL}@{version}")) / INDEX / PRODUCTS
    return (
        frozenset(map(str, pq.read_table(path, columns=["product_id"]).column(0).to_pylist())) if path.is_file() else frozenset()
    )


PUT_PRODUCTS = Kind(
    name="catalog/products",
    model=MODEL,
    item=ProductItem,
    batch=64,
    answer=putting("", ANYONE),  # of no database: `Kind.at` says which
    writing=putting,
    check=lambda item, _: check(item),
)
