"""What clients send to find products and to change the catalogue, and what they get."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationInfo,
    WithJsonSchema,
    create_model,
    field_validator,
    model_validator,
)

from catalog.images import DecodedPhoto
from catalog.listing import CATEGORY_LEVELS
from database.catalog import Product, Written
from serving.schemas import (
    PIXEL,
    SAID,
    TOLD,
    Count,
    Id,
    Line,
    ListingIn,
    Photo,
    RequestModel,
    ResponseModel,
    Served,
    Word,
    at_least_one,
)
from serving.search.index import facts
from serving.search.query import Query
from serving.search.shelf import Filters

if TYPE_CHECKING:
    from serving.search.searcher import Searcher

MODEL = "product"
MAX_VALUES = 50
MAX_DIMENSIONS = 4096

Asked = TypeVar("Asked", bound=RequestModel)

_Values = Annotated[list[Annotated[Word, Field(min_length=1)]], Field(max_length=MAX_VALUES)]
_Wanted = Annotated[list[Line], Field(min_length=1, max_length=MAX_VALUES)]


def _several(value: Any) -> Any:
    """One value as a list of it."""
    return [value] if isinstance(value, str) else value


_AttributesWanted = Annotated[
    dict[Word, Annotated[_Wanted, BeforeValidator(_several)]],
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MAX_VALUES,
            "propertyNames": TypeAdapter(Word).json_schema(),
            "additionalProperties": {"anyOf": [TypeAdapter(Line).json_schema(), TypeAdapter(_Wanted).json_schema()]},
        }
    ),
]


class FiltersIn(RequestModel):
    """What products must be to be answered; all that is given must hold, and a value that no product has finds none."""

    categories: _Values = Field(default_factory=list, description="one of these, on any level; empty: all", examples=[["Shoes"]])
    brands: _Values = Field(default_factory=list, description="one of these; empty: all", examples=[["Nike", "Puma"]])
    price_min: float | None = Field(None, ge=0, le=1e12, description="cheaper products, and those without a price, are left out")
    price_max: float | None = Field(
        None, ge=0, le=1e12, description="dearer products, and those without a price, are left out; at least price_min"
    )
    attributes: _AttributesWanted = Field(
        default_factory=dict,
        max_length=MAX_VALUES,
        description="name to a value, or to several of which a product has one; gender, age_group, base_colour, season and usage "
        "are names as well",
        examples=[{"base_colour": ["Blue", "Navy Blue"], "Fabric": "Mesh"}],
    )

    @field_validator("price_max")
    @classmethod
    def _above_min(cls, value: float | None, info: ValidationInfo) -> float | None:
        lowest = info.data.get("price_min")
        if value is not None and lowest is not None and value < lowest:
            raise ValueError(f"must be at least price_min, {lowest:g}")
        return value

    def filters(self) -> Filters:
        """As a search takes them."""
        wanted = {name: (value,) if isinstance(value, str) else tuple(value) for name, value in self.attributes.items()}
        return Filters(tuple(self.categories), tuple(self.brands), self.price_min, self.price_max, tuple(sorted(wanted.items())))


def _without(*names: str) -> dict[str, Any]:
    """JSON schema of an object in which none of these stands."""
    return {"not": {"anyOf": [{"required": [name]} for name in names]}}


_ASKED: dict[str, Any] = {
    "anyOf": [
        {"required": ["product_id"], "properties": {"product_id": {"not": {"type": "null"}}}}
        | _without("text", "image", "vector"),
        {"required": ["vector"], "properties": {"vector": {"type": "array"}}} | _without("product_id", "text", "image"),
        at_least_one({"text": SAID, "image": {"type": "string"}}) | _without("product_id", "vector"),
    ]
}


class SeenIn(RequestModel):
    """A text and a photo that are looked for, or one of them: what a form may hold."""

    model_config = ConfigDict(json_schema_extra=at_least_one({"text": SAID, "image": {"type": "string"}}))

    text: Line | None = Field(None, description="words, as a title has them", examples=["blue running shoes"])
    image: Photo | None = Field(None, description="a whole JPEG, PNG or WebP as base64; never a URL", examples=[PIXEL])
    limit: Count = Field(10, ge=1, description="products at most")
    filters: FiltersIn = Field(default_factory=FiltersIn)


class SimilarIn(SeenIn):
    """What is looked for: a product_id, or a text and a photo or one of them, or a vector."""

    model_config = ConfigDict(json_schema_extra=_ASKED)

    product_id: Id | None = Field(
        None, description='a product of the catalogue, which is not answered itself; 5 and "5" are the same', examples=[15970]
    )
    vector: list[float] | None = Field(
        None,
        min_length=1,
        max_length=MAX_DIMENSIONS,
        description="of this version's embeddings, of any length but 0",
        examples=[[0.6, 0.8]],
    )

    @model_validator(mode="after")
    def _asks_once(self) -> Self:
        said = self.image is not None or bool(self.text and self.text.strip())
        ways = [self.product_id is not None, said, self.vector is not None]
        if sum(ways) != 1:
            raise ValueError("give either product_id, or text, image or both, or vector")
        if self.vector is not None and not any(self.vector):
            raise ValueError("vector: must not be 0 in all places")
        return self

    def query(self, image: DecodedPhoto | None) -> Query:
        """As a search takes it."""
        return Query(
            product_id=None if self.product_id is None else str(self.product_id),
            text=self.text,
            image=image,
            vector=None if self.vector is None else tuple(self.vector),
            filters=self.filters.filters(),
            limit=self.limit,
        )


def at_most(schema: type[Asked], most: int) -> type[Asked]:
    """A schema with at most so many products."""
    limit = Field(min(10, most), ge=1, le=most, description="products at most", examples=[min(10, most)])
    return create_model(schema.__name__, __base__=schema, __doc__=schema.__doc__, limit=(Count, limit))


class Similar(ResponseModel):
    """A product that was found."""

    product_id: int | str = Field(examples=[15970])
    score: float = Field(description="cosine of its vector and that of what is looked for", examples=[0.91])
    title: str | None = Field(examples=["Nike Men Blue Running Shoes"])
    brand: str | None = Field(examples=["Nike"])
    price: float | None = Field(description="in the catalogue's currency", examples=[3995.0])
    categories: dict[str, str] = Field(description="by level, those that are known", examples=[{"article_type": "Sports Shoes"}])
    has_photo: bool = Field(description="whether GET /v1/catalog/products/{product_id}/image shows one", examples=[True])


class SimilarProducts(ResponseModel):
    """Products, most alike first; fewer than asked for where the filters leave fewer."""

    model: Served
    products: int = Field(description="products among which was searched, before filters", examples=[40443])
    items: list[Similar]


_HIDDEN_ALONE: dict[str, Any] = {
    "required": ["hidden"],
    "properties": {"hidden": {"type": "boolean"}},
    **_without(*ListingIn.model_fields),
}


class ProductIn(ListingIn):
    """What a product is from now on, and whether it is shown; with `hidden` alone only that changes."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [*at_least_one(TOLD)["anyOf"], _HIDDEN_ALONE]})

    hidden: bool = Field(False, description="found by no search and recommended to nobody, until it is put again without this")

    @property
    def told(self) -> bool:
        """Whether it says what the product is."""
        return any(value not in (None, {}) for name, value in self if name not in ("hidden", "product_id"))

    def stored(self) -> dict[str, Any]:
        """As the catalogue keeps it, without the photo."""
        return self.model_dump(exclude={"hidden", "product_id", "image"}, exclude_defaults=True)


