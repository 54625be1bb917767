"""What clients send to the describer and get from it, and how answers are made of descriptions."""

import uuid
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema, create_model

from models.describer import answers
from models.describer.answers import MAX_META, MAX_TITLE, Brief, Tone
from models.describer.facts.lexicon import FIELDS, TYPE
from serving.errors import InvalidInput
from serving.schemas import (
    ONE_LINE,
    PRINTABLE,
    SAID,
    ListingIn,
    Photo,
    RequestModel,
    ResponseModel,
    Served,
    Text,
    Word,
    at_least_one,
    one_line,
    printable,
    whole,
)
from serving.slots import Answer

MODEL = "describer"
MAX_KEYWORDS, MAX_KEYWORD = 20, 100
MAX_RECENT, MAX_RECENT_LENGTH = 20, 5_000
MAX_SEED = 2**31 - 1

_GIVEN = {
    **dict.fromkeys(("title", *FIELDS, TYPE), SAID),
    "attributes": {"type": "object", "not": {"additionalProperties": {"not": SAID}}},
}
"""By field, what counts as one of the parts of which a description is made."""

KeywordIn = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_KEYWORD),
    AfterValidator(one_line),
    WithJsonSchema({"type": "string", "maxLength": MAX_KEYWORD, "pattern": ONE_LINE}),
]
RecentIn = Annotated[
    str, Field(max_length=MAX_RECENT_LENGTH, json_schema_extra={"pattern": PRINTABLE}), AfterValidator(printable)
]


class BriefIn(ListingIn):
    """A listing, and how it is to be described; what is not read of it is taken, so that one body does for every route."""

    model_config = ConfigDict(json_schema_extra=at_least_one(_GIVEN))

    description: Text | None = Field(None, description="not read")
    age_group: Word | None = Field(None, description="not read")
    season: Word | None = Field(None, description="not read")
    price: float | None = Field(None, gt=0, le=1e12, description="not read")
    master_category: Word | None = Field(None, description="not read")
    sub_category: Word | None = Field(None, description="not read")
    article_type: Word | None = Field(None, description="what it is", examples=["Sports Shoes"])
    image: Photo | None = Field(None, description="not read")
    audience: Word | None = Field(None, description="for whom; it never becomes a fact", examples=["women who run"])
    tone: Tone = Field("neutral", description="how it should sound")
    keywords: list[KeywordIn] = Field(
        default_factory=list,
        max_length=MAX_KEYWORDS,
        description="words that should appear, where they are true; the answer says what became of each",
        examples=[["running shoes", "waterproof"]],
    )
    recent: list[RecentIn] = Field(
        default_factory=list, max_length=MAX_RECENT, description="the last texts written for such products, to be unlike"
    )
    seed: Annotated[int, Field(ge=0, le=MAX_SEED), BeforeValidator(whole)] = Field(
        0, description="another one gives other texts; the same request with the same seed gives the same"
    )


class BriefsIn(RequestModel):
    """Several listings to describe, each with its own wishes."""

    items: list[BriefIn]


def briefs_in(limit: int) -> type[BriefsIn]:
    """`BriefsIn` with at most `limit` listings: more are refused before they are looked at."""
    bounded = Field(min_length=1, max_length=limit)
    return create_model("BriefsIn", __base__=BriefsIn, __doc__=BriefsIn.__doc__, items=(list[BriefIn], bounded))


def brief(body: BriefIn, path: str = "") -> Brief:
    """As the model takes it. `path` is where it stands, such as "items.3".

    Raises:
        InvalidInput: it gives nothing that a description is made of.
    """
    listing = body.listing(None)
    if not (listing.title or listing.attributes or TYPE in listing.categories or not listing.fields.keys().isdisjoint(FIELDS)):
        allowed = ", ".join(_GIVEN)
        raise InvalidInput(f"{path or 'the listing'} gives nothing to write of; give at least one of {allowed}", path or None)
    return Brief(listing, body.audience, body.tone, tuple(body.keywords), tuple(body.recent), body.seed)


class Fact(ResponseModel):
    """A value that the listing gives."""

    name: str = Field(description="field, category level or attribute; title for words of it", examples=["base_colour"])
    value: str = Field(examples=["Blue"])


class Sentence(ResponseModel):
    """A text, and the facts that it states."""

    text: str = Field(examples=["These blue running shoes by Nike have a mesh upper."])
    facts: list[Fact] = Field(description="in the order in which they are stated; empty where it states no value")


class SeoTitle(Sentence):
    """For search engines."""

    text: str = Field(max_length=MAX_TITLE, examples=["Nike Men Blue Running Shoes"])


class MetaDescription(Sentence):
    """For search engines."""

    text: str = Field(max_length=MAX_META, examples=["Blue Nike running shoes for men with a mesh upper."])


class Prose(ResponseModel):
    """The description."""

    text: str = Field(description="its sentences, one after another")
    sentences: list[Sentence]


class Keyword(ResponseModel):
    """What became of a keyword that was asked for."""

    keyword: str = Field(description="as asked", examples=["waterproof"])
    used: bool = Field(description="whether the texts hold it")
    why: str | None = Field(description="why not; null where it is used", examples=["the listing does not say so"])


class Written(ResponseModel):
    """Texts for one listing, which state what it gives and nothing else."""

    prediction_id: str = Field(description="names this prediction in the log")
    model: Served
    seo_title: SeoTitle
    meta_description: MetaDescription
    description: Prose
    bullets: list[Sentence] = Field(description="a sentence or phrase each")
    unsaid: list[Fact] = Field(description="facts that were given and no text states")
    not_given: list[str] = Field(
        description="what products of the type usually give and this one does not, so that it was not said", examples=[["Sole"]]
    )
    keywords: list[Keyword] = Field(description="one for each that was asked for, in order")
    article_type: str | None = Field(description="the given or the most similar known type", examples=["Sports Shoes"])


class AllWritten(ResponseModel):
    """Texts for several listings, one an item, in order, all of one model version."""

    model: Served
    items: list[Written]


def written(answer: Answer) -> Written:
    """The whole answer for one listing."""
    said: answers.Description = answer.prediction
    return Written(
        prediction_id=str(uuid.uuid4()),
        model=served(answer),
        seo_title=SeoTitle(**dict(_sentence(said.seo_title))),
        meta_description=MetaDescription(**dict(_sentence(said.meta_description))),
        description=Prose(text=said.text, sentences=[_sentence(sentence) for sentence in said.description]),
        bullets=[_sentence(bullet) for bullet in said.bullets],
        unsaid=_facts(said.unsaid),
        not_given=list(said.not_given),
        keywords=[Keyword(keyword=one.keyword, used=one.used, why=one.why) for one in said.keywords],
        article_type=said.article_type,
    )


def served(answer: Answer) -> Served:
    """The version that made an answer."""
    return Served(name=MODEL, version=answer.version)


def _sentence(sentence: answers.Sentence) -> Sentence:
    return Sentence(text=sentence.text, facts=_facts(sentence.facts))


def _facts(facts: Iterable[answers.Fact]) -> list[Fact]:
    return [Fact(name=fact.name, value=fact.value) for fact in facts]
