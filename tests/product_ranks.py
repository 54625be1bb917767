"""One step of the product model on a rank; a module of its own, since fresh processes import it."""

from typing import TypeVar

import torch
from product_batches import PLAIN, batch, model
from torch import Tensor

from models.product.inputs import Batch, Inputs, Reviews
from models.product.task import ProductTask
from models.training.distributed import sum_over_ranks

T = TypeVar("T", Inputs, Reviews)


def compared(rank: int) -> list[str]:
    """Compares terms and gradients, averaged over two ranks that have half of a batch each, with those of all of it.

    What validation says of a half is compared with what it says where there is no other rank.

    Returns:
        The names that were compared.

    Raises:
        AssertionError: names the first that differs.
    """
    told = batch()
    half = Batch(_half(told.listings, rank), told.faults[rank::2], _half(told.reviews, rank))
    expected, alone = _step(told), _validated(half)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    found, validated = _step(half), _validated(half)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        mean = sum_over_ranks(value) / 2
        torch.testing.assert_close(mean, expected[name], atol=1e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")
    for name, value in validated.items():
        torch.testing.assert_close(value, alone[name], msg=lambda text, name=name: f"{name} in validation: {text}")
    return sorted(found)


def _step(told: Batch) -> dict[str, Tensor]:
    task = ProductTask(model(**PLAIN), photo_rate=0.0).train()  # batch norm sees a rank's own rows unless it is frozen
    terms = task.training_loss(told, torch.Generator().manual_seed(0))
    terms["loss"].backward()
    gradients = {f"gradient of {name}": p.grad for name, p in task.named_parameters() if p.grad is not None}
    return {name: value.detach() for name, value in terms.items()} | gradients


@torch.no_grad()
def _validated(told: Batch) -> dict[str, Tensor]:
    return ProductTask(model(**PLAIN)).eval().validation_loss(told)


def _half(rows: T, rank: int) -> T:
    return type(rows)(**{name: value[rank::2] for name, value in vars(rows).items()})
