"""The heads of the product model, a file each.

To add one: write `heads/<name>.py` with the class of its values (a `HeadConfig`), its output, its answers and the head itself
(`heads.head` says what each method gives), and name its values in `HeadsConfig`. Training, calibration, bundles, graphs and
predictions go over the heads named there. A route in `serving/routes` then offers `prediction.answers["<name>"]`.
"""

from typing import Any

from configs.schema import StrictModel
from models.product.heads.category import CategoryConfig
from models.product.heads.embedding import EmbeddingConfig
from models.product.heads.head import Head, HeadContext, ListingHead, ReviewHead
from models.product.heads.price import PriceConfig
from models.product.heads.quality import QualityConfig
from models.product.heads.sentiment import SentimentConfig
from models.product.heads.type_evidence import TypeEvidenceConfig


class HeadsConfig(StrictModel):
    """Values of each head, and thereby which heads there are. The order is that in which heads are built, and weights drawn."""

    category: CategoryConfig = CategoryConfig()
    price: PriceConfig = PriceConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    type_evidence: TypeEvidenceConfig = TypeEvidenceConfig()
    sentiment: SentimentConfig = SentimentConfig()
    quality: QualityConfig = QualityConfig()

    def listing_heads(self) -> dict[str, type[ListingHead[Any, Any]]]:
        """Heads that read listings, by name."""
        return {name: head for name, head in self._heads().items() if issubclass(head, ListingHead)}

    def review_heads(self) -> dict[str, type[ReviewHead[Any, Any]]]:
        """Heads that read reviews, by name."""
        return {name: head for name, head in self._heads().items() if issubclass(head, ReviewHead)}

    def build(self, context: HeadContext) -> dict[str, Head[Any, Any]]:
        """Every head, with fresh weights."""
        return {name: head(getattr(self, name), context) for name, head in self._heads().items()}

    def _heads(self) -> dict[str, type[Head[Any, Any]]]:
        return {name: value.head() for name, value in self}
