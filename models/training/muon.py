"""Muon for the matrices of hidden layers, AdamW for everything else.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) steps along the matrix that is nearest to the momentum and
whose singular values are all one. As in "Muon is Scalable for LLM Training" (Liu et al. 2025) a step is as long as AdamW's would
be, so that both share a learning rate and a decay. `torch.optim.Muon` does the same for matrices, but Lightning takes a single
optimizer.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
AS_ADAMW = 0.2
"""Root mean square of the entries of AdamW's steps, as Liu et al. measured it."""


class Muon(torch.optim.AdamW):
    """AdamW, but for groups with `"orthogonal": True`: matrices (out, in), and kernels (out, in, h, w) as (out, in · h · w)."""

    def __init__(self, groups: list[dict[str, Any]], dtype: torch.dtype = torch.bfloat16, **adamw: Any) -> None:
        """`dtype` is that of the products of matrices inside a step; `adamw` are the arguments of `torch.optim.AdamW`."""
        super().__init__([{"orthogonal": False} | group for group in groups], **adamw)
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of all groups; returns the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"] if group["orthogonal"] else ():
                if parameter.grad is not None:
                    self._turn(parameter, parameter.grad, group["lr"], group["weight_decay"])
                    parameter.grad = None  # AdamW passes over it
        super().step()
        return loss

    def _turn(self, parameter: Tensor, gradient: Tensor, rate: float, decay: float) -> None:
        state = self.state[parameter]
        if not state:
            state.update({"step": torch.zeros(()), "momentum": torch.zeros_like(gradient)})  # AdamW asks for steps
        state["step"] += 1
        momentum = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        ahead = gradient.lerp(momentum, MOMENTUM).flatten(1)  # Nesterov's
        turned = orthogonal(ahead, self.dtype).view_as(parameter)
        parameter.mul_(1 - rate * decay).add_(turned, alpha=-rate * AS_ADAMW * max(ahead.shape) ** 0.5)


def orthogonal(matrix: Tensor, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """`matrix` (m, n) with its singular values at about 1 (0.7 to 1.2), by a quintic Newton-Schulz iteration in `dtype`."""
    a, b, c = COEFFICIENTS
    x = matrix.to(dtype)
    x = x.T if len(x) > x.shape[1] else x
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if len(matrix) > matrix.shape[1] else x).to(matrix.dtype)
