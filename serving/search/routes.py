"""Routes that find products, and that put, hide and delete those that are found and recommended."""

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from database.catalog import Placing, Product, Written, find, put, remove
from database.errors import CatalogFull
from database.errors import NotFound as NoSuchRow
from models.family import Lists
from serving.context import Context
from serving.errors import ApiError, InvalidInput
from serving.jobs.leave import leave, leaving, may_be_left, most_items
from serving.openapi import in_path, request_body, responses
from serving.replies import json_reply
from serving.requests import FORM, asker, read
from serving.schemas import ID_AS_TEXT, Served, identifier
from serving.search import schemas
from serving.search.putting import PUT_PRODUCTS, change, check, not_written, unknown
from serving.search.schemas import MODEL, CatalogueProduct, ProductIn, ProductsIn
from serving.search.searcher import Searcher
from serving.storage import ask

PHOTO = "/image"
NAME = in_path("product_id", "as the catalogue names it, percent-encoded", ID_AS_TEXT)


def search(context: Context, routes: APIRouter) -> None:
    """Add the route that finds products."""
    most = context.config.search.max_results
    schema, seen = schemas.at_most(schemas.SimilarIn, most), schemas.at_most(schemas.SeenIn, most)
    as_json, as_form = request_body(schema), request_body(seen, form=True)
    as_json["requestBody"]["content"][FORM] = as_form["requestBody"]["content"][FORM]

    @routes.post(
        "/search/similar",
        operation_id="search_similar",
        tags=["search"],
        summary="Products that are like another",
        response_model=schemas.SimilarProducts,
        responses=responses(400, 404, 413, 415, 501, 503, 504),
        openapi_extra=as_json,
    )
    async def similar(request: Request) -> Response:
        """Products that are like one of the catalogue, like what a text and a photo say, or near a vector.

        What was put, hidden or deleted before the request was sent is taken in, whichever worker answers. 404 where no such
        product can be found. 501 where the version that answers was registered without an index.
        """
        body = await read(request, schema, form=True)  # a form may say the rest as well, as JSON
        query = body.query(await context.photo(body.image))
        [answer] = await context.predict(MODEL, [query], "similar")
        found: bytes | ApiError = answer.prediction
        if isinstance(found, ApiError):
            raise found
        return Response(found, media_type="application/json")


class Catalogued(APIRoute):
    """Of a path that ends in `PHOTO`, or of all others: an id may end so as well, and is then written with %2F."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether it answers a request."""
        of_photo = self.path.endswith(PHOTO)
        return super().matches(scope) if of_photo == _is_of_photo(scope) else (Match.NONE, {})


def _is_of_photo(scope: Scope) -> bool:
    """By the path as it was sent: decoded, it does not tell an id's slashes from its own."""
    return scope["type"] == "http" and bool(scope.get("raw_path", b"").endswith(PHOTO.encode()))


