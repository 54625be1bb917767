"""MAML: weights from which a few gradient steps on a handful of examples make a classifier (Finn et al. 2017).

- learn2learn's `MAML` or, with a learned rate for every weight, its `MetaSGD` (Li et al. 2017) trains; answering is plain torch
- second order by default, first order as an option
- all layers take the inner steps, or the last one alone: ANIL (Raghu et al. 2020)
- any number of classes: the paper's last layer has a row for each of a fixed number of classes in a fixed order. Here it begins
  with the class means of the examples (Proto-MAML, Triantafillou et al. 2020), or with one learned row for all classes
  (UNICORN-MAML, Ye & Chao 2022). Either way the order of the classes does not matter.
- classes count the same in the inner loss, however many examples each has

Shapes: n examples, m queries, W ways, F width of the vectors.
"""

import contextlib
import copy
import importlib
import io
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from configs.schema import PositiveFloat, PositiveInt
from models.arrays import State, below
from models.fewshot.episodes import Floats, Photos
from models.fewshot.learner import Adapted, Support
from models.fewshot.meta import Drill, MetaConfig
from models.fewshot.networks import balanced_loss, class_means, nearest_mean, prepared
from models.fewshot.trained import TrainedLearner

HeadStart = Literal["prototypes", "shared"]


class MamlConfig(MetaConfig):
    """How MAML is trained and answers."""

    order: Literal["second", "first"] = Field("second", description="first ignores how the inner steps bend: faster, less exact")
    anil: bool = Field(False, description="only the last layer takes the inner steps")
    meta_sgd: bool = Field(False, description="learn an inner rate for every weight; inner_rate is where they begin")
    head: HeadStart = Field(
        "prototypes",
        description="where the last layer begins: at the class means of the examples (Proto-MAML), or at one learned row that "
        "all classes share (UNICORN-MAML)",
    )
    inner_rate: PositiveFloat = Field(0.05, description="step size of the inner gradient steps")
    inner_steps: PositiveInt = Field(3, description="inner steps in training: each is differentiated through, and costs the same")
    answer_steps: PositiveInt = Field(5, description="inner steps when a task is taught; more than in training, as in the paper")


class Head(nn.Module):
    """The last layer: a row for each class, which comes into being with a task's examples."""

    weight: Tensor | None
    bias: Tensor | None

    def __init__(self, start: HeadStart, width: int) -> None:
        super().__init__()
        shared = start == "shared"
        self.register_parameter("weight", nn.Parameter(torch.zeros(1, width)) if shared else None)
        self.register_parameter("bias", nn.Parameter(torch.zeros(1)) if shared else None)

    def begin(self, vectors: Tensor, codes: Tensor, ways: int) -> None:
        """Weights (W, F) and biases (W) before the first step, of examples (n, F); gradients flow to what they are made of."""
        if self.weight is None or self.bias is None:
            self.hold(*nearest_mean(class_means(vectors, codes, ways)))
        else:
            self.hold(self.weight.expand(ways, -1).clone(), self.bias.expand(ways).clone())

    def hold(self, weight: Tensor, bias: Tensor) -> None:
        """Take tensors as parameters though they are no leaves, as learn2learn does: setting an attribute refuses them."""
        held: dict[str, Any] = {"weight": weight, "bias": bias}
        self._parameters.update(held)

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors (m, F) to logits (m, W)."""
        assert self.weight is not None, "begin comes first"
        return F.linear(vectors, self.weight, self.bias)


class Network(nn.Module):
    """A body that makes vectors, and the last layer."""

    def __init__(self, body: nn.Module, head: Head) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, x: Tensor) -> Tensor:
        """Rows (m, …) to logits (m, W)."""
        out: Tensor = self.head(self.body(x))
        return out


class MetaWeights(nn.Module):
    """All that MAML learns.

    Attributes:
        network: Where every task begins.
        width: F.
        rates: Inner rates, one tensor for each tensor that takes inner steps, in the order of `parameters`; of the last layer one
            row for all classes. None where one number serves all.
    """

    def __init__(self, network: Network, width: int, config: MamlConfig) -> None:
        super().__init__()
        self.network, self.width = network, width
        self.rates: nn.ParameterList | None = None
        if config.meta_sgd:
            shapes = [] if config.anil else [p.shape for p in network.body.parameters()]
            all_shapes = [*shapes, torch.Size([width]), torch.Size([1])]
            self.rates = nn.ParameterList(nn.Parameter(torch.full(shape, config.inner_rate)) for shape in all_shapes)


def task_loss(meta: MetaWeights, drill: Drill, config: MamlConfig) -> Tensor:
    """Loss of a task's queries after the inner steps on its examples, by learn2learn; its gradient is the meta-gradient."""
    learner, body = _wrapped(meta, config).clone(), meta.network.body
    # The body's own weights, not the copies that take the steps: these steps follow the loss as the last layer is, and the
    # meta-gradient knows as well what the last layer was made of.
    vectors = body(drill.support)
    (learner.module if config.anil else learner.module.head).begin(vectors, drill.support_codes, drill.ways)
    taught = (vectors if config.order == "second" else vectors.detach()) if config.anil else drill.support
    with warnings.catch_warnings():
        # learn2learn's MetaSGD keeps gradients of tensors that are no leaves in their `grad`
        warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
        for _ in range(config.inner_steps):
            learner.adapt(balanced_loss(learner(taught), drill.support_codes))
    return balanced_loss(learner(body(drill.query) if config.anil else drill.query), drill.query_codes)


