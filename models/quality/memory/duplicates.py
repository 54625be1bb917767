"""Whether another listing is the same product: the most similar listings are found by their features, and each pair is compared.

Compared are titles, descriptions, photos and prices; the more two of them agree, the more probably the product is the same
(`models.quality.monotone`), and the more of them there are to compare, the surer that is. Colours and numbers of which one title
has one and the other another tell variants apart, and so do a brand, gender or colour that is given and differs. That they are
the same does not count: that a listing says more must not make it a duplicate.

Shapes: n listings, m pairs, d dimensions of projected features, W words of a title, S values of a description's sketch.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from models.arrays import State, below
from models.quality.answers import Candidate, Evidence
from models.quality.memory.known import Known, pieces, short
from models.quality.memory.photos import colours_agree, portrait, thumbnails_agree
from models.quality.monotone import Floats, Monotone

WORDS, TELLING, SKETCH = 20, 6, 32
"""Words of a title that are compared, those of them that tell variants apart, values of a description's sketch."""
NAMES = (
    "features",
    "title",
    "contained",
    "description",
    "photo",
    "photo_colours",
    "price",
    "type",
    "telling",
    "given",
    "compared",
)
"""What is compared, each the higher, the more alike; the last counts how many of title, description and photo both have."""
TELL_APART = ("brand", "gender", "base_colour")
"""Fields of which different values mean different products."""
SATURATES = (0.9,) * len(NAMES)
"""Not the median: half of the duplicates that are made have the very photo, which says more than a similar one."""
_PRIME = (1 << 61) - 1
_MIX = np.random.default_rng(0).integers(1, _PRIME, size=(2, SKETCH), dtype=np.uint64)


@dataclass(frozen=True)
class Match:
    """Another listing that may be the same product.

    Attributes:
        product_id: Its id.
        probability: That it is.
        evidence: In what they agree.
    """

    product_id: int | str
    probability: float
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Signatures:
    """What is kept of listings to compare them with others.

    Attributes:
        ids: Of n products.
        titles: Their titles, for people.
        vectors: float16 [n, d], unit length.
        words: uint32 [n, W], hashes of title words; 0 pads.
        telling: uint32 [n, `TELLING`], of those that are colours or hold a digit.
        sketches: uint16 [n, S], of descriptions; all 0 without one.
        photos, colours: int8 [n, p] and uint8 [n, c], see `models.quality.memory.photos`; all 0 without one.
        prices: float32 [n], natural logarithms; NaN without one.
        types: uint32 [n], hashes of article types; 0 without one.
        given: uint32 [n, `TELL_APART`], hashes of these fields; 0 without one.
    """

    ids: tuple[int | str, ...]
    titles: tuple[str, ...]
    vectors: NDArray[np.float16]
    words: NDArray[np.uint32]
    telling: NDArray[np.uint32]
    sketches: NDArray[np.uint16]
    photos: NDArray[np.int8]
    colours: NDArray[np.uint8]
    prices: NDArray[np.float32]
    types: NDArray[np.uint32]
    given: NDArray[np.uint32]

    @classmethod
    def of(cls, products: Sequence[Known], vectors: NDArray[np.float16], colours: frozenset[str]) -> Self:
        """Of listings and their projected features [n, d]; `colours` are single words.

        Raises:
            ImageError: a photo cannot be decoded.
        """
        listings = [product.listing for product in products]
        titles = [pieces(listing.title) for listing in listings]
        told = [[w for w in title if w in colours or any(map(str.isdigit, w))] for title in titles]
        seen = [portrait(listing.image) for listing in listings]
        fields = [[_hash(short(v)) if (v := listing.fields.get(name)) else 0 for name in TELL_APART] for listing in listings]
        return cls(
            ids=tuple(product.product_id for product in products),
            titles=tuple((listing.title or "")[:200] for listing in listings),
            vectors=vectors,
            words=_padded(titles, WORDS),
            telling=_padded(told, TELLING),
            sketches=_stacked([_sketch(pieces(listing.description)) for listing in listings], _sketch([])),
            photos=_stacked([photo.thumbnail for photo in seen], portrait(None).thumbnail),
            colours=_stacked([photo.colours for photo in seen], portrait(None).colours),
            prices=np.array([np.log(listing.price) if listing.price else np.nan for listing in listings], dtype=np.float32),
            types=np.array([_hash(p.article_type) if p.article_type else 0 for p in products], dtype=np.uint32),
            given=np.array(fields, dtype=np.uint32).reshape(-1, len(TELL_APART)),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def arrays(self) -> State:
        """What `restore` reads beside ids and titles."""
        return {name: getattr(self, name) for name in _ARRAYS}

    def joined(self, other: "Signatures") -> "Signatures":
        """Those of both."""
        merged = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in _ARRAYS}
        return Signatures(self.ids + other.ids, self.titles + other.titles, **merged)

    def without(self, ids: frozenset[int | str]) -> "Signatures":
        """Those of other products."""
        rows = [i for i, product in enumerate(self.ids) if product not in ids]
        kept = {name: getattr(self, name)[rows] for name in _ARRAYS}
        return Signatures(tuple(self.ids[i] for i in rows), tuple(self.titles[i] for i in rows), **kept)


