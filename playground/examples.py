"""Examples for the tabs: products of the catalogue as the API lists them."""

import asyncio
from collections.abc import Sequence
from itertools import compress

import gradio as gr

from playground.html import Markup
from playground.pieces import grid, hint, product, section
from vitrina_client import AsyncClient, NotFound, VitrinaError, models

LOOKED_AT = 100
"""Products that examples are chosen from: what the API lists at once."""


async def examples(client: AsyncClient, count: int) -> list[models.CatalogueProduct]:
    """Products of different types, those with a photo first.

    Raises:
        VitrinaError: the catalogue cannot be read with this key.
    """
    products = (await client.list_products(limit=LOOKED_AT)).items
    named = [product for product in products if product.title]
    first: dict[str | None, models.CatalogueProduct] = {}
    for product_of_type in sorted(named, key=lambda product: not product.has_photo):
        first.setdefault(product_of_type.categories.get("article_type"), product_of_type)
    chosen = list(first.values())
    return (chosen + [product for product in named if product not in chosen])[:count]


async def photo_of(client: AsyncClient, product: models.CatalogueProduct, folder: str) -> str | None:
    """The file of a product's small photo; None where it has none."""
    if not product.has_photo:
        return None
    try:
        data = await client.get_product_image(product.product_id)
    except NotFound:
        return None
    path: str = gr.processing_utils.save_bytes_to_cache(data, f"product-{product.product_id}.jpg", folder)
    return path


def choices(products: list[models.CatalogueProduct], label: str) -> Markup:
    """Products to choose one of at a click."""
    if not products:
        return hint("The catalogue lists no products, so that there are no examples.")
    tiles = [
        product(one.product_id, one.title, there=one.has_photo, do="choose", said="Fill in this listing") for one in products
    ]
    return section(label, grid(tiles, label), class_="v-choices")


async def with_photo(client: AsyncClient, product_ids: Sequence[str]) -> frozenset[str]:
    """Those of a few products that have a photo; one that the catalogue does not know has none."""

    async def has_photo(product_id: str) -> bool:
        try:
            return (await client.get_product(product_id)).has_photo
        except VitrinaError:  # the tile says the rest; a key may open recommendations alone
            return False

    return frozenset(compress(product_ids, await asyncio.gather(*map(has_photo, product_ids))))
