"""ProtoNet over the same convolution net as MAML's, on small photos."""

from models.fewshot.meta import MetaConfig
from models.fewshot.networks import PhotoNetConfig
from models.fewshot.protonet import ProtoNetLearner


class PhotoPrototypesConfig(MetaConfig, PhotoNetConfig):
    """How it is trained."""


class PhotoPrototypes(ProtoNetLearner):
    """Class means of the net's vectors; it needs no `product`."""

    label = "ProtoNet on photos"
    reads = "photos"
    order = 70
    config = PhotoPrototypesConfig


LEARNER = PhotoPrototypes