def catalogue(context: Context, routes: APIRouter) -> None:
    """Add the routes that change the catalogue; they are `Catalogued`."""
    url = context.settings.database_url

    @routes.put(
        "/catalog/products/{product_id:path}",
        operation_id="put_product",
        tags=["catalog"],
        summary="Put, change, hide or show a product",
        response_model=CatalogueProduct,
        responses=responses(400, 404, 413, 415, 429, 503, 504) | {201: {"model": CatalogueProduct, "description": "It is new."}},
        openapi_extra=request_body(ProductIn, form=True) | {"parameters": [NAME]},
    )
    async def put_product(request: Request) -> Response:
        """Every search and recommendation that is asked for after the answer takes it in.

        The body is the whole product: what it leaves out is not there any more. A body of `hidden` alone hides or shows what is
        there. Recommendations leave out what is hidden; they hold new products only after a training.
        """
        name, body = named(request), await read(request, ProductIn, form=True)
        written = await _put(context, asker(request), [(name, body)])
        known = _known_as(context, name, await ask(find, url, name))
        return json_reply(known, 201 if written.new else 200)

    @routes.get(
        "/catalog/products/{product_id:path}",
        operation_id="get_product",
        tags=["catalog"],
        summary="A product",
        response_model=CatalogueProduct,
        responses=responses(400, 404, 503),
        openapi_extra={"parameters": [NAME]},
    )
    async def get_product(request: Request) -> Response:
        """As a client put it, or else as the version that answers was trained on it. 404 where it is deleted."""
        name = named(request)
        try:
            found = await ask(find, url, name)
        except NoSuchRow:
            found = None
        return json_reply(_known_as(context, name, found))

    @routes.delete(
        "/catalog/products/{product_id:path}",
        operation_id="delete_product",
        tags=["catalog"],
        status_code=204,
        summary="Delete a product",
        responses=responses(400, 404, 503),
        openapi_extra={"parameters": [NAME]},
    )
    async def delete_product(request: Request) -> Response:
        """No search finds it and nobody is recommended it any more, until it is put again; deleted twice is deleted.

        404 where neither a client nor a version that answers ever knew it.
        """
        name = named(request)
        try:
            await ask(remove, url, name, known=_known(context, name), who=asker(request))
        except NoSuchRow as error:
            raise unknown(name) from error
        return Response(status_code=204)

    @routes.post(
        "/catalog/products",
        operation_id="put_products",
        tags=["catalog"],
        summary="Put several products",
        response_model=schemas.Put,
        responses=responses(400, 404, 413, 415, 503, 504) | may_be_left(),
        openapi_extra=request_body(ProductsIn, at_most={"items": most_items(context.config)}) | leaving(),
    )
    async def put_products(request: Request) -> Response:
        """All are put, or none: one at fault refuses the request and is named. In a job it fails alone.

        Of several with one id the last one counts.
        """
        if left := await leave(request, context, PUT_PRODUCTS, alone=False):
            return left
        body = await read(request, ProductsIn)
        written = await _put(context, asker(request), [(str(item.product_id), item) for item in body.items], "items")
        version = context.models[MODEL].slot.version
        assert version is not None
        items = [schemas.PutItem.of(item, written) for item in body.items]
        return json_reply(schemas.Put(model=Served(name=MODEL, version=version), items=items))


def _known_as(context: Context, name: str, found: Product | None) -> CatalogueProduct:
    known = CatalogueProduct.of(searcher(context), name, found)
    if known is None:
        raise unknown(name)
    return known


async def _put(context: Context, who: str, products: Sequence[tuple[str, ProductIn]], path: str = "") -> Written:
    """Embed and write products by their ids, for `who`; `path` is where they stand."""
    paths = [f"{path}.{place}" if path else "" for place in range(len(products))]
    for where, (_, body) in zip(paths, products, strict=True):
        check(body, where)
    told = [place for place, (_, body) in enumerate(products) if body.told]
    of_told = [paths[place] for place in told]
    listings = await context.listings([products[place][1] for place in told], of_told)
    answers = await context.predict(MODEL, listings, "place", of_told) if told else []
    vectors = {place: answer.prediction for place, answer in zip(told, answers, strict=True)}
    changes = [
        change(name, body, known=_known(context, name), vector=vectors.get(place)) for place, (name, body) in enumerate(products)
    ]
    by = Placing(MODEL, answers[0].version, answers[0].digest) if answers else Placing(MODEL, 0, "")
    most = context.config.search.max_products
    try:
        return await ask(put, context.settings.database_url, changes, most=most, by=by, who=who)
    except (CatalogFull, NoSuchRow) as error:
        raise not_written(error) from error


def _known(context: Context, product_id: str) -> bool:
    """Whether a version that answers was trained on it.

    Raises:
        Unavailable: the model whose products are searched is not loaded yet.
    """
    here = [served.slot for served in context.models.values() if served.batchers]  # not of a service behind this one
    others = (slot.predictor for slot in here if slot.version is not None)
    return searcher(context).knows(product_id) or any(
        predictor.lists(product_id) for predictor in others if isinstance(predictor, Lists)
    )


def searcher(context: Context) -> Searcher:
    """That of the version that answers.

    Raises:
        Unavailable: it is not loaded yet.
    """
    return context.models[MODEL].slot.searcher


def named(request: Request) -> str:
    """The product that the path names, as text.

    Raises:
        InvalidInput: that is no id.
    """
    try:
        return str(identifier(request.path_params["product_id"]))
    except ValueError as error:
        raise InvalidInput(f"product_id: {error}", "product_id") from error
