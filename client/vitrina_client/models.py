"""Made from the service's OpenAPI document by `make client`; do not edit it by hand."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Base64Bytes, BaseModel


class Accepted(BaseModel):
    """Answer of POST /v1/feedback."""

    prediction_id: str


class BoughtItem(BaseModel):
    """An item that a user bought."""

    item_id: int | str
    title: str | None
    """as in the catalogue that it was trained on; null where that has none"""

    price: float | None
    """in the catalogue's currency, when the version was trained; null where it has none"""

    article_type: str | None
    """category of the lowest level; null where the catalogue has none"""


class CatalogueProduct(BaseModel):
    """A product of the catalogue."""

    product_id: int | str
    hidden: bool
    """found by no search and recommended to nobody"""

    put: bool
    """a client put it; else it is as the version that answers was trained on it"""

    title: str | None
    description: str | None
    """null also where only the version knows the product"""

    brand: str | None
    price: float | None
    """in the catalogue's currency"""

    categories: dict[str, str]
    """by level, those that are known"""

    attributes: dict[str, str]
    """with describing fields, such as gender"""

    has_photo: bool
    """whether GET /v1/catalog/products/{product_id}/image shows one"""

    updated_at: datetime | None
    """when a client last changed it; null where none did"""


class Confusable(BaseModel):
    """Two classes that a classifier can hardly tell apart."""

    labels: tuple[str, str]
    confusion: float
    """mean probability that examples of either give the other, left out where they can be"""

    hint: str
    """what to add, in a sentence"""


class ErrorDetail(BaseModel):
    """What went wrong."""

    code: str
    """stable, for programs"""

    message: str
    """one line: what, where, what is allowed"""

    field: str | None = None
    """path of the offending field"""


class Evidence(BaseModel):
    """Something about the listing that a person can check."""

    text: str
    """one sentence"""

    values: dict[str, str | int | float | list[str]]
    """the numbers and words in it, by name"""


class Fact(BaseModel):
    """A value that the listing gives."""

    name: str
    """field, category level or attribute; title for words of it"""

    value: str


class Fault(BaseModel):
    """Something that may be wrong with a listing."""

    kind: (
        Literal[
            "mismatched_image",
            "truncated_description",
            "swapped_description",
            "wrong_category",
            "wrong_price",
            "blurred_image",
            "dark_image",
            "missing_attributes",
        ]
        | str
    )
    probability: float


class GateMetric(BaseModel):
    """A metric that gates hold, as it was measured before the version was registered."""

    name: str
    value: float
    low: float | None
    """of the 95 % interval; null where it has none"""

    high: float | None
    """likewise"""


class Improvement(BaseModel):
    """One change to the listing, and what it is worth."""

    axis: Literal["title", "description", "photo", "attributes", "agreement", "category", "price", "duplicate"] | str
    text: str
    """what to do, one sentence"""

    change: dict[str, str | int | float]
    """what to write where, ready made: title, price, article_type, attributes.NAME and so on; empty where a person has to make it"""

    confidence: float | None
    """0 to 1, how sure a value that a model predicted is; null where nothing is predicted"""

    low: float | None
    """of the range that a price should lie in; null for other parts"""

    high: float | None
    """of that range"""

    gain: float
    """by how much the score is higher with this change alone, above 0"""

    score_after: float
    """the score with this change alone"""


class JobItem(BaseModel):
    """An item of a job that has ended."""

    place: int
    """in the request, from 0"""

    state: Literal["done", "failed"] | str
    result: dict[str, Any] | None
    """what the route answers for this item; null where it failed"""

    error: ErrorDetail | None
    """what the route answers to this item alone; null where it is done"""


class JobLinks(BaseModel):
    """Where more is said, under this server's address."""

    job: str
    result: str
    """what is done so far, as lines of JSON, JSON or Parquet"""

    failures: str
    """of it what failed, all of it"""

    events: str
    """server-sent events while it is done"""


class Keyword(BaseModel):
    """What became of a keyword that was asked for."""

    keyword: str
    """as asked"""

    used: bool
    """whether the texts hold it"""

    why: str | None
    """why not; null where it is used"""


class KnownBuyer(BaseModel):
    """A user whose history the version knows."""

    user_id: int | str
    purchases: int
    """different items that the user bought"""

    newest: list[BoughtItem]
    """ten of them at most, newest first where their order is known"""


