"""Everything a few-shot run depends on; every choice among several values is made on meta-validation types.

A learner's section stands in its file in `learners/`, and joins the model's configuration here by its name.
"""

from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model, field_validator

from configs.schema import PositiveInt, RunConfig, StrictModel
from models.fewshot import learner
from models.fewshot.episodes import EpisodesConfig
from models.fewshot.learner import NoConfig
from models.fewshot.types import TypesConfig
from models.fewshot.unknown import UnknownConfig

DEFAULT = "shrunk_prototypes"
"""The learner that is always there: what is none of the classes is told by its distances."""


class SharedConfig(StrictModel):
    """The types, the episodes, the learners, and when a product is none of the classes."""

    types: TypesConfig = TypesConfig()
    episodes: EpisodesConfig = EpisodesConfig()
    learners: tuple[str, ...] = Field(
        default_factory=lambda: tuple(learner.names()),
        description="learners that are trained and measured, the default among them",
    )
    photo_height: PositiveInt = Field(64, description="pixels; photos are read so large by the learners that see them")
    photo_width: PositiveInt = Field(48, description="pixels")
    unknown: UnknownConfig = UnknownConfig()

    @field_validator("learners")
    @classmethod
    def _exist_and_are_different(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in names if name not in learner.names()]:
            raise ValueError(f"learner {unknown[0]!r} does not exist; allowed: {', '.join(learner.names())}")
        if DEFAULT not in names or len(set(names)) < len(names):
            raise ValueError(f"learners {list(names)} must hold {DEFAULT}, and each once")
        return names

    def of(self, name: str) -> Any:
        """The section of the learner called `name`."""
        return NoConfig() if learner.get(name).config is NoConfig else getattr(self, name)

    @property
    def reads_photos(self) -> bool:
        """Whether a learner sees photos."""
        return any(learner.get(name).reads == "photos" for name in self.learners)


def _sections() -> dict[str, Any]:
    """A field for every learner that has values of its own."""
    kinds = {name: learner.get(name) for name in learner.names()}
    return {name: (kind.config, kind.config()) for name, kind in kinds.items() if kind.config is not NoConfig}


if TYPE_CHECKING:
    FewshotModelConfig = SharedConfig
else:  # a type checker cannot read fields that are found by file
    FewshotModelConfig = create_model(
        "FewshotModelConfig", __base__=SharedConfig, __doc__=SharedConfig.__doc__, __module__=__name__, **_sections()
    )


class FewshotRunConfig(RunConfig):
    """Everything a few-shot run depends on; learners have training settings of their own, and of `trainer` the seed counts."""

    model: FewshotModelConfig = FewshotModelConfig()
