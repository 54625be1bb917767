"""One step of the product model on a rank; a module of its own, since fresh processes import it."""

from typing import TypeVar

import torch
from product_batches import PLAIN, batch, model
from torch import Tensor

from models.product.inputs import Batch, Inputs, Reviews
from models.product.task import ProductTask
from models.ranks import sum_over_ranks

T = TypeVar("T", Inputs, Reviews)


def compared(rank: int) -> list[str]:
    """Compares terms and gradients, averaged over two ranks that have half of a batch each, with those of all of it.

    Returns:
        The names that were compared.

    Raises:
        AssertionError: names the first that differs.
    """
    told = batch()
    expected = _step(told)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    found = _step(Batch(_half(told.listings, rank), told.faults[rank::2], _half(told.reviews, rank)))
    assert found.keys() == expected.keys()
    for name, value in found.items():
        mean = sum_over_ranks(value) / 2
        torch.testing.assert_close(mean, expected[name], atol=1e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")
    return sorted(found)


def _step(told: Batch) -> dict[str, Tensor]:
    task = ProductTask(model(**PLAIN), photo_rate=0.0).train()  # batch norm sees a rank's own rows unless it is frozen
    terms = task.training_loss(told, torch.Generator().manual_seed(0))
    terms["loss"].backward()
    gradients = {f"gradient of {name}": p.grad for name, p in task.named_parameters() if p.grad is not None}
    return {name: value.detach() for name, value in terms.items()} | gradients


def _half(rows: T, rank: int) -> T:
    return type(rows)(**{name: value[rank::2] for name, value in vars(rows).items()})
