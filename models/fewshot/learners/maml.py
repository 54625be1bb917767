"""MAML over a small net on the features of `product`."""

from models.fewshot.maml import MamlConfig, MamlLearner
from models.fewshot.networks import FeatureNetConfig


class FeatureMamlConfig(MamlConfig, FeatureNetConfig):
    """How it is trained and answers."""


class FeatureMaml(MamlLearner):
    """A few gradient steps on two layers beside the features."""

    label = "MAML on product features"
    order = 20
    config = FeatureMamlConfig


LEARNER = FeatureMaml
