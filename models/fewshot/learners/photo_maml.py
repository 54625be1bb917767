"""MAML over the paper's convolution net on small photos."""

from models.fewshot.maml import MamlConfig, MamlLearner
from models.fewshot.networks import PhotoNetConfig


class PhotoMamlConfig(MamlConfig, PhotoNetConfig):
    """How it is trained and answers."""


class PhotoMaml(MamlLearner):
    """A few gradient steps on all layers; it needs no `product`."""

    label = "MAML on photos"
    reads = "photos"
    order = 60
    config = PhotoMamlConfig


LEARNER = PhotoMaml
