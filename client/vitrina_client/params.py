"""Made from the service's OpenAPI document by `make client`; do not edit it by hand."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NotRequired, TypedDict

from vitrina_client.sending import Photo


class BriefIn(TypedDict):
    """A listing, and how it is to be described; what is not read of it is taken, so that one body does for every route."""

    title: NotRequired[str | None]
    description: NotRequired[str | None]
    """not read"""

    brand: NotRequired[str | None]
    gender: NotRequired[str | None]
    age_group: NotRequired[str | None]
    """not read"""

    base_colour: NotRequired[str | None]
    season: NotRequired[str | None]
    """not read"""

    usage: NotRequired[str | None]
    price: NotRequired[float | None]
    """not read"""

    attributes: NotRequired[Mapping[str, str]]
    """free attributes, name to value"""

    master_category: NotRequired[str | None]
    """not read"""

    sub_category: NotRequired[str | None]
    """not read"""

    article_type: NotRequired[str | None]
    """what it is"""

    image: NotRequired[Photo | None]
    """not read"""

    audience: NotRequired[str | None]
    """for whom; it never becomes a fact"""

    tone: NotRequired[Literal["neutral", "friendly", "premium", "playful"]]
    """how it should sound"""

    keywords: NotRequired[Sequence[str]]
    """words that should appear, where they are true; the answer says what became of each"""

    recent: NotRequired[Sequence[str]]
    """the last texts written for such products, to be unlike"""

    seed: NotRequired[int]
    """another one gives other texts; the same request with the same seed gives the same"""


class BriefsIn(TypedDict):
    """Several listings to describe, each with its own wishes."""

    items: Sequence[BriefIn]


class CandidateIn(TypedDict):
    """A listing to assess."""

    title: NotRequired[str | None]
    description: NotRequired[str | None]
    """plain text or HTML"""

    brand: NotRequired[str | None]
    gender: NotRequired[str | None]
    age_group: NotRequired[str | None]
    base_colour: NotRequired[str | None]
    season: NotRequired[str | None]
    usage: NotRequired[str | None]
    price: NotRequired[float | None]
    """in the catalogue's currency; estimated prices and embeddings do not look at it"""

    attributes: NotRequired[Mapping[str, str]]
    """free attributes, name to value"""

    master_category: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    sub_category: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    article_type: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    image: NotRequired[Photo | None]
    """a whole JPEG, PNG or WebP"""

    product_id: NotRequired[int | str | None]
    """its own id, where the catalogue may hold it: it is then no duplicate of itself"""


class CandidatesIn(TypedDict):
    """Several listings to assess."""

    items: Sequence[CandidateIn]


class CategoriesIn(TypedDict):
    """A listing, and how many labels to answer a level."""

    title: NotRequired[str | None]
    description: NotRequired[str | None]
    """plain text or HTML"""

    brand: NotRequired[str | None]
    gender: NotRequired[str | None]
    age_group: NotRequired[str | None]
    base_colour: NotRequired[str | None]
    season: NotRequired[str | None]
    usage: NotRequired[str | None]
    price: NotRequired[float | None]
    """in the catalogue's currency; estimated prices and embeddings do not look at it"""

    attributes: NotRequired[Mapping[str, str]]
    """free attributes, name to value"""

    master_category: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    sub_category: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    article_type: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    image: NotRequired[Photo | None]
    """a whole JPEG, PNG or WebP"""

    top_k: NotRequired[int]
    """labels a category level, most probable first"""


class EventIn(TypedDict):
    """Something that a user did with an item."""

    item_id: int | str
    """as the catalogue names it; 5 and "5" are the same"""

    kind: Literal["view", "cart", "purchase"]
    at: NotRequired[datetime | None]
    """when it happened, ISO 8601 with a zone; not more than a day in the future"""

    user_id: int | str
    event_id: NotRequired[str | None]
    """UUID of your own: the same event sent again counts once"""

    prediction_id: NotRequired[str | None]
    """of the recommendation that led to it; a purchase is feedback on that prediction as well"""


class EventsIn(TypedDict):
    """Events in the order in which they happened."""

    events: Sequence[EventIn]


