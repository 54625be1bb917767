"""ProtoNet over a small net on the features of `product`."""

from models.fewshot.meta import MetaConfig
from models.fewshot.networks import FeatureNetConfig
from models.fewshot.protonet import ProtoNetLearner


class PrototypesConfig(MetaConfig, FeatureNetConfig):
    """How it is trained."""


class Prototypes(ProtoNetLearner):
    """Class means of what a net trained on episodes makes of the features."""

    label = "ProtoNet on product features"
    order = 30
    config = PrototypesConfig


LEARNER = Prototypes
