"""The heads of the product model, a file each.

To add one: write `heads/<name>.py` with the class of its values (a `HeadConfig`), its output, its answers and the head itself
(`heads.head` says what each method gives), and name its values in `HeadsConfig`. Training, calibration, bundles, graphs and
predictions go over the heads named there. A route in `serving/routes` then offers `prediction.answers["<name>"]`.
"""

from collections.abc import Mapping
from typing import Any

from configs.schema import StrictModel
from models.product.heads.category import CategoryConfig
from models.product.heads.embedding import EmbeddingConfig
from models.product.heads.head import Head, ListingHead, ReviewHead
from models.product.heads.price import PriceConfig
from models.product.heads.quality import QualityConfig
from models.product.heads.sentiment import SentimentConfig
from models.product.heads.type_evidence import TypeEvidenceConfig


class HeadsConfig(StrictModel):
    """Values of each head. The order is that in which heads are built, and weights drawn."""

    category: CategoryConfig = CategoryConfig()
    price: PriceConfig = PriceConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    type_evidence: TypeEvidenceConfig = TypeEvidenceConfig()
    sentiment: SentimentConfig = SentimentConfig()
    quality: QualityConfig = QualityConfig()


HEADS: Mapping[str, type[Head[Any, Any]]] = {name: type(value).head() for name, value in HeadsConfig()}
"""Every head by name."""

LISTING_HEADS: Mapping[str, type[ListingHead[Any, Any]]] = {n: h for n, h in HEADS.items() if issubclass(h, ListingHead)}
REVIEW_HEADS: Mapping[str, type[ReviewHead[Any, Any]]] = {n: h for n, h in HEADS.items() if issubclass(h, ReviewHead)}
