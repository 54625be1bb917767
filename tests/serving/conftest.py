"""A whole application in this process, with a predictor that answers without a model."""

import io
import json
import tempfile
import threading
import time
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import committed
import numpy as np
import pandas as pd
import pytest
from homes import settings_of
from PIL import Image
from starlette.testclient import TestClient

from catalog.corruption import KINDS
from catalog.images import decode
from catalog.listing import CATEGORY_LEVELS
from configs.errors import VitrinaError
from configs.schema import IndexConfig, ResultsConfig, ServingConfig
from models.bundles import BaseVersion
from models.describer.answers import Description, Fact, Keyword, Sentence
from models.errors import NotSupported, OutOfMemory
from models.fewshot.answers import Classified, Confusable, Measures, OutdatedTask, Task
from models.imagegen.answers import Drawing, Nearest, Picture, Score
from models.product.heads.price import PriceEstimate
from models.product.heads.quality import QualityEstimate
from models.product.heads.sentiment import Sentiment
from models.product.predictor import ProductPrediction
from models.quality.answers import Assessment, AxisScore, Evidence, Improvement
from models.recommender.answers import Bought, KnownUser, Reason, Recommendation, Recommendations
from serving.app import create_app
from serving.search.index import read, write

LIMIT = 200_000
CONFIG = ServingConfig(
    poll_seconds=0.05,
    max_body_bytes=LIMIT,
    max_items=4,
    max_queue=8,
    max_image_pixels=1_000_000,
    request_seconds=2,
    results=ResultsConfig(max_bytes=0),  # each request is computed, but where a test is of what is kept
)


def quick(config):
    """Mark of a test whose application gives an answer a tenth of a second."""
    return pytest.mark.parametrize("config", [config.model_copy(update={"request_seconds": 0.1})], ids=["quick"])


SHOP = pd.DataFrame(
    [
        (1, "blue denim jacket", "Acme", "Apparel", "Topwear", "Jackets", 80.0, {"Fabric": "Denim"}, "Men"),
        (2, "blue denim jeans", "Acme", "Apparel", "Bottomwear", "Jeans", 40.0, {"Fabric": "Denim"}, "Men"),
        (3, "red denim jeans", "Bravo", "Apparel", "Bottomwear", "Jeans", 45.0, {"Fabric": "Denim"}, "Women"),
        (4, "red cotton shirt", "Bravo", "Apparel", "Topwear", "Shirts", None, {"Fabric": "Cotton"}, "Women"),
        (5, "steel watch", "Chrono", "Accessories", "Watches", "Watches", 150.0, {}, None),
        (6, "leather watch strap", None, "Accessories", "Watches", "Straps", 20.0, {"Fabric": "Leather"}, None),
    ],
    columns=["product_id", "title", "brand", *CATEGORY_LEVELS, "price", "attributes", "gender"],
).assign(attributes=lambda shop: shop["attributes"].map(json.dumps))
"""What the product model in memory was trained on."""


def placed(text, version=1):
    """Unit vector [16] of words; those of two versions have nothing in common."""
    vector = np.zeros(16, dtype=np.float32)
    for word in text.split():
        vector += np.random.default_rng(zlib.crc32(f"{version} {word}".encode())).standard_normal(16)
    return vector / np.linalg.norm(vector)


def index_of(shop, version=1):
    """An index of products, written and read; every second one has a photo."""
    with tempfile.TemporaryDirectory() as folder:
        vectors = np.stack([placed(title, version) for title in shop["title"]])
        pictured = shop["product_id"].iloc[1::2].to_list()
        write(
            Path(folder, "index"),
            shop["product_id"],
            vectors,
            shop,
            IndexConfig(),
            lambda key: photo() if key in pictured else None,
        )
        return read(Path(folder, "index"))


