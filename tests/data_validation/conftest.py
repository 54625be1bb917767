import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from catalog.catalogue import Catalogue


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def clean_products(n: int = 120) -> pd.DataFrame:
    types = ["Shirts", "Jeans", "Sports Shoes"]
    parents = {"Shirts": "Topwear", "Jeans": "Bottomwear", "Sports Shoes": "Shoes"}
    masters = {"Topwear": "Apparel", "Bottomwear": "Apparel", "Shoes": "Footwear"}
    article = [types[i % 3] for i in range(n)]
    sub = [parents[a] for a in article]
    return pd.DataFrame(
        {
            "product_id": np.arange(1, n + 1),
            "title": [f"Roadster Men Blue {a} {i}" for i, a in enumerate(article)],
            "description": [f"<p>A comfortable {a} for number {i}</p>" for i, a in enumerate(article)],
            "brand": ["Roadster"] * n,
            "gender": ["Men"] * n,
            "age_group": ["Adults-Men"] * n,
            "master_category": [masters[s] for s in sub],
            "sub_category": sub,
            "article_type": article,
            "base_colour": ["Blue"] * n,
            "season": ["Summer"] * n,
            "year": [2023] * n,
            "usage": ["Casual"] * n,
            "price": [500.0 + i for i in range(n)],
            "discounted_price": [450.0 + i for i in range(n)],
            "attributes": [json.dumps({"Fabric": "Cotton"})] * n,
            "split": ["train", "validation", "test", None] * (n // 4),
            "listed_at": [pd.Timestamp("2023-03-01", tz="UTC") + pd.Timedelta(hours=i) for i in range(n)],
        }
    )


def clean_tables() -> dict[str, pd.DataFrame]:
    products = clean_products()
    ids = products["product_id"]
    purchases = pd.DataFrame({"user_id": np.repeat(np.arange(20), 5), "item_id": np.arange(100) + 1})
    purchases["position"] = np.tile(np.arange(5), 20)
    purchases["timestamp"] = pd.Timestamp("2023-05-01", tz="UTC") + pd.to_timedelta(purchases["position"], unit="D")
    return {
        "products": products,
        "images": pd.DataFrame({"product_id": ids, "jpeg": [jpeg(i) for i in ids]}),
        "variants": pd.DataFrame(
            {
                "product_id": np.repeat(ids.iloc[:20], 2).to_numpy(),
                "variant_id": ["1", "2"] * 20,
                "options": ['{"size": "M"}', '{"size": "L"}'] * 20,
                "price": 500.0,
            }
        ),
        "embeddings": pd.DataFrame({"product_id": ids, "embedding": [[float(i), 1.0, -0.5] for i in ids]}),
        "purchases": purchases,
        "purchases_test": pd.DataFrame({"user_id": np.arange(20), "item_id": (np.arange(20) + 1) * 5 % 100 + 1}),
        "item_attributes": pd.DataFrame({"item_id": ids, "attribute_id": ids % 7}),
        "events": pd.DataFrame(
            {
                "user_id": np.repeat(np.arange(20), 3).astype(str),
                "item_id": (np.arange(60) + 41).astype(str),
                "kind": ["view", "cart", "purchase"] * 20,
                "timestamp": pd.Timestamp("2023-07-01", tz="UTC") + pd.to_timedelta(np.arange(60), unit="h"),
            }
        ),
        "reviews": pd.DataFrame(
            {
                "review_id": np.arange(30),
                "title": [f"Title {i}" for i in range(30)],
                "review": [f"I wore it {i} times" for i in range(30)],
                "rating": [1 + i % 5 for i in range(30)],
                "recommended": [i % 2 for i in range(30)],
            }
        ),
    }


@pytest.fixture(scope="session")
def clean() -> dict[str, pd.DataFrame]:
    return clean_tables()


@pytest.fixture
def tables(clean: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    return {name: frame.copy() for name, frame in clean.items()}


@pytest.fixture
def delivered(tmp_path: Path) -> Callable[[dict[str, pd.DataFrame]], Catalogue]:
    def write(tables: dict[str, pd.DataFrame]) -> Catalogue:
        for name, frame in tables.items():
            frame.to_parquet(tmp_path / f"{name}.parquet", index=False)
        return Catalogue.open(tmp_path)

    return write
