"""Cross-modal fusion by queries (after Perceiver IO, Jaegle et al. 2022): each head's query gathers what the head needs.

A view is a mask: the whole listing, a random subset of its parts or one part alone are read in one pass over the same tokens.

Shapes: B listings, V views, Q queries, M memory tokens, C width, H attention heads, D = C / H, n queries of all views.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers import SwiGLU, norm
from models.product.config import ProductModelConfig
from models.product.heads.head import ListingHead
from models.product.inputs import Inputs
from models.product.memory import Memory
from models.product.parts import PARTS


class CrossAttention(nn.Module):
    """Queries attend to the memory, and not to each other."""

    def __init__(self, config: ProductModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.query = nn.Linear(config.width, config.width, bias=False)
        self.key_value = nn.Linear(config.width, 2 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)
        self.mlp = SwiGLU(config.width, config.mlp_hidden)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Queries x (B, n, C); memory (B, M, C); mask (B, 1, n, M)."""
        q = self.query(norm(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, n, D)
        k, v = self.key_value(memory).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, H, M, D)
        y = F.scaled_dot_product_attention(norm(q).to(v.dtype), norm(k).to(v.dtype), v, attn_mask=mask)
        x = x + self.dropout(self.out(y.transpose(1, 2).flatten(2)))
        out: Tensor = x + self.dropout(self.mlp(norm(x)))
        return out


class Readout(nn.Module):
    """The queries of all heads that have one, and the layers through which they read."""

    visible: Tensor

    def __init__(self, config: ProductModelConfig) -> None:
        super().__init__()
        asking = {name: head for name, head in config.head.listing_heads().items() if head.visible}
        self.names = tuple(asking)
        self.queries = nn.Parameter(torch.zeros(len(asking), config.width))
        of_reviews = {name: nn.Parameter(torch.zeros(config.width)) for name in config.head.review_heads()}
        self.review_queries = nn.ParameterDict(of_reviews)
        self.evidence = nn.ModuleDict(
            {n: nn.Linear(h.evidence_size, config.width, bias=False) for n, h in asking.items() if h.evidence_size}
        )
        self.layers = nn.ModuleList(CrossAttention(config) for _ in range(config.readout_layers))
        # The last column is the register token, which every query sees in every view.
        seen = torch.tensor([[part in head.visible for part in PARTS] + [True] for head in asking.values()])
        self.register_buffer("visible", seen, persistent=False)

    def forward(
        self, memory: Memory, shown: Tensor, inputs: Inputs, heads: Mapping[str, ListingHead[Any, Any]]
    ) -> dict[str, Tensor]:
        """The state (B, V, C) of each head's query; shown (B or 1, V, parts + 1) says what a view shows."""
        rows, views = memory.states.shape[0], shown.shape[1]
        visible = shown[:, :, None, memory.part] & self.visible[None, None, :, memory.part]  # (B or 1, V, Q, M)
        mask = (visible & memory.present[:, None, None, :]).flatten(1, 2)[:, None]  # (B, 1, V · Q, M)
        x = self.queries.expand(rows, views, -1, -1).clone()
        for name, layer in self.evidence.items():
            x[:, :, self.names.index(name)] += layer(heads[name].evidence(inputs, shown)).to(x.dtype)
        x = self.gather(x.flatten(1, 2), memory.states, mask).view(x.shape)
        return dict(zip(self.names, x.unbind(dim=2), strict=True))

    def gather(self, x: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        """Queries x (B, n, C) after every layer; states (B, M, C) and mask (B, 1, n, M) of the memory."""
        for layer in self.layers:
            x = layer(x, states, mask)
        return norm(x)
