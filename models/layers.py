"""Layers that several models use: normalisation, rotary positions, gated MLP, attention.

Shapes: B rows, T tokens, C width, H heads, D = C / H.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROPE_BASE = 100.0  # positions stay below some hundred, so low frequencies of 1/10000 would never turn

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Queries, keys and values (…, H, D) to what was attended to (…, H, D)."""


def norm(x: Tensor) -> Tensor:
    """RMSNorm without gain (Zhang & Sennrich 2019)."""
    return F.rms_norm(x, (x.shape[-1],))


def angles(length: int, head_dim: int) -> Tensor:
    """Rotation angles (length, head_dim / 2) of the positions from 0."""
    frequencies = ROPE_BASE ** (-torch.arange(head_dim // 2, dtype=torch.float32) / (head_dim // 2))
    return torch.arange(length, dtype=torch.float32)[:, None] * frequencies


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn channel i of x (…, H, D) with channel i + D/2 by the angle of its position (Su et al. 2021)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1).to(x.dtype)


class SwiGLU(nn.Module):
    """Gated MLP (Shazeer 2020)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(…, C) to (…, C)."""
        gate, value = self.up(x).chunk(2, dim=-1)
        out: Tensor = self.down(F.silu(gate) * value)
        return out


class SelfAttention(nn.Module):
    """Bidirectional attention with QK norm and rotary positions."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, attend: Attend) -> Tensor:
        """States x (…, C); cos and sin (…, 1, D/2) of each token's position."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)  # (…, H, D) each
        q, k = rotate(norm(q), cos, sin).to(v.dtype), rotate(norm(k), cos, sin).to(v.dtype)
        out: Tensor = self.out(attend(q, k, v).flatten(-2))
        return out


def attend_padded(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Attention of padded rows (B, T, H, D) under a mask (B, 1, 1, T), True where a token is."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
