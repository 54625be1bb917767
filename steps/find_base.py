"""Step: which version the model rests on."""

from typing import Annotated

from zenml import step

from configs.settings import Settings
from registry.bases import base_of
from steps.results import MaybeBase


@step(enable_cache=False)
def find_base(model: str) -> Annotated[MaybeBase, "base"]:
    """The champion of the model that `model` rests on, none where it rests on no other; without a champion the run stops."""
    return MaybeBase(version=base_of(Settings.from_environment(), model))