class Label(BaseModel):
    """A category and its calibrated probability."""

    label: str
    probability: float


class LeaveOneOut(BaseModel):
    """How often an example is told right by a classifier that has not seen it."""

    accuracy: float | None
    """0 to 1; null where no class has two examples"""

    examples: int
    """examples behind it: those whose class has another one"""


class Links(BaseModel):
    """Pages of MLflow; null and empty where its address is not known to the service."""

    version: str | None
    run: str | None
    reports: dict[str, str]
    """by file name"""


class MetaDescription(BaseModel):
    """For search engines."""

    text: str
    facts: list[Fact]
    """in the order in which they are stated; empty where it states no value"""


class Move(BaseModel):
    """Who moved champion, and where to."""

    at: datetime
    who: str
    """the reviewer, or MLflow UI"""

    note: str
    action: Literal["promote", "rollback", "moved_in_ui"] | str
    from_version: int | None
    """null where there was no champion"""

    to_version: int | None
    """null where there is none since"""


class Moves(BaseModel):
    """Moves of a model's champion, newest first."""

    model: str
    moves: list[Move]


class Nearest(BaseModel):
    """The training photo that is most like the image."""

    product_id: str
    """whose photo it is"""

    distance: float
    """1 - cosine of the embeddings of both, 0 to 2"""

    memorised: bool
    """nearer than photos of different products are to each other: it may be a copy"""


class Opinion(BaseModel):
    """What one review says."""

    sentiment: Literal["positive", "negative"] | str
    """positive where recommended is at least 0.5"""

    recommended: float
    """probability that the writer recommends the product"""

    rating: float
    """expected rating, 1 to 5"""


class Price(BaseModel):
    """An estimate in the catalogue's currency; 90 % of true prices lie between low and high."""

    median: float
    low: float
    high: float


class Probability(BaseModel):
    """A class and its probability."""

    label: str
    probability: float


class PutItem(BaseModel):
    """What became of one of several products."""

    product_id: int | str
    hidden: bool
    """found by no search and recommended to nobody"""

    new: bool
    """it was not in the catalogue before"""


class Quality(BaseModel):
    """Whether the parts of a listing fit together."""

    score: float
    """probability that nothing is wrong with the listing, 0 to 1"""

    faults: list[Fault]
    """every kind of fault, most probable first"""


class Reason(BaseModel):
    """What a score rests on most."""

    kind: Literal["bought_together", "bought_next", "attention_path", "shared_attributes", "similar_content", "popular"] | str
    text: str
    """one sentence for a person"""

    item_id: int | str | None
    """item of the history that is the reason"""

    attributes: list[str]
    """what both items have in common, where that is the reason"""

    drop: float
    """how far the score falls without this reason"""


class RegisteredVersion(BaseModel):
    """A version of a model."""

    version: int
    aliases: list[str]
    """such as champion, challenger and previous"""

    registered_at: datetime
    gates: str
    """passed or failed; unknown where it was not trained here"""

    gate_failures: str
    """why it did not pass, one line"""

    metrics: list[GateMetric]
    """those that its gates hold"""

    headline: str
    """Markdown: what a reviewer reads first"""

    links: Links
    data_fingerprint: str | None
    """SHA-256 of the catalogue that it was trained on; null where not known"""

    rests_on: str | None
    """version of another model that it holds a copy of"""


class RegisteredVersions(BaseModel):
    """Versions of a model, newest first."""

    model: str
    versions: list[RegisteredVersion]


class Sentence(BaseModel):
    """A text, and the facts that it states."""

    text: str
    facts: list[Fact]
    """in the order in which they are stated; empty where it states no value"""


class SeoTitle(BaseModel):
    """For search engines."""

    text: str
    facts: list[Fact]
    """in the order in which they are stated; empty where it states no value"""


class Served(BaseModel):
    """The model version that computed an answer."""

    name: str
    version: int
    """registered version"""


class Shown(BaseModel):
    """What the image is taken for."""

    article_type: str
    probability: float


class Similar(BaseModel):
    """A product that was found."""

    product_id: int | str
    score: float
    """cosine of its vector and that of what is looked for"""

    title: str | None
    brand: str | None
    price: float | None
    """in the catalogue's currency"""

    categories: dict[str, str]
    """by level, those that are known"""

    has_photo: bool
    """whether GET /v1/catalog/products/{product_id}/image shows one"""


