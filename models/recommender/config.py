"""Everything a recommender run depends on; every choice among several values is made on validation purchases.

A part's section stands in its file in `parts/`, and joins the model's configuration here by its name.
"""

from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model, field_validator

from configs.schema import PositiveInt, RunConfig, StrictModel
from models.recommender import part
from models.recommender.blend import BlendConfig
from models.recommender.candidates import CandidatesConfig
from models.recommender.diversity import DiversityConfig
from models.recommender.interactions import HistoryConfig
from models.recommender.part import NoConfig, Part
from models.recommender.reasons import ReasonsConfig


def choosable() -> tuple[str, ...]:
    """Parts that a configuration may name, in their order: a fallback is fitted anyway."""
    return tuple(name for name in part.names() if not part.get(name).fallback)


class SharedConfig(StrictModel):
    """The parts, how they are blended, and how answers are made of them."""

    parts: tuple[str, ...] = Field(
        default_factory=choosable, description="parts that are fitted where the catalogue has what they need"
    )
    neighbours: PositiveInt = Field(300, description="similar items that are kept of each item")
    history: HistoryConfig = HistoryConfig()
    blend: BlendConfig = BlendConfig()
    candidates: CandidatesConfig = CandidatesConfig()
    diversity: DiversityConfig = DiversityConfig()
    reasons: ReasonsConfig = ReasonsConfig()

    @field_validator("parts")
    @classmethod
    def _exist_and_are_different(cls, parts: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in parts if name not in choosable()]:
            raise ValueError(f"part {unknown[0]!r} cannot be chosen; allowed: {', '.join(choosable())}")
        if not parts or len(set(parts)) < len(parts):
            raise ValueError(f"parts {list(parts)} must name at least one, each once")
        return parts

    def of(self, name: str) -> Any:
        """The section of the part called `name`."""
        kind = part.get(name)
        return NoConfig() if kind.config is NoConfig else getattr(self, _section(name, kind))


def _section(name: str, kind: type[Part[Any]]) -> str:
    return kind.section or name


def _sections() -> dict[str, Any]:
    """A field for every part that has values of its own."""
    kinds = {name: part.get(name) for name in part.names()}
    return {_section(name, kind): (kind.config, kind.config()) for name, kind in kinds.items() if kind.config is not NoConfig}


if TYPE_CHECKING:
    RecommenderModelConfig = SharedConfig
else:  # a type checker cannot read fields that are found by file
    RecommenderModelConfig = create_model(
        "RecommenderModelConfig", __base__=SharedConfig, __doc__=SharedConfig.__doc__, __module__=__name__, **_sections()
    )


class RecommenderRunConfig(RunConfig):
    """Everything a recommender run depends on; `trainer` trains the graph attention."""

    model: RecommenderModelConfig = RecommenderModelConfig()
