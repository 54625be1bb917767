"""What is known of the article type before a query is asked: by the title's n-grams and, without a title, by the photo.

The title's log probabilities come from linear machines (`priors.title`); the photo's logits from a linear head on the photo
tower, which learns with it (`models.product.photos`). Category and embedding heads add both to their own logits of the article
type, each with weights of its own.

Shapes: B listings, V views, C width, N article types.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.product.heads.head import Decoded, HeadConfig, HeadContext, ListingHead


class TypeEvidenceConfig(HeadConfig):
    """The head has no values to choose."""

    @classmethod
    def head(cls) -> type["TypeEvidenceHead"]:
        """What these values are for."""
        return TypeEvidenceHead


@dataclass(frozen=True)
class TypeEvidence:
    """Logits of article types by the title and by the photo, (B, V, N) each; 0 where a view shows none, or both."""

    title: Tensor
    photo: Tensor
    titled: Tensor  # (B, V): the view shows a title, and there is one


class TypeEvidenceHead(ListingHead[TypeEvidence, Any]):
    """It has no query, and is not answered: other heads ask it."""

    name = "type_evidence"
    asked = False

    def __init__(self, values: TypeEvidenceConfig, context: HeadContext) -> None:
        super().__init__(values, context)
        self.photo_types = nn.Linear(context.width, context.sizes.levels[-1])

    def reset_parameters(self) -> None:
        """A photo says nothing at first."""
        nn.init.zeros_(self.photo_types.weight)

    def forward(self, decoded: Decoded) -> TypeEvidence:
        """Title first: photos are asked where a view shows no title."""
        inputs, memory = decoded.inputs, decoded.memory
        title, photo = decoded.shows("title"), decoded.shows("image")  # (B or 1, V)
        titled = title & memory.has("title")[:, None]
        seen = torch.zeros_like(inputs.title_prior)
        if memory.photo is not None:
            seen = self.photo_types(memory.photo).float() * inputs.has_image[:, None]
        return TypeEvidence(
            title=inputs.title_prior[:, None] * title[..., None],
            photo=seen[:, None] * (photo & ~titled)[..., None],
            titled=titled,
        )


class EvidenceWeights(nn.Module):
    """How much the evidence counts in another head: a weight of what the title says, and one of what the photo does."""

    def __init__(self) -> None:
        super().__init__()
        self.title = nn.Parameter(torch.ones(1))
        self.photo = nn.Parameter(torch.ones(1))

    def forward(self, evidence: TypeEvidence) -> Tensor:
        """Logits (B, V, N) to add."""
        return self.title * evidence.title + self.photo * evidence.photo
