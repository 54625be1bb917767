"""Products that are like another, among those of a version's index and those that clients put over them; and pages of them.

A searcher belongs to one loaded version. Before each batch it asks which revision the catalogue has, and reads what changed: so
every worker answers by a change from its next answer on. Shapes: b queries of one search, d dimensions, n products.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from cachetools import LRUCache

from catalog.errors import ImageError
from catalog.images import DecodedPhoto
from catalog.listing import CATEGORY_LEVELS, Listing
from configs.errors import VitrinaError
from configs.schema import IndexConfig, ServingConfig
from configs.settings import Settings
from database.catalog import Placing, Product, Vector, changes_since, forget_vectors, keep_vectors, photos, revision
from database.engine import exclusive
from database.errors import DatabaseError
from models.family import Places
from monitoring import metrics
from registry.versions import CHAMPION
from serving.errors import ApiError, InvalidInput, NotFound, NotSupported, Unavailable
from serving.images import decoded
from serving.schemas import ListingIn, Served
from serving.search.index import Index, facts
from serving.search.listed import Listed, Wanted
from serving.search.nearest import Nearest, nearest, nearest_by_lists
from serving.search.query import Query
from serving.search.schemas import Similar, SimilarProducts
from serving.search.shelf import Filters, Floats, Shelf
from serving.slots import Loaded, Slot

logger = logging.getLogger(__name__)

EMBEDDED_AT_ONCE = 256
"""Products of clients that a new version embeds and stores at once: where it is killed, the next goes on there."""
WHOLE = r"0|-?[1-9][0-9]{0,17}"
"""A number as it is written, and in no other way: 007 is an id of its own."""
_EMBEDDING = 0x5649_4356  # any number that nothing else in the database locks
_NOTHING: Nearest = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64)


class Source(Protocol):
    """Where indices come from."""

    def index(self, model: str, version: int) -> Index | None:
        """The index that was registered with a version; None where there is none."""
        ...


class Searcher:
    """Searches with one version. `similar`, `page` and `refresh` are safe to call from several threads."""

    def __init__(
        self,
        url: str,
        config: ServingConfig,
        by: Placing,
        predictor: Places,
        index: Index | None,
        observe: Callable[[int], None] = metrics.products_indexed,
    ) -> None:
        """`observe` is told among how many products it searches, whenever that changes."""
        self._url, self._config, self._by, self._predictor = url, config, by, predictor
        self._model, self.version = by.model, by.version
        self._index, self._observe = index, observe
        self._own = Shelf.of(index) if index else Shelf(1)  # the version's
        self._rows = dict(self._own.rows)
        self._put = Shelf(index.spec.dimensions if index else 1)  # clients'
        self._numbers = index is not None and index.products.schema.field("product_id").type == "int64"
        self._listed = Listed(list(self._rows), index.products if index else None, self.named)
        self._revision = 0
        self._known, self._away = False, False  # whether the catalogue was ever read, and is away now
        self._answers: LRUCache[object, bytes] = LRUCache(config.search.kept_bytes, getsizeof=len)
        self._using = threading.Lock()

    def prepare(self, beside: Sequence[int]) -> None:
        """Read what clients put, before the version answers; one worker at a time embeds what nobody has embedded for it.

        Vectors of other versions than this one and those `beside` it are forgotten.
        """
        if revision(self._url) == 0:
            return
        with exclusive(self._url, _EMBEDDING):
            self.refresh()
            forget_vectors(self._url, self._by, [self.version, *beside])
        self._observe(self._size)

    def refresh(self) -> None:
        """Take in what clients changed since the last time.

        Raises:
            DatabaseError: the catalogue cannot be read.
        """
        with self._using:
            self._refresh()

    def similar(self, queries: Sequence[Query]) -> list[bytes | ApiError]:
        """An answer a query, `SimilarProducts` as JSON; `NotFound` for a product that is not there.

        Raises:
            NotSupported: the version has no index.
            Unavailable: the catalogue was never read and cannot be read now; later, what is known stays.
            VitrinaError: a text or a photo says nothing that vectors are made of.
        """
        if self._index is None:
            raise NotSupported(
                f"this version has no index of products; `vitrina train {self._model}` makes a version that has one"
            )
        with self._using:
            self._refresh_if_there()
            found: list[bytes | ApiError | None] = [self._answers.get(query.key) for query in queries]
            self._search(queries, found)
        return [answer for answer in found if answer is not None]

    def page(self, wanted: Wanted, after: str | None, limit: int) -> tuple[list[str], int]:
        """Ids of at most `limit` products that are shown, in order, `after` an id; and how many are shown in all.

        Raises:
            Unavailable: see `similar`.
        """
        with self._using:
            self._refresh_if_there()
            found = self._listed.page(self._own.within(Filters()), wanted, after, limit)
            return found, len(self._own) + len(self._listed.put)

    def knows(self, product_id: str) -> bool:
        """Whether the version was trained on a product, whatever clients did with it."""
        return product_id in self._rows

    def own(self, product_id: str) -> Mapping[str, Any] | None:
        """What the version was told of a product, by column of `serving.search.index.COLUMNS`; None where it knows none."""
        row = self._rows.get(product_id)
        return None if row is None else self._own.tell([row])[0]

    @property
    def photo_side(self) -> int:
        """Pixels of the longer side of photos that are shown; the usual ones where the version keeps none."""
        kept = self._index.spec.config.photo_side if self._index else 0
        return kept or IndexConfig().photo_side

    def photo(self, product_id: str) -> bytes | None:
        """The small photo that the version keeps of a product, whatever clients did with it: a JPEG."""
        row = self._rows.get(product_id)
        return None if row is None or self._index is None or self._index.photos is None else self._index.photos.get(row)

    def has_photo(self, product_id: str) -> bool:
        """Whether it keeps one."""
        row = self._rows.get(product_id)
        return row is not None and self._index is not None and self._index.photos is not None and self._index.photos.there(row)

    def named(self, product_id: str) -> int | str:
        """An id as the catalogue of the version writes its ids."""
        return int(product_id) if self._numbers and re.fullmatch(WHOLE, product_id) else product_id

    def place(self, listings: Sequence[Listing]) -> Floats:
        """Vectors [b, d] of what clients put."""
        return self._predictor.place(listings)

    @property
    def _size(self) -> int:
        """Products among which it searches."""
        return len(self._own) + len(self._put)

    def _refresh_if_there(self) -> None:
        try:
            self._refresh()
            self._away = False
        except DatabaseError as error:
            if not self._known:
                raise Unavailable("database_unavailable", str(error), 5) from error
            if not self._away:
                logger.warning("model %s: the catalogue stays as it is known: %s", self._model, error)
            self._away = True

    def _refresh(self) -> None:
        now = revision(self._url)
        self._known = True
        if now == self._revision:
            return
        if now < self._revision:  # the database was put back to an earlier state
            self._start_over()
        last, changed = changes_since(self._url, self._revision, self._by)
        vectors = {product.product_id: product.vector for product in changed if product.vector is not None}
        vectors |= self._embedded([product for product in changed if product.product_id not in vectors])
        for product in changed:
            self._apply(product, vectors.get(product.product_id))
        self._revision = last
        self._answers.clear()
        self._observe(self._size)

    def _start_over(self) -> None:
        for product_id in self._rows.keys() - self._own.rows.keys():
            self._own.restore(product_id, self._rows[product_id])
        self._put = Shelf(self._put.dimensions)
        self._listed.put.clear()
        self._revision = 0

    def _apply(self, product: Product, vector: bytes | None) -> None:
        name, shown = product.product_id, product.state == "shown"
        if shown and product.listing is None and name in self._rows:
            self._own.restore(name, self._rows[name])
        else:
            self._own.remove(name)
        self._put.remove(name)
        self._listed.put.pop(name, None)
        if shown and product.listing is not None:
            told = facts(ListingIn.model_validate(product.listing).listing(None))
            told |= {"product_id": self.named(name), "has_photo": product.has_photo}
            self._listed.put[name] = told
            if vector is not None and self._index is not None:
                self._put.put(name, told, np.frombuffer(vector, dtype="<f4"))

    def _embedded(self, products: Sequence[Product]) -> dict[str, bytes]:
        """Vectors of those that are shown and say something to this version, computed and stored."""
        wanted = [product for product in products if product.state == "shown" and product.listing is not None]
        found: dict[str, bytes] = {}
        for start in range(0, len(wanted), EMBEDDED_AT_ONCE):
            some = wanted[start : start + EMBEDDED_AT_ONCE]
            told = {product.product_id: listing for product, listing in zip(some, self._listings(some), strict=True)}
            told = {name: listing for name, listing in told.items() if self._predictor.embeds(listing)}
            vectors = self._predictor.place(list(told.values())) if told else ()
            new = {name: np.asarray(vector, dtype="<f4").tobytes() for name, vector in zip(told, vectors, strict=True)}
            numbered = {product.product_id: product.revision for product in some}
            keep_vectors(self._url, self._by, [Vector(name, numbered[name], new[name]) for name in new])
            found |= new
            logger.info("model %s version %s embedded %d products of clients", self._model, self.version, len(found))
        return found

    def _listings(self, products: Sequence[Product]) -> Iterator[Listing]:
        seen = photos(self._url, [product.product_id for product in products])
        for product in products:
            photo = self._photo(product, seen.get(product.product_id))
            yield ListingIn.model_validate(product.listing).listing(photo)

    def _photo(self, product: Product, data: bytes | None) -> DecodedPhoto | None:
        """What a client put; None where there is none, or where it has more pixels than are allowed since."""
        try:
            return None if data is None else decoded(data, self._config.max_image_pixels)
        except ImageError as error:
            logger.warning("product %r is placed without its photo: %s", product.product_id, error)
            return None

    def _search(self, queries: Sequence[Query], found: list[bytes | ApiError | None]) -> None:
        """Fill what is None in `found`."""
        vectors: dict[int, Floats] = {}
        said: dict[int, Listing] = {}
        for place, query in enumerate(queries):
            if found[place] is not None:
                continue
            if query.vector is not None:
                vectors[place] = _unit(query.vector)
                if len(query.vector) != self._put.dimensions:
                    wanted = f"vector: has {len(query.vector)} numbers; this version's have {self._put.dimensions}"
                    found[place] = InvalidInput(wanted, "vector")
            elif query.product_id is None:
                said[place] = Listing(title=query.text, image=query.image)
            elif (vector := self._vector(query.product_id)) is not None:
                vectors[place] = vector
            else:
                found[place] = NotFound(f"product_id: no product {query.product_id!r} can be found", "product_id")
        if said:
            vectors |= dict(zip(said, self._predictor.place(list(said.values())), strict=True))
        alike: dict[Filters, list[int]] = {}
        for place, query in enumerate(queries):
            if found[place] is None:
                alike.setdefault(query.filters, []).append(place)
        for filters, places in alike.items():
            unit = np.stack([vectors[place] for place in places])
            for place, answer in zip(places, self._nearest([queries[place] for place in places], unit, filters), strict=True):
                found[place] = answer
                if (key := queries[place].key) is not None and len(answer) <= self._answers.maxsize:
                    self._answers[key] = answer

    def _vector(self, product_id: str) -> Floats | None:
        for shelf in (self._put, self._own):
            if (row := shelf.rows.get(product_id)) is not None:
                return _unit(shelf.vector(row))
        return None

    def _nearest(self, queries: Sequence[Query], unit: Floats, filters: Filters) -> Iterator[bytes]:
        """Of `unit` vectors [b, d]."""
        assert self._index is not None
        count = max(query.limit for query in queries) + 1  # the product that is asked about is not answered
        lists, config = self._index.lists, self._index.spec.config
        if lists is None:
            own = nearest(self._own, unit, filters, count)
        else:
            own = nearest_by_lists(self._own, unit, filters, count, lists, config)
        put = nearest(self._put, unit, filters, count) if len(self._put) else [_NOTHING] * len(queries)
        model = Served(name=self._model, version=self.version)
        for query, *of_shelves in zip(queries, own, put, strict=True):
            found = [
                (float(score), shelf, int(row))
                for shelf, (scores, rows) in zip((self._own, self._put), of_shelves, strict=True)
                for score, row in zip(scores, rows, strict=True)
            ]
            found.sort(key=lambda hit: -hit[0])
            asked = query.product_id
            others = [hit for hit in found if asked is None or hit[1].rows.get(asked) != hit[2]]
            items = list(self._items(others[: query.limit]))
            yield SimilarProducts(model=model, products=self._size, items=items).model_dump_json().encode()

    def _items(self, chosen: Sequence[tuple[float, Shelf, int]]) -> Iterator[Similar]:
        """Cosines, shelves and rows as they are answered."""
        told = {shelf: iter(shelf.tell([row for _, of, row in chosen if of is shelf])) for shelf in (self._own, self._put)}
        for score, shelf, _ in chosen:
            known = next(told[shelf])
            seen = known["has_photo"] if shelf is self._put else self.has_photo(str(known["product_id"]))
            yield Similar(
                product_id=known["product_id"],
                score=round(min(max(score, -1.0), 1.0), 6),
                title=known["title"],
                brand=known["brand"],
                price=known["price"],
                categories={level: known[level] for level in CATEGORY_LEVELS if known[level]},
                has_photo=seen,
            )


def _unobserved(_: int) -> None:
    """What a challenger searches is in no metric."""


def _unit(vector: Sequence[float] | Floats) -> Floats:
    """At unit length, however small or large its numbers are."""
    exact = np.asarray(vector, dtype=np.float64)
    exact = exact / np.abs(exact).max()
    unit: Floats = (exact / np.linalg.norm(exact)).astype(np.float32)
    return unit


def attach(settings: Settings, config: ServingConfig, source: Source, slot: Slot, loaded: Loaded, beside: Sequence[int]) -> None:
    """Give a version that was loaded for a slot its searcher, where its predictor places listings.

    `beside` are the versions of the model that answer until it does, or go on to. A database that cannot be read keeps nobody
    from predictions: then each search tries again.

    Raises:
        VitrinaError: the index is damaged, or was made by another model.
    """
    predictor, model = loaded.predictor, slot.name
    if not isinstance(predictor, Places):
        return
    index = source.index(model, loaded.version)
    if index is not None and index.spec.dimensions != predictor.dimensions:
        made, own = index.spec.dimensions, predictor.dimensions
        raise VitrinaError(f"the index of {model} version {loaded.version} has vectors of {made} numbers, the model makes {own}")
    observe = metrics.products_indexed if slot.alias == CHAMPION else _unobserved
    by = Placing(model, loaded.version, loaded.digest)
    loaded.searcher = Searcher(settings.database_url, config, by, predictor, index, observe)
    try:
        loaded.searcher.prepare(beside)
    except DatabaseError as error:
        logger.warning(
            "model %s version %s answers without what clients put until the next search: %s", model, loaded.version, error
        )