class SimilarProducts(BaseModel):
    """Products, most alike first; fewer than asked for where the filters leave fewer."""

    model: Served
    products: int
    """products among which was searched, before filters"""

    items: list[Similar]


class Stored(BaseModel):
    """Answer of POST /v1/recommendations/events."""

    count: int
    """events of this request that are stored"""

    repeated: int
    """those of them that were stored before, by their event_id"""


class TaughtClass(BaseModel):
    """A class, and the examples it was taught by."""

    label: str
    examples: int


class Adapted(BaseModel):
    """Answer of POST /v1/fewshot/adapt."""

    version: int
    """of the task, from 1 on; every request that teaches it adds one"""

    created_at: datetime
    model: Served
    """the version that adapted it"""

    features: Served
    """the version that its features are of; other versions' cannot be compared with them"""

    learner: str
    """the one that made its classifier"""

    classes: list[TaughtClass]
    """in the order in which they came"""

    leave_one_out: LeaveOneOut
    hardest: Confusable
    """the two classes that are told apart worst, and what to add"""

    task_id: str
    """names the task in other requests"""

    name: str | None
    keep_examples: bool
    rejects: str
    """how often a listing that does belong to a class is called none of them"""


class Analysis(BaseModel):
    """All heads that read listings."""

    prediction_id: str
    """names this prediction in POST /v1/feedback"""

    model: Served
    modalities: list[str]
    """parts of the listing that the model saw"""

    categories: dict[str, list[Label]]
    """by level: master_category, sub_category, article_type; empty where the version has no such task"""

    price: Price | None
    """null where the version has no such task; POST /v1/price/predict then answers 501"""

    embedding: list[float]
    """1024 numbers, L2 norm 1; comparable within one model version only"""

    quality: Quality | None
    """null where the version has no such task; POST /v1/quality/assess then answers 501"""

    left_out: dict[str, str] | None = None
    """tasks that this version has not, such as price, and what its training rows lacked for each"""


class AxisScore(BaseModel):
    """One axis of the listing."""

    axis: Literal["title", "description", "photo", "attributes", "agreement", "category", "price", "duplicate"] | str
    score: float
    """0 to 1, higher is better"""

    evidence: list[Evidence]
    """what it rests on, the weightiest first"""


class CatalogueProducts(BaseModel):
    """A page of the products that are shown, in the order of their ids."""

    model: Served
    products: int
    """products that are shown, before filters"""

    items: list[CatalogueProduct]
    next: int | str | None
    """`after` of the next page; null where this is the last"""


class Categories(BaseModel):
    """Labels by category level."""

    prediction_id: str
    """names this prediction in POST /v1/feedback"""

    model: Served
    modalities: list[str]
    """parts of the listing that the model saw"""

    categories: dict[str, list[Label]]
    """by level: master_category, sub_category, article_type; empty where the version has no such task"""


class ClassifiedItem(BaseModel):
    """Which of the classes a listing is."""

    prediction_id: str
    """names this prediction in POST /v1/feedback"""

    label: str | None
    """the most probable class; null where it is none of these"""

    none_of_these: bool
    stranger: float
    """how sure it is that it is none of the classes, 0 to 1; above 0.5 it is called so"""

    probabilities: list[Probability]
    """of each class if it is one of them, most probable first; sum 1"""


class Embedding(BaseModel):
    """The embedding head."""

    prediction_id: str
    """names this prediction in POST /v1/feedback"""

    model: Served
    modalities: list[str]
    """parts of the listing that the model saw"""

    embedding: list[float]
    """1024 numbers, L2 norm 1; comparable within one model version only"""


class Embeddings(BaseModel):
    """One embedding an item, in order, all of one model version."""

    model: Served
    items: list[Embedding]


class ErrorBody(BaseModel):
    """The body of every answer that is not 2xx."""

    error: ErrorDetail


class Item(BaseModel):
    """One recommended item."""

    item_id: int | str
    title: str | None
    """as in the catalogue that it was trained on; null where that has none"""

    price: float | None
    """in the catalogue's currency, when the version was trained; null where it has none"""

    article_type: str | None
    """category of the lowest level; null where the catalogue has none"""

    score: float
    """sum of parts; comparable within one answer only"""

    parts: dict[str, float]
    """what each part of the model adds"""

    reason: Reason


