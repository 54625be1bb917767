"""Writes the sample catalogue, and the drifted delivery that follows it."""

from pathlib import Path

import numpy as np
import pandas as pd

from catalog.errors import CatalogueError
from catalog.sample import behaviour
from catalog.sample.products import DRIFTED, FIRST, draw
from catalog.write import new_catalogue, write_table

_FIRST_ID = 10_001
_MIN_PRODUCTS = 100
_NEW_SHARE = 0.4
_MOOD = (0.06, 0.09, 0.14, 0.27, 0.44)
_NEW_MOOD = (0.18, 0.17, 0.2, 0.22, 0.23)


def write_sample(out: Path, seed: int = 7, products: int = 2400, drift: bool = False) -> Path:
    """Write a catalogue directory, the same for the same arguments.

    With `drift`, the delivery holds the rows of the first one and, after them, 40 % more with higher ids: new brands and
    three new article types, prices 60 % higher, dark photos, other wording, other seasons, worse reviews.

    So that validation has something to find, the first delivery holds three prices of 0, one empty title, one product
    id used twice (the second time without a photo of its own), one photo that is cut off, three products without photo
    and one discounted price above the price.

    Raises:
        CatalogueError: fewer than 100 products, or `out` exists and is not empty.
    """
    if products < _MIN_PRODUCTS:
        raise CatalogueError(f"a sample of {products} products is too small; at least {_MIN_PRODUCTS}")
    ids = range(_FIRST_ID, _FIRST_ID + products)
    with new_catalogue(out) as folder:
        tables = _first(ids, seed)
        if drift:
            later = _later(tables, range(ids.stop, ids.stop + round(products * _NEW_SHARE)), seed)
            tables = {name: pd.concat([table, later[name]], ignore_index=True) for name, table in tables.items()}
        tables["item_attributes"] = behaviour.item_attributes(tables["products"])
        for name, table in tables.items():
            write_table(folder, name, table)
    return out


def _first(ids: range, seed: int) -> dict[str, pd.DataFrame]:
    products, photos = draw(FIRST, ids, np.random.default_rng([seed, 0]))
    rng = np.random.default_rng([seed, 1])
    tables = {
        "products": products,
        "images": pd.DataFrame({"product_id": list(ids), "jpeg": photos}),
        "purchases": behaviour.purchases(products, range(1, len(ids) // 4 + 1), rng),
        "reviews": behaviour.reviews(len(ids) // 2, 1, _MOOD, rng),
    }
    return _with_faults(tables, rng)


def _later(before: dict[str, pd.DataFrame], ids: range, seed: int) -> dict[str, pd.DataFrame]:
    products, photos = draw(DRIFTED, ids, np.random.default_rng([seed, 2]))
    rng = np.random.default_rng([seed, 3])
    first_user = int(before["purchases"]["user_id"].max()) + 1
    return {
        "products": products,
        "images": pd.DataFrame({"product_id": list(ids), "jpeg": photos}),
        "purchases": behaviour.purchases(products, range(first_user, first_user + len(ids) // 4), rng),
        "reviews": behaviour.reviews(len(ids) // 2, int(before["reviews"]["review_id"].max()) + 1, _NEW_MOOD, rng),
    }


def _with_faults(tables: dict[str, pd.DataFrame], rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    products, images = tables["products"].copy(), tables["images"].copy()
    free, untitled, again, cut, above, *bare = rng.permutation(len(products) - 1)[:8] + 1
    products.loc[[free, (free + 7) % len(products), (free + 13) % len(products)], ["price", "discounted_price"]] = 0.0
    products.loc[untitled, "title"] = ""
    products.loc[above, "discounted_price"] = products.loc[above, "price"] * 1.5
    images["jpeg"] = [photo[:200] if row == cut else photo for row, photo in enumerate(tables["images"]["jpeg"])]
    images = images.drop(index=[again, *bare]).reset_index(drop=True)
    bought = tables["purchases"]["item_id"] != products.loc[again, "product_id"]
    products.loc[again, "product_id"] = products.loc[again - 1, "product_id"]
    purchases = tables["purchases"][bought].reset_index(drop=True)
    return tables | {"products": products, "images": images, "purchases": purchases}
