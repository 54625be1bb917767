"""The extractor against 200 sentences whose values were written down by hand, and what it makes of facts.

A statement is right where it overlaps a labelled value, and a value is found where a statement overlaps it. Labelled are
values that the sentence states of its product (no types of products); words of other things ("with black trousers") are none.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from labelled_sentences import LABELS, Labelled, listing_of, made_up, real

from catalog.listing import Listing
from catalog.splits import split_products
from configs.schema import SplitConfig
from models.describer.answers import Fact
from models.describer.facts.extractor import coverage, precision, stated
from models.describer.facts.given import facts_of, unsupported
from models.describer.facts.lexicon import Lexicon, Statement

LEARNT_FROM = 4000
OTHER_BRANDS = ("Casio", "Hidesign", "Puma", "Adidas", "Reebok")
Counts = dict[str, float]


def spans(text: str, values: Iterable[str]) -> list[tuple[int, int]]:
    folded = text.casefold()
    return [m.span() for value in values for m in re.finditer(rf"(?<!\w){re.escape(value.casefold())}(?!\w)", folded)]


def overlaps(statement: Statement, places: Sequence[tuple[int, int]]) -> bool:
    return any(statement.start < end and start < statement.end for start, end in places)


def measured(sentences: Sequence[Labelled], lexicon: Lexicon) -> Counts:
    made = right = values = found = judged = agreed = 0
    for one in sentences:
        facts = facts_of(one.listing, lexicon)
        told = lexicon.statements(one.text)
        wrong = unsupported(one.text, facts, lexicon)
        given, lacking = spans(one.text, one.given), spans(one.text, one.not_given)
        made, right = made + len(told), right + sum(overlaps(s, given + lacking) for s in told)
        for place, is_given in [*((p, True) for p in given), *((p, False) for p in lacking)]:
            own = [s for s in told if overlaps(s, [place])]
            values, found = values + 1, found + bool(own)
            if own:
                judged, agreed = judged + 1, agreed + (is_given == (not any(s in wrong for s in own)))
    return {"precision": right / made, "recall": found / values, "agreement": agreed / judged}


@pytest.fixture(scope="module")
def invented() -> tuple[list[Labelled], Lexicon]:
    sentences = made_up()
    others = [Listing(fields={"brand": brand}) for brand in OTHER_BRANDS]
    return sentences, Lexicon.fit([*{id(s.listing): s.listing for s in sentences}.values(), *others])


def test_every_labelled_value_stands_in_its_sentence(invented: tuple[list[Labelled], Lexicon]) -> None:
    sentences, _ = invented
    assert len(sentences) == 100
    for one in sentences:
        assert all(spans(one.text, [value]) for value in (*one.given, *one.not_given)), one


@pytest.fixture(scope="module")
def products(real_data: Path) -> pd.DataFrame:
    found = pd.read_parquet(real_data / "myntra" / "products.parquet")
    return found.assign(part=split_products(found, SplitConfig()))


def test_it_finds_what_made_up_sentences_state(invented: tuple[list[Labelled], Lexicon]) -> None:
    found = measured(*invented)
    assert found["precision"] >= 0.85
    assert found["recall"] >= 0.98
    assert found["agreement"] >= 0.96


@pytest.mark.slow
def test_it_finds_what_real_sentences_state(products: pd.DataFrame) -> None:
    rows = products[products["part"] == "train"].sample(LEARNT_FROM, random_state=5)
    lexicon = Lexicon.fit([replace(listing_of(row), description=row.description or "") for _, row in rows.iterrows()])
    sentences = real(products)
    assert len(sentences) == 100
    found = measured(sentences, lexicon)
    assert found["precision"] >= 0.75
    assert found["recall"] >= 0.82
    assert found["agreement"] >= 0.94


def test_real_sentences_are_of_the_test_split(products: pd.DataFrame) -> None:
    named = {one["product_id"] for one in json.loads(LABELS.read_text())["real"]}
    assert set(products.loc[products["product_id"].isin(named), "part"]) == {"test"}


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("A navy shirt of a cotton blend.", []),
        ("A shirt of cotton.", ["cotton"]),
        ("A slim-fit shirt.", []),
        ("A regular-fit shirt with three pockets.", ["regular-fit", "three", "pockets"]),
        ("It has no hood.", ["hood"]),
        ("A shirt for women.", ["women"]),
    ],
)
def test_what_is_not_given(invented: tuple[list[Labelled], Lexicon], text: str, lacking: list[str]) -> None:
    sentences, lexicon = invented
    facts = facts_of(sentences[0].listing, lexicon)
    assert [statement.value for statement in unsupported(text, facts, lexicon)] == lacking


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("A padded bra with a hood.", ["padded", "hood"]),
        ("A non padded bra.", []),
        ("It has no hood.", []),
        ("It is waterproof.", []),
        ("It is not waterproof.", ["waterproof"]),
    ],
)
def test_a_value_that_is_denied_is_another_one(text: str, lacking: list[str]) -> None:
    facts = (Fact("Padding", "Non Padded"), Fact("Hood", "No Hood"), Fact("Rain", "Waterproof"))
    assert [statement.value for statement in unsupported(text, facts, Lexicon.fit([]))] == lacking


def test_what_a_text_states_is_counted(invented: tuple[list[Labelled], Lexicon]) -> None:
    sentences, lexicon = invented
    facts = (Fact("brand", "Arrow"), Fact("base_colour", "Navy Blue"), Fact("Fit", "Slim Fit"), Fact("Collar", "Spread Collar"))
    text = "A slim fit by Arrow in red."
    assert sentences[0].text.startswith("This navy blue")
    assert stated(text, facts, lexicon) == (facts[2], facts[0])
    assert precision(text, facts, lexicon) == (2, 3)
    assert coverage(text, facts, lexicon) == (2, 4)


def test_a_lexicon_survives_its_state(invented: tuple[list[Labelled], Lexicon]) -> None:
    sentences, lexicon = invented
    again = Lexicon.restore(json.loads(json.dumps(lexicon.state())))
    assert [again.statements(one.text) for one in sentences] == [lexicon.statements(one.text) for one in sentences]
