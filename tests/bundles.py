"""A small catalogue, and a configuration that trains on it in seconds."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from configs.load import validate
from models.product.config import ProductRunConfig

TYPES = {
    # article type: (master category, sub-category, word in the title, usual price, shape)
    "Shirts": ("Apparel", "Topwear", "shirt", 900, "rectangle"),
    "Dresses": ("Apparel", "Dress", "dress", 1800, "triangle"),
    "Casual Shoes": ("Footwear", "Shoes", "shoes", 2500, "ellipse"),
    "Watches": ("Accessories", "Watches", "watch", 5000, "ring"),
}
COLOURS = {"Blue": (40, 70, 200), "Red": (200, 40, 40), "Green": (40, 160, 70), "Black": (20, 20, 20)}
OPINIONS = {
    True: (("lovely", "perfect", "comfortable"), ("would buy again", "i love it")),
    False: (("flimsy", "awful", "itchy"), ("sent it back", "do not buy")),
}
BRANDS = {"Nordal": 1.0, "Velora": 1.6, "Tamsin": 0.6}


def tiny_config(**trainer: object) -> ProductRunConfig:
    """A configuration that trains in seconds; keyword arguments are trainer settings."""
    values = {
        "model": {
            "preset": "tiny",
            "width": 48,
            "heads": 2,
            "mlp_hidden": 96,
            "vocab_size": 400,
            "description_tokens": 16,
            "review_tokens": 16,
            "ending_tokens": 4,
            "image_height": 48,
            "image_width": 32,
            "photo_widths": (8, 12, 16, 24),
            "prior_bits": 10,
        },
        "trainer": {
            "epochs": 10,
            "batch_size": 32,
            "learning_rate": 6e-3,
            "ema_decay": 0.9,
            "workers": 0,
            "tensorboard": False,
            "precision": "32-true",
        }
        | trainer,
        "evaluation": {"bootstrap_samples": 50, "latency_calls": 5},
        "split": {"validation": 0.2, "test": 0.2},
    }
    return validate(ProductRunConfig, values, where="tiny_config")


def tiny_catalogue(folder: Path, products: int = 240, seed: int = 0, images: bool = True, reviews: int = 120) -> Path:
    """Write products of four types with drawn photos, and reviews; returns `folder`. A table without rows is not written."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows, photos = [], []
    for i in range(products):
        kind, colour, brand = rng.choice(list(TYPES)), rng.choice(list(COLOURS)), rng.choice(list(BRANDS))
        master, sub, word, price, shape = TYPES[kind]
        rows.append(
            {
                "product_id": 1000 + i,
                "title": f"{brand} {colour.lower()} {word} {rng.integers(100, 999)}",
                "description": f"<p>A {colour.lower()} {word} by {brand} &amp; friends, made to last</p>",
                "brand": brand,
                "gender": str(rng.choice(["Men", "Women"])),
                "master_category": master,
                "sub_category": sub,
                "article_type": kind,
                "base_colour": colour,
                "season": str(rng.choice(["Summer", "Winter"])),
                "price": float(round(price * BRANDS[brand] * float(np.exp(rng.normal(0, 0.15))))),
                "attributes": json.dumps({"Pattern": str(rng.choice(["Solid", "Striped"]))}),
                "listed_at": pd.Timestamp("2025-01-01", tz="UTC") + pd.Timedelta(days=i),
            }
        )
        photos.append({"product_id": 1000 + i, "jpeg": draw(shape, COLOURS[colour], rng)})
    pd.DataFrame(rows).to_parquet(folder / "products.parquet", index=False)
    if images:
        pd.DataFrame(photos).to_parquet(folder / "images.parquet", index=False)
    if reviews:
        tiny_reviews(reviews, seed).to_parquet(folder / "reviews.parquet", index=False)
    return folder


def tiny_reviews(count: int, seed: int = 0) -> pd.DataFrame:
    """Reviews whose words tell what their writers think; every fifth is not labelled, every seventh has no rating."""
    rng = np.random.default_rng((seed, count))
    rows = []
    for i in range(count):
        good, (_, _, word, _, _) = bool(rng.random() < 0.6), TYPES[str(rng.choice(list(TYPES)))]
        feeling, verdict = (str(rng.choice(words)) for words in OPINIONS[good])
        rows.append(
            {
                "review_id": 500 + i,
                "title": f"{feeling} {word}" if rng.random() < 0.7 else None,
                "review": f"i bought this {word} in {rng.integers(2, 12)} colours and it is {feeling}. {verdict}!",
                "rating": None if i % 7 == 3 else int(rng.integers(4, 6) if good else rng.integers(1, 3)),
                "recommended": None if i % 5 == 2 else good,
            }
        )
    return pd.DataFrame(rows).astype({"rating": "Int64", "recommended": "boolean"})


def draw(shape: str, colour: tuple[int, int, int], rng: np.random.Generator) -> bytes:
    """A JPEG of 32 × 48 pixels with one shape on a light ground."""
    image = Image.new("RGB", (32, 48), tuple(int(v) for v in rng.integers(225, 255, 3)))
    pen = ImageDraw.Draw(image)
    left, top = (int(v) for v in rng.integers(2, 7, 2))
    box = (left, top, left + 20, top + 34)
    match shape:
        case "rectangle":
            pen.rectangle(box, fill=colour)
        case "triangle":
            pen.polygon([(left + 10, top), (left, top + 34), (left + 20, top + 34)], fill=colour)
        case "ellipse":
            pen.ellipse((left, top + 20, left + 22, top + 34), fill=colour)
        case "ring":
            pen.ellipse((left, top + 8, left + 20, top + 28), outline=colour, width=4)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()
