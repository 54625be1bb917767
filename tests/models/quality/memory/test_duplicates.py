"""Another listing of the same product is found, and told from variants and from other products in the same words."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from catalog.images import DecodedPhoto
from catalog.listing import Listing
from models.quality.memory.duplicates import NAMES, Duplicates, Signatures, compared
from models.quality.memory.known import Known
from models.quality.monotone import Monotone
from models.quality.twice import real_duplicates

COLOURS = frozenset({"blue", "red"})


def photo(colour: tuple[int, int, int], top: int = 15) -> DecodedPhoto:
    image = Image.new("RGB", (60, 80), "white")
    image.paste(colour, (15, top, 45, 65))
    image.paste((30, 30, 60), (15, top, 25, 30))
    return DecodedPhoto(np.asarray(image, dtype=np.uint8))


SHIRT = Listing(
    title="Nike Men Blue Dry Tshirt",
    description="A light shirt for running in the rain, with short sleeves.",
    price=900.0,
    image=photo((40, 60, 200)),
    fields={"brand": "Nike", "gender": "Men", "base_colour": "Blue"},
    categories={"article_type": "Tshirts"},
)


def signed(*listings: Listing, first: int = 0) -> Signatures:
    """Of listings that all lie in the same direction."""
    vectors = np.tile(np.array([[1.0, 0.0]], dtype=np.float16), (len(listings), 1))
    return Signatures.of([Known(first + i, listing) for i, listing in enumerate(listings)], vectors, COLOURS)


def evidence(a: Listing, b: Listing) -> dict[str, float]:
    [row] = compared(signed(a), np.array([0]), signed(b), np.array([0]))
    return dict(zip(NAMES, row.tolist(), strict=True))


@pytest.fixture(scope="module")
def model() -> Monotone:
    """Learned of the shirt listed again and of others like it."""
    same = [SHIRT, replace(SHIRT, title="nike blue dry tshirt men"), replace(SHIRT, price=950.0)]
    other = [
        replace(SHIRT, title="Nike Men Red Dry Tshirt", image=photo((200, 40, 40))),
        replace(SHIRT, image=photo((60, 160, 60), top=40)),
        replace(SHIRT, title="Nike Men Blue Jacket", description="A jacket that keeps warm.", image=photo((10, 90, 200))),
    ]
    rows = [compared(signed(SHIRT), np.array([0]), signed(one), np.array([0]))[0] for one in (*same, *other)]
    return Monotone.fit(np.stack(rows[:3]), np.stack(rows[3:]), (0.9,) * len(NAMES))


def test_the_same_listing_is_the_same_in_everything() -> None:
    found = evidence(SHIRT, SHIRT)
    assert found.pop("compared") == 3.0
    same = {"price": 0.0, "telling": 0.0, "given": 0.0}
    assert found == pytest.approx({name: same.get(name, 1.0) for name in found})


def test_what_differs_speaks_against() -> None:
    assert evidence(SHIRT, replace(SHIRT, title="Nike Men Red Dry Tshirt"))["telling"] == -2.0
    assert evidence(SHIRT, replace(SHIRT, title="Nike Men Blue Dry 2 Tshirt"))["telling"] == -1.0
    assert evidence(SHIRT, replace(SHIRT, fields={"brand": "Puma", "gender": "Women"}))["given"] == -2.0
    assert evidence(SHIRT, replace(SHIRT, price=450.0))["price"] == pytest.approx(-np.log(2), abs=1e-6)
    assert evidence(SHIRT, replace(SHIRT, title="Dry Tshirt"))["contained"] == 1.0
    assert evidence(SHIRT, replace(SHIRT, title="Dry Tshirt"))["title"] == pytest.approx(0.4)


def test_what_is_missing_is_not_compared() -> None:
    found = evidence(SHIRT, Listing(title=SHIRT.title))
    assert {name for name, value in found.items() if np.isnan(value)} == {
        "description",
        "photo",
        "photo_colours",
        "price",
        "type",
    }
    assert found["compared"] == 1.0


def test_saying_more_never_makes_a_listing_more_of_a_duplicate() -> None:
    less = replace(SHIRT, fields={}, attributes={})
    for fields in ({"brand": "Nike"}, {"brand": "Puma"}, {"gender": "Women", "base_colour": "Red"}):
        before, after = evidence(SHIRT, less), evidence(SHIRT, replace(less, fields=fields))
        assert all(after[name] <= before[name] or np.isnan(before[name]) for name in NAMES)


def test_titles_without_spaces_are_compared_by_their_characters() -> None:
    found = evidence(Listing(title="耐克男士蓝色短袖"), Listing(title="男士蓝色短袖耐克"))
    assert found["title"] > 0.5
    assert evidence(Listing(title="耐克男士蓝色短袖"), Listing(title="陶瓷咖啡杯子"))["title"] == 0.0


def test_a_duplicate_is_found_and_its_evidence_told(model: Monotone) -> None:
    known = signed(SHIRT, replace(SHIRT, title="Nike Men Red Dry Tshirt", image=photo((200, 40, 40))))
    search = Duplicates(known, model, candidates=5, least=0.5)
    [match, other] = search.nearest(
        signed(
            replace(SHIRT, title="nike blue dry tshirt men"),
            Listing(title="Cup", description="For coffee.", image=photo((250, 200, 10), top=50)),
            first=90,
        )
    )
    assert match is not None
    assert match.product_id == 0
    assert match.probability > 0.5
    assert "the description is the same" in match.evidence[0].text
    assert match.evidence[0].values["product_id"] == 0
    assert other is None


def test_a_listing_is_no_duplicate_of_itself(model: Monotone) -> None:
    known = signed(SHIRT)
    assert Duplicates(known, model, candidates=5, least=0.5).nearest(known) == [None]
    [match] = Duplicates(known.joined(signed(SHIRT, first=7)), model, candidates=5, least=0.5).nearest(known)
    assert match is not None
    assert match.product_id == 7


def test_nothing_known_and_nothing_asked(model: Monotone) -> None:
    assert Duplicates(signed(), model, candidates=5, least=0.5).nearest(signed(SHIRT)) == [None]
    assert Duplicates(signed(SHIRT), model, candidates=5, least=0.5).nearest(signed()) == []


def test_one_photo_twice_is_one_product_unless_it_is_another_brand_or_gender() -> None:
    held = signed(
        SHIRT,
        replace(SHIRT, title="Nike Dry Tshirt", price=950.0),
        replace(SHIRT, fields={"brand": "Nike", "gender": "Women"}),
        replace(SHIRT, title="Something else"),
        replace(SHIRT, image=photo((200, 40, 40))),
    )
    assert real_duplicates(held) == {(0, 1)}
    assert real_duplicates(signed()) == set()
