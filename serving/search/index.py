"""The index of a version's products, as files: vectors, what filters and answers need, and inverted lists where there are many.

`index/` of a bundle holds `index.json`, `vectors.npy` (float16 [n, d], unit length), `products.parquet` (a row a vector) and,
beyond `IndexConfig.exact` products, `lists.faiss`: vectors of 8 bits a number in inverted lists (Jégou et al. 2011, as FAISS has
them; Douze et al. 2024), from which candidates come that are compared again with their vectors of 16 bits. Where products have
photos, `serving.search.photos` says how small ones lie beside them. Files of numbers are mapped, so that the workers of a machine
hold them once. Shapes: n products, d dimensions.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from catalog.catalogue import listing_of, records_of
from catalog.listing import CATEGORY_LEVELS, Listing
from configs.errors import VitrinaError
from configs.schema import IndexConfig, StrictModel
from serving.search import photos
from serving.search.photos import Photos

SPEC, VECTORS, PRODUCTS, LISTS = "index.json", "vectors.npy", "products.parquet", "lists.faiss"
COLUMNS = ("product_id", "title", "brand", *CATEGORY_LEVELS, "price", "attributes")
FORMAT = 1


class Spec(StrictModel):
    """What an index is made of."""

    format: int = Field(ge=FORMAT, le=FORMAT, description="of the files")
    products: int = Field(ge=1, description="rows")
    dimensions: int = Field(ge=1, description="of a vector")
    lists: int = Field(ge=0, description="inverted lists; 0: every product is compared")
    photos: int = Field(0, ge=0, description="products with a photo; 0: there are no files of photos")
    config: IndexConfig = Field(description="how it was made, and how it is searched")


@dataclass(frozen=True)
class Index:
    """The index of one version.

    Attributes:
        vectors: float16 [n, d], mapped from the file; float32 in memory where every product is compared.
        products: A row a vector, of `COLUMNS`; attributes are a JSON object, with describing fields, such as gender, among them.
        lists: FAISS index of the rows; None where every product is compared.
        photos: Of the rows; None where no product has one.
    """

    spec: Spec
    vectors: NDArray[np.float16] | NDArray[np.float32]
    products: pa.Table
    lists: Any
    photos: Photos | None


def write(
    folder: Path,
    ids: "pd.Series[Any]",
    vectors: NDArray[np.float32],
    products: pd.DataFrame,
    config: IndexConfig,
    photo: Callable[[Any], bytes | None] = lambda _: None,
) -> None:
    """Write the index of products `ids` [n] with unit `vectors` [n, d] into the new `folder`.

    `products` has a row of each id; `photo` gives the encoded photo of one, None where it has none.
    """
    folder.mkdir(parents=True)
    rows = (
        products.dropna(subset="product_id")
        .drop_duplicates("product_id")
        .set_index("product_id")
        .loc[ids.to_numpy()]
        .reset_index()
    )
    columns = [facts(listing_of(record, None)) for record in records_of(rows)]
    keys = pa.array(ids, type=pa.int64() if pd.api.types.is_integer_dtype(ids.dtype) else pa.string())
    told = {name: pa.array([row[name] for row in columns], type=_kind(name)) for name in COLUMNS[1:]}
    pq.write_table(pa.table({"product_id": keys} | told), folder / PRODUCTS, compression="zstd")
    np.save(folder / VECTORS, vectors.astype(np.float16), allow_pickle=False)
    lists = 0
    if len(vectors) > config.exact:
        made = inverted(vectors, config)
        faiss.write_index(made, str(folder / LISTS))
        lists = int(made.nlist)
    shown = photos.write(folder, ids.tolist(), photo, config.photo_side) if config.photo_side else 0
    about = {"products": len(vectors), "dimensions": vectors.shape[1], "lists": lists, "photos": shown}
    spec = Spec(format=FORMAT, **about, config=config)
    (folder / SPEC).write_text(spec.model_dump_json(indent=1) + "\n", encoding="utf-8")


def inverted(vectors: NDArray[np.float32], config: IndexConfig) -> Any:
    """FAISS index of inverted lists over `vectors`, whose centres come from a sample; numbers have 8 bits."""
    count = max(1, round(config.lists_a_root * len(vectors) ** 0.5))
    made: Any = faiss.index_factory(vectors.shape[1], f"IVF{count},SQ8", faiss.METRIC_INNER_PRODUCT)
    made.cp.seed = config.seed
    chosen = np.random.default_rng(config.seed).permutation(len(vectors))[: config.sample_a_list * count]
    made.train(np.ascontiguousarray(vectors[np.sort(chosen)]))
    made.add(np.ascontiguousarray(vectors))
    return made


def facts(listing: Listing) -> dict[str, Any]:
    """What filters and answers need of a listing, by column but product_id."""
    attributes = dict(sorted({**listing.fields, **listing.attributes}.items()))
    brand = attributes.pop("brand", None)
    return {
        "title": listing.title,
        "brand": brand,
        **{level: listing.categories.get(level) for level in CATEGORY_LEVELS},
        "price": listing.price,
        "attributes": json.dumps(attributes, ensure_ascii=False),
    }


def read(folder: Path) -> Index:
    """The index in `folder`, whose files belong together.

    Raises:
        VitrinaError: one is missing or damaged, or they do not belong together.
    """
    try:
        spec = Spec.model_validate_json((folder / SPEC).read_bytes())
        vectors = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
        products = pq.read_table(folder / PRODUCTS, columns=list(COLUMNS)).combine_chunks()
        lists = _mapped(folder / LISTS) if spec.lists else None
        seen = photos.read(folder) if spec.photos else None
    except (OSError, EOFError, ValueError, RuntimeError, pa.ArrowException) as error:
        raise VitrinaError(f"cannot read the index {folder}: {_first_line(error)}") from error
    wanted = (spec.products, spec.dimensions)
    found = {VECTORS: vectors.shape, PRODUCTS: (products.num_rows, spec.dimensions)}
    if lists is not None:
        found[LISTS] = (lists.ntotal, lists.d)
    if seen is not None:
        found[photos.OFFSETS] = (len(seen.offsets) - 1, spec.dimensions)
    for name, shape in found.items():
        if shape != wanted or vectors.dtype != np.float16:
            raise VitrinaError(f"index {folder}: {name} does not belong to {SPEC}, which says {wanted[0]} vectors of {wanted[1]}")
    if lists is None:
        vectors = vectors.astype(np.float32)
    return Index(spec, vectors, products, lists, seen)


def _mapped(path: Path) -> Any:
    """Inverted lists in the file. FAISS would start 32 threads a search to fetch them from a disk: they are in the cache."""
    python: Any = faiss  # whose stubs do not know what it casts to
    lists = python.read_index(str(path), python.IO_FLAG_MMAP)
    python.downcast_InvertedLists(python.extract_index_ivf(lists).invlists).prefetch_nthread = 0
    return lists


def _kind(name: str) -> pa.DataType:
    return pa.float64() if name == "price" else pa.string()


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{SPEC}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    return (str(error).splitlines() or [type(error).__name__])[0]
