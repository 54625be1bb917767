"""Who bought what, and what they wrote about it."""

from typing import Any

import numpy as np
import pandas as pd

from catalog.sample.words import review

_ATTRIBUTES = ("brand", "base_colour", "sub_category", "gender", "usage")
_PATIENCE_DAYS = 60.0


def purchases(products: pd.DataFrame, users: range, rng: np.random.Generator) -> pd.DataFrame:
    """user_id, item_id, timestamp: 5 to 20 products a user, drawn by taste (gender, sub-categories, brands, colours, price)."""
    gender = products["gender"].to_numpy()
    log_price = np.log(products["price"].clip(lower=1).to_numpy())
    popularity = rng.gumbel(0, 0.8, len(products))
    frames = []
    for user in users:
        own = str(rng.choice(["Men", "Women"]))
        score = popularity + np.where((gender == own) | (gender == "Unisex"), 2.0, -1.5)
        for column, likes, weight in (("sub_category", 3, 3.5), ("brand", 4, 1.8), ("base_colour", 3, 0.8)):
            score += weight * products[column].isin(rng.choice(products[column].unique(), likes)).to_numpy()
        score -= 1.2 * np.abs(log_price - rng.normal(7.2, 0.5))
        count = min(int(rng.integers(5, 21)), len(products))
        bought = np.argsort(-(score + rng.gumbel(0, 1.2, len(products))))[:count]
        delay = pd.to_timedelta(np.round(rng.exponential(_PATIENCE_DAYS, count) * 86_400), unit="s")
        when = products["listed_at"].iloc[bought].reset_index(drop=True) + delay
        frames.append(pd.DataFrame({"user_id": user, "item_id": products["product_id"].to_numpy()[bought], "timestamp": when}))
    table = pd.concat(frames, ignore_index=True)
    table["timestamp"] = table["timestamp"].dt.as_unit("ns")
    return table.sort_values(["user_id", "timestamp"], ignore_index=True)


def item_attributes(products: pd.DataFrame) -> pd.DataFrame:
    """item_id, attribute_id: one row for each known descriptive value; ids count values in order of first appearance."""
    long = products.drop_duplicates("product_id").melt("product_id", list(_ATTRIBUTES), var_name="column", value_name="value")
    long = long.sort_values("product_id", kind="stable")
    values = long["column"] + "=" + long["value"].astype(str)
    return pd.DataFrame({"item_id": long["product_id"].to_numpy(), "attribute_id": pd.factorize(values)[0].astype(np.int64)})


def reviews(count: int, first_id: int, mood: tuple[float, ...], rng: np.random.Generator) -> pd.DataFrame:
    """review_id, title, review, rating, recommended; `mood` are the shares of 1 to 5 stars."""
    rows: list[dict[str, Any]] = []
    for number in range(count):
        rating = int(rng.choice(5, p=mood)) + 1
        heading, text = review(rating, rng)
        happy = rng.random() < {1: 0.02, 2: 0.12, 3: 0.5, 4: 0.93, 5: 0.98}[rating]
        rows.append(
            {"review_id": first_id + number, "title": heading, "review": text, "rating": rating, "recommended": int(happy)}
        )
    return pd.DataFrame(rows)
