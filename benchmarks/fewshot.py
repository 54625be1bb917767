"""How well are new types learned from a handful of examples, beside what others reach on the very same episodes?

Everything is measured on article types of Myntra that no part has seen: the `product` behind the features was trained without
them (`benchmarks.fewshot_product`), the learners on other types again. Peers in the same run: ProtoNet, the nearest centroid and
logistic regression in the model's own code path, the same conv-4 net under MAML and as ProtoNet, and, where it is installed
(`pip install easyfsl`), easy-few-shot-learning on the same features.

    python -m benchmarks.fewshot_product --out DIR
    python -m benchmarks.fewshot --run DIR [--test] [--set model.photo_maml.max_minutes=40]

Without `--test` meta-validation types are measured, on which choices are made; with it the meta-test types, once.
"""

import argparse
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.fewshot_product import DATA, TYPES
from benchmarks.machine import write
from catalog.catalogue import Catalogue, listing_of
from configs.load import environment_file, load
from models import family
from models.bundles import BUNDLE, content_sha256
from models.evaluation.bootstrap import mean_interval
from models.evaluation.latency import one_thread
from models.family import Base
from models.fewshot.answers import Classified, Example, Lesson, Question, Task
from models.fewshot.base_types import unit
from models.fewshot.calibration import support_of
from models.fewshot.config import DEFAULT, FewshotRunConfig
from models.fewshot.episodes import Episode, EpisodesConfig, episodes, possible
from models.fewshot.learner import Learner, Support
from models.fewshot.learners.shrunk_prototypes import ShrunkPrototypes
from models.fewshot.pools import PhotosAlone, pool_of
from models.fewshot.predictor import FewshotPredictor

GOALS = {
    "accuracy_5way_1shot": 0.90,
    "accuracy_5way_5shot": 0.97,
    "accuracy_20way_5shot": 0.90,
    "accuracy_novel_5way_5shot": 0.85,
    "unknown_rejection at 5 % false rejections": 0.60,
    "one at a time below all at once": 0.03,
    "adapt_p95_ms, features ready": 10,
    "adapt_p95_ms, beyond the extraction": 100,
}
SETTINGS = ((5, 1), (5, 5), (20, 5))
CLASSES = 50
"""Classes that are added one at a time."""
REPEATS = 3
PULL = 0.5
"""How much past classes pull where the base types were chosen not to."""
CALLS = 300
"""Adaptations that are timed."""


