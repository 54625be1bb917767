"""What two ranks do together over gloo, step by step; a module of its own, since fresh processes import it."""

from typing import Any

import torch

from models.training.distributed import Shared, agreed, drawn_rows, gather_objects, gather_rows, share, sum_over_ranks
from models.training.norms import shared_norms


def reduced(rank: int) -> list[list[float]]:
    """Losses over uneven rows, and the gradients of each rank's own."""
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    rows = torch.arange(6.0).reshape(3, 2)[:2] if rank == 0 else torch.tensor([[7.0, -1.0]])
    rows.requires_grad_()
    together = gather_rows(rows)
    (together[:, 0] * together[:, 1]).sum().div(2).backward()  # averaging over ranks divides once more
    own = torch.tensor([1.0 + rank, 3.0], requires_grad=True)
    total = sum_over_ranks(own)
    total.prod().backward()
    found = gather_objects([together.detach(), rows.grad, total.detach(), own.grad])
    return [value.tolist() for part in found for value in part if value is not None]


def rows_alone(rank: int) -> list[Any]:
    """The second rank has no row of its own: it goes along with the first one, which counts once."""
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    share(Shared(rows=1, own=1 - rank))
    row = torch.tensor([[2.0, 3.0]])
    generator = torch.Generator().manual_seed(5)
    drawn = drawn_rows(1, lambda rows: torch.rand(rows, generator=generator))
    counted = sum_over_ranks(torch.tensor([4]))
    return gather_objects([gather_rows(row).tolist(), counted.tolist(), drawn.tolist(), agreed(7.0 + rank)])


def drawn_and_normed(rank: int) -> list[Any]:
    """Five rows, of which the first rank has three."""
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    share(Shared(rows=5, own=3 - rank))
    generator = torch.Generator().manual_seed(5)
    rows = drawn_rows(3 - rank, lambda count: torch.randn(count, 4, generator=generator)).requires_grad_()
    norm = torch.nn.BatchNorm1d(4, momentum=0.3)
    with shared_norms(norm):
        out = norm(rows)
    (out**3).sum().backward()
    assert type(norm) is torch.nn.BatchNorm1d
    told = [out.detach(), rows.grad, norm.running_mean, norm.running_var]
    return [[value.tolist() for value in part] for part in gather_objects(told)]
