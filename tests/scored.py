"""A shop of whose rows some are bad, and what becomes of its rows."""

from pathlib import Path
from typing import Any

import pandas as pd
from bundles import tiny_catalogue

from configs.settings import Settings
from scoring.request import ScoringOutcome, ScoringRequest
from scoring.run import run_scoring

PRODUCTS = 90
BAD = {
    11: "attributes 'not JSON' is not JSON: Expecting value: line 1 column 1 (char 0)",
    20: "the id is that of row 3",
    37: "the id is missing",
    55: "image of 12 bytes cannot be decoded; allowed: JPEG, PNG, WEBP, AVIF, GIF, BMP, TIFF",
    70: "the listing is empty; give a title, description, image, price, category or attribute",
}
"""Rows of the shop that the product model cannot answer, and why."""
USERS = {3: True, 17: True, 999_999: False, 8: True}
"""Users of the shop in their order, and whether the recommender knows them."""


def bad_shop(folder: Path) -> Path:
    """Write it; photos lie in another order than products, in several row groups."""
    tiny_catalogue(folder, products=PRODUCTS, reviews=25)
    products = pd.read_parquet(folder / "products.parquet").astype({"product_id": "Int64"})
    products.loc[11, "attributes"] = "not JSON"
    products.loc[20, "product_id"] = products.loc[3, "product_id"]
    products.loc[37, "product_id"] = None
    products.loc[70, [column for column in products.columns if column != "product_id"]] = None
    products.to_parquet(folder / "products.parquet", index=False)
    images = pd.read_parquet(folder / "images.parquet")
    images.at[55, "jpeg"] = b"not a photo!"
    images.drop(70).sample(frac=1.0, random_state=1).to_parquet(folder / "images.parquet", index=False, row_group_size=16)
    bought = [(user, 10_001 + item) for user in (*USERS, 3) for item in range(2)]
    pd.DataFrame(bought, columns=["user_id", "item_id"]).to_parquet(folder / "purchases.parquet", index=False)
    return folder


def score(settings: Settings, shop: Path, out: Path, reference: str = "product@1", **asked: Any) -> ScoringOutcome:
    """Shards of 20 rows, in batches of 8, unless `values` say otherwise."""
    values = {"shard_rows": 20, "batch_size": 8} | asked.pop("values", {})
    return run_scoring(settings, ScoringRequest(reference=reference, data=(str(shop),), out=str(out), values=values, **asked))


def check_whole(out: Path, rows: int = PRODUCTS) -> pd.DataFrame:
    """Every row is answered or in quarantine, none is twice, and nothing else lies there; returns the answers."""
    answered, quarantined = (
        pd.read_parquet(out / "scores"),
        [pd.read_parquet(path) for path in (out / "quarantine").glob("part-*")],
    )
    found = [*answered["row"], *(row for part in quarantined for row in part["row"])]
    assert sorted(found) == list(range(rows))
    assert answered["row"].is_monotonic_increasing
    assert [path.name for path in out.rglob(".*")] == []
    return answered
