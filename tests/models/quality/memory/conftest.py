"""A small catalogue that tests make a memory of."""

import numpy as np
import pytest

from catalog.listing import Listing
from models.quality.config import MemoryConfig
from models.quality.memory.known import Known
from models.quality.memory.norms import Norms

COLOURS = ("Blue", "Red", "Black")
BRANDS = ("Nike", "Puma", "Fila")


def shirt(i: int) -> Listing:
    """The i-th shirt: brand, gender, colour and kind in its title, in this order."""
    brand, colour, gender = BRANDS[i % 3], COLOURS[i // 3 % 3], ("Men", "Women")[i // 9 % 2]
    return Listing(
        title=f"{brand} {gender} {colour} Tshirt",
        description=f"A {colour.lower()} tshirt of cotton, with a round neck and short sleeves.",
        price=500.0 + i,
        categories={"article_type": "Tshirts", "sub_category": "Topwear"},
        fields={"brand": brand, "gender": gender, "base_colour": colour},
        attributes={"Fabric": "Cotton" if i % 5 else "Polyester", "Fabric 3": "NA", "Neck": "Round Neck"},
    )


@pytest.fixture(scope="session")
def config() -> MemoryConfig:
    return MemoryConfig()


@pytest.fixture(scope="session")
def products() -> list[Known]:
    """Thirty shirts and five books, which have no fields."""
    books = [
        Listing(title=f"Volume {i} of tales", categories={"article_type": "Books", "sub_category": "Reading"}) for i in range(5)
    ]
    return [Known(i, listing) for i, listing in enumerate([*map(shirt, range(30)), *books])]


@pytest.fixture(scope="session")
def norms(products: list[Known], config: MemoryConfig) -> Norms:
    return Norms.fit(products, [True] * 30 + [False] * 5, config)


@pytest.fixture(scope="session")
def vectors(products: list[Known]) -> np.ndarray:
    """Unit vectors [35, 8] by chance, rounded as those of a memory are."""
    found = np.random.default_rng(0).normal(size=(len(products), 8))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(np.round(found * 127) / 127, dtype=np.float16)
