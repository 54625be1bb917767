"""What clients send to the few-shot model and get from it, and how answers are made of what is stored and predicted."""

import unicodedata
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema, create_model

from configs.schema import TasksConfig
from database.fewshot import AdaptedRow, ExampleRow, Taught
from models.fewshot.answers import Classified, Confusable, Measures
from models.fewshot.episodes import MAX_SHOTS, MAX_WAYS
from models.fewshot.summary import NONE_OF_THESE
from serving.errors import InvalidInput
from serving.schemas import ONE_LINE, ListingIn, RequestModel, ResponseModel, Served, Word, one_line, whole
from serving.slots import Answer

MODEL = "fewshot"
MAX_LABEL = 100
MAX_VERSION = 1_000_000
MAX_LISTED = 100
"""Tasks, or versions of one, that an answer lists at most."""
LISTED = 20
AT_CREATION = ("name", "learner", "keep_examples")
"""What is said of a task when it is made, and stays."""


Label = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_LABEL),
    AfterValidator(one_line),
    WithJsonSchema({"type": "string", "maxLength": MAX_LABEL, "pattern": ONE_LINE}),
]
TaskId = Annotated[Word, Field(description="from the answer that made it", examples=["3f0f7a54-5d0e-4f6b-9a53-0c6b0a6f1f0e"])]


class ExampleIn(ListingIn):
    """A listing, and the class that it is an example of."""

    label: Label = Field(description="of its class; blanks around it do not count", examples=["Kurtas"])


_SHOWN = [
    {"label": "Kurtas", "title": "Fabindia Women Printed Cotton Kurta"},
    {"label": "Sarees", "title": "Satya Paul Silk Saree with Zari Border"},
]


class AdaptIn(RequestModel):
    """Examples of a new task, or further ones of a task that exists."""

    examples: list[ExampleIn] = Field(
        min_length=1,
        max_length=MAX_WAYS * MAX_SHOTS,
        description=f"a new task has 2 to {MAX_WAYS} classes with 1 to {MAX_SHOTS} examples each; one that exists may be sent "
        "examples of its classes, or of new ones",
        examples=[_SHOWN],
    )
    task_id: TaskId | None = Field(None, description="the task that is taught more; null makes a new one")
    name: Word | None = Field(None, description="of a new task, for people", examples=["Ethnic wear, autumn"])
    learner: Word | None = Field(None, description="of a new task; null: what did best on so many examples when it was trained")
    keep_examples: bool | None = Field(
        None,
        description="of a new task: keep texts and photos as well, so that it need not be taught again when the features change; "
        "null or false: only features are kept, and small photos where the learner reads photos",
    )


class ClassifyIn(RequestModel):
    """Listings that one of a task's classes is looked for."""

    task_id: TaskId
    version: Annotated[int, Field(ge=1, le=MAX_VERSION), BeforeValidator(whole)] | None = Field(
        None, description="of the task; null: the newest"
    )
    items: list[ListingIn]


def classify_in(limit: int) -> type[ClassifyIn]:
    """`ClassifyIn` with at most `limit` listings: more are refused before they are looked at."""
    bounded = Field(min_length=1, max_length=limit)
    return create_model("ClassifyIn", __base__=ClassifyIn, __doc__=ClassifyIn.__doc__, items=(list[ListingIn], bounded))