class ExampleIn(TypedDict):
    """A listing, and the class that it is an example of."""

    title: NotRequired[str | None]
    description: NotRequired[str | None]
    """plain text or HTML"""

    brand: NotRequired[str | None]
    gender: NotRequired[str | None]
    age_group: NotRequired[str | None]
    base_colour: NotRequired[str | None]
    season: NotRequired[str | None]
    usage: NotRequired[str | None]
    price: NotRequired[float | None]
    """in the catalogue's currency; estimated prices and embeddings do not look at it"""

    attributes: NotRequired[Mapping[str, str]]
    """free attributes, name to value"""

    master_category: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    sub_category: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    article_type: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    image: NotRequired[Photo | None]
    """a whole JPEG, PNG or WebP"""

    label: str
    """of its class; blanks around it do not count"""


class FiltersIn(TypedDict):
    """What products must be to be answered; all that is given must hold, and a value that no product has finds none."""

    categories: NotRequired[Sequence[str]]
    """one of these, on any level; empty: all"""

    brands: NotRequired[Sequence[str]]
    """one of these; empty: all"""

    price_min: NotRequired[float | None]
    """cheaper products, and those without a price, are left out"""

    price_max: NotRequired[float | None]
    """dearer products, and those without a price, are left out; at least price_min"""

    attributes: NotRequired[Mapping[str, str | Sequence[str]]]
    """name to a value, or to several of which a product has one; gender, age_group, base_colour, season and usage are names as well"""


class ImageIn(TypedDict):
    """What is to be drawn, and how; only the prompt is needed."""

    prompt: str
    """what the image shows, best as a title says it"""

    negative_prompt: NotRequired[str]
    """what it should not look like"""

    style: NotRequired[Literal["photorealistic", "artistic", "vintage", "luxury"]]
    """how it looks"""

    size: NotRequired[str | None]
    """width x height in pixels, one of the sizes of the version that answers; its first where it is not said"""

    steps: NotRequired[int]
    """of the sampler; more take longer and give finer images"""

    guidance: NotRequired[float | None]
    """how closely the image follows the prompt; the version's own where it is not said"""

    sampler: NotRequired[Literal["ddim", "dpm-solver++"]]
    """how noise becomes an image"""

    seed: NotRequired[int | None]
    """the same request with the same seed gives the same image on the same machine; drawn by chance where it is not said, and returned"""

    candidates: NotRequired[int]
    """images that are drawn, of which the one with the highest score is kept"""

    all_candidates: NotRequired[bool]
    """whether the others come back as well, after the best; a PNG is the best alone"""


class ImagesIn(TypedDict):
    """Several images; always drawn in a job."""

    items: Sequence[ImageIn]


class Labels(TypedDict):
    """True values; at least one."""

    label: NotRequired[str | None]
    image: NotRequired[Literal["accepted", "rejected"] | None]
    master_category: NotRequired[str | None]
    sub_category: NotRequired[str | None]
    article_type: NotRequired[str | None]
    price: NotRequired[float | None]
    verdict: NotRequired[Literal["publish", "hold"] | None]
    item_id: NotRequired[int | str | None]


class ListingIn(TypedDict):
    """A product listing; send what is known, at least one of title, description, image, attributes or a describing field."""

    title: NotRequired[str | None]
    description: NotRequired[str | None]
    """plain text or HTML"""

    brand: NotRequired[str | None]
    gender: NotRequired[str | None]
    age_group: NotRequired[str | None]
    base_colour: NotRequired[str | None]
    season: NotRequired[str | None]
    usage: NotRequired[str | None]
    price: NotRequired[float | None]
    """in the catalogue's currency; estimated prices and embeddings do not look at it"""

    attributes: NotRequired[Mapping[str, str]]
    """free attributes, name to value"""

    master_category: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    sub_category: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    article_type: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    image: NotRequired[Photo | None]
    """a whole JPEG, PNG or WebP"""


class ProductIn(TypedDict):
    """What a product is from now on, and whether it is shown; with `hidden` alone only that changes."""

    title: NotRequired[str | None]
    description: NotRequired[str | None]
    """plain text or HTML"""

    brand: NotRequired[str | None]
    gender: NotRequired[str | None]
    age_group: NotRequired[str | None]
    base_colour: NotRequired[str | None]
    season: NotRequired[str | None]
    usage: NotRequired[str | None]
    price: NotRequired[float | None]
    """in the catalogue's currency; estimated prices and embeddings do not look at it"""

    attributes: NotRequired[Mapping[str, str]]
    """free attributes, name to value"""

    master_category: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    sub_category: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    article_type: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    image: NotRequired[Photo | None]
    """a whole JPEG, PNG or WebP"""

    hidden: NotRequired[bool]
    """found by no search and recommended to nobody, until it is put again without this"""