class Job(BaseModel):
    """Work that was left with the service."""

    id: str
    kind: str
    """the route that would have answered at once"""

    state: Literal["queued", "running", "succeeded", "partly_failed", "failed", "cancelled"] | str
    """partly_failed where some items failed, failed where all did or the job as a whole"""

    items: int
    """that were sent"""

    done: int
    """of them"""

    failed: int
    """of them"""

    progress: float
    """share of the items that have ended, 0 to 1"""

    model: Served | None
    """the version that answers all items; null until the job begins"""

    detail: str | None
    """why the job as a whole failed; else null"""

    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    links: JobLinks


class JobDetail(BaseModel):
    """A job, and the first items that failed."""

    id: str
    kind: str
    """the route that would have answered at once"""

    state: Literal["queued", "running", "succeeded", "partly_failed", "failed", "cancelled"] | str
    """partly_failed where some items failed, failed where all did or the job as a whole"""

    items: int
    """that were sent"""

    done: int
    """of them"""

    failed: int
    """of them"""

    progress: float
    """share of the items that have ended, 0 to 1"""

    model: Served | None
    """the version that answers all items; null until the job begins"""

    detail: str | None
    """why the job as a whole failed; else null"""

    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    links: JobLinks
    failures: list[JobItem]
    """the first 20 in the order of their places; links.failures has all"""


class JobResults(BaseModel):
    """A page of what is done of a job."""

    job: Job
    complete: bool
    """the job has ended: no more will come"""

    items: list[JobItem]
    """in the order of their places"""

    next: int | None
    """`start` of the next page; null where there is none yet"""


class Jobs(BaseModel):
    """Jobs, the newest first."""

    jobs: list[Job]


class Known(BaseModel):
    """A version of a task, and whether it can be asked."""

    version: int
    """of the task, from 1 on; every request that teaches it adds one"""

    created_at: datetime
    model: Served
    """the version that adapted it"""

    features: Served
    """the version that its features are of; other versions' cannot be compared with them"""

    learner: str
    """the one that made its classifier"""

    classes: list[TaughtClass]
    """in the order in which they came"""

    leave_one_out: LeaveOneOut
    hardest: Confusable
    """the two classes that are told apart worst, and what to add"""

    outdated: bool | None
    """true where it rests on other features than the version that answers: unless its examples are kept it must be taught again; null while no version answers"""


class KnownBuyers(BaseModel):
    """Some users; those with 5 to 50 purchases first. A version always answers with the same ones."""

    model: Served
    users: list[KnownBuyer]


class Listed(BaseModel):
    """A task in a list, as its newest version stands."""

    task_id: str
    name: str | None
    keep_examples: bool
    created_at: datetime
    version: int
    updated_at: datetime
    """when it was last taught"""

    learner: str
    classes: list[TaughtClass]
    outdated: bool | None
    """as in the task itself"""


class ModelState(BaseModel):
    """What a worker serves of one model, and what the registry wants it to serve."""

    name: str
    version: int | None = None
    """version that answers; None before the first load"""

    champion: int | None = None
    """version that the alias champion points at, when last asked"""

    stale: bool
    """the version that answers is not the champion, or the champion could not be asked for"""

    loaded_at: str | None = None
    """UTC, ISO 8601"""

    last_error: str | None = None
    """why the last look or load failed; None after a success"""

    rests_on: Served | None = None
    """version of another model whose features it answers with, part of its own files; None where it needs none"""

    challenger: int | None = None
    """version that answers requests which ask for the challenger; None where none does"""


class Models(BaseModel):
    """Answer of GET /v1/models."""

    models: list[ModelState]


class Opinions(BaseModel):
    """One opinion a review, in order, all of one model version."""

    model: Served
    reviews: list[Opinion]


class PriceEstimate(BaseModel):
    """The price head."""

    prediction_id: str
    """names this prediction in POST /v1/feedback"""

    model: Served
    modalities: list[str]
    """parts of the listing that the model saw"""

    price: Price | None
    """null where the version has no such task; POST /v1/price/predict then answers 501"""


class Prose(BaseModel):
    """The description."""

    text: str
    """its sentences, one after another"""

    sentences: list[Sentence]


class Put(BaseModel):
    """Answer of POST /v1/catalog/products."""

    model: Served
    items: list[PutItem]


class Readiness(BaseModel):
    """Answer of GET /readyz; 503 until every model has a version that answers, but those that never had a champion."""

    ready: bool
    models: list[ModelState]


