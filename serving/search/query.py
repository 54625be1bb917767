"""What a search is asked."""

from dataclasses import dataclass, field

from catalog.images import DecodedPhoto
from serving.search.shelf import Filters


@dataclass(frozen=True)
class Query:
    """What is looked for: a product, what a text and a photo say, or a vector; and within which bounds.

    Attributes:
        product_id: As text.
        vector: Of any length but 0.
    """

    product_id: str | None = None
    text: str | None = None
    image: DecodedPhoto | None = None
    vector: tuple[float, ...] | None = None
    filters: Filters = field(default_factory=Filters)
    limit: int = 10

    @property
    def key(self) -> object:
        """What its answer is kept under; None where it is not kept."""
        if self.image is not None or self.vector is not None:
            return None
        return self.product_id, self.text, self.filters, self.limit
