"""Names and Arrow types of the columns of every table in a catalogue directory."""

import pyarrow as pa

PRODUCT_COLUMNS: dict[str, pa.DataType] = {
    "product_id": pa.int64(),  # or string
    "title": pa.string(),
    "description": pa.string(),  # may hold HTML
    "brand": pa.string(),
    "gender": pa.string(),
    "age_group": pa.string(),
    "master_category": pa.string(),
    "sub_category": pa.string(),
    "article_type": pa.string(),
    "base_colour": pa.string(),
    "season": pa.string(),
    "year": pa.int64(),
    "usage": pa.string(),
    "price": pa.float64(),
    "discounted_price": pa.float64(),
    "attributes": pa.string(),  # a JSON object
    "listed_at": pa.timestamp("ns", tz="UTC"),
    "split": pa.string(),  # one of SPLITS, where the delivery was divided before it came
}

TABLES: dict[str, dict[str, pa.DataType]] = {
    "products": PRODUCT_COLUMNS,
    "images": {"product_id": pa.int64(), "jpeg": pa.binary(), "position": pa.int64()},  # position 0, or none: the main photo
    "variants": {
        "product_id": pa.int64(),
        "variant_id": pa.string(),
        "options": pa.string(),  # a JSON object
        "price": pa.float64(),
    },
    "embeddings": {"product_id": pa.int64(), "embedding": pa.list_(pa.float32())},  # one length, any norm
    "purchases": {
        "user_id": pa.int64(),
        "item_id": pa.int64(),
        "position": pa.int64(),
        "timestamp": pa.timestamp("ns", tz="UTC"),
    },
    "purchases_test": {"user_id": pa.int64(), "item_id": pa.int64()},
    "item_attributes": {"item_id": pa.int64(), "attribute_id": pa.int64()},
    "events": {
        "user_id": pa.int64(),
        "item_id": pa.int64(),
        "kind": pa.string(),  # one of EVENT_KINDS
        "timestamp": pa.timestamp("ns", tz="UTC"),
    },
    "reviews": {
        "review_id": pa.int64(),
        "title": pa.string(),
        "review": pa.string(),
        "rating": pa.int64(),
        "recommended": pa.int64(),
    },
}
"""Columns by table. A table may hold more; keys ending in `_id` may be strings instead of integers."""

REQUIRED: dict[str, tuple[str, ...]] = {
    "products": ("product_id",),
    "images": ("product_id", "jpeg"),
    "variants": ("product_id", "variant_id"),
    "embeddings": ("product_id", "embedding"),
    "purchases": ("user_id", "item_id"),
    "purchases_test": ("user_id", "item_id"),
    "item_attributes": ("item_id", "attribute_id"),
    "events": ("user_id", "item_id", "kind", "timestamp"),
    "reviews": ("review_id", "review"),
}
"""Columns without which a table cannot be read."""

KEY: dict[str, str] = {"products": "product_id", "reviews": "review_id"}
"""The column that names a row by itself, in the tables that have one."""

MAX_ID_LENGTH = 200
"""Characters of an id that the API takes."""

SPLITS = ("train", "validation", "test")
"""What the column `split` of products may say."""

EVENT_KINDS = ("view", "cart", "purchase")
"""What a user may have done with an item."""


def is_key(column: str) -> bool:
    """Whether the column identifies rows and so may be an integer or a string."""
    return column.endswith("_id")