class ProductItem(TypedDict):
    """One of several products."""

    title: NotRequired[str | None]
    description: NotRequired[str | None]
    """plain text or HTML"""

    brand: NotRequired[str | None]
    gender: NotRequired[str | None]
    age_group: NotRequired[str | None]
    base_colour: NotRequired[str | None]
    season: NotRequired[str | None]
    usage: NotRequired[str | None]
    price: NotRequired[float | None]
    """in the catalogue's currency; estimated prices and embeddings do not look at it"""

    attributes: NotRequired[Mapping[str, str]]
    """free attributes, name to value"""

    master_category: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    sub_category: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    article_type: NotRequired[str | None]
    """predicted categories and embeddings do not look at it"""

    image: NotRequired[Photo | None]
    """a whole JPEG, PNG or WebP"""

    hidden: NotRequired[bool]
    """found by no search and recommended to nobody, until it is put again without this"""

    product_id: int | str
    """as the catalogue names it; 5 and "5" are the same"""


class ProductsIn(TypedDict):
    """Several products in one request."""

    items: Sequence[ProductItem]


class RecentItem(TypedDict):
    """Something that happened to an item."""

    item_id: int | str
    """as the catalogue names it; 5 and "5" are the same"""

    kind: NotRequired[Literal["view", "cart", "purchase"]]
    at: NotRequired[datetime | None]
    """when it happened, ISO 8601 with a zone; not more than a day in the future"""


class RecommendationsIn(TypedDict):
    """Who asks, and within which bounds; every field may be missing."""

    user_id: NotRequired[int | str | None]
    """a user that is not known is answered from events, or with popular items"""

    recent_items: NotRequired[Sequence[RecentItem | int | str]]
    """what happened and was not sent as an event, oldest first; ids (bought) or objects"""

    categories: NotRequired[Sequence[str]]
    """of any level; items of others are left out; empty: all"""

    price_min: NotRequired[float | None]
    """cheaper items, and those without a price, are left out"""

    price_max: NotRequired[float | None]
    """dearer items, and those without a price, are left out; at least price_min"""

    exclude_bought: NotRequired[bool]
    """leave out what the user has bought"""

    num_recs: NotRequired[int]
    """items at most"""

    diversity: NotRequired[float]
    """0: by score alone; 1: as unlike each other as can be"""


class ReviewIn(TypedDict):
    """A customer's review; at least one of title and text, and more than markup."""

    title: NotRequired[str | None]
    text: NotRequired[str | None]
    """plain text or HTML"""


class ReviewsIn(TypedDict):
    """Several reviews in one request."""

    reviews: Sequence[ReviewIn]


class SimilarIn(TypedDict):
    """What is looked for: a product_id, or a text and a photo or one of them, or a vector."""

    text: NotRequired[str | None]
    """words, as a title has them"""

    image: NotRequired[Photo | None]
    """a whole JPEG, PNG or WebP"""

    limit: NotRequired[int]
    """products at most"""

    filters: NotRequired[FiltersIn]
    product_id: NotRequired[int | str | None]
    """a product of the catalogue, which is not answered itself; 5 and "5" are the same"""

    vector: NotRequired[Sequence[float] | None]
    """of this version's embeddings, of any length but 0"""


class AdaptIn(TypedDict):
    """Examples of a new task, or further ones of a task that exists."""

    examples: Sequence[ExampleIn]
    """a new task has 2 to 20 classes with 1 to 20 examples each; one that exists may be sent examples of its classes, or of new ones"""

    task_id: NotRequired[str | None]
    """the task that is taught more; null makes a new one"""

    name: NotRequired[str | None]
    """of a new task, for people"""

    learner: NotRequired[str | None]
    """of a new task; null: what did best on so many examples when it was trained"""

    keep_examples: NotRequired[bool | None]
    """of a new task: keep texts and photos as well, so that it need not be taught again when the features change; null or false: only features are kept, and small photos where the learner reads photos"""


class BatchIn(TypedDict):
    """Several listings in one request."""

    items: Sequence[ListingIn]


class ClassifyIn(TypedDict):
    """Listings that one of a task's classes is looked for."""

    task_id: str
    """from the answer that made it"""

    version: NotRequired[int | None]
    """of the task; null: the newest"""

    items: Sequence[ListingIn]


class Feedback(TypedDict):
    """The truth about one prediction."""

    prediction_id: str
    """from the answer"""

    labels: Labels
