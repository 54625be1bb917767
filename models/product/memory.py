"""What the towers say of a batch of listings, for the heads to read.

Shapes: B listings, T tokens of one part, M tokens of all parts, C width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.product.parts import PARTS


@dataclass(frozen=True)
class Memory:
    """Tokens that queries attend to, and what else heads ask for.

    The register token comes first; it has the index of no part, and is always there.

    Attributes:
        states: (B, M, C).
        present: Which tokens are there, (B, M).
        part: Index in `PARTS` of each token, (M,).
        ending: State of the description's last token, (B, C); 0 without a description.
        photo: What the photo tower says of the photo as a whole, (B, C); None where no listing of the batch has one.
    """

    states: Tensor
    present: Tensor
    part: Tensor
    ending: Tensor
    photo: Tensor | None

    def has(self, part: str) -> Tensor:
        """Listings (B,) that have a part."""
        return (self.present & (self.part == PARTS.index(part))).any(dim=1)


class MemoryBuilder:
    """Collects the tokens of one part after the other."""

    def __init__(self, register: Tensor, rows: int) -> None:
        """`register` (C,) becomes the first token of each of the `rows` listings."""
        self.ending = torch.zeros_like(register.expand(rows, -1))
        self.photo: Tensor | None = None
        self._states = [register.expand(rows, 1, -1)]
        self._present = [torch.ones(rows, 1, dtype=torch.bool, device=register.device)]
        self._part = [torch.full((1,), len(PARTS), device=register.device)]

    def add(self, part: str, tokens: Tensor, there: Tensor) -> None:
        """Tokens (B, T, C) of a part, of which some are there (B, T)."""
        self._states.append(tokens.to(self._states[0].dtype))
        self._present.append(there)
        self._part.append(torch.full((tokens.shape[1],), PARTS.index(part), device=there.device))

    def memory(self) -> Memory:
        """All of it."""
        return Memory(
            states=torch.cat(self._states, dim=1),
            present=torch.cat(self._present, dim=1),
            part=torch.cat(self._part),
            ending=self.ending,
            photo=self.photo,
        )


def last_state(states: Tensor, present: Tensor) -> Tensor:
    """State (B, C), of states (B, T, C), of the last token that is present (B, T); 0 where none is."""
    left = present.long().flip(1).cumsum(1).flip(1)  # tokens from here on
    found: Tensor = (states * (present & (left == 1))[:, :, None]).sum(1)
    return found
