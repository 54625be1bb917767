"""What a few-shot model is taught, asked and answers. Shapes: n examples, D features, W classes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load, save

from catalog.listing import Listing
from configs.errors import VitrinaError
from configs.schema import StrictModel
from models.arrays import State, below
from models.bundles import BaseVersion
from models.errors import Outdated
from models.fewshot.episodes import Codes, Floats, Photos


@dataclass(frozen=True)
class Example:
    """A listing, and the class that it is an example of."""

    label: str
    listing: Listing


class Confusable(StrictModel):
    """Two classes that a classifier can hardly tell apart."""

    labels: tuple[str, str]
    confusion: float = Field(description="mean probability that examples of either give the other, left out where they can be")
    hint: str = Field(description="what to add, in a sentence")


class Measures(StrictModel):
    """How well the examples of a task are told apart by a classifier that has not seen the one it is asked about."""

    left_out_accuracy: float | None = Field(description="0 to 1; None where no class has two examples")
    left_out: int = Field(description="examples behind it: those whose class has another one")
    hardest: Confusable = Field(description="the two classes that are told apart worst")


@dataclass(frozen=True, eq=False)
class Task:
    """A classifier that was taught: all that is needed to answer by it and to teach it more.

    Attributes:
        learner: Name of the one that made it.
        classes: Labels [W], in the order in which they came.
        codes: int64 [n], the class of each example.
        features: float32 [n, D], unit length.
        photos: uint8 [n, H, V, 3], small, where the learner reads photos.
        state: The adapted classifier's arrays.
        base: Whose features these are: vectors of two versions are never compared.
        made_by: Digest of the few-shot weights that adapted the classifier; others adapt it anew from the features.
        measures: How well it tells its examples apart.
    """

    learner: str
    classes: tuple[str, ...]
    codes: Codes
    features: Floats
    photos: Photos | None
    state: State
    base: BaseVersion
    made_by: str
    measures: Measures

    @property
    def counts(self) -> dict[str, int]:
        """Examples of each class."""
        found = np.bincount(self.codes, minlength=len(self.classes))
        return {label: int(count) for label, count in zip(self.classes, found, strict=True)}

    def to_bytes(self) -> bytes:
        """Safetensors; nothing in it can hold code."""
        arrays: State = {"codes": self.codes, "features": self.features}
        arrays |= {} if self.photos is None else {"photos": self.photos}
        arrays |= {f"state.{name}": value for name, value in self.state.items()}
        told = {
            "learner": self.learner,
            "classes": json.dumps(self.classes, ensure_ascii=False),
            "base": self.base.model_dump_json(),
            "made_by": self.made_by,
            "measures": self.measures.model_dump_json(),
        }
        return save({name: np.ascontiguousarray(value) for name, value in arrays.items()}, metadata=told)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The task that `to_bytes` wrote.

        Raises:
            VitrinaError: damaged.
        """
        try:
            arrays, told = load(data), _metadata(data)
            return cls(
                learner=told["learner"],
                classes=tuple(json.loads(told["classes"])),
                codes=arrays["codes"],
                features=arrays["features"],
                photos=arrays.get("photos"),
                state=below("state.", arrays),
                base=BaseVersion.model_validate_json(told["base"]),
                made_by=told["made_by"],
                measures=Measures.model_validate_json(told["measures"]),
            )
        except (SafetensorError, KeyError, ValueError) as error:
            raise VitrinaError(f"a stored few-shot task is damaged: {str(error).splitlines()[0]}") from error


def _metadata(data: bytes) -> Mapping[str, str]:
    """What safetensors keeps beside the arrays: it begins with the length of a JSON header."""
    size = int.from_bytes(data[:8], "little")
    told: Mapping[str, str] = json.loads(data[8 : 8 + size])["__metadata__"]
    return told


@dataclass(frozen=True)
class Lesson:
    """What is to be learned.

    Attributes:
        examples: At least one.
        before: The task that is taught more; its classes keep their order, new ones follow.
        learner: Its name; None: the one of `before`, or the one that did best on meta-validation for so many shots.
    """

    examples: Sequence[Example]
    before: Task | None = None
    learner: str | None = None


@dataclass(frozen=True)
class Question:
    """A listing that is asked about, and the task that shall answer."""

    task: Task
    listing: Listing


@dataclass(frozen=True)
class Classified:
    """One answer.

    Attributes:
        label: The most probable class, None where it is none of them.
        probabilities: Of each class if it is one of them, in the order of the classes; sum 1.
        stranger: How sure it is that it is none of the classes, 0 to 1; above 0.5 `label` is None.
        similarity: Cosine with the nearest class, -1 to 1.
        familiarity: Cosine with the nearest of the types that the model was trained on, -1 to 1; says nothing of the task.
    """

    label: str | None
    probabilities: Mapping[str, float]
    stranger: float
    similarity: float
    familiarity: float


class OutdatedTask(Outdated):
    """A task rests on other features than this version has: it must be taught again, from its examples."""

    def __init__(self, task: BaseVersion, served: BaseVersion) -> None:
        super().__init__(
            f"the task rests on features of {task.model} version {task.version}, and those of version {served.version} are "
            "served: teach it again from its examples"
        )