def main() -> None:
    """Train the learners on the features, measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of `benchmarks.fewshot_product`")
    parser.add_argument("--test", action="store_true", help="measure the meta-test types, not those that choices are made on")
    parser.add_argument("--set", action="append", default=[], dest="overrides", help="override a value of the configuration")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    catalogue = Catalogue.open(DATA / "myntra")
    folder, config, seconds = trained(options.run, catalogue, options.overrides)
    split = "unseen" if options.test else "validation"
    fewshot, predictor = family.get("fewshot"), FewshotPredictor.load(folder, "cpu")
    evaluation = fewshot.evaluate(folder, catalogue, config.evaluation, split).evaluation
    asked = Asked(predictor, catalogue, split)
    result = {
        "split": split,
        "threads": torch.get_num_threads(),
        "types": {part: list(predictor.settings.types.values()).count(part) for part in ("train", "validation", "test", "novel")},
        "learners": {str(shots): name for shots, name in predictor.settings.chosen.items()},
        "training_seconds": seconds,
        "goals": GOALS,
        "metrics": {name: value if value is None else round(value, 4) for name, value in evaluation.flat().items()},
        "not_applicable": evaluation.not_applicable,
        "easyfsl": asked.easyfsl(),
        "photos_alone": asked.photos_alone(),
        "one_at_a_time": asked.one_at_a_time(),
        "past_tasks": asked.past_tasks(),
        "adapting": asked.adapting(),
    }
    write(f"fewshot_{'test' if options.test else 'validation'}", result)


def trained(run: Path, catalogue: Catalogue, overrides: Sequence[str]) -> tuple[Path, FewshotRunConfig, float]:
    """The bundle of the learners, trained where it is not there yet, its configuration, and the seconds that took."""
    novel = f"model.types.novel={list(TYPES.novel)}"
    config = load(FewshotRunConfig, environment_file("base", "fewshot"), [novel, *overrides])
    product = run / "run" / BUNDLE
    base = Base("product", 1, content_sha256(product), product)
    fewshot, started = family.get("fewshot"), time.monotonic()
    split = fewshot.split(catalogue, config)
    folder = run / "fewshot" / BUNDLE
    if not folder.is_dir():
        folder = fewshot.train(catalogue, split, fewshot.augment(catalogue, split, config), config, run / "fewshot", base=base)
    return folder, config, round(time.monotonic() - started, 1)


class Asked:
    """What is measured beside `vitrina evaluate`, on the same types."""

    def __init__(self, predictor: FewshotPredictor, catalogue: Catalogue, split: str) -> None:
        self.predictor, self.catalogue = predictor, catalogue
        settings = predictor.settings
        self.config: EpisodesConfig = settings.config.model.episodes
        part = catalogue.products()["article_type"].map(settings.types)
        wanted = ["validation"] if split == "validation" else ["test"]
        products = catalogue.products().drop_duplicates("product_id")
        self.products = products[part.reindex(products.index).isin([*wanted, "novel"])].groupby("article_type").head(100)
        self.pool = pool_of(catalogue, self.products, predictor.embedder, settings.config.model)
        self.tested = self.pool.of_types([name for name in self.pool.types if settings.types.get(name) in wanted])

    def easyfsl(self) -> dict[str, Any]:
        """Accuracy of easy-few-shot-learning's methods on the same features and episodes, and ours."""
        try:
            from easyfsl.methods import Finetune, PrototypicalNetworks, SimpleShot
        except ImportError:
            return {"not measured": "easyfsl is not installed"}
        learner = self.predictor.fitted.learners[DEFAULT]
        assert isinstance(learner, ShrunkPrototypes)
        middle = torch.from_numpy(learner.base.mean)
        methods: dict[str, Callable[[], Any]] = {
            "PrototypicalNetworks": PrototypicalNetworks,
            "SimpleShot": lambda: SimpleShot(feature_centering=middle, feature_normalization=2.0),
            "Finetune": Finetune,
        }
        found: dict[str, Any] = {}
        for ways, shots in SETTINGS:
            if len(possible(self.tested, shots)) < ways:
                continue
            drawn = list(episodes(self.tested, ways, shots, self.config.measuring, self.config))
            told = {name: [self._right(e, _theirs(make)) for e in drawn] for name, make in methods.items()}
            default = self.predictor.fitted.learners[self.predictor.settings.learner_for(shots)]
            told["vitrina"] = [self._right(e, _ours(default)) for e in drawn]
            found[f"{ways}way_{shots}shot"] = {name: _summary(values) for name, values in told.items()}
        return found

    def _right(self, episode: Episode, adapt: Callable[[Support], Callable[[Any], NDArray[Any]]]) -> float:
        scores = adapt(support_of(self.tested, episode, "features"))(self.tested.features[episode.query])
        return float((scores.argmax(axis=1) == episode.query_codes).mean())

    def photos_alone(self) -> dict[str, Any]:
        """Of tasks whose examples and questions are photos without a word: accuracy, and what is rejected."""
        settings = self.predictor.settings
        pool = pool_of(self.catalogue, self.products, PhotosAlone(self.predictor.embedder), settings.config.model)
        pool = pool.of_types([name for name in pool.types if name in self.tested.types])
        found: dict[str, Any] = {}
        for shots in (1, 5):
            told: dict[str, list[float]] = {"accuracy": [], "false_rejection": [], "unknown_rejection": []}
            for episode in episodes(pool, 5, shots, self.config.measuring, self.config):
                labels = [pool.types[code] for code in episode.types]
                features = pool.features[episode.support]
                task = self.predictor.taught(settings.learner_for(shots), labels, episode.support_codes, features)
                rows = np.concatenate([episode.query, episode.strangers])
                answers = list(self.predictor.answers(task, pool.features[rows], pool.features[rows]))
                members, strangers = answers[: len(episode.query)], answers[len(episode.query) :]
                best = [_likeliest(answer) for answer in members]
                true = [labels[code] for code in episode.query_codes]
                told["accuracy"].append(float(np.mean([a == b for a, b in zip(best, true, strict=True)])))
                told["false_rejection"].append(float(np.mean([answer.label is None for answer in members])))
                told["unknown_rejection"].append(float(np.mean([answer.label is None for answer in strangers])))
            found[f"5way_{shots}shot"] = {name: _summary(values) for name, values in told.items()}
        return found

    def one_at_a_time(self) -> dict[str, Any]:
        """Accuracy over many classes, taught one at a time by extending a task, and taught all at once."""
        rows = self.products.set_index("product_id", drop=False)
        possible_types = possible(self.pool, 5)
        count = min(CLASSES, len(possible_types))
        grown, whole, growing = [], [], []
        for repeat in range(REPEATS):
            rng = np.random.default_rng((self.config.seed, repeat))
            chosen = rng.choice(possible_types, count, replace=False)
            shuffled = {code: rng.permutation(self.pool.rows[code]) for code in chosen}
            taught = {code: self._examples(rows, self.pool.types[code], shuffled[code][:5]) for code in chosen}
            task, steps = None, []
            for place, code in enumerate(chosen):
                if place == 0:
                    continue
                new = taught[code] if task else [*taught[chosen[0]], *taught[code]]
                started = time.perf_counter()
                [task] = self.predictor.adapt([Lesson(new, before=task)])
                steps.append(time.perf_counter() - started)
            [once] = self.predictor.adapt([Lesson([example for code in chosen for example in taught[code]])])
            assert task is not None
            asked = [(code, row) for code in chosen for row in shuffled[code][5:20]]
            grown.append(self._accuracy(rows, task, asked))
            whole.append(self._accuracy(rows, once, asked))
            growing += steps
        return {
            "classes": count,
            "shots": 5,
            "repeats": REPEATS,
            "one_at_a_time": round(float(np.mean(grown)), 4),
            "all_at_once": round(float(np.mean(whole)), 4),
            "longest_step_ms": round(1000 * max(growing), 1),
        }

    def _examples(self, rows: Any, label: str, places: NDArray[np.int64]) -> list[Example]:
        return [Example(label, self._listing(rows, place)) for place in places]

    def _listing(self, rows: Any, place: int) -> Any:
        product_id = self.pool.product_ids[place]
        return listing_of(rows.loc[product_id].to_dict(), self.catalogue.images.get(product_id))

    def _accuracy(self, rows: Any, task: Task, asked: Sequence[tuple[int, int]]) -> float:
        """Share of products whose most probable class is theirs, whether they would be rejected or not."""
        found = self.predictor.classify([Question(task, self._listing(rows, place)) for _, place in asked])
        best = [_likeliest(answer) for answer in found]
        return float(np.mean([label == self.pool.types[code] for label, (code, _) in zip(best, asked, strict=True)]))

    def past_tasks(self) -> dict[str, Any]:
        """Does it help to draw classes to those of past tasks as well? Accuracy by what the memory holds.

        `same types` is a memory of tasks that taught the very types of the new one, by other examples; `other types` one of
        types that are none of its classes.
        """
        learner = self.predictor.fitted.learners[DEFAULT]
        assert isinstance(learner, ShrunkPrototypes)
        pulled = replace(learner.choice, pull=learner.choice.pull or PULL)
        found: dict[str, Any] = {}
        for shots in (1, 5):
            told: dict[str, list[float]] = {"nothing": [], "other types": [], "same types": []}
            for place, episode in enumerate(episodes(self.tested, 5, shots, self.config.measuring, self.config)):
                rng = np.random.default_rng((self.config.seed, shots, place))
                told["nothing"].append(self._right(episode, _ours(learner)))
                for name, same in (("other types", False), ("same types", True)):
                    past = [learner.base.see(self.tested.features[rows]).mean(0) for rows in self._remembered(episode, same, rng)]
                    base = replace(learner.base, prototypes=np.concatenate([learner.base.prototypes, unit(np.stack(past))]))
                    warm = ShrunkPrototypes(base, pulled, learner.temperatures)
                    told[name].append(self._right(episode, _ours(warm)))
            found[f"5way_{shots}shot"] = {name: _summary(values) for name, values in told.items()}
            found[f"5way_{shots}shot"] |= {
                f"{name} minus nothing": _summary(np.subtract(told[name], told["nothing"])) for name in told if name != "nothing"
            }
        return found

    def _remembered(self, episode: Episode, same: bool, rng: np.random.Generator) -> list[NDArray[np.int64]]:
        """Rows of past classes of 5 examples each; none of them is among what the episode teaches or asks."""
        used = np.concatenate([episode.support, episode.query])
        types = episode.types if same else np.setdiff1d(np.arange(len(self.tested.types)), episode.types)
        left = [np.setdiff1d(self.tested.rows[code], used) for code in types]
        return [rng.choice(rows, min(5, len(rows)), replace=False) for rows in left if len(rows)]

    def adapting(self) -> dict[str, Any]:
        """Milliseconds of one adaptation, 5 ways and 5 shots, on one thread as a worker has it; beside easy-few-shot-learning."""
        drawn = list(episodes(self.tested, 5, 5, CALLS, self.config))
        supports = [support_of(self.tested, episode, "features") for episode in drawn]
        rows = self.products.set_index("product_id", drop=False)
        found: dict[str, Any] = {}
        with one_thread():
            for name, learner in self.predictor.fitted.learners.items():
                if learner.reads == "features":
                    found[f"{name}, features ready"] = _timed(learner.adapt, supports)
            lessons = [self._lesson(rows, episode) for episode in drawn[:60]]
            listings = [[example.listing for example in lesson.examples] for lesson in lessons]
            extraction = _timed(self.predictor.embedder.features, listings)
            whole = _timed(lambda lesson: self.predictor.adapt([lesson]), lessons)
            found |= {"features of 25 listings": extraction, "lesson of 25 listings": whole}
            found["beyond the extraction"] = {name: round(whole[name] - extraction[name], 2) for name in whole}
            try:
                from easyfsl.methods import PrototypicalNetworks
            except ImportError:
                return found
            theirs = _theirs(PrototypicalNetworks)
            queries = self.tested.features[drawn[0].query[:1]]
            found["easyfsl PrototypicalNetworks and one query"] = _timed(lambda support: theirs(support)(queries), supports)
        return found

    def _lesson(self, rows: Any, episode: Episode) -> Lesson:
        labels = [self.tested.types[episode.types[code]] for code in episode.support_codes]
        ids = self.tested.product_ids[episode.support]
        return Lesson(
            [
                Example(label, listing_of(rows.loc[product_id].to_dict(), self.catalogue.images.get(product_id)))
                for label, product_id in zip(labels, ids, strict=True)
            ]
        )


