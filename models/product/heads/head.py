"""What a head of the product model is: everything about one answer, from its query to its calibration.

A listing is read in several views, each of which shows some of its parts. A head that asks something of a listing has a query,
which attends to the tokens of the parts that it may see; the readout gives the head the state of that query in each view. A
target is never in its head's input, by construction: it is not among the parts that the head may see. Queries never see each
other, but a head may ask what another has answered (`Decoded.of`).

Shapes: B listings, V views, C width, F evidence features; R reviews.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from catalog.price import PriceScaler
from catalog.vocabulary import Vocabulary
from configs.schema import EvaluationConfig, StrictModel
from models.product.inputs import Batch, Inputs, Reviews, Sizes
from models.product.memory import Memory
from models.product.parts import PARTS

Array = NDArray[Any]


class HeadConfig(StrictModel):
    """Values of one head; a class of its own for each, beside the head."""

    @classmethod
    def head(cls) -> "type[Head[Any, Any]]":
        """What these values are for."""
        raise NotImplementedError


class Codec(Protocol):
    """What turns numbers back into what people read: `models.product.encoders.Encoders`."""

    @property
    def levels(self) -> Sequence[Vocabulary]:
        """Values of each category level."""
        ...

    @property
    def paths(self) -> NDArray[np.int64]:
        """Category indices [P, 3] of each leaf of the hierarchical softmax."""
        ...

    @property
    def price(self) -> PriceScaler | None:
        """None where no training row has a price."""
        ...

    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """Category values that the model can answer, by level."""
        ...


class HeadAnswers(Protocol):
    """What a head answers of several listings or reviews, in a form that people read."""

    def at(self, row: int) -> Any:
        """Of one of them."""
        ...


Output = TypeVar("Output")
Answers = TypeVar("Answers", bound=HeadAnswers)


@dataclass(frozen=True)
class HeadContext:
    """What heads are built for.

    Attributes:
        width: C.
        dropout: Share of channels that layers of a head drop.
        embedding_dim: Dimensions of the embedding.
        type_share: `EmbeddingConfig.type_share`, for those who compare embeddings too.
        sizes: What the encoders fix.
        paths: (P, 3), category indices of each leaf of the hierarchical softmax.
        photo_lessons: Whether the photo tower learns by itself first (`models.product.photos`).
    """

    width: int
    dropout: float
    embedding_dim: int
    type_share: float
    sizes: Sizes
    paths: Tensor
    photo_lessons: bool


class Head(nn.Module, Generic[Output, Answers]):
    """One answer of the model.

    A head's buffers hold what calibration fits, and are saved with the weights.

    Attributes:
        name: That of its file, of its values in `HeadsConfig`, and of its answers.
    """

    name: ClassVar[str]

    def __init__(self, values: Any, context: HeadContext) -> None:
        super().__init__()

    def weights(self) -> Mapping[str, float]:
        """Base weight of each term of the training loss that the head adds."""
        return {}

    def reset_parameters(self) -> None:
        """Where its weights begin, if not where layers of their kind do."""

    def answers(self, output: Output) -> dict[str, Tensor]:
        """Calibrated tensors by name, which are unique among heads; a listing's are those of the whole. Exported as they are."""
        raise NotImplementedError

    @classmethod
    def interpret(cls, answers: Mapping[str, Array], codec: Codec) -> Answers:
        """The head's own of all `answers` as people read them; the tensors may come from an exported graph."""
        raise NotImplementedError

    def calibrated(self) -> dict[str, float]:
        """What calibration has fitted, by name, for the model card."""
        return {}


class ListingHead(Head[Output, Answers]):
    """A head that reads listings.

    Attributes:
        visible: Parts that its query may see; none: it has no query.
        evidence_size: Features of what it knows of a listing beforehand, which are added to its query.
        asked: Whether the model answers it; other heads may ask those that it does not.
    """

    visible: ClassVar[tuple[str, ...]] = ()
    evidence_size: ClassVar[int] = 0
    asked: ClassVar[bool] = True

    def evidence(self, inputs: Inputs, shown: Tensor) -> Tensor:
        """Features (B, V, F) that are added to its query; `shown` as in `Decoded`."""
        raise NotImplementedError

    def forward(self, decoded: "Decoded") -> Output:
        """Its output in each view."""
        raise NotImplementedError

    def view_losses(self, output: Output, view: int, targets: Inputs, rows: Tensor, smoothing: float) -> dict[str, Tensor]:
        """Mean losses in one view over those of `rows` (B,) that have its target; 0 where none has."""
        return {}

    def batch_losses(self, decoded: "Decoded", batch: Batch) -> dict[str, Tensor]:
        """Losses of the batch as a whole; what the batch has no labels for is left out."""
        return {}

    def calibration_rows(self, decoded: "Decoded") -> dict[str, Tensor]:
        """What `calibrate` needs of a validation batch, each (n, …); batches are joined."""
        return {}

    def calibrate(self, rows: Mapping[str, Tensor], config: EvaluationConfig) -> None:
        """Fit its buffers on validation rows that have the target; without any they keep their defaults."""


class ReviewHead(Head[Output, Answers]):
    """A head that reads reviews; its query sees the whole review."""

    def forward(self, state: Tensor, reviews: Reviews) -> Output:
        """Its output, from the state (R, C) of its query."""
        raise NotImplementedError

    def losses(self, output: Output, reviews: Reviews) -> dict[str, Tensor]:
        """Mean losses over the reviews that have its target; none where no review has one."""
        raise NotImplementedError


ListingOutput = TypeVar("ListingOutput")


@dataclass(frozen=True)
class Decoded:
    """What heads make of a batch of listings in V views; each head computes when it is asked, and once.

    Attributes:
        inputs: The batch.
        memory: What the towers say of it.
        shown: Which of `PARTS` each view shows, and the register token, (B or 1, V, parts + 1).
        states: The state of each query by head, (B, V, C).
        heads: Every listing head.
    """

    inputs: Inputs
    memory: Memory
    shown: Tensor
    states: Mapping[str, Tensor]
    heads: Mapping[str, ListingHead[Any, Any]]
    _outputs: dict[str, Any] = field(default_factory=dict, repr=False)

    def of(self, head: type[ListingHead[ListingOutput, Any]]) -> ListingOutput:
        """The output of a head."""
        if head.name not in self._outputs:
            self._outputs[head.name] = self.heads[head.name](self)
        output: ListingOutput = self._outputs[head.name]
        return output

    def shows(self, part: str) -> Tensor:
        """Whether each view shows a part, (B or 1, V)."""
        return self.shown[:, :, PARTS.index(part)]


def joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors of several batches by name, one after the other."""
    return {name: torch.cat([part[name] for part in parts]) for name in (parts[0] if parts else ())}


def arrays(tensors: Mapping[str, Tensor]) -> dict[str, Array]:
    """Tensors as NumPy arrays on the CPU."""
    return {name: np.asarray(tensor.cpu().numpy()) for name, tensor in tensors.items()}
