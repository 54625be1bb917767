"""What several tabs show."""

from urllib.parse import parse_qs

import pytest

from playground.drawing import price_band, score_ring
from playground.pieces import LONGEST_PLACE, listed, money, photo, place, product, share
from playground.texts import marked
from vitrina_client.models import Fact, Price


def test_facts_are_marked_where_they_stand() -> None:
    facts = [Fact(name="base_colour", value="Blue"), Fact(name="title", value="Blue Jeans"), Fact(name="Fit", value="<b>")]
    assert marked("blue jeans, BLUE and bluer <b>", facts) == (
        '<mark title="title">blue jeans</mark>, <mark title="base colour">BLUE</mark> '
        'and bluer <mark title="Fit">&lt;b&gt;</mark>'
    )
    assert marked("a < b", []) == "a &lt; b"


def test_a_price_is_drawn_within_its_range() -> None:
    drawn = price_band(Price(median=20, low=10, high=40), 10)
    assert 'class="v-asked good"' in drawn
    assert 'cx="12.0"' in drawn
    assert "estimated 20, between 10 and 40; asked 10" in drawn
    assert 'class="v-asked bad"' in price_band(Price(median=20, low=10, high=40), 80)
    assert "v-asked" not in price_band(Price(median=20, low=10, high=40), None)
    assert price_band(Price(median=0, low=0, high=0), None) == ""


def test_a_score_is_read_out() -> None:
    assert "score 62 of 100, before 40, published from 50 on" in score_ring(0.62, 0.5, 0.4)


def test_the_address_is_cut_where_servers_would_refuse_it() -> None:
    stands = place("listing", title="a & b", price=2.5, brand=None, description="x" * LONGEST_PLACE)
    said = stands.partition('data-place="')[2].partition('"')[0].replace("&amp;", "&")
    assert parse_qs(said) == {"tab": ["listing"], "title": ["a & b"], "price": ["2.5"]}


def test_photos_come_from_the_api() -> None:
    assert 'src="/v1/catalog/products/a%2F%22b/image"' in photo('a/"b', "T", there=True)
    assert "<img" not in photo(1, "T", there=False)
    assert "<script" not in product("<script>", "<script>", "<script>", there=True, do="like", said="<script>")


@pytest.mark.parametrize(("value", "said"), [(None, ""), (1549.0, "1,549"), (2.5, "2.50"), (2349.5, "2,350")])
def test_prices_are_written_for_people(value: float | None, said: str) -> None:
    assert money(value) == said


def test_shares_and_lists_are_written_for_people() -> None:
    assert [share(value) for value in (0, 0.004, 0.5, 1)] == ["0\u00a0%", "0.4\u00a0%", "50\u00a0%", "100\u00a0%"]
    assert [listed(names) for names in ([], ["a"], ["a", "b", "c"])] == ["", "a", "a, b and c"]
