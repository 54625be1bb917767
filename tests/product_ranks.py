"""One step of the product model on a rank; a module of its own, since fresh processes import it."""

from typing import Any, TypeVar

import torch
from product_batches import PLAIN, batch, model

from models.product.inputs import Batch, Inputs, Reviews
from models.product.task import ProductTask
from models.ranks import gather_objects

T = TypeVar("T", Inputs, Reviews)


def taught(rank: int | None = None) -> list[Any]:
    """Terms and gradients by name: of each rank's half of a batch, or of all of it without a rank."""
    told = batch()
    if rank is not None:
        torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
        told = Batch(_half(told.listings, rank), told.faults[rank::2], _half(told.reviews, rank))
    task = ProductTask(model(**PLAIN), photo_rate=0.0).train()  # batch norm sees a rank's own rows unless it is frozen
    terms = task.training_loss(told, torch.Generator().manual_seed(0))
    terms["loss"].backward()
    found = [
        {name: value.tolist() for name, value in terms.items()},
        {name: p.grad.tolist() for name, p in task.named_parameters() if p.grad is not None},
    ]
    return found if rank is None else gather_objects(found)


def _half(rows: T, rank: int) -> T:
    return type(rows)(**{name: value[rank::2] for name, value in vars(rows).items()})