def _likeliest(answer: Classified) -> str:
    """The most probable class, whether the product would be rejected or not."""
    return max(answer.probabilities, key=lambda label: answer.probabilities[label])


def _ours(learner: Learner[Any]) -> Callable[[Support], Callable[[Any], NDArray[Any]]]:
    """A learner of the model."""
    return lambda support: learner.adapt(support).logits


def _theirs(make: Callable[[], Any]) -> Callable[[Support], Callable[[Any], NDArray[Any]]]:
    """A method of easy-few-shot-learning on features."""

    def adapt(support: Support) -> Callable[[Any], NDArray[Any]]:
        method = make()
        method.process_support_set(torch.from_numpy(support.inputs), torch.from_numpy(support.codes))
        return lambda inputs: method(torch.from_numpy(inputs)).detach().numpy()

    return adapt


def _timed(call: Callable[[Any], Any], arguments: Sequence[Any]) -> dict[str, float]:
    """Milliseconds of each call: median and 95th percentile, after a few that warm up."""
    for argument in arguments[:5]:
        call(argument)
    seconds = []
    for argument in arguments:
        started = time.perf_counter()
        call(argument)
        seconds.append(time.perf_counter() - started)
    return {f"p{q}_ms": round(1000 * float(np.percentile(seconds, q)), 2) for q in (50, 95)}


def _summary(values: Any) -> dict[str, float | None]:
    """Mean over episodes and its 95 % interval."""
    found = mean_interval(values)
    return {
        name: None if value is None else round(value, 4)
        for name, value in (("mean", found.value), ("low", found.low), ("high", found.high))
    }


if __name__ == "__main__":
    main()