class Duplicates:
    """Listings that others are compared with. Safe to call from several threads."""

    def __init__(self, signatures: Signatures, model: Monotone, candidates: int, least: float) -> None:
        self.signatures, self.model, self.candidates, self.least = signatures, model, candidates, least
        self._index = faiss.IndexFlatIP(max(signatures.vectors.shape[1], 1))
        if len(signatures):
            self._index.add(signatures.vectors.astype(np.float32))

    def nearest(self, asked: Signatures) -> list[Match | None]:
        """The listing that is most probably the same product as each of n, but itself; None where none probably is."""
        found: list[Match | None] = []
        for row, rows in enumerate(self.similar(asked)):
            if not len(rows):
                found.append(None)
                continue
            evidence = compared(asked, np.full(len(rows), row), self.signatures, rows)
            probability = self.model.score(evidence)
            best = int(probability.argmax())
            match = self._match(asked, row, int(rows[best]), float(probability[best]), evidence[best])
            found.append(match if match.probability >= self.least else None)
        return found

    def similar(self, asked: Signatures) -> Iterator[NDArray[np.int64]]:
        """Rows of the most similar listings of other products, for each of n."""
        if not len(self.signatures) or not len(asked):
            yield from (np.empty(0, dtype=np.int64) for _ in range(len(asked)))
            return
        ids = self.signatures.ids
        _, rows = self._index.search(asked.vectors.astype(np.float32), min(self.candidates + 1, len(ids)))
        for own, near in zip(asked.ids, rows, strict=True):
            others = [i for i in near if i >= 0 and str(ids[i]) != str(own)]  # a form sends an id as text
            yield np.array(others[: self.candidates], dtype=np.int64)

    def _match(self, asked: Signatures, row: int, other: int, probability: float, evidence: NDArray[np.float64]) -> Match:
        product, told = self.signatures.ids[other], dict(zip(NAMES, evidence.tolist(), strict=True))
        title = self.signatures.titles[other]
        said = [f"Product {product}, {title!r}, is probably the same" if title else f"Product {product} is probably the same"]
        for name, what in (("title", "title"), ("description", "description"), ("photo", "photo")):
            value = told[name]
            if value == value and value >= 0.5:
                said.append(f"the {what} is the same" if value > 0.99 else f"the {what}s agree by {value:.0%}")
        if told["price"] == 0.0:
            said.append("the price is the same")
        text = ": ".join([said[0], ", ".join(said[1:])]) if said[1:] else said[0]
        values = {"product_id": product, "probability": round(probability, 4)}
        return Match(product, probability, (Evidence(f"{text}.", values),))