class Predictor:
    """Says what it was asked, in the form of the product model."""

    name = "product"
    dimensions = 16

    def __init__(self, version):
        self.version = version
        self.asked = []
        self.seconds = 0.0
        self.lacks = {}
        self.reviews = []
        self.placed = []
        self.opinionated = True

    def predict(self, listings):
        self.asked.extend(listings)
        time.sleep(self.seconds)
        if any(listing.title == "refused" for listing in listings):
            raise VitrinaError("listing 0 is refused")
        if any(listing.title == "crash" for listing in listings):
            raise RuntimeError("a bug")
        return [self._answer(listing) for listing in listings]

    def embeds(self, listing):
        return bool(listing.title)

    def place(self, listings):
        for listing in listings:
            self.placed.append(listing.title or "photo")
            if listing.title == "refused":
                raise VitrinaError("listing 0 is refused")
        return np.stack([placed(listing.title or "photo", self.version) for listing in listings])

    def _answer(self, listing):
        levels = ("master_category", "sub_category", "article_type")
        categories = {level: [(f"{level} {i}", 0.5 / 2**i) for i in range(5)] for level in levels}
        embedding = np.zeros(1024, dtype=np.float32)
        embedding[0], embedding[1] = 0.6, 0.8
        categories |= {level: [] for level in levels if level in self.lacks}
        price = None if "price" in self.lacks else PriceEstimate(100.123, 50.0, 200.0)
        seen = tuple(name for name in ("title", "description", "image") if getattr(listing, name))
        faults = {kind: i / 10 for i, kind in enumerate(KINDS)}
        quality = QualityEstimate(0.25, faults)
        answers = {"category": categories, "price": price, "embedding": embedding, "quality": quality}
        return ProductPrediction(answers, seen, self.lacks)

    def predict_reviews(self, reviews):
        if not self.opinionated:
            raise NotSupported("this version was trained without reviews")
        if any(review.title == "refused" for review in reviews):
            raise VitrinaError("review 0 is refused")
        self.reviews.extend(reviews)
        time.sleep(self.seconds)
        good = [(review.title + review.text).count("good") for review in reviews]
        return [Sentiment(0.5, 3.123) if count == 1 else Sentiment(0.9 if count else 0.1, 4.0) for count in good]


class Recommender:
    """Recommends what follows from what it was asked, in the form of the recommender."""

    name = "recommender"

    def __init__(self, version):
        self.version = version
        self.asked = []
        self.seconds = 0.0
        self.known = True

    def lists(self, product_id):
        return product_id in ("7", "next 1")

    def known_users(self, counts):
        if not self.known:
            raise NotSupported("this version knows no user who bought anything")
        bought = (Bought(7, "Blue Denim Jacket", 2199.5, "Jackets"), Bought("next 1"))
        return [[KnownUser(f"user {place}" if place else 5, 2, bought) for place in range(min(count, 12))] for count in counts]

    def recommend(self, queries):
        self.asked.extend(queries)
        time.sleep(self.seconds)
        if any("refused" in query.categories for query in queries):
            raise VitrinaError("this catalogue has no category 'refused'; it has: Shirts, Shoes")
        if any("crash" in query.categories for query in queries):
            raise RuntimeError("a bug")
        return [self._answer(query) for query in queries]

    def _answer(self, query):
        seen = [event.item_id for event in query.events]
        known = query.user_id == "known"
        reason = Reason("bought_next", f"Often bought after {seen[-1]}.", 0.25, seen[-1], ("Fabric: Cotton",)) if seen else None
        reason = reason or Reason("popular", "Bought by many.", 0.5)
        items = [
            Recommendation(
                f"next {i}" if i else 7,
                1.0 - i / 200,
                {"graph": 0.7 - i / 200, "sequence": 0.3},
                reason,
                *((None, None, None) if i else ("Blue Denim Jacket", 2199.5, "Jackets")),
            )
            for i in range(query.num_recs)
        ]
        basis = "history" if known else "session" if seen else "popularity"
        ignored = tuple(item for item in seen if item == "unknown")
        return Recommendations(tuple(items), basis, len(seen) + 2 * known, ignored, 0.75 if seen else None, 0.5)


