"""Attention among the tokens that are there: packed rows instead of padding and a mask.

A mask keeps `scaled_dot_product_attention` off the flash kernel of a GPU; packed rows (jagged nested tensors) run on its
variable-length form. On a CPU the kernel reads a (B, 1, 1, S) mask as it goes and packed rows are several times slower
(benchmarks/attention.py), so there the padded form is used. Layers that work token by token save the padding on both.

Shapes: B rows of at most S tokens, N tokens in all, H heads, D channels a head.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Packing:
    """Which tokens of a padded batch are there.

    Attributes:
        present: (B, S) bool; every row has at least one.
        offsets: (B + 1,) where each row starts among the packed tokens.
        shortest: Tokens of the shortest row.
        longest: Tokens of the longest row.
    """

    present: Tensor
    offsets: Tensor
    shortest: int
    longest: int

    @classmethod
    def of(cls, present: Tensor) -> "Packing":
        """From the mask (B, S) of a padded batch."""
        lengths = present.sum(dim=1)
        shortest, longest = torch.stack((lengths.min(), lengths.max())).tolist()
        assert shortest, "attention over nothing is undefined: every row needs a token"
        return cls(present, F.pad(lengths.cumsum(0), (1, 0)), int(shortest), int(longest))

    def pack(self, x: Tensor) -> Tensor:
        """(B, S, …) to (N, …): the tokens that are there, row after row."""
        return x[self.present]

    def unpack(self, x: Tensor) -> Tensor:
        """(N, …) to (B, S, …), zero where nothing is."""
        padded = x.new_zeros(*self.present.shape, *x.shape[1:])
        return padded.masked_scatter(self.present.view(*self.present.shape, *(1,) * (x.ndim - 1)), x)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention of each row's packed tokens (N, H, D) among themselves."""
        return self._jagged(q, k, v) if q.is_cuda else self._padded(q, k, v)

    def _jagged(self, *qkv: Tensor) -> Tensor:
        nested = [
            torch.nested.nested_tensor_from_jagged(x, self.offsets, min_seqlen=self.shortest, max_seqlen=self.longest)
            for x in qkv
        ]
        q, k, v = (x.transpose(1, 2) for x in nested)
        out: Tensor = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).values()
        return out

    def _padded(self, *qkv: Tensor) -> Tensor:
        q, k, v = (self.unpack(x).transpose(1, 2) for x in qkv)
        mask = None if self.shortest == self.present.shape[1] else self.present[:, None, None]
        return self.pack(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2))
