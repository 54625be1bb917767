"""MAML over the paper's convolution net on small photos."""

from pydantic import Field

from configs.schema import PositiveFloat, PositiveInt
from models.fewshot.maml import MamlConfig, MamlLearner
from models.fewshot.networks import PhotoNetConfig


class PhotoMamlConfig(MamlConfig, PhotoNetConfig):
    """How it is trained and answers."""

    max_minutes: PositiveFloat | None = Field(
        40.0, description="wall time after which training ends; the learning rate falls so that it is low by then"
    )
    inner_rate: PositiveFloat = Field(
        0.02, description="step size of the inner gradient steps; the paper's 0.01 on photos, doubled as steps are fewer"
    )
    validate_every: PositiveInt = Field(
        200, description="iterations between two looks at meta-validation: each costs half a minute"
    )
    validation_episodes: PositiveInt = Field(30, description="meta-validation episodes of each number of shots, always the same")


class PhotoMaml(MamlLearner):
    """A few gradient steps on all layers; it needs no `product`."""

    label = "MAML on photos"
    reads = "photos"
    order = 60
    folds = 5  # adapting takes tenths of a second
    config = PhotoMamlConfig


LEARNER = PhotoMaml
