"""Muon against PyTorch's own, which takes matrices alone."""

import copy

import pytest
import torch
from pydantic import ValidationError
from tiny_task import PointTask, point_config
from torch import nn

from configs.schema import TrainerConfig
from models.training.muon import Muon, orthogonal
from models.training.trainer import Learner


def steps(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], count: int = 4, first: int = 0) -> None:
    """Updates with gradients that depend on the number of the update alone."""
    for number in range(first, first + count):
        for parameter in parameters:
            drawn = torch.randn(parameter.numel(), generator=torch.Generator().manual_seed(number))
            parameter.grad = drawn.view(parameter.shape) + 0.1 * parameter.detach()
        optimizer.step()


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape, generator=torch.Generator().manual_seed(9)))


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (5, 5)])
def test_on_matrices_it_is_pytorchs_muon(shape: tuple[int, int]) -> None:
    ours, theirs = parameter(*shape), parameter(*shape)
    steps(Muon([{"params": [ours], "orthogonal": True}], lr=0.02, weight_decay=0.1), [ours])
    steps(torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"), [theirs])
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_kernel_is_a_matrix_with_a_row_for_each_output() -> None:
    kernel, matrix = parameter(6, 3, 2, 2), nn.Parameter(parameter(6, 3, 2, 2).detach().flatten(1).clone())
    for one in (kernel, matrix):
        steps(Muon([{"params": [one], "orthogonal": True}], torch.float32, lr=0.02, weight_decay=0.1), [one])
    assert torch.allclose(kernel.flatten(1), matrix, atol=1e-6)
    striped = nn.Parameter(parameter(6, 3, 2, 2).detach().to(memory_format=torch.channels_last))
    steps(Muon([{"params": [striped], "orthogonal": True}], torch.float32, lr=0.02, weight_decay=0.1), [striped])
    assert torch.allclose(striped, kernel, atol=1e-5)


@pytest.mark.parametrize("shape", [(20, 50), (50, 20)])
def test_singular_values_become_about_one(shape: tuple[int, int]) -> None:
    matrix = parameter(*shape).detach() * 37.0
    before, after = torch.linalg.svdvals(matrix), torch.linalg.svdvals(orthogonal(matrix, torch.float32))
    assert before.max() / before.min() > 3
    assert after.min() > 0.6
    assert after.max() < 1.3
    assert not orthogonal(torch.zeros(3, 4)).any()


def test_everything_else_is_adamws() -> None:
    ours, theirs, matrix, unused = parameter(7), parameter(7), parameter(3, 4), parameter(2, 2)
    groups = [{"params": [matrix, unused], "orthogonal": True}, {"params": [ours]}]
    steps(Muon(groups, lr=0.02, weight_decay=0.1), [ours, matrix])
    steps(torch.optim.AdamW([theirs], lr=0.02, weight_decay=0.1), [theirs])
    assert torch.equal(ours, theirs)
    assert torch.equal(unused, parameter(2, 2))  # what has no gradient does not even decay


def test_a_run_goes_on_from_its_state() -> None:
    def made(parameters: list[nn.Parameter]) -> Muon:
        return Muon([{"params": parameters[:1], "orthogonal": True}, {"params": parameters[1:]}], lr=0.02)

    whole, halved = [parameter(4, 6), parameter(5)], [parameter(4, 6), parameter(5)]
    steps(made(whole), whole, 6)
    first = made(halved)
    steps(first, halved, 3)
    second = made(halved)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    steps(second, halved, 3, first=3)
    for one, other in zip(whole, halved, strict=True):
        assert torch.equal(one, other)


def test_a_closure_is_run_once_with_gradients() -> None:
    matrix, calls = parameter(3, 3), []

    def closure() -> torch.Tensor:
        calls.append(torch.is_grad_enabled())
        loss = (matrix**2).sum()
        loss.backward()
        return loss

    loss = Muon([{"params": [matrix], "orthogonal": True}], lr=0.1).step(closure)
    assert calls == [True]
    assert loss > 0
    assert (matrix.detach() ** 2).sum() < loss


def test_the_trainer_turns_weights_of_layers_alone() -> None:
    class Both(PointTask):
        def __init__(self) -> None:
            super().__init__()
            self.kernel, self.table, self.queries = nn.Conv2d(3, 4, 2), nn.Embedding(5, 4), nn.Parameter(torch.zeros(2, 4))

    learner = Learner(Both(), point_config(optimizer="muon", weight_decay=0.1))

    def groups(turned: bool) -> set[str]:
        found = [group for group in learner._optimizer().param_groups if group.get("orthogonal", False) is turned]
        ids = {id(p) for group in found for p in group["params"]}
        return {name for name, p in learner.task.named_parameters() if id(p) in ids}

    assert {"kernel.weight"} <= groups(True)
    assert {"kernel.bias", "table.weight", "queries"} <= groups(False)
    assert not groups(True) & groups(False)


def test_divided_matrices_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"optimizer muon needs it whole: set optimizer to adamw"):
        TrainerConfig(strategy="fsdp", devices=2, ema_decay=0, optimizer="muon")
