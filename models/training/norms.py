"""Batch normalisation over several ranks, by the rows of all of them: torch has its own for GPUs alone.

Shapes: B rows, C channels.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from models.training.distributed import has_rows, rank, summed, world_size


class SharedNorm(nn.Module):
    """Batch normalisation whose statistics, in training, are of the rows of all ranks; on any device.

    A mixin before a class of `nn.BatchNorm1d` and its kind. Means and squared deviations of ranks are put together as in Chan
    et al. 1979.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) to the same shape."""
        norm: Any = self
        if not self.training or world_size() == 1:
            plain: Tensor = super().forward(x)
            return plain
        dims = [dim for dim in range(x.ndim) if dim != 1]
        with torch.autocast(x.device.type, enabled=False):
            values = x.float()
            cells = float(values.numel() // values.shape[1]) if has_rows() else 0.0
            own_mean = values.mean(dims)
            own_spread = (values - _channels(own_mean, x)).square().sum(dims)
            own = torch.cat([own_mean, own_spread, own_mean.new_tensor([cells])])
            place = torch.arange(world_size(), device=x.device) == rank()
            mean, spread, counts = torch.split(summed(place[:, None] * own), [x.shape[1], x.shape[1], 1], dim=1)
            count = counts.sum()
            total = (counts * mean).sum(0) / count
            variance = ((spread * (counts > 0)).sum(0) + (counts * (mean - total).square()).sum(0)) / count
            if norm.track_running_stats:
                norm.num_batches_tracked.add_(1)
                momentum = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
                with torch.no_grad():
                    norm.running_mean.lerp_(total, momentum)
                    norm.running_var.lerp_(variance * count / (count - 1), momentum)
            scaled = (values - _channels(total, x)) * _channels((variance + norm.eps).rsqrt(), x)
            if norm.affine:
                scaled = scaled * _channels(norm.weight, x) + _channels(norm.bias, x)
        return scaled.to(x.dtype)


def _channels(values: Tensor, like: Tensor) -> Tensor:
    """(C) to (1, C, 1, ...)."""
    return values.view(1, -1, *[1] * (like.ndim - 2))


class _SharedNorm1d(SharedNorm, nn.BatchNorm1d):
    pass


class _SharedNorm2d(SharedNorm, nn.BatchNorm2d):
    pass


_NORMS: dict[type[nn.Module], type[nn.Module]] = {nn.BatchNorm1d: _SharedNorm1d, nn.BatchNorm2d: _SharedNorm2d}


@contextlib.contextmanager
def shared_norms(model: nn.Module) -> Iterator[None]:
    """Meanwhile, batch normalisation of `model` is `SharedNorm`."""
    found = [part for part in model.modules() if type(part) in _NORMS]
    for part in found:
        part.__class__ = _NORMS[type(part)]
    try:
        yield
    finally:
        for part in found:
            part.__class__ = next(plain for plain, shared in _NORMS.items() if shared is type(part))
