"""Products that clients put over what a version was trained on, and where its vectors put them.

Every change has the next revision, and changes are written one after the other: whoever has read up to a revision finds all later
ones by their number. A product that was deleted stays as a mark.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy
from sqlalchemy import Connection, and_, delete, func, or_, select, update

from database.audit import ANYONE, note, note_all
from database.engine import reading, writing
from database.errors import CatalogFull, NotFound
from database.tables import CatalogProduct, CatalogVector

ProductState = Literal["shown", "hidden", "deleted"]
_LOCK = 0x5649_4341  # any number that nothing else in the database uses
_AT_ONCE = 500
"""Ids of a statement: SQLite takes few parameters."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a client says of a product.

    Attributes:
        product_id: As text, whatever the catalogue's type is.
        listing: JSON of what it is; None leaves what is known of it, and changes whether it is shown.
        photo: As it was sent.
        known: Whether a version that answers knows it: then it may be hidden although no client ever put it.
        vector: Where the version that answers puts it; float32, little-endian.
    """

    product_id: str
    hidden: bool = False
    listing: Mapping[str, Any] | None = None
    photo: bytes | None = None
    known: bool = False
    vector: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Product:
    """A product as a client last put it.

    Attributes:
        listing: None where it is what a version was trained on, or deleted.
        revision: Of its last change.
        has_photo: Whether a client put one; `photo` reads it.
        vector: Where the version that was asked for puts it; None where nobody computed that yet.
    """

    product_id: str
    state: ProductState
    listing: Mapping[str, Any] | None
    revision: int
    updated_at: datetime
    has_photo: bool = False
    vector: bytes | None = None


@dataclass(frozen=True)
class Placing:
    """A version that places products, and the digest of its bundle: a registry begun anew gives its number to another one."""

    model: str
    version: int
    bundle: str


@dataclass(frozen=True)
class Vector:
    """Where a version puts a product as it was at `revision`; float32, little-endian."""

    product_id: str
    revision: int
    vector: bytes


@dataclass(frozen=True)
class Written:
    """What became of changes.

    Attributes:
        revision: Of the last of them.
        new: Ids of products that nobody knew before, or that were deleted.
    """

    revision: int
    new: frozenset[str] = field(default_factory=frozenset)


def put(url: str, changes: Sequence[Change], *, most: int, by: Placing, who: str = ANYONE) -> Written:
    """Write `changes`, all of them or none, each with its own revision and a row of the audit trail; vectors are those of `by`.

    Raises:
        NotFound: one without a listing is of a product that nobody knows.
        CatalogFull: more than `most` products would have a listing of a client.
        DatabaseError: unreachable.
    """
    changes = list({change.product_id: change for change in changes}.values())
    with writing(url) as connection:
        revision, now = _next_revision(connection), datetime.now(UTC)
        before = _states(connection, [change.product_id for change in changes])
        for place, change in enumerate(changes):
            _put(connection, change, before.get(change.product_id), revision + place, now)
        given = [change for change in changes if change.listing is not None]
        if given and _beyond(connection, most):
            raise CatalogFull(f"clients may put {most} products over those of the index; delete some, or train on them")
        last = revision + len(changes) - 1
        numbered = {change.product_id: revision + place for place, change in enumerate(changes)}
        rows = [Vector(c.product_id, numbered[c.product_id], c.vector) for c in given if c.vector is not None]
        _add_vectors(connection, by, rows)
        note_all(connection, who, (_deed(change, numbered[change.product_id]) for change in changes))
    there = {name for name, state in before.items() if state != "deleted"}
    there |= {change.product_id for change in changes if change.known and change.product_id not in before}
    return Written(last, frozenset(change.product_id for change in changes) - there)


def remove(url: str, product_id: str, *, known: bool, who: str = ANYONE) -> int:
    """Mark a product as deleted; returns the revision of the mark, which a product that is deleted already keeps.

    Raises:
        NotFound: no client put it, and it is not `known` to a version that answers.
        DatabaseError: unreachable.
    """
    with writing(url) as connection:
        revision = _next_revision(connection)
        row = connection.execute(_columns().where(CatalogProduct.id == product_id)).one_or_none()
        if row is None and not known:
            raise NotFound(f"no product {product_id!r}", product_id)
        if row is not None and row.state == "deleted":
            return int(row.revision)
        connection.execute(delete(CatalogProduct).where(CatalogProduct.id == product_id))  # and its vectors
        mark = {"id": product_id, "revision": revision, "state": "deleted", "updated_at": datetime.now(UTC)}
        connection.execute(sqlalchemy.insert(CatalogProduct), mark)
        note(connection, who, "product deleted", product_id, {"revision": revision})
    return revision


def find(url: str, product_id: str) -> Product:
    """A product that a client put, hid or deleted, without its photo.

    Raises:
        NotFound: no client did.
    """
    with reading(url) as connection:
        row = connection.execute(_columns().where(CatalogProduct.id == product_id)).one_or_none()
    if row is None:
        raise NotFound(f"no product {product_id!r}", product_id)
    return _product(row)


def find_all(url: str, product_ids: Sequence[str]) -> dict[str, Product]:
    """Those of these products that a client put, hid or deleted, by id, without their photos."""
    with reading(url) as connection:
        rows = [row for some in _chunks(product_ids) for row in connection.execute(_columns().where(CatalogProduct.id.in_(some)))]
    return {row.id: _product(row) for row in rows}


def revision(url: str) -> int:
    """Of the last change; 0 where there was none."""
    with reading(url) as connection:
        return _revision(connection)


def states_since(url: str, since: int) -> tuple[int, list[tuple[str, ProductState]]]:
    """The last revision, and the products that changed after `since` with their states."""
    with reading(url) as connection:
        query = select(CatalogProduct.id, CatalogProduct.state).where(CatalogProduct.revision > since)
        return _revision(connection), [(name, state) for name, state in connection.execute(query)]


def changes_since(url: str, since: int, by: Placing) -> tuple[int, list[Product]]:
    """The last revision, and the products that changed after `since`, oldest change first, with the vectors of `by`."""
    joined = and_(
        CatalogVector.product_id == CatalogProduct.id,
        CatalogVector.revision == CatalogProduct.revision,
        CatalogVector.model == by.model,
        CatalogVector.version == by.version,
        CatalogVector.bundle == by.bundle,
    )
    query = _columns(CatalogVector.vector).outerjoin(CatalogVector, joined).where(CatalogProduct.revision > since)
    with reading(url) as connection:
        rows = connection.execute(query.order_by(CatalogProduct.revision)).all()
        return _revision(connection), [_product(row, vector=row.vector) for row in rows]


def photos(url: str, product_ids: Sequence[str]) -> dict[str, bytes]:
    """Photos of those products that have one."""
    query = select(CatalogProduct.id, CatalogProduct.photo).where(CatalogProduct.photo.is_not(None))
    with reading(url) as connection:
        return {
            name: photo
            for some in _chunks(product_ids)
            for name, photo in connection.execute(query.where(CatalogProduct.id.in_(some)))
        }


def keep_vectors(url: str, by: Placing, vectors: Sequence[Vector]) -> None:
    """Write vectors of `by`, those of products that were changed meanwhile left out."""
    with writing(url) as connection:
        _wait_for_writers(connection)
        current = _revisions(connection, [vector.product_id for vector in vectors])
        fresh = [vector for vector in vectors if current.get(vector.product_id) == vector.revision]
        _add_vectors(connection, by, fresh)


def forget_vectors(url: str, by: Placing, keep: Sequence[int]) -> int:
    """Delete vectors of other versions of the model than `keep`, and those of another bundle by the number of `by`; how many."""
    with writing(url) as connection:
        stranger = and_(CatalogVector.version == by.version, CatalogVector.bundle != by.bundle)
        other = or_(CatalogVector.version.not_in(keep), stranger)
        chosen = delete(CatalogVector).where(CatalogVector.model == by.model, other)
        return int(connection.execute(chosen).rowcount)


def _next_revision(connection: Connection) -> int:
    """One that nobody else gets: writers wait for each other until they commit, so that revisions become visible in order."""
    _wait_for_writers(connection)
    return _revision(connection) + 1


def _wait_for_writers(connection: Connection) -> None:
    """Until nobody else writes products or vectors; on SQLite every writer did so when it began."""
    if connection.dialect.name == "postgresql":
        connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def _revision(connection: Connection) -> int:
    return connection.scalar(select(func.max(CatalogProduct.revision))) or 0


def _beyond(connection: Connection, most: int) -> bool:
    """Whether more than `most` products have a listing. All are counted first, as an index does without listings and photos."""
    everything = select(func.count()).select_from(CatalogProduct)
    listed = everything.where(CatalogProduct.listing.is_not(None))
    return all((connection.scalar(query) or 0) > most for query in (everything, listed))


def _put(connection: Connection, change: Change, before: str | None, revision: int, now: datetime) -> None:
    about = {"revision": revision, "state": "hidden" if change.hidden else "shown", "updated_at": now}
    mine = CatalogProduct.id == change.product_id
    if change.listing is not None:
        connection.execute(delete(CatalogProduct).where(mine))  # and its vectors
        said = {"id": change.product_id, "listing": change.listing, "photo": change.photo}
        connection.execute(sqlalchemy.insert(CatalogProduct), about | said)
    elif before is not None and before != "deleted":
        connection.execute(update(CatalogProduct).where(mine).values(about))
        connection.execute(update(CatalogVector).where(CatalogVector.product_id == change.product_id).values(revision=revision))
    elif before is None and change.known:
        connection.execute(sqlalchemy.insert(CatalogProduct), about | {"id": change.product_id})
    else:
        raise NotFound(f"no product {change.product_id!r}", change.product_id)


def _deed(change: Change, revision: int) -> tuple[str, str, dict[str, Any]]:
    """What the audit trail says of a change."""
    if change.listing is not None:
        return "product put", change.product_id, {"revision": revision, "hidden": change.hidden}
    return f"product {'hidden' if change.hidden else 'shown'}", change.product_id, {"revision": revision}


def _add_vectors(connection: Connection, by: Placing, vectors: Sequence[Vector]) -> None:
    """Each in the place of an older one of a version of the same number."""
    of_version = (CatalogVector.model == by.model, CatalogVector.version == by.version)
    for some in _chunks([vector.product_id for vector in vectors]):
        connection.execute(delete(CatalogVector).where(*of_version, CatalogVector.product_id.in_(some)))
    if vectors:
        rows = [vars(vector) | vars(by) for vector in vectors]
        connection.execute(sqlalchemy.insert(CatalogVector), rows)


def _states(connection: Connection, product_ids: Sequence[str]) -> dict[str, str]:
    query = select(CatalogProduct.id, CatalogProduct.state)
    found = (connection.execute(query.where(CatalogProduct.id.in_(some))) for some in _chunks(product_ids))
    return {name: state for rows in found for name, state in rows}


def _revisions(connection: Connection, product_ids: Sequence[str]) -> dict[str, int]:
    query = select(CatalogProduct.id, CatalogProduct.revision)
    found = (connection.execute(query.where(CatalogProduct.id.in_(some))) for some in _chunks(product_ids))
    return {name: revision for rows in found for name, revision in rows}


def _chunks(product_ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (product_ids[start : start + _AT_ONCE] for start in range(0, len(product_ids), _AT_ONCE))


def _columns(*more: Any) -> sqlalchemy.Select[Any]:
    table = CatalogProduct
    has_photo = table.photo.is_not(None).label("has_photo")
    return select(table.id, table.state, table.listing, table.revision, table.updated_at, has_photo, *more).select_from(table)


def _product(row: Any, vector: bytes | None = None) -> Product:
    return Product(
        product_id=row.id,
        state=row.state,
        listing=row.listing,
        revision=row.revision,
        updated_at=row.updated_at,
        has_photo=bool(row.has_photo),
        vector=vector,
    )