class Fewshot:
    """Nearest centroids of words, in the form of the few-shot model; features of two bases have nothing in common."""

    name = "fewshot"
    learners = ("centroids", "photographs")
    false_rejection = 0.05

    def __init__(self, version, base_version=1):
        self.version = version
        self.base = BaseVersion(model="product", version=base_version, digest=f"{base_version:064x}")
        self.lessons = []
        self.asked = []
        self.started = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def adapt(self, lessons):
        self.lessons.extend(lessons)
        self.started.set()
        assert self.may_answer.wait(10)
        return [self._adapt(lesson) for lesson in lessons]

    def classify(self, questions):
        self.started.set()
        assert self.may_answer.wait(10)
        for question in questions:
            self._check(question.task)
        self.asked.extend(questions)
        return [self._answer(question.task, self._features(question.listing)) for question in questions]

    def _adapt(self, lesson):
        before = lesson.before
        if before is not None:
            self._check(before)
        learner = lesson.learner or (before.learner if before else "centroids")
        if learner not in self.learners:
            raise NotSupported(f"this version has no learner {learner!r}")
        classes = tuple(dict.fromkeys([*(before.classes if before else ()), *(example.label for example in lesson.examples)]))
        codes = np.array([classes.index(example.label) for example in lesson.examples], dtype=np.int64)
        features = np.stack([self._features(example.listing) for example in lesson.examples])
        photos = None
        if learner == "photographs":
            for place, example in enumerate(lesson.examples):
                if example.listing.image is None:
                    raise VitrinaError(f"example {place} has no photo")
            photos = np.stack([decode(example.listing.image, (2, 2)) for example in lesson.examples])
        if before is not None:
            codes, features = np.concatenate([before.codes, codes]), np.concatenate([before.features, features])
            photos = photos if photos is None else np.concatenate([before.photos, photos])
        centroids = np.stack([features[codes == code].mean(axis=0) for code in range(len(classes))])
        lone = len(codes) == len(classes)
        pair = Confusable(labels=classes[:2], confusion=0.25, hint=f"add examples of {classes[0]!r}")
        measures = Measures(left_out_accuracy=None if lone else 0.75, left_out=0 if lone else len(codes), hardest=pair)
        made_by = f"weights {self.version}"
        return Task(learner, classes, codes, features, photos, {"centroids": centroids}, self.base, made_by, measures)

    def _answer(self, task, features):
        similar = task.state["centroids"] @ features
        shares = np.exp(10 * similar) / np.exp(10 * similar).sum()
        stranger = float(1 - np.clip(similar.max(), 0, 1))
        label = task.classes[int(similar.argmax())] if stranger <= 0.5 else None
        probabilities = {name: float(share) for name, share in zip(task.classes, shares, strict=True)}
        return Classified(label, probabilities, stranger, float(similar.max()), 0.5)

    def _check(self, task):
        if task.base.digest != self.base.digest:
            raise OutdatedTask(task.base, self.base)
        if task.learner not in self.learners:
            raise NotSupported(f"this version has no learner {task.learner!r}")

    def _features(self, listing):
        if listing.title == "refused":
            raise VitrinaError("listing 0 is refused")
        if listing.title == "crash":
            raise RuntimeError("a bug")
        vector = np.full(64, 1e-3, dtype=np.float32)
        for word in f"{listing.title or ''} {listing.description or ''}".split():
            vector[zlib.crc32(f"{self.base.version} {word}".encode()) % 64] += 1
        return vector / np.linalg.norm(vector)


class Quality:
    """Finds the more fault the less is said, in the form of the quality model."""

    name = "quality"

    def __init__(self, version):
        self.version = version
        self.base = BaseVersion(model="product", version=7, digest=f"{7:064x}")
        self.asked = []
        self.seconds = 0.0

    def predict(self, candidates):
        self.asked.extend(candidates)
        time.sleep(self.seconds)
        if any(candidate.listing.title == "refused" for candidate in candidates):
            raise VitrinaError("listing 0 is refused")
        if any(candidate.listing.title == "crash" for candidate in candidates):
            raise RuntimeError("a bug")
        return [self._answer(candidate.listing) for candidate in candidates]

    def _answer(self, listing):
        lacking = Evidence(
            "No Sleeve Length; 97 % of 1,204 Kurtas give it.", {"attribute": "Sleeve Length", "share": 0.97, "of": 1204}
        )
        shown = Evidence("The photo shows Kurtas.", {"types": ("Kurtas", "Tunics")})
        described = Evidence("The description has 3 words.", {"words": 3})
        axes = {
            "title": AxisScore(0.9, ()),
            "description": AxisScore(0.8 if listing.description else 0.1, (described,)),
            "attributes": AxisScore(0.4, (lacking, shown)),
        }
        add = Improvement("attributes", "Give the Sleeve Length.", {"attributes.Sleeve Length": "Long"}, 0.91, 0.7, 0.2)
        price = Improvement("price", "Ask for less.", {"price": 799.5}, None, 0.6, 0.1, low=310.0, high=820.0)
        longer = Improvement("description", "Write a longer description.", {}, None, 0.55, 0.05)
        return Assessment(
            score=0.5,
            verdict="hold",
            threshold=0.625,
            axes=axes,
            left_out={"photo": "this version was trained without photos"},
            improvements=(add, price, longer),
            faults={kind: i / 10 for i, kind in enumerate(KINDS)},
            modalities=tuple(name for name in ("title", "description", "image") if getattr(listing, name)),
            article_type=listing.categories.get("article_type", "Kurtas"),
        )