class ProductItem(ProductIn):
    """One of several products."""

    product_id: Id = Field(description='as the catalogue names it; 5 and "5" are the same', examples=[15970])


class ProductsIn(RequestModel):
    """Several products in one request."""

    items: list[ProductItem] = Field(min_length=1)


class CatalogueProduct(ResponseModel):
    """A product of the catalogue."""

    product_id: int | str = Field(examples=[15970])
    hidden: bool = Field(description="found by no search and recommended to nobody")
    put: bool = Field(description="a client put it; else it is as the version that answers was trained on it")
    title: str | None = Field(examples=["Nike Men Blue Running Shoes"])
    description: str | None = Field(description="null also where only the version knows the product")
    brand: str | None = Field(examples=["Nike"])
    price: float | None = Field(description="in the catalogue's currency", examples=[3995.0])
    categories: dict[str, str] = Field(description="by level, those that are known", examples=[{"article_type": "Sports Shoes"}])
    attributes: dict[str, str] = Field(description="with describing fields, such as gender", examples=[{"Fabric": "Mesh"}])
    has_photo: bool = Field(description="whether GET /v1/catalog/products/{product_id}/image shows one", examples=[True])
    updated_at: datetime | None = Field(description="when a client last changed it; null where none did")

    @classmethod
    def of(cls, searcher: "Searcher", product_id: str, found: Product | None) -> Self | None:
        """From what the catalogue holds, or else the version knows; None where it is deleted, or nobody knows it."""
        if found is not None and found.listing is not None:
            listing = ListingIn.model_validate(found.listing)
            told: Mapping[str, Any] = facts(listing.listing(None))
            description, has_photo = listing.description, found.has_photo
        else:
            told, description, has_photo = searcher.own(product_id) or {}, None, searcher.has_photo(product_id)
        hidden = found is not None and found.state == "hidden"
        if not told or (found is not None and found.state == "deleted"):
            return None
        return cls(
            product_id=searcher.named(product_id),
            hidden=hidden,
            put=found is not None and found.listing is not None,
            title=told["title"],
            description=description,
            brand=told["brand"],
            price=told["price"],
            categories={level: told[level] for level in CATEGORY_LEVELS if told[level]},
            attributes=json.loads(told["attributes"]),
            has_photo=has_photo and not hidden,
            updated_at=found.updated_at if found is not None else None,
        )


class CatalogueProducts(ResponseModel):
    """A page of the products that are shown, in the order of their ids."""

    model: Served
    products: int = Field(description="products that are shown, before filters", examples=[40443])
    items: list[CatalogueProduct]
    next: int | str | None = Field(description="`after` of the next page; null where this is the last", examples=[15970])


class PutItem(ResponseModel):
    """What became of one of several products."""

    product_id: int | str = Field(examples=[15970])
    hidden: bool = Field(description="found by no search and recommended to nobody")
    new: bool = Field(description="it was not in the catalogue before")

    @classmethod
    def of(cls, item: ProductItem, written: Written) -> Self:
        """As it is answered."""
        return cls(product_id=item.product_id, hidden=item.hidden, new=str(item.product_id) in written.new)


class Put(ResponseModel):
    """Answer of POST /v1/catalog/products."""

    model: Served
    items: list[PutItem]
