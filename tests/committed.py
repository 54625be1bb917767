"""The bundles that tests answer from: trained once on the sample catalogue, and committed with what they answered then.

After a change of what a bundle holds, make them again and commit what comes out:

    PYTHONPATH=. OMP_NUM_THREADS=1 python tests/committed.py product recommender fewshot quality describer imagegen

The few-shot model, the quality model and the image generator rest on the product model: where that changes, all four are made
again. They are committed without their copy of it.
"""

import atexit
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bundles import COLOURS, draw

from catalog.catalogue import Catalogue
from catalog.listing import Listing
from catalog.sample import write_sample
from configs.load import load
from configs.schema import RunConfig
from models import family
from models.bundles import BASE, BASE_VERSION, content_sha256
from models.describer.answers import Brief
from models.family import Base
from models.fewshot.answers import Example, Lesson, Question
from models.imagegen.answers import Prompt
from models.product.cleaning import clean_review
from models.quality.answers import Candidate
from models.recommender.answers import Event, Query

FOLDER = Path(__file__).parent / "behaviour"
BUNDLES = FOLDER / "bundles"
PRODUCTS = {"product": 1500, "recommender": 600, "fewshot": 1500, "quality": 1500, "describer": 400, "imagegen": 400}
"""Size of the sample catalogue that each was trained on."""

COLD = 99_001
"""Product of the recommender's catalogue that nobody has bought; it is the same as a pair of jeans that people buy."""

LISTINGS = {
    "title": Listing(title="Kestrel Men Blue Jeans"),
    "photo": Listing(image=draw("triangle", COLOURS["Red"], np.random.default_rng(0))),
    "words": Listing(
        title="Nordlys Edition", description="<p>A smart black watch from Nordlys.</p>", fields={"brand": "Nordlys"}
    ),
    "facts": Listing(price=1200.0, categories={"master_category": "Bags"}, attributes={"Closure": "Zip"}),
    "all": Listing(
        title="Pico Women Red Dress",
        description="A chic red dress for weddings.",
        price=900.0,
        image=draw("triangle", COLOURS["Red"], np.random.default_rng(1)),
        categories={"master_category": "Apparel", "sub_category": "Dress", "article_type": "Dresses"},
        fields={"brand": "Pico", "gender": "Women", "base_colour": "Red"},
    ),
}
REVIEWS = {
    "glad": clean_review("Love it!", "Lovely soft material. Would buy again."),
    "cross": clean_review("Sending it back", "The fit is odd. Fell apart after two weeks."),
    "short": clean_review("Okay", None),
}
QUERIES = {
    "visitor": Query(),
    "user": Query(user_id=3),
    "session": Query(events=(Event(10_005), Event(10_010, "view"))),
    "diverse": Query(user_id=17, diversity=0.5),
}
LESSON = [
    Example(label, Listing(title=title, image=draw(shape, COLOURS[colour], np.random.default_rng(seed))))
    for seed, (label, title, shape, colour) in enumerate(
        [
            ("scarf", "Kestrel Women Red Scarf", "rectangle", "Red"),
            ("scarf", "Nordlys Unisex Wool Scarf", "rectangle", "Blue"),
            ("boots", "Alder & Finch Men Black Boots", "ellipse", "Black"),
            ("boots", "Casa Verano Brown Boots for Women", "ellipse", "Green"),
            ("watch", "Pico Women Steel Watch", "ring", "Black"),
            ("watch", "Oakline Men Chronograph Watch", "ring", "Blue"),
        ]
    )
]
"""What the few-shot model is taught."""

ASKED = {
    "scarf": Listing(title="Oakline Green Scarf", image=draw("rectangle", COLOURS["Green"], np.random.default_rng(7))),
    "watch": Listing(title="Nordlys Watch for Men", image=draw("ring", COLOURS["Red"], np.random.default_rng(8))),
    "stranger": Listing(title="Mirabelle Girls Party Dress", image=draw("triangle", COLOURS["Red"], np.random.default_rng(9))),
}