class Describer:
    """Says what it was given, in the form of the describer."""

    name = "describer"

    def __init__(self, version):
        self.version = version
        self.asked = []
        self.seconds = 0.0

    def predict(self, briefs):
        self.asked.extend(briefs)
        time.sleep(self.seconds)
        for place, brief in enumerate(briefs):
            if brief.listing.title == "refused":
                raise VitrinaError(f"listing {place} gives nothing to write of")
        if any(brief.listing.title == "crash" for brief in briefs):
            raise RuntimeError("a bug")
        return [self._answer(brief) for brief in briefs]

    def _answer(self, brief):
        facts = tuple(Fact(name, value) for name, value in brief.listing.fields.items())
        stated = Sentence("It is " + " and ".join(fact.value for fact in facts) + ".", facts)
        keywords = [
            Keyword(word, word != "waterproof", "the listing does not say so" if word == "waterproof" else None)
            for word in brief.keywords
        ]
        return Description(
            seo_title=Sentence((brief.listing.title or "Untitled")[:60], ()),
            meta_description=Sentence(f"For {brief.audience}."[:155], ()),
            description=(Sentence(f"A {brief.tone} text, number {brief.seed}.", ()), stated),
            bullets=(stated,),
            unsaid=tuple(Fact(name, value) for name, value in brief.listing.attributes.items()),
            not_given=("Fabric",),
            keywords=tuple(keywords),
            article_type=brief.listing.categories.get("article_type"),
        )


class Imagegen:
    """Draws one colour a seed, a step every `seconds` while it is `going`, in the form of the image generator."""

    name = "imagegen"
    sizes = ((64, 64), (48, 64))

    def __init__(self, version):
        self.version = version
        self.base = BaseVersion(model="product", version=7, digest=f"{7:064x}")
        self.asked = []
        self.ended = []
        self.seconds = 0.0
        self.started, self.going = threading.Event(), threading.Event()
        self.going.set()

    def predict(self, prompts):
        self.asked.extend(prompts)
        self.started.set()
        self.going.wait(60)
        return [self._answer(self._resolved(prompt)) for prompt in prompts]

    def _resolved(self, prompt):
        if prompt.text == "refused":
            raise VitrinaError("the prompt holds no word that is read")
        if prompt.text == "crash":
            raise RuntimeError("a bug")
        if prompt.text == "vast":
            raise OutOfMemory("memory is not enough for 1 image of 64x64; ask for fewer candidates or a smaller size")
        if prompt.size not in (None, *self.sizes):
            offered = ", ".join(f"{width}x{height}" for width, height in self.sizes)
            raise VitrinaError(f"size {prompt.size[0]}x{prompt.size[1]} is not offered; this version draws {offered}")
        guidance = 3.5 if prompt.guidance is None else prompt.guidance
        return replace(prompt, size=prompt.size or self.sizes[0], guidance=guidance, negative=prompt.negative or "blurry")

    def _answer(self, prompt):
        total = prompt.steps * prompt.candidates
        for step in range(1, total + 1):
            time.sleep(self.seconds)
            if prompt.watch is not None:
                try:
                    prompt.watch(step, total)
                except VitrinaError:
                    self.ended.append(step)
                    raise
        pictures = [self._picture(prompt, prompt.seed + place) for place in range(prompt.candidates)]
        unknown = tuple(word for word in prompt.text.split() if word.startswith("x"))
        return Drawing(prompt, tuple(sorted(pictures, key=lambda picture: -picture.score.overall)), unknown)

    def _picture(self, prompt, seed):
        width, height = prompt.size
        pixels = np.full((height, width, 3), seed % 256, dtype=np.uint8)
        pixels[8:-8, 8:-8] = (200, 30, 30)
        overall = (seed % 10) / 10 + 0.0123456789
        return Picture(
            pixels, seed, Score(overall, 0.5, 0.25, 0.75, 1.0, Nearest("1163", 0.125, seed % 2 == 1), ("Shirts", 0.625))
        )


