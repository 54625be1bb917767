"""Inner steps and meta-gradients against plain `torch.autograd.grad`, and what serving does against learn2learn."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from models.fewshot.maml import Head, MamlConfig, MetaWeights, Network, adapt_parameters, task_loss
from models.fewshot.meta import Drill

WAYS, WIDTH, DEEP = 3, 6, 5
STEPS, RATE = 3, 0.1
Parameters = dict[str, Tensor]


@pytest.fixture(scope="module", autouse=True)
def learn2learn() -> Any:
    return pytest.importorskip("learn2learn.algorithms")


@pytest.fixture(autouse=True)
def double() -> Any:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(3)
    yield
    torch.set_default_dtype(torch.float32)


def made(**values: Any) -> tuple[MetaWeights, MamlConfig]:
    config = MamlConfig(inner_rate=RATE, inner_steps=STEPS, answer_steps=STEPS, **values)
    body = nn.Sequential(nn.Linear(WIDTH, 7), nn.Tanh(), nn.Linear(7, DEEP))
    meta = MetaWeights(Network(body, Head(config.head, DEEP)), DEEP, config)
    with torch.no_grad():
        for parameter in meta.parameters():
            parameter += 0.3 * torch.rand_like(parameter)  # rates and shared rows are not all the same
    return meta, config


def drill() -> Drill:
    codes = torch.tensor([0, 0, 0, 0, 1, 2, 2])  # uneven on purpose
    return Drill(torch.randn(7, WIDTH), codes, torch.randn(9, WIDTH), torch.arange(9) % WAYS, WAYS)


def balanced(logits: Tensor, codes: Tensor) -> Tensor:
    """Mean over classes of the mean cross-entropy of the class's rows."""
    return torch.stack([F.cross_entropy(logits[codes == code], codes[codes == code]) for code in range(WAYS)]).mean()


def begun(meta: MetaWeights, told: Drill, config: MamlConfig) -> Parameters:
    """All parameters before the first step, by name; copies, so that steps do not go through what the last layer is made of."""
    body = {f"body.{name}": value.clone() for name, value in meta.network.body.named_parameters()}
    if config.head == "shared":
        weight, bias = meta.network.head.weight, meta.network.head.bias
        assert weight is not None and bias is not None
        return body | {"head.weight": weight.repeat(WAYS, 1), "head.bias": bias.repeat(WAYS)}
    vectors = meta.network.body(told.support)
    means = torch.stack([vectors[told.support_codes == code].mean(0) for code in range(WAYS)])
    return body | {"head.weight": 2 * means, "head.bias": -(means**2).sum(1)}


def scores(meta: MetaWeights, parameters: Parameters, x: Tensor) -> Tensor:
    body = {name.removeprefix("body."): value for name, value in parameters.items() if name.startswith("body.")}
    return functional_call(meta.network.body, body, (x,)) @ parameters["head.weight"].T + parameters["head.bias"]


def stepped(meta: MetaWeights, told: Drill, config: MamlConfig) -> Parameters:
    """The parameters after the inner steps, differentiable."""
    parameters = begun(meta, told, config)
    names = [name for name in parameters if not config.anil or name.startswith("head.")]
    rates = list(meta.rates) if meta.rates is not None else [torch.tensor(RATE)] * len(names)
    for _ in range(STEPS):
        loss = balanced(scores(meta, parameters, told.support), told.support_codes)
        gradients = torch.autograd.grad(loss, [parameters[name] for name in names], create_graph=True)
        for name, rate, gradient in zip(names, rates, gradients, strict=True):
            parameters[name] = parameters[name] - rate * (gradient if config.order == "second" else gradient.detach())
    return parameters


KINDS = [
    {"order": order, "anil": anil, "meta_sgd": sgd, "head": head}
    for order in ("second", "first")
    for anil in (False, True)
    for sgd in (False, True)
    for head in ("prototypes", "shared")
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(f"{key}={value}" for key, value in kind.items()))
def test_loss_and_meta_gradient_are_those_of_plain_autograd(kind: dict[str, Any]) -> None:
    meta, config = made(**kind)
    told = drill()
    reference = balanced(scores(meta, stepped(meta, told, config), told.query), told.query_codes)
    expected = torch.autograd.grad(reference, list(meta.parameters()))
    loss = task_loss(meta, told, config)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss, reference, rtol=0, atol=1e-10)
    for parameter, gradient in zip(meta.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=0, atol=1e-10)


@pytest.mark.parametrize("anil", [False, True])
def test_the_orders_differ(anil: bool) -> None:
    """Else the test above would say nothing of the second one."""
    gradients = []
    for order in ("second", "first"):
        torch.manual_seed(3)
        meta, config = made(order=order, anil=anil)
        task_loss(meta, drill(), config).backward()  # type: ignore[no-untyped-call]
        gradients.append(next(meta.parameters()).grad)
    assert (gradients[0] - gradients[1]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(f"{key}={value}" for key, value in kind.items()))
def test_serving_takes_the_steps_that_training_took(kind: dict[str, Any]) -> None:
    meta, config = made(**kind)
    told = drill()
    before = {name: value.clone() for name, value in meta.state_dict().items()}
    with torch.inference_mode():
        network = adapt_parameters(meta, told.support, told.support_codes, WAYS, config)
        answer = network(told.query)
    trained = task_loss(meta, told, config)
    torch.testing.assert_close(balanced(answer, told.query_codes), trained, rtol=0, atol=1e-10)
    torch.testing.assert_close(answer, scores(meta, stepped(meta, told, config), told.query), rtol=0, atol=1e-10)
    assert not network.head.weight.requires_grad
    for name, value in meta.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_one_step_of_learn2learn_by_hand(learn2learn: Any) -> None:
    """A linear model, one step, one number: w - rate · dL/dw, and the meta-gradient through it."""
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(2.0)
    clone = learn2learn.MAML(model, lr=0.1).clone()
    clone.adapt((clone(torch.ones(1, 1)) - 1).square().sum())  # gradient 2 (2 - 1) = 2: to 1.8
    assert clone.module.weight.item() == pytest.approx(1.8, abs=1e-12)
    (clone(torch.ones(1, 1)) - 1).square().sum().backward()  # 2 (1.8 - 1) · (1 - 0.1 · 2) = 1.28
    assert model.weight.grad is not None
    assert model.weight.grad.item() == pytest.approx(1.28, abs=1e-12)


@pytest.mark.slow
@pytest.mark.trains
def test_meta_training_overfits_a_batch_of_tasks(seed: int, measured: Callable[[str, float], float]) -> None:
    """Tasks whose classes lie along directions that the features drown in noise: the body must learn to look there."""
    torch.manual_seed(seed)
    meta, config = made()
    codes = torch.arange(WAYS).repeat(3)
    tasks = []
    for mean in torch.randn(2, WAYS, 2):
        rows = [torch.cat([mean.repeat(3, 1) + 0.1 * torch.randn(9, 2), 2 * torch.randn(9, 4)], dim=1) for _ in range(2)]
        tasks.append(Drill(rows[0], codes, rows[1], codes, WAYS))
    optimizer = torch.optim.Adam(meta.parameters(), lr=0.02)
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = torch.stack([task_loss(meta, task, config) for task in tasks]).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert measured("loss after 10 updates to the first", losses[10] / losses[0]) < 0.7  # 0.22 to 0.39
    assert measured("loss after 100 updates to the first", losses[-1] / losses[0]) < 0.01  # 0.00004 to 0.0008
