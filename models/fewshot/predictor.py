"""From examples to a classifier, and from listings to its answers."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from catalog.images import DecodedPhoto, decode
from catalog.listing import Listing
from configs.errors import VitrinaError
from models import family
from models.bundles import BASE, WEIGHTS, BaseVersion, read_base, sha256_of
from models.errors import NotSupported
from models.family import Embedder
from models.fewshot import bundle
from models.fewshot.answers import Classified, Example, Lesson, OutdatedTask, Question, Task
from models.fewshot.bundle import BundleConfig, Fitted
from models.fewshot.config import DEFAULT
from models.fewshot.episodes import Codes, Floats, Photos, without_words
from models.fewshot.learner import Adapted, Support
from models.fewshot.measures import measured
from models.fewshot.unknown import Neighbourhood, Unknown

if TYPE_CHECKING:
    from models.fewshot.learner import Learner


@dataclass(frozen=True)
class Ready:
    """What answers for a task: its classifier, where its classes lie, and what tells strangers."""

    adapted: Adapted
    neighbourhood: Neighbourhood
    unknown: Unknown


class FewshotPredictor:
    """A trained model ready to learn and to answer. Safe to call from several threads: what it keeps of a task is made of it.

    Attributes:
        base: The version whose features it rests on; the bundle holds a copy of it.
        learners: Those that it has.
        false_rejection: Share of members that is called none of the classes.
    """

    name = "fewshot"

    def __init__(self, fitted: Fitted, embedder: Embedder, base: BaseVersion, settings: BundleConfig, digest: str) -> None:
        self.fitted, self.embedder, self.base, self.settings, self._digest = fitted, embedder, base, settings, digest
        self.learners = tuple(fitted.learners)
        self.false_rejection = settings.config.model.unknown.false_rejection
        self._ready: WeakKeyDictionary[Task, dict[bool, Ready]] = WeakKeyDictionary()
        self._changing = threading.Lock()

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> "FewshotPredictor":
        """Read a bundle, with the base in it, and warm up.

        Raises:
            VitrinaError: a file is missing or damaged, or the base makes no features.
        """
        settings = bundle.load_config(folder)
        fitted, base = bundle.load(folder, settings), read_base(folder)
        embedder = family.load(base.model, folder / BASE, device)
        if not isinstance(embedder, Embedder):
            raise VitrinaError(f"{folder / BASE}: {base.model} makes no features of listings")
        predictor = cls(fitted, embedder, base, settings, sha256_of(folder / WEIGHTS))
        grey = DecodedPhoto(np.full((16, 16, 3), 128, dtype=np.uint8))  # a base may read photos alone
        [task] = predictor.adapt([Lesson([Example(f"{n}", Listing(title=f"warm up {n}", image=grey)) for n in range(2)])])
        predictor.classify([Question(task, Listing(title="warm up", image=grey))])
        return predictor

    def adapt(self, lessons: Sequence[Lesson]) -> list[Task]:
        """One task a lesson.

        Raises:
            OutdatedTask: a task that is taught more rests on other features.
            NotSupported: the version has no such learner.
            VitrinaError: an example says nothing that the base reads, or lacks the photo that the learner reads; says which.
                Or there are fewer than two classes.
        """
        return [self._adapt(lesson) for lesson in lessons]

    def classify(self, questions: Sequence[Question]) -> list[Classified]:
        """One answer a question.

        Raises:
            OutdatedTask: a task rests on other features.
            NotSupported: the version does not have a task's learner.
            VitrinaError: a listing says nothing that the base reads, or lacks the photo that the learner reads; says which.
        """
        for question in questions:
            self._check(question.task)
        features = self.embedder.features([question.listing for question in questions])
        found: list[Classified | None] = [None] * len(questions)
        tasks = {id(question.task): question.task for question in questions}
        for task in tasks.values():
            rows = [row for row, question in enumerate(questions) if question.task is task]
            learner = self.fitted.learners[task.learner]
            listings = {row: questions[row].listing for row in rows}
            seen = self._photos(listings, task.learner, "listing") if learner.reads == "photos" else features[rows]
            for row, answer in zip(rows, self.answers(task, features[rows], seen), strict=True):
                found[row] = answer
        return [answer for answer in found if answer is not None]

    def _adapt(self, lesson: Lesson) -> Task:
        before = lesson.before
        if before is not None:
            self._check(before)
        labels = list(dict.fromkeys([*(before.classes if before else ()), *(example.label for example in lesson.examples)]))
        if len(labels) < 2:
            raise VitrinaError(f"all examples are {labels[0]!r}; at least 2 classes are needed")
        new = self.embedder.features([example.listing for example in lesson.examples])
        codes = np.array([labels.index(example.label) for example in lesson.examples], dtype=np.int64)
        features = new if before is None else np.concatenate([before.features, new])
        codes = codes if before is None else np.concatenate([before.codes, codes])
        name = lesson.learner or (before.learner if before else self.settings.learner_for(len(codes) / len(labels)))
        photos = self._examples(lesson, name) if self._learner(name).reads == "photos" else None
        return self.taught(name, labels, codes, features, photos)

    def taught(self, name: str, labels: Sequence[str], codes: Codes, features: Floats, photos: Photos | None = None) -> Task:
        """The task of examples [n] whose features [n, D] are ready, and photos where the learner called `name` reads those.

        Raises:
            NotSupported: the version has no such learner.
        """
        told = self._told(features, codes, len(labels))
        learner = self._learner(name, told)
        support = Support(self._seen(features, told) if photos is None else photos, codes, len(labels))
        adapted = learner.adapt(support)
        return Task(
            learner=name,
            classes=tuple(labels),
            codes=codes,
            features=features,
            photos=photos,
            state=adapted.state(),
            base=self.base,
            made_by=self._digest,
            measures=measured(learner, adapted, support, labels),
        )

    def answers(self, task: Task, features: Floats, seen: Floats | Photos) -> Iterable[Classified]:
        """One answer for each of some products whose features [m, D] are ready; `seen` is what the task's learner reads.

        Words count where a product has some, and an example of each class: a photo alone is compared with photos.
        """
        found: list[Classified | None] = [None] * len(features)
        words = self._has_words(features) & self._told(task.features, task.codes, len(task.classes))
        for told in np.unique(words).tolist():
            rows = np.flatnonzero(words == told)
            part = self._seen(features[rows], told)
            read = seen[rows] if task.photos is not None else part
            for row, answer in zip(rows, self._answered(task, told, part, read), strict=True):
                found[row] = answer
        return [answer for answer in found if answer is not None]

    def _answered(self, task: Task, told: bool, features: Floats, read: Floats | Photos) -> Iterable[Classified]:
        ready = self._prepared(task, told)
        probabilities = softmax(ready.adapted.logits(read).astype(np.float64), axis=1)
        evidence = ready.neighbourhood.ask(features)
        for row, stranger in enumerate(ready.unknown.stranger(evidence)):
            yield Classified(
                label=None if stranger > 0.5 else task.classes[int(probabilities[row].argmax())],
                probabilities={label: float(p) for label, p in zip(task.classes, probabilities[row], strict=True)},
                stranger=float(stranger),
                similarity=float(evidence.similarity[row]),
                familiarity=float(evidence.familiarity[row]),
            )

    def _prepared(self, task: Task, told: bool) -> Ready:
        """What answers for a task, with words or without; the classifier is adapted anew where the stored one is another's."""
        with self._changing:
            ready = self._ready.setdefault(task, {}).get(told)
        if ready is None:
            ways = len(task.classes)
            learner, support = self._learner(task.learner, told), Support(self._seen(task.features, told), task.codes, ways)
            stored = task.made_by == self._digest and (
                task.photos is not None or told == self._told(task.features, task.codes, ways)
            )
            taught = support if task.photos is None else Support(task.photos, task.codes, ways)
            adapted = learner.adapted(task.state) if stored else learner.adapt(taught)
            prototypes = self.fitted.prototypes if told else self.fitted.wordless
            unknown = self.fitted.unknown if told else self.fitted.wordless_unknown
            ready = Ready(adapted, Neighbourhood.of(support, prototypes, unknown.rival), unknown)
            with self._changing:
                self._ready[task][told] = ready
        return ready

    def _has_words(self, features: Floats) -> NDArray[np.bool_]:
        """Whether each product [m] has a text."""
        words = self.embedder.words
        return np.asarray(features[:, features.shape[1] - words :].any(axis=1)) if words else np.ones(len(features), dtype=bool)

    def _told(self, features: Floats, codes: Codes, ways: int) -> bool:
        """Whether each class has an example with a text."""
        return len(np.unique(codes[self._has_words(features)])) == ways

    def _seen(self, features: Floats, told: bool) -> Floats:
        """Features [n, D], without their words where these do not count."""
        return features if told else without_words(features, self.embedder.words)

    def _check(self, task: Task) -> None:
        if task.base.digest != self.base.digest:
            raise OutdatedTask(task.base, self.base)
        self._learner(task.learner)

    def _learner(self, name: str, told: bool = True) -> "Learner[Any]":
        """The learner called `name`; the default one is another where there are no words."""
        if name not in self.fitted.learners:
            raise NotSupported(f"this version has no learner {name!r}; it has: {', '.join(self.learners)}")
        return self.fitted.wordless if name == DEFAULT and not told else self.fitted.learners[name]

    def _examples(self, lesson: Lesson, learner: str) -> Photos:
        """Photos [n, H, V, 3] of a task's examples and the new ones."""
        new = self._photos(dict(enumerate(example.listing for example in lesson.examples)), learner, "example")
        if lesson.before is None:
            return new
        if lesson.before.photos is None:
            raise VitrinaError(f"the learner {learner} reads photos, and the task keeps none: teach it anew with that learner")
        return np.concatenate([lesson.before.photos, new])

    def _photos(self, listings: dict[int, Listing], learner: str, what: str) -> Photos:
        """Photos [n, H, V, 3] of listings by their place."""
        if missing := [place for place, listing in listings.items() if listing.image is None]:
            raise VitrinaError(f"{what} {missing[0]} has no photo, and the learner {learner} reads photos alone")
        size = (self.settings.config.model.photo_height, self.settings.config.model.photo_width)
        return np.stack([decode(listing.image, size) for listing in listings.values() if listing.image is not None])