@dataclass
class Source:
    """A registry in memory; `error` is every model's, `errors` are single models'. Another `registry` has other bundles."""

    at: int = 1
    registry: str = "the first"
    predictors: dict = field(default_factory=dict)
    recommenders: dict = field(default_factory=dict)
    fewshots: dict = field(default_factory=dict)
    qualities: dict = field(default_factory=dict)
    describers: dict = field(default_factory=dict)
    imagers: dict = field(default_factory=dict)
    shops: dict = field(default_factory=dict)
    error: Exception | None = None
    errors: dict = field(default_factory=dict)
    challengers: dict = field(default_factory=dict)
    registered: list = field(default_factory=list)
    asked: int = 0

    def versions(self, model, limit):
        self.asked += 1
        if error := self.errors.get(model, self.error):
            raise error
        return [(version, run) for version, run in self.registered if version.model == model][:limit]

    def challenger(self, model):
        if error := self.errors.get(model, self.error):
            raise error
        return self.challengers.get(model)

    def champion(self, model):
        if error := self.errors.get(model, self.error):
            raise error
        return self.at

    def load(self, model, version):
        if model == "recommender":
            return self.recommenders.setdefault(version, Recommender(version))
        if model == "fewshot":
            return self.fewshots.setdefault(version, Fewshot(version))
        if model == "quality":
            return self.qualities.setdefault(version, Quality(version))
        if model == "describer":
            return self.describers.setdefault(version, Describer(version))
        if model == "imagegen":
            return self.imagers.setdefault(version, Imagegen(version))
        return self.predictors.setdefault(version, Predictor(version))

    def digest(self, model, version):
        return f"{model} {version} of {self.registry}"

    def index(self, model, version):
        if not isinstance(self.predictors.get(version), Predictor):
            return None  # a trained model, which places products in a space of its own
        shop = self.shops.get(version, SHOP)
        return None if shop is None else index_of(shop, version)

    def settled(self, model):
        pass


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def settings(tmp_path):
    return settings_of(tmp_path)


@pytest.fixture(scope="module")
def config():
    """How the module's applications are set up."""
    return CONFIG


@contextmanager
def serving(home, config):
    """A client of an application with its databases in `home`."""
    with TestClient(create_app(settings_of(home), config, Source()), raise_server_exceptions=False) as made:
        wait_until(lambda: made.get("/readyz").status_code == 200)
        yield made


@pytest.fixture(scope="module")
def steady(tmp_path_factory, config):
    """One application for all tests of a module that only look at answers."""
    with serving(tmp_path_factory.mktemp("steady"), config) as made:
        yield made


@pytest.fixture
def client(settings, config, source):
    with TestClient(create_app(settings, config, source), raise_server_exceptions=False) as made:
        wait_until(lambda: made.get("/readyz").status_code == 200 or source.error)
        yield made


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def photo(kind="JPEG", size=(60, 80)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(buffer, kind)
    return buffer.getvalue()


def refused(response, status, code, field=None):
    """The response is an error of the API's one form, on one line."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"code", "message", "field"}
    assert (error["code"], error["field"]) == (code, field), error
    assert "\n" not in error["message"]
    assert 0 < len(error["message"]) <= 600
    return error["message"]


@pytest.fixture
def trained_bundle(tmp_path):
    """A copy of the committed product bundle."""
    return committed.copied("product", tmp_path / "trained")


def taken(document, path, method="post", kind="application/json"):
    """Schema of the body that a route takes, with what it refers to filled in."""
    schemas = document["components"]["schemas"]

    def filled(node):
        if isinstance(node, list):
            return [filled(part) for part in node]
        if not isinstance(node, dict):
            return node
        node = schemas[node["$ref"].rpartition("/")[2]] | node if "$ref" in node else node
        return {name: filled(part) for name, part in node.items() if name != "$ref"}

    return filled(document["paths"][path][method]["requestBody"]["content"][kind]["schema"])
