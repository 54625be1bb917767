"""Items that are alike in themselves, whoever buys them: by embeddings of a product model, or by attributes in common.

Where the catalogue has embeddings, an item scores the sum of its cosines with what the user has; otherwise cosines of attributes,
rare ones counting more. Shapes: B users, I items, d dimensions.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from numpy.typing import NDArray

from models.arrays import fields_restored
from models.recommender.answers import ReasonKind
from models.recommender.bases import DensePart, SparsePart
from models.recommender.interactions import Histories
from models.recommender.items import Items
from models.recommender.part import Choice, Explanation, NoConfig, Part, Purchases, Settings
from models.recommender.readings import Floats


class Content(Part[NoConfig]):
    """What both forms have in common."""

    label: ClassVar[str] = "Content"
    reason: ClassVar[ReasonKind] = "similar_content"
    sentence: ClassVar[str] = "Is like {title}."
    order: ClassVar[int] = 80

    decay: float

    @classmethod
    def possible(cls, purchases: Purchases, config: NoConfig) -> bool:
        """Where anything is known of the items."""
        return purchases.content is not None or purchases.items.attributes.nnz > 0

    @classmethod
    @abstractmethod
    def of(cls, purchases: Purchases, neighbours: int, decay: float) -> Self:
        """From what is known of the items."""

    @abstractmethod
    def fading(self, decay: float) -> Self:
        """The same at another decay."""

    @classmethod
    def fit(cls, purchases: Purchases, choice: Choice, settings: Settings[NoConfig]) -> "Content":
        """The decay alone is chosen."""
        form: type[Content] = ContentByEmbeddings if purchases.content is not None else ContentByAttributes
        part = form.of(purchases, settings.neighbours, choice.middle_decay)
        return choice.best(part.fading(decay) for decay in choice.decays)

    def refit(self, purchases: Purchases, settings: Settings[NoConfig]) -> Self:
        """With the same decay."""
        return self.of(purchases, settings.neighbours, self.decay)

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]], config: NoConfig, items: Items) -> "Content":
        """See `Part`."""
        form: type[Content] = ContentByEmbeddings if "embeddings" in state else ContentByAttributes
        return fields_restored(form, state)

    def explain(self, items: Items, item: int, because: int | None, named: int) -> Explanation:
        """Attributes in common, the rarest first, where there are any."""
        assert because is not None, "content explains by an item of the history"
        shared = items.shared(because, item)[:named]
        if not shared:
            return super().explain(items, item, because, named)
        return Explanation("shared_attributes", f"Shares {', '.join(shared)} with {items.title(because)}.", shared)


@dataclass(frozen=True)
class ContentByEmbeddings(DensePart[NoConfig], Content):
    """Cosines of embeddings.

    Attributes:
        embeddings: float32 [I, d], of unit length, zeros for items without one.
        decay: Rate at which older items count less.
    """

    embeddings: Floats
    decay: float

    @classmethod
    def of(cls, purchases: Purchases, neighbours: int, decay: float) -> Self:
        """See `Content`."""
        assert purchases.content is not None, "there are no embeddings"
        return cls(purchases.content, decay)

    def fading(self, decay: float) -> Self:
        """See `Content`."""
        return replace(self, decay=decay)

    def query(self, histories: Histories) -> Floats:
        """Sum of the embeddings of what the user has [B, d]."""
        found: Floats = histories.matrix(len(self.embeddings), self.decay) @ self.embeddings
        return found

    @property
    def targets(self) -> Floats:
        """See `DensePart`."""
        return self.embeddings


@dataclass(frozen=True)
class ContentByAttributes(SparsePart[NoConfig], Content):
    """Cosines of attributes, the nearest items of each."""

    @classmethod
    def of(cls, purchases: Purchases, neighbours: int, decay: float) -> Self:
        """See `Content`."""
        return cls(purchases.items.alike(neighbours), decay)


PART = Content
