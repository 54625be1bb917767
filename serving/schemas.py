"""Request bodies that any model may use: strict types, no unknown fields, no NaN, bounded lengths.

What a validator checks beyond types is said in the JSON schema as well, so that a client can check it before it asks.
"""

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    TypeAdapter,
    WithJsonSchema,
)

from catalog.images import DecodedPhoto
from catalog.listing import CATEGORICAL_FIELDS, CATEGORY_LEVELS, Listing
from catalog.schema import MAX_ID_LENGTH
from serving.images import from_base64

PRINTABLE = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f]*$"
"""Text as `printable` takes it; JSON schema."""
SAID: dict[str, Any] = {"type": "string", "pattern": r"\S"}
"""Text that says something; JSON schema."""
ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
"""Text as `one_line` takes it that says something; JSON schema."""
_CONTROL = {chr(code) for code in range(32)} - {"\t", "\n", "\r"}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mPQcDsBAAHQATfyJir2AAAAAElFTkSuQmCC"
"""A blue PNG of one pixel: the example of a photo."""
UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
PHOTO_TYPES = "image/jpeg, image/png, image/webp"
MAX_ATTRIBUTES = 100
EXACT = 2**53
"""Up to here a number with a fraction names one integer."""
MAX_AHEAD = timedelta(days=1)
"""How far a client's clock may be ahead of ours."""


def printable(text: str) -> str:
    """Refuse control characters, the null byte first of all: databases and logs choke on them."""
    if not _CONTROL.isdisjoint(text):
        raise ValueError("must not hold control characters")
    return text


def one_line(text: str) -> str:
    """Refuse control characters, line ends too."""
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("must not hold control characters")
    return text


def whole(value: Any) -> Any:
    """A number that JSON writes with a fraction of zero, 5.0, as the integer that it is; everything else as it comes."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT else value


def identifier(value: Any) -> int | str:
    """A user's or an item's id: what fits 64 bits or a short line; a boolean is neither.

    Raises:
        ValueError: it is no id.
    """
    value = whole(value)
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_LENGTH:
        raise ValueError(f"must be an integer of 64 bits or a string of 1 to {MAX_ID_LENGTH} characters")
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise ValueError("must not hold control characters")
    return value


def _instant(value: Any) -> datetime:
    allowed = "must be an ISO 8601 time with a zone, such as 2026-11-23T12:00:00Z"
    if not isinstance(value, str):
        raise ValueError(allowed)
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            raise ValueError(allowed)
        time = time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(allowed) from error
    if time > datetime.now(UTC) + MAX_AHEAD:
        raise ValueError("must not be more than a day in the future")
    return time


class RequestModel(BaseModel):
    """A request body."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())


class ResponseModel(BaseModel):
    """A response body."""

    model_config = ConfigDict(protected_namespaces=())


_PRINTABLE = {"pattern": PRINTABLE}
Word = Annotated[str, Field(max_length=200, json_schema_extra=_PRINTABLE), AfterValidator(printable)]
Line = Annotated[str, Field(max_length=1_000, json_schema_extra=_PRINTABLE), AfterValidator(printable)]
Text = Annotated[str, Field(max_length=50_000, json_schema_extra=_PRINTABLE), AfterValidator(printable)]
Label = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1),
    Field(max_length=200, json_schema_extra={"pattern": ONE_LINE}),
    AfterValidator(one_line),
]
"""What somebody says that a thing is: blanks around it do not count, and blanks alone say nothing."""
ID_AS_TEXT: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_ID_LENGTH,
    "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$",
}
"""An id as `identifier` takes it from a path; JSON schema."""
Id = Annotated[
    int | str,
    PlainValidator(identifier),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": -EXACT, "maximum": EXACT},  # larger ones are taken, and safe as text
                ID_AS_TEXT,
            ]
        }
    ),
]
Count = Annotated[int, BeforeValidator(whole)]
Attributes = Annotated[
    dict[Word, Line],
    Field(max_length=MAX_ATTRIBUTES),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MAX_ATTRIBUTES,
            "propertyNames": TypeAdapter(Word).json_schema(),
            "additionalProperties": TypeAdapter(Line).json_schema(),
        }
    ),
]
Instant = Annotated[datetime, PlainValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
PredictionId = Annotated[
    str, Field(pattern=UUID, description="from the answer", examples=["8c0f3c8e-4a4e-4f4e-9a53-0c6b0a6f1f0e"])
]
Photo = Annotated[
    bytes,
    BeforeValidator(from_base64),
    WithJsonSchema(
        {"type": "string", "format": "byte", "contentEncoding": "base64", "contentMediaType": "image/*", "minLength": 1}
    ),
]


def at_least_one(said: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """JSON schema of an object of which at least one field is there as `said`."""
    return {"anyOf": [{"required": [name], "properties": {name: schema}} for name, schema in said.items()]}


TOLD = {
    **dict.fromkeys(("title", "description", *CATEGORICAL_FIELDS), SAID),
    "image": {"type": "string"},
    "attributes": {"type": "object", "not": {"additionalProperties": {"not": SAID}}},
}
"""By field, what counts as one of the parts of which a listing has at least one."""


class ListingIn(RequestModel):
    """A product listing; send what is known, at least one of title, description, image, attributes or a describing field."""

    model_config = ConfigDict(json_schema_extra=at_least_one(TOLD))

    title: Line | None = Field(None, examples=["Nike Men Blue Running Shoes"])
    description: Text | None = Field(None, description="plain text or HTML", examples=["<p>Light mesh upper, rubber sole</p>"])
    brand: Word | None = Field(None, examples=["Nike"])
    gender: Word | None = Field(None, examples=["Men"])
    age_group: Word | None = Field(None, examples=["Adults-Men"])
    base_colour: Word | None = Field(None, examples=["Blue"])
    season: Word | None = Field(None, examples=["Summer"])
    usage: Word | None = Field(None, examples=["Sports"])
    price: float | None = Field(
        None,
        gt=0,
        le=1e12,
        description="in the catalogue's currency; estimated prices and embeddings do not look at it",
        examples=[3995],
    )
    attributes: Attributes = Field(
        default_factory=dict, description="free attributes, name to value", examples=[{"Fabric": "Mesh"}]
    )
    master_category: Word | None = Field(
        None, description="predicted categories and embeddings do not look at it", examples=["Footwear"]
    )
    sub_category: Word | None = Field(
        None, description="predicted categories and embeddings do not look at it", examples=["Shoes"]
    )
    article_type: Word | None = Field(
        None, description="predicted categories and embeddings do not look at it", examples=["Sports Shoes"]
    )
    image: Photo | None = Field(None, description="a whole JPEG, PNG or WebP as base64; never a URL", examples=[PIXEL])

    def listing(self, image: DecodedPhoto | None) -> Listing:
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
    rests_on: Served | None = Field(
        None,
        description="version of another model whose features it answers with, part of its own files; None where it needs none",
    )
    challenger: int | None = Field(
        None, description="version that answers requests which ask for the challenger; None where none does", examples=[4]
    )


class Models(ResponseModel):
    """Answer of GET /v1/models."""

    models: list[ModelState]


class Readiness(ResponseModel):
    """Answer of GET /readyz; 503 until every model has a version that answers, but those that never had a champion."""

    ready: bool
    models: list[ModelState]
