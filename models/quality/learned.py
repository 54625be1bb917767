"""What was learned of the axes: how each scores its evidence, and whether a part belongs to the rest of its listing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from models.arrays import State, below
from models.quality.answers import AXES, Axis
from models.quality.axes import readers
from models.quality.belonging import Belonging
from models.quality.monotone import Monotone


@dataclass(frozen=True)
class Learned:
    """Fitted on good listings and the same ones made worse.

    Attributes:
        models: Of each axis of which faults were seen, by its evidence.
        belonging: Of title, description and photo; None where no part was seen that belongs to another listing.
    """

    models: Mapping[Axis, Monotone]
    belonging: Belonging | None

    def can_score(self, axis: str) -> bool:
        """Whether an axis can be scored by its evidence, or by whether its part belongs; duplicates need neither."""
        reader = readers()[axis]  # type: ignore[index]
        belongs = self.belonging is not None and reader.part in self.belonging.quantiles
        return axis in self.models or axis == "duplicate" or belongs

    def state(self) -> State:
        """What `restore` reads."""
        arrays = {f"axes.{axis}.{name}": value for axis, model in self.models.items() for name, value in model.state().items()}
        told = self.belonging.state() if self.belonging else {}
        return arrays | {f"belonging.{name}": value for name, value in told.items()}

    @classmethod
    def restore(cls, state: State) -> Self:
        """Read what `state` gave.

        Raises:
            KeyError: an array is missing.
        """
        parts = {axis: below(f"axes.{axis}.", state) for axis in AXES}
        told = below("belonging.", state)
        models = {axis: Monotone.restore(part) for axis, part in parts.items() if part}
        return cls(models, Belonging.restore(told) if told else None)