def compared(a: Signatures, rows: NDArray[np.int64], b: Signatures, others: NDArray[np.int64]) -> Floats:
    """Evidence (m, `NAMES`) that row i of `a` and row j of `b` are the same product; NaN where either lacks what is compared."""
    common, least, either = _overlap(a.words[rows], b.words[others])
    told, _, told_either = _overlap(a.telling[rows], b.telling[others])
    with np.errstate(invalid="ignore", divide="ignore"):
        title = np.where(least > 0, common / either, np.nan)
        contained = np.where(least > 0, common / least, np.nan)
    described = a.sketches[rows].any(axis=1) & b.sketches[others].any(axis=1)
    description = np.where(described, (a.sketches[rows] == b.sketches[others]).mean(axis=1), np.nan)
    photo = thumbnails_agree(a.photos[rows], b.photos[others])
    colours = colours_agree(a.colours[rows], b.colours[others])
    kinds = (a.types[rows] > 0) & (b.types[others] > 0)
    left, right = a.given[rows], b.given[others]
    columns = (
        (a.vectors[rows].astype(np.float64) * b.vectors[others].astype(np.float64)).sum(axis=1),
        title,
        contained,
        description,
        photo,
        colours,
        -np.abs(a.prices[rows] - b.prices[others]),
        np.where(kinds, a.types[rows] == b.types[others], np.nan),
        -(told_either - told),
        -((left != right) & (left > 0) & (right > 0)).sum(axis=1),
        there(title, description, colours),
    )
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)


def there(*evidence: Floats) -> Floats:
    """How many of some evidence (m,) are not missing (m,)."""
    return np.asarray((~np.isnan(np.stack(evidence))).sum(axis=0), dtype=np.float64)


def _overlap(a: NDArray[np.uint32], b: NDArray[np.uint32]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Of sets of hashes (m, W): how many both have, the smaller has, and either has."""
    both = ((a[:, :, None] == b[:, None, :]) & (a[:, :, None] > 0)).any(axis=2).sum(axis=1)
    sizes = (a > 0).sum(axis=1), (b > 0).sum(axis=1)
    return both, np.minimum(*sizes), sizes[0] + sizes[1] - both


def _padded(rows: Sequence[Sequence[str]], width: int) -> NDArray[np.uint32]:
    found = np.zeros((len(rows), width), dtype=np.uint32)
    for i, row in enumerate(rows):
        hashes = list(dict.fromkeys(_hash(word.replace("-", "")) for word in row))[:width]
        found[i, : len(hashes)] = hashes
    return found


def _stacked(rows: Sequence[NDArray[Any]], like: NDArray[Any]) -> NDArray[Any]:
    return np.stack(rows) if rows else np.zeros((0, len(like)), dtype=like.dtype)


def _sketch(text: Sequence[str]) -> NDArray[np.uint16]:
    """MinHash of the triples of words (Broder 1997): two texts share as many values as triples, in the mean.

    Of each value 16 bits are kept (Li and König 2010): different ones are taken for the same once in 65,000 times.
    """
    if not text:
        return np.zeros(SKETCH, dtype=np.uint16)
    triples = {_hash(" ".join(text[i : i + 3])) for i in range(max(1, len(text) - 2))}
    hashes = np.array(sorted(triples), dtype=np.uint64)[:, None]
    mixed = (hashes * _MIX[0] + _MIX[1]) % np.uint64(_PRIME)
    return np.asarray((mixed.min(axis=0) % np.uint64(2**16 - 1) + np.uint64(1)).astype(np.uint16))


def _hash(text: str | None) -> int:
    return zlib.crc32((text or "").encode()) or 1


_ARRAYS = ("vectors", "words", "telling", "sketches", "photos", "colours", "prices", "types", "given")


def asked(candidates: Sequence[Candidate]) -> list[Known]:
    """Candidates as products; without an id they are nobody's own."""
    return [Known("" if c.product_id is None else c.product_id, c.listing) for c in candidates]


def restored(ids: Sequence[int | str], titles: Sequence[str], state: Mapping[str, NDArray[Any]]) -> Signatures:
    """Read what `Signatures.arrays` gave."""
    return Signatures(tuple(ids), tuple(titles), **{name: below("", state)[name] for name in _ARRAYS})