def check_labels(examples: Sequence[ExampleIn], known: Mapping[str, int], bounds: TasksConfig) -> None:
    """Check the classes of a request, together with those that are `known`: none for a new task.

    Raises:
        InvalidInput: two labels differ only by case or spaces, one means no class, or there are too few or too many classes or
            examples of one.
    """
    names = {_folded(label): label for label in known}
    for place, example in enumerate(examples):
        if _folded(example.label) == _folded(NONE_OF_THESE):
            message = f"{example.label!r} is what a listing of no class is called; it needs no examples"
            raise InvalidInput(f"examples.{place}.label: {message}", f"examples.{place}.label")
        same = names.setdefault(_folded(example.label), example.label)
        if same != example.label:
            message = f"{example.label!r} differs from {same!r} only by case or spaces; call a class by one name"
            raise InvalidInput(f"examples.{place}.label: {message}", f"examples.{place}.label")
    counts = Counter(known) + Counter(example.label for example in examples)
    most_classes, most_examples = (bounds.max_classes, bounds.max_examples) if known else (MAX_WAYS, MAX_SHOTS)
    if not 2 <= len(counts) <= most_classes:
        whose = "the task would have" if known else "a new task has"
        raise InvalidInput(
            f"examples: {len(counts)} class{'es' * (len(counts) > 1)} in all; {whose} 2 to {most_classes}", "examples"
        )
    label, count = counts.most_common(1)[0]
    if count > most_examples:
        raise InvalidInput(f"examples: {count} of {label!r} in all; at most {most_examples} a class are allowed", "examples")


def _folded(label: str) -> str:
    return "".join(unicodedata.normalize("NFKC", label).casefold().split())


def kept(example: ExampleIn) -> ExampleRow:
    """As it is stored, where a task keeps its examples."""
    listing = example.model_dump(exclude={"label", "image"}, exclude_defaults=True)
    return ExampleRow(label=example.label, listing=listing, photo=example.image)


def restored(row: ExampleRow) -> ExampleIn:
    """What `kept` was taken of."""
    return ExampleIn.model_validate({**row.listing, "label": row.label, "image": row.photo})


class TaughtClass(ResponseModel):
    """A class, and the examples it was taught by."""

    label: str = Field(examples=["Kurtas"])
    examples: int = Field(examples=[5])


class LeaveOneOut(ResponseModel):
    """How often an example is told right by a classifier that has not seen it."""

    accuracy: float | None = Field(description="0 to 1; null where no class has two examples", examples=[0.93])
    examples: int = Field(description="examples behind it: those whose class has another one", examples=[15])


class Version(ResponseModel):
    """What a task was taught, and how well its classes are told apart."""

    version: int = Field(description="of the task, from 1 on; every request that teaches it adds one", examples=[2])
    created_at: datetime
    model: Served = Field(description="the version that adapted it")
    features: Served = Field(description="the version that its features are of; other versions' cannot be compared with them")
    learner: str = Field(description="the one that made its classifier", examples=["shrunk_prototypes"])
    classes: list[TaughtClass] = Field(description="in the order in which they came")
    leave_one_out: LeaveOneOut
    hardest: Confusable = Field(description="the two classes that are told apart worst, and what to add")


class Adapted(Version):
    """Answer of POST /v1/fewshot/adapt."""

    task_id: str = Field(description="names the task in other requests")
    name: str | None
    keep_examples: bool
    rejects: str = Field(
        description="how often a listing that does belong to a class is called none of them",
        examples=["at most about 5 % of the listings that belong to one of the classes are called none of these"],
    )


class Probability(ResponseModel):
    """A class and its probability."""

    label: str = Field(examples=["Kurtas"])
    probability: float = Field(examples=[0.93])


class ClassifiedItem(ResponseModel):
    """Which of the classes a listing is."""

    prediction_id: str = Field(description="names this prediction in POST /v1/feedback")
    label: str | None = Field(description="the most probable class; null where it is none of these", examples=["Kurtas"])
    none_of_these: bool
    stranger: float = Field(description="how sure it is that it is none of the classes, 0 to 1; above 0.5 it is called so")
    probabilities: list[Probability] = Field(description="of each class if it is one of them, most probable first; sum 1")


class Classifications(ResponseModel):
    """One answer an item, in order, all by one version of the task and of the model."""

    task_id: str
    version: int = Field(description="of the task", examples=[2])
    model: Served
    features: Served
    items: list[ClassifiedItem]


class Known(Version):
    """A version of a task, and whether it can be asked."""

    outdated: bool | None = Field(
        description="true where it rests on other features than the version that answers: unless its examples are kept it must "
        "be taught again; null while no version answers"
    )


