"""Routes that show the catalogue: pages of its products, and their photos."""

from cachetools import LRUCache
from fastapi import APIRouter, Request, Response

from catalog.errors import ImageError
from catalog.images import SERVED_FORMATS
from catalog.thumbnails import small
from database.catalog import Product, find, find_all, photos
from database.errors import NotFound as NoSuchRow
from serving.context import Context
from serving.errors import NotFound
from serving.openapi import in_query, in_query_an_id, responses, said_in_query, told
from serving.replies import json_reply
from serving.requests import an_id, count, said
from serving.schemas import Served
from serving.search.listed import Wanted
from serving.search.putting import unknown
from serving.search.routes import NAME, PHOTO, named, searcher
from serving.search.schemas import MODEL, CatalogueProduct, CatalogueProducts
from serving.storage import ask

PAGE, MAX_PAGE = 20, 100
JPEG = "image/jpeg"
KEPT_FOR = "private, max-age=60"
"""How long a browser shows a photo without asking: so long one that was hidden may still be seen there."""
MADE_BYTES = 8 * 1024 * 1024
"""Of small photos that a process made of what clients put, and keeps; one has about 4 kB."""


def browse(context: Context, routes: APIRouter) -> None:
    """Add the routes; they are `Catalogued`."""
    _pages(context, routes)
    _photos(context, routes)


def _pages(context: Context, routes: APIRouter) -> None:
    @routes.get(
        "/catalog/products",
        operation_id="list_products",
        tags=["catalog"],
        summary="Products that are shown",
        response_model=CatalogueProducts,
        responses=responses(400, 503),
        openapi_extra={
            "parameters": [
                in_query("limit", "products at most", PAGE, MAX_PAGE),
                in_query_an_id("after", "`next` of the page before: products after this id, which need not be there any more"),
                said_in_query("q", "words that the title has, each of them, also as a part of a word"),
                said_in_query("article_type", "lowest category, as the catalogue writes it"),
            ]
        },
    )
    async def list_products(request: Request) -> Response:
        """Those that the version which answers was trained on, and those that clients put over them, in the order of their ids.

        What is deleted or hidden is left out. Products that were put or deleted between two pages move no others.
        """
        limit, after = count(request, "limit", PAGE, MAX_PAGE), an_id(request, "after")
        wanted = Wanted(tuple((said(request, "q") or "").split()), said(request, "article_type"))
        of_version = searcher(context)
        names, shown = await ask(of_version.page, wanted, after, limit + 1)
        put = await ask(find_all, context.settings.database_url, names[:limit])
        items = [CatalogueProduct.of(of_version, name, put.get(name)) for name in names[:limit]]
        page = CatalogueProducts(
            model=Served(name=MODEL, version=of_version.version),
            products=shown,
            items=[item for item in items if item is not None and not item.hidden],  # while this was being read
            next=of_version.named(names[limit - 1]) if len(names) > limit else None,
        )
        return json_reply(page)


def _photos(context: Context, routes: APIRouter) -> None:
    url = context.settings.database_url
    made: LRUCache[tuple[str, int, int], bytes] = LRUCache(MADE_BYTES, getsizeof=len)

    async def of_client(product: Product, side: int) -> bytes | None:
        key = product.product_id, product.revision, side
        if (photo := made.get(key)) is not None:
            return photo
        data = (await ask(photos, url, [product.product_id])).get(product.product_id)
        if data is None:  # changed meanwhile
            return None
        try:
            made[key] = photo = await ask(small, data, side, context.config.max_image_pixels, SERVED_FORMATS)
        except ImageError as error:  # of more pixels than are allowed since
            raise NoPhoto(f"the photo of product {product.product_id!r} cannot be shown: {error}", "product_id") from error
        return photo

    @routes.get(
        "/catalog/products/{product_id:path}" + PHOTO,
        operation_id="get_product_image",
        tags=["catalog"],
        summary="A small photo of a product",
        response_class=Response,
        responses={
            200: {
                "content": {JPEG: {"schema": {"type": "string", "format": "binary"}}},
                "description": "A JPEG.",
                "headers": {"ETag": told("names the photo, with the version"), "Cache-Control": told("how long it may be kept")},
            },
            304: {"description": "It is the photo that If-None-Match names."},
            **responses(400, 404, 503),
        },
        openapi_extra={"parameters": [NAME]},
    )
    async def get_product_image(request: Request) -> Response:
        """Of a product that a client put its own photo, else the one that was kept when the version was trained, reduced.

        404 with `no_photo` where the product has none, with `not_found` where it is deleted, hidden, or nobody knows it.
        """
        name, of_version = named(request), searcher(context)
        try:
            found = await ask(find, url, name)
        except NoSuchRow:
            found = None
        known = CatalogueProduct.of(of_version, name, found)
        if known is None or known.hidden:
            raise unknown(name)
        headers = {"ETag": f'"{of_version.version}-{found.revision if found else 0}"', "Cache-Control": KEPT_FOR}
        if known.has_photo and _is_known(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        photo = await of_client(found, of_version.photo_side) if found and known.put else of_version.photo(name)
        if photo is None:
            raise NoPhoto(f"product {name!r} has no photo", "product_id")
        return Response(photo, media_type=JPEG, headers=headers | {"X-Content-Type-Options": "nosniff"})


def _is_known(request: Request, tag: str) -> bool:
    """Whether the client has what an ETag names (RFC 9110)."""
    known = {named.strip().removeprefix("W/") for named in request.headers.get("if-none-match", "").split(",")}
    return bool(known & {tag, "*"})


class NoPhoto(NotFound):
    """The product is there."""

    code = "no_photo"