class Recommended(BaseModel):
    """Items, best first; fewer than asked for where the bounds leave fewer."""

    prediction_id: str
    """names this answer in events and in POST /v1/feedback"""

    model: Served
    basis: Literal["history", "session", "popularity"] | str
    """history: the version knows the user; session: events alone; popularity: nothing is known"""

    history: int
    """number of items that the answer rests on"""

    ignored: list[int | str]
    """items of events that the version does not know"""

    items: list[Item]


class Score(BaseModel):
    """How good the image is; all numbers from 0 to 1, more is better."""

    overall: float
    """the weighted mean of the others, by which candidates are ranked"""

    agreement: float
    """whether it shows what the prompt says: share of real photos that fit their own title less"""

    sharpness: float
    """share of training photos that are less sharp"""

    exposure: float
    """1 where neither too dark nor burnt out"""

    white_background: float
    """share of the border that is white"""

    nearest: Nearest
    shows: Shown | None
    """null where the version tells no types"""


class TaskDetail(BaseModel):
    """Answer of GET /v1/fewshot/tasks/{task_id}: the newest version first."""

    task_id: str
    name: str | None
    keep_examples: bool
    created_at: datetime
    versions: list[Known]


class Tasks(BaseModel):
    """Answer of GET /v1/fewshot/tasks: the newest task first."""

    tasks: list[Listed]


class Written(BaseModel):
    """Texts for one listing, which state what it gives and nothing else."""

    prediction_id: str
    """names this prediction in the log"""

    model: Served
    seo_title: SeoTitle
    meta_description: MetaDescription
    description: Prose
    bullets: list[Sentence]
    """a sentence or phrase each"""

    unsaid: list[Fact]
    """facts that were given and no text states"""

    not_given: list[str]
    """what products of the type usually give and this one does not, so that it was not said"""

    keywords: list[Keyword]
    """one for each that was asked for, in order"""

    article_type: str | None
    """the given or the most similar known type"""


class AllWritten(BaseModel):
    """Texts for several listings, one an item, in order, all of one model version."""

    model: Served
    items: list[Written]


class Assessment(BaseModel):
    """How good a listing is, by axis, and what would make it better.

    Until a version of `quality` is promoted the fault head of `product` answers (`model` says which did): score and faults are
    then its own, and what only `quality` says is null.
    """

    prediction_id: str
    """names this prediction in POST /v1/feedback"""

    model: Served
    modalities: list[str]
    """parts of the listing that the model saw"""

    score: float
    """probability that nothing is wrong with the listing, 0 to 1"""

    faults: list[Fault]
    """every kind of fault, most probable first"""

    verdict: Literal["publish", "hold"] | str | None
    """publish where the score reaches the threshold; null where product answers"""

    threshold: float | None
    """of the version that answers; null where product answers"""

    axes: list[AxisScore] | None
    """the worst first; null where product answers"""

    left_out: dict[str, str] | None
    """axes that are not judged, and why; null where product answers"""

    improvements: list[Improvement] | None
    """the one that is worth most first; null where product answers, empty where nothing would raise the score"""

    article_type: str | None
    """the type that the listing was compared with: the given one, else the predicted one"""


class Assessments(BaseModel):
    """One assessment an item, in order, all of one model version."""

    model: Served
    items: list[Assessment]


class Classifications(BaseModel):
    """One answer an item, in order, all by one version of the task and of the model."""

    task_id: str
    version: int
    """of the task"""

    model: Served
    features: Served
    items: list[ClassifiedItem]


class Image(BaseModel):
    """One image."""

    png: Base64Bytes
    """the file as base64; it says in its metadata how it was made"""

    seed: int
    """draws this image again, with one candidate"""

    score: Score


class Drawn(BaseModel):
    """The image for a prompt, its score, and what it was drawn with."""

    prediction_id: str
    """names this prediction in the log"""

    model: Served
    images: list[Image]
    """the best first; alone unless all candidates were asked for"""

    seed: int
    """of the request: its first candidate was drawn from it, the next from the next number"""

    size: str
    """width x height in pixels"""

    style: Literal["photorealistic", "artistic", "vintage", "luxury"] | str
    negative_prompt: str
    """as used; a style may add to what was asked"""

    steps: int
    guidance: float
    sampler: Literal["ddim", "dpm-solver++"] | str
    candidates: int
    unknown_words: list[str]
    """words of the prompt that no training text held, so that the version cannot know what they look like"""

    cut: bool
    """whether the prompt is longer than what the version reads, so that its end was not read"""
