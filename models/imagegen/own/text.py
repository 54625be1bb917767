"""What the network is told: a transformer over the tokens of the prompt, the product model's features of it, and the style.

- six blocks: rotary positions, QK norm, RMSNorm, SwiGLU (models/layers.py), on the product model's own tokens
- the product model's features of the prompt become one more state: it has read more listings than this network sees
- the style is a state; one that is hidden, like a hidden prompt, is a learned vector

Shapes: B prompts, T tokens, C width, F features, S = T + 2 states.
"""

from functools import partial

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from models.imagegen.answers import STYLES
from models.layers import Attend, SelfAttention, SwiGLU, angles, attend_padded, norm

HIDDEN = len(STYLES)
"""Number of the style that is not told."""


class Block(nn.Module):
    """Attention and MLP, each on a residual branch."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads)
        self.mlp = SwiGLU(width, 2 * width)
        for branch in (self.attention.out, self.mlp.down):  # they begin as nothing
            nn.init.zeros_(branch.weight)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, attend: Attend) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        x = x + self.attention(norm(x), cos, sin, attend)
        out: Tensor = x + self.mlp(norm(x))
        return out


class PromptEncoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Prompts to states for cross-attention, and one vector that goes with the noise level."""

    cos: Tensor
    sin: Tensor

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, vocabulary: int, tokens: int, features: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.meaning = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))
        self.styles = nn.Embedding(len(STYLES) + 1, width)
        self.hidden = nn.Parameter(torch.zeros(width))
        turned = angles(tokens, width // heads)[:, None]
        self.register_buffer("cos", turned.cos(), persistent=False)
        self.register_buffer("sin", turned.sin(), persistent=False)
        nn.init.normal_(self.hidden, std=1.0)

    def forward(self, ids: Tensor, features: Tensor, style: Tensor, told: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the network is told of each prompt.

        Args:
            ids: (B, T) tokens, 0 where there is none.
            features: (B, F) of the product model, 0 where it makes none of the prompt.
            style: (B,) numbers of styles.
            told: (B,) bool; where it is False prompt and style are hidden.

        Returns:
            States (B, S, C), which of them are there (B, S), and their summary (B, C).
        """
        x, present = norm(self.embedding(ids)), ids != 0
        cos, sin = self.cos[: x.shape[1]], self.sin[: x.shape[1]]
        seen = present | ~present.any(dim=1, keepdim=True)  # a row without tokens attends to padding, and is left out below
        attend = partial(attend_padded, mask=seen[:, None, None])
        for block in self.blocks:
            x = block(x, cos, sin, attend)
        told_style = norm(self.styles(torch.where(told, style, HIDDEN)))
        meant = torch.where(told[:, None], norm(self.meaning(features)), norm(self.hidden).to(x.dtype))
        states = torch.cat([told_style[:, None], meant[:, None], norm(x)], dim=1)
        there = torch.cat([torch.ones_like(told)[:, None].expand(-1, 2), present & told[:, None]], dim=1)
        weights = there.to(states.dtype)[..., None]
        return states, there, (states * weights).sum(dim=1) / weights.sum(dim=1).sqrt()