class TaskHead(ResponseModel):
    """What is known of a task as a whole."""

    task_id: str
    name: str | None
    keep_examples: bool
    created_at: datetime


class Listed(TaskHead):
    """A task in a list, as its newest version stands."""

    version: int
    updated_at: datetime = Field(description="when it was last taught")
    learner: str
    classes: list[TaughtClass]
    outdated: bool | None = Field(description="as in the task itself")


class Tasks(ResponseModel):
    """Answer of GET /v1/fewshot/tasks: the newest task first."""

    tasks: list[Listed]


class TaskDetail(TaskHead):
    """Answer of GET /v1/fewshot/tasks/{task_id}: the newest version first."""

    versions: list[Known]


def served(version: int) -> Served:
    """The version that made an answer."""
    return Served(name=MODEL, version=version)


def features(row: AdaptedRow) -> Served:
    """The version that a classifier rests on."""
    return Served(name=row.base, version=row.base_version)


def version_of(taught: Taught, row: AdaptedRow) -> dict[str, Any]:
    """Fields of `Version`."""
    measures = Measures.model_validate(row.measures)
    return {
        "version": taught.version.version,
        "created_at": taught.version.created_at,
        "model": served(row.model_version),
        "features": features(row),
        "learner": row.learner,
        "classes": classes(taught),
        "leave_one_out": LeaveOneOut(accuracy=_rounded(measures.left_out_accuracy), examples=measures.left_out),
        "hardest": measures.hardest.model_copy(update={"confusion": round(measures.hardest.confusion, 6)}),
    }


def head(taught: Taught) -> dict[str, Any]:
    """Fields of `TaskHead`."""
    task = taught.task
    return {"task_id": task.id, "name": task.name, "keep_examples": task.keep_examples, "created_at": task.created_at}


def adapted(taught: Taught, row: AdaptedRow, false_rejection: float) -> Adapted:
    """What was learned."""
    share = f"at most about {100 * false_rejection:.3g} %"
    rejects = f"{share} of the listings that belong to one of the classes are called none of these"
    task = taught.task
    return Adapted(task_id=task.id, name=task.name, keep_examples=task.keep_examples, rejects=rejects, **version_of(taught, row))


def listed(taught: Taught, digest: str | None) -> Listed:
    """A task in a list; `digest` is that of the features that are served, None where none are."""
    row, outdated = chosen(taught, digest)
    return Listed(
        **head(taught),
        version=taught.version.version,
        updated_at=taught.version.created_at,
        learner=row.learner,
        classes=classes(taught),
        outdated=outdated,
    )


def detail(versions: Sequence[Taught], digest: str | None) -> TaskDetail:
    """A task with its versions; `digest` is that of the features that are served, None where none are."""
    known = []
    for taught in versions:
        row, outdated = chosen(taught, digest)
        known.append(Known(**version_of(taught, row), outdated=outdated))
    return TaskDetail(**head(versions[0]), versions=known)


def chosen(taught: Taught, digest: str | None) -> tuple[AdaptedRow, bool | None]:
    """Of a version's classifiers the newest that rests on the features of `digest`, else the newest; and whether none does."""
    fitting = [row for row in taught.adapted if row.digest == digest]
    return (fitting or taught.adapted)[0], None if digest is None else not fitting


def classes(taught: Taught) -> list[TaughtClass]:
    """With the examples of all requests."""
    return [TaughtClass(label=label, examples=count) for label, count in taught.version.classes.items()]


def item(answer: Answer) -> ClassifiedItem:
    """Which of the classes it is, with a new id."""
    said: Classified = answer.prediction
    ranked = sorted(said.probabilities.items(), key=lambda entry: -entry[1])
    return ClassifiedItem(
        prediction_id=str(uuid.uuid4()),
        label=said.label,
        none_of_these=said.label is None,
        stranger=round(said.stranger, 6),
        probabilities=[Probability(label=label, probability=round(probability, 6)) for label, probability in ranked],
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