def _wrapped(meta: MetaWeights, config: MamlConfig) -> Any:
    """What takes the inner steps, as learn2learn wants it."""
    algorithms, first = _learn2learn(), config.order == "first"
    part = meta.network.head if config.anil else meta.network
    if config.meta_sgd:
        return algorithms.MetaSGD(part, lrs=meta.rates, first_order=first)
    return algorithms.MAML(part, config.inner_rate, first_order=first)


@cache
def _learn2learn() -> Any:
    """Its algorithms: importing them takes 20 s, so it waits until a training; a library that it brings talks of its own end."""
    with contextlib.redirect_stderr(io.StringIO()):
        return importlib.import_module("learn2learn.algorithms")


def adapt_parameters(meta: MetaWeights, support: Tensor, codes: Tensor, ways: int, config: MamlConfig) -> Network:
    """The network after `answer_steps` inner steps on a support set (n, …); `meta` stays as it was.

    Works inside of `torch.inference_mode`, and from several threads at once.
    """
    with torch.inference_mode(False), torch.enable_grad():
        network = copy.deepcopy(meta.network).requires_grad_(not config.anil)
        inputs = support.clone()  # of a tensor made in inference mode no gradient can be taken
        with torch.no_grad():
            network.head.begin(network.body(inputs), codes, ways)
        stepping = _stepping(network, config)
        rates: Sequence[Any] = [rate.detach() for rate in meta.rates] if meta.rates else [config.inner_rate] * len(stepping)
        fixed = network.body(inputs) if config.anil else None
        for _ in range(config.answer_steps):
            logits = network(inputs) if fixed is None else network.head(fixed)
            gradients = torch.autograd.grad(balanced_loss(logits, codes), stepping)
            with torch.no_grad():
                for parameter, rate, gradient in zip(stepping, rates, gradients, strict=True):
                    parameter -= rate * gradient
        return network.requires_grad_(False)


def _stepping(network: Network, config: MamlConfig) -> list[Tensor]:
    """Tensors that take inner steps, in learn2learn's order."""
    part: nn.Module = network.head if config.anil else network
    return [parameter.requires_grad_() for parameter in part.parameters()]


class Adaptation(Adapted):
    """A network that has taken its steps."""

    def __init__(self, network: Network, temperature: float, anil: bool) -> None:
        self.network, self.temperature, self.anil = network, temperature, anil

    def logits(self, inputs: Floats | Photos) -> Floats:
        """See `Adapted.logits`."""
        with torch.inference_mode():
            found: Floats = self.network(prepared(inputs)).numpy() / np.float32(self.temperature)
        return found

    def state(self) -> State:
        """The tensors that took inner steps; with ANIL those of the last layer alone."""
        part: nn.Module = self.network.head if self.anil else self.network
        prefix = "network.head." if self.anil else "network."
        found = {f"{prefix}{name}": value.detach().numpy() for name, value in part.named_parameters()}
        return found | {"temperature": np.array([self.temperature], dtype=np.float32)}


class MamlLearner(TrainedLearner[MamlConfig]):
    """What MAML on features and on photos have in common; they differ in the body."""

    weights: MetaWeights

    @classmethod
    def fresh(cls, body: nn.Module, width: int, config: MamlConfig) -> MetaWeights:
        """See `TrainedLearner.fresh`."""
        return MetaWeights(Network(body, Head(config.head, width)), width, config)

    def loss(self, drill: Drill) -> Tensor:
        """See `task_loss`."""
        return task_loss(self.weights, drill, self.values)

    def adapt(self, support: Support) -> "Adaptation":
        """Some gradient steps; see `adapt_parameters`."""
        codes = torch.from_numpy(support.codes)
        network = adapt_parameters(self.weights, prepared(support.inputs), codes, support.ways, self.values)
        return Adaptation(network, self.temperature(support), self.values.anil)

    def adapted(self, state: Mapping[str, NDArray[Any]]) -> "Adaptation":
        """See `Learner.adapted`."""
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in below("network.", state).items()}
        weight, bias = tensors["head.weight"], tensors["head.bias"]
        if weight.shape != (len(bias), self.weights.width):
            raise ValueError(f"a last layer of {tuple(weight.shape)} for vectors of {self.weights.width}")
        with torch.inference_mode(False):
            network = copy.deepcopy(self.weights.network).requires_grad_(False)
        network.head.hold(weight, bias)
        if not self.values.anil:
            _load(network.body, {name: tensors[f"body.{name}"] for name in network.body.state_dict()})
        return Adaptation(network, float(state["temperature"][0]), self.values.anil)


def _load(body: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    try:
        body.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(str(error).splitlines()[-1].strip()) from error
