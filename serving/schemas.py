"""Request bodies that any model may use: strict types, no unknown fields, no NaN, bounded lengths."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from catalog.listing import CATEGORICAL_FIELDS, CATEGORY_LEVELS, Listing
from serving.images import from_base64

_CONTROL = {chr(code) for code in range(32)} - {"\t", "\n", "\r"}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mPQcDsBAAHQATfyJir2AAAAAElFTkSuQmCC"
"""A blue PNG of one pixel: the example of a photo."""
PREDICTION_ID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


def _printable(text: str) -> str:
    """Refuse control characters, the null byte first of all: databases and logs choke on them."""
    if not _CONTROL.isdisjoint(text):
        raise ValueError("must not hold control characters")
    return text


class RequestModel(BaseModel):
    """A request body."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())


class ResponseModel(BaseModel):
    """A response body."""

    model_config = ConfigDict(protected_namespaces=())


Word = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
Line = Annotated[str, Field(max_length=1_000), AfterValidator(_printable)]
Text = Annotated[str, Field(max_length=50_000), AfterValidator(_printable)]
Photo = Annotated[
    bytes,
    BeforeValidator(from_base64),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "contentMediaType": "image/jpeg"}),
]


class ListingIn(RequestModel):
    """A product listing; send what is known, at least one of title, description, image, attributes or a describing field."""

    title: Line | None = Field(None, examples=["Nike Men Blue Running Shoes"])
    description: Text | None = Field(None, description="plain text or HTML", examples=["<p>Light mesh upper, rubber sole</p>"])
    brand: Word | None = Field(None, examples=["Nike"])
    gender: Word | None = Field(None, examples=["Men"])
    age_group: Word | None = Field(None, examples=["Adults-Men"])
    base_colour: Word | None = Field(None, examples=["Blue"])
    season: Word | None = Field(None, examples=["Summer"])
    usage: Word | None = Field(None, examples=["Sports"])
    price: float | None = Field(
        None, gt=0, le=1e12, description="in the catalogue's currency; hidden from the price and embedding heads", examples=[3995]
    )
    attributes: dict[Word, Line] = Field(
        default_factory=dict, max_length=100, description="free attributes, name to value", examples=[{"Fabric": "Mesh"}]
    )
    master_category: Word | None = Field(None, description="read by the price and quality heads only", examples=["Footwear"])
    sub_category: Word | None = Field(None, description="read by the price and quality heads only", examples=["Shoes"])
    article_type: Word | None = Field(None, description="read by the price and quality heads only", examples=["Sports Shoes"])
    image: Photo | None = Field(None, description="JPEG, PNG or WebP as base64; never a URL", examples=[PIXEL])

    def listing(self, image: bytes | None) -> Listing:
        """As the models take it; blank text is missing text."""
        known = {name: value for name, value in self if isinstance(value, str) and value.strip()}
        return Listing(
            title=known.get("title"),
            description=known.get("description"),
            price=self.price,
            image=image,
            categories=_pick(known, CATEGORY_LEVELS),
            fields=_pick(known, CATEGORICAL_FIELDS),
            attributes={name: value for name, value in self.attributes.items() if value.strip()},
        )


def _pick(values: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: values[name] for name in names if name in values}


class Served(ResponseModel):
    """The model version that computed an answer."""

    name: str = Field(examples=["product"])
    version: int = Field(description="registered version", examples=[3])


class ModelState(ResponseModel):
    """What a worker serves of one model, and what the registry wants it to serve."""

    name: str = Field(examples=["product"])
    version: int | None = Field(None, description="version that answers; None before the first load", examples=[3])
    champion: int | None = Field(None, description="version that the alias champion points at, when last asked", examples=[3])
    stale: bool = Field(description="the version that answers is not the champion, or the champion could not be asked for")
    loaded_at: str | None = Field(None, description="UTC, ISO 8601")
    last_error: str | None = Field(None, description="why the last look or load failed; None after a success")


class Models(ResponseModel):
    """Answer of GET /v1/models."""

    models: list[ModelState]


class Readiness(ResponseModel):
    """Answer of GET /readyz; 503 until every model has a version that answers."""

    ready: bool
    models: list[ModelState]