def bundle(model: str) -> Path:
    """The committed bundle of a model; nothing may be written into it."""
    return _with_base(model) if (BUNDLES / model / BASE_VERSION).exists() else BUNDLES / model


@cache
def _with_base(model: str) -> Path:
    """The bundle of a model that rests on another, with its copy of that: it is not committed twice."""
    folder = Path(tempfile.mkdtemp(prefix="vitrina-bundle-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shutil.copytree(BUNDLES / model, folder, dirs_exist_ok=True)
    shutil.copytree(bundle("product"), folder / BASE)
    return folder


def base(model: str) -> Base | None:
    """The committed champion that a model is trained with."""
    on = family.get(model).rests_on
    return None if on is None else Base(on, 1, content_sha256(bundle(on)), bundle(on))


def copied(model: str, folder: Path) -> Path:
    """Its copy in the new `folder`, for whoever seals or damages it."""
    return Path(shutil.copytree(bundle(model), folder))


def answers(model: str) -> Path:
    """What it answered when it was made."""
    return BUNDLES / f"{model}.json"


def config(model: str) -> RunConfig:
    """What it was trained with."""
    return load(family.get(model).config, FOLDER / f"{model}.yaml")


def catalogue(model: str, folder: Path) -> Catalogue:
    """What it was trained on, written into the new `folder`."""
    write_sample(folder, products=PRODUCTS[model])
    if model == "recommender":
        _add_cold(folder)
    return Catalogue.open(folder)


def _add_cold(folder: Path) -> None:
    products, listed = (pd.read_parquet(folder / f"{name}.parquet") for name in ("products", "item_attributes"))
    jeans = products[products["article_type"] == "Jeans"].iloc[:1]
    same = listed[listed["item_id"] == jeans["product_id"].iloc[0]].assign(item_id=COLD)
    pd.concat([products, jeans.assign(product_id=COLD, title="Cold")]).to_parquet(folder / "products.parquet", index=False)
    pd.concat([listed, same]).to_parquet(folder / "item_attributes.parquet", index=False)


def product_answers(predictor: Any) -> dict[str, dict[str, float]]:
    """Every number that the model says of `LISTINGS` and `REVIEWS`; of probabilities, those that are no trifle."""
    said: dict[str, dict[str, float]] = {}
    for name, found in zip(LISTINGS, predictor.predict(list(LISTINGS.values())), strict=True):
        likely = {f"{level} {value}": p for level, best in found.categories.items() for value, p in best if p > 0.05}
        price = {"price": found.price.median, "price low": found.price.low, "price high": found.price.high}
        said[name] = likely | price | dict(found.quality.faults) | {"quality": found.quality.score}
        said[name] |= {f"embedding {i}": float(found.embedding[i]) for i in range(0, len(found.embedding), 128)}
    for name, opinion in zip(REVIEWS, predictor.predict_reviews(list(REVIEWS.values())), strict=True):
        said[name] = {"recommended": opinion.recommended, "rating": opinion.rating}
    return said


def recommender_answers(predictor: Any) -> dict[str, dict[str, float]]:
    """The score of each item that is recommended for `QUERIES`."""
    answers = predictor.recommend(list(QUERIES.values()))
    return {name: {str(x.item_id): x.score for x in found.items} for name, found in zip(QUERIES, answers, strict=True)}


def fewshot_answers(predictor: Any) -> dict[str, dict[str, float]]:
    """What tasks of two learners say of `ASKED`."""
    said = {}
    for learner in ("shrunk_prototypes", "photo_prototypes"):
        [task] = predictor.adapt([Lesson(LESSON, learner=learner)])
        for name, found in zip(ASKED, predictor.classify([Question(task, x) for x in ASKED.values()]), strict=True):
            numbers = {"stranger": found.stranger, "similarity": found.similarity, "familiarity": found.familiarity}
            said[f"{learner} {name}"] = dict(found.probabilities) | numbers
    return said


def quality_answers(predictor: Any) -> dict[str, dict[str, float]]:
    """The score of each axis of `LISTINGS`, of the whole, and after each improvement."""
    said = {}
    for name, found in zip(LISTINGS, predictor.predict([Candidate(x) for x in LISTINGS.values()]), strict=True):
        axes = {f"axis {axis}": told.score for axis, told in found.axes.items()}
        after = {f"{one.axis}: {one.text}": one.score_after for one in found.improvements}
        said[name] = {"score": found.score, "threshold": found.threshold} | axes | after
    return said


BRIEFS = {
    "all": Brief(LISTINGS["all"]),
    "watch": Brief(
        Listing(
            title="Nordlys Men Black Watch",
            categories={"article_type": "Watches"},
            fields={"brand": "Nordlys", "gender": "Men", "base_colour": "Black"},
            attributes={"Material": "Steel", "Display": "Analogue"},
        ),
        audience="men",
        tone="premium",
    ),
    "brand": Brief(Listing(fields={"brand": "Pico"})),
}
"""What the describer is asked; what it draws hangs on the last digit of a sum, so that its likeliest first words are compared."""


def describer_answers(predictor: Any) -> dict[str, dict[str, float]]:
    """The likeliest first tokens of each text, and their probabilities."""
    said: dict[str, dict[str, float]] = {}
    for name, brief in BRIEFS.items():
        for part, likely in predictor.writer.first_tokens(brief).items():
            said[f"{name} {part}"] = {token: p for token, p in likely.items() if p > 0.05}
    return said


PROMPTS = {
    "jeans": Prompt("Kestrel Men Blue Jeans", seed=1, steps=10),
    "watch": Prompt("Nordlys Men Black Watch", style="vintage", guidance=2.0, seed=2, steps=10, sampler="ddim"),
    "dress": Prompt("Pico Women Red Dress", negative="Kestrel Men Blue Jeans", seed=3, steps=12),
}


def imagegen_answers(predictor: Any) -> dict[str, dict[str, float]]:
    """Scores and mean colours, on a grid of 2 x 2, of what is drawn for `PROMPTS`."""
    said = {}
    for name, drawing in zip(PROMPTS, predictor.predict(list(PROMPTS.values())), strict=True):
        pixels, score = drawing.best.pixels, drawing.best.score
        means = pixels.reshape(2, pixels.shape[0] // 2, 2, pixels.shape[1] // 2, 3).mean(axis=(1, 3)) / 255
        colours = {f"colour {place}": float(value) for place, value in enumerate(means.ravel())}
        parts = {part: getattr(score, part) for part in ("overall", "agreement", "exposure", "white_background")}
        said[name] = parts | {"distance": score.nearest.distance} | colours
    return said


SAID: dict[str, Callable[[Any], dict[str, dict[str, float]]]] = {
    "product": product_answers,
    "recommender": recommender_answers,
    "fewshot": fewshot_answers,
    "quality": quality_answers,
    "describer": describer_answers,
    "imagegen": imagegen_answers,
}


def make(model: str) -> Path:
    """Train it, and put it in the place of the bundle that is there."""
    chosen, settings, out = family.get(model), config(model), BUNDLES / model
    with tempfile.TemporaryDirectory() as scratch:
        shop = catalogue(model, Path(scratch) / "catalogue")
        split = chosen.split(shop, settings)
        augmented = chosen.augment(shop, split, settings)
        trained = chosen.train(shop, split, augmented, settings, Path(scratch) / "work", base=base(model))
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(trained, out, ignore=shutil.ignore_patterns(BASE))
    said = SAID[model](chosen.load(bundle(model), "cpu"))
    answers(model).write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return out


if __name__ == "__main__":
    for wanted in sys.argv[1:] or list(SAID):
        made = make(wanted)
        sys.stdout.write(f"{made}: {sum(path.stat().st_size for path in made.iterdir()) / 1e6:.2f} MB\n")
