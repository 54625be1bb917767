"""What holds of what the committed describer writes, listing by listing."""

from dataclasses import replace

import committed
import pytest

from catalog.listing import Listing
from models.describer.answers import MAX_META, MAX_TITLE, TONES, Brief, Description
from models.describer.facts.forms import forms
from models.describer.facts.given import facts_of, unsupported
from models.describer.predictor import DescriberPredictor

pytestmark = pytest.mark.slow

WATCH = Listing(
    title="Nordlys Men Watch",
    categories={"article_type": "Watches"},
    fields={"brand": "Nordlys", "gender": "Men", "base_colour": "Black"},
    attributes={"Material": "Steel", "Display": "Analogue", "Water Resistance": "100 m"},
)


@pytest.fixture(scope="module")
def writer() -> DescriberPredictor:
    return DescriberPredictor.load(committed.bundle("describer"), "cpu")


def words(answer: Description) -> set[str]:
    return {word for part in answer.parts.values() for sentence in part for word in forms(sentence.text)}


def test_the_order_of_attributes_makes_no_difference(writer: DescriberPredictor) -> None:
    turned = replace(WATCH, attributes=dict(reversed(WATCH.attributes.items())), fields=dict(reversed(WATCH.fields.items())))
    first, second = writer.predict([Brief(WATCH, seed=2), Brief(turned, seed=2)])
    assert {name: [s.text for s in part] for name, part in first.parts.items()} == {
        name: [s.text for s in part] for name, part in second.parts.items()
    }


def test_a_fact_that_is_taken_away_is_no_longer_stated(writer: DescriberPredictor) -> None:
    without = replace(WATCH, attributes={"Display": "Analogue"})
    for seed in range(3):
        answer = writer.predict([Brief(without, seed=seed)])[0]
        assert words(answer).isdisjoint({"steel", "100"})
        assert "Material" not in {fact.name for part in answer.parts.values() for sentence in part for fact in sentence.facts}


def test_another_colour_changes_the_colour_word_alone_among_colours(writer: DescriberPredictor) -> None:
    stated = 0
    for colour in ("Red", "Blue", "Green"):
        answer = writer.predict([Brief(replace(WATCH, fields=WATCH.fields | {"base_colour": colour}), seed=1)])[0]
        others = {"red", "blue", "green", "black"} - {colour.lower()}
        assert words(answer).isdisjoint(others)
        stated += colour.lower() in words(answer)
    assert stated == 3


def test_what_the_audience_and_keywords_say_never_becomes_a_fact(writer: DescriberPredictor) -> None:
    brief = Brief(WATCH, audience="women who love gold", keywords=("silk", "gift"), tone="playful")
    answer = writer.predict([brief])[0]
    assert words(answer).isdisjoint({"women", "gold", "silk"})
    silk, gift = answer.keywords
    assert not silk.used and silk.why is not None and "silk" in silk.why
    assert gift.used == ("gift" in words(answer))


@pytest.mark.parametrize("tone", TONES)
def test_every_sentence_is_true_and_every_text_within_its_limit(writer: DescriberPredictor, tone: str) -> None:
    listings = [WATCH, committed.LISTINGS["all"], Listing(fields={"brand": "Pico"}), Listing(title="Pico Women Red Dress")]
    briefs = [Brief(listing, tone=tone) for listing in listings]  # type: ignore[arg-type]
    for brief, answer in zip(briefs, writer.predict(briefs), strict=True):
        facts = facts_of(brief.listing, writer.lexicon)
        assert 0 < len(answer.seo_title.text) <= MAX_TITLE and 0 < len(answer.meta_description.text) <= MAX_META
        for part in answer.parts.values():
            for sentence in part:
                assert unsupported(sentence.text, facts, writer.lexicon) == ()


def test_a_text_that_was_written_before_is_written_less_alike(writer: DescriberPredictor) -> None:
    """Of the same candidates one is taken that shares no more with the last texts."""
    from models.describer.generation.reranking import likeness

    first = writer.predict([Brief(WATCH)])[0]
    again = writer.predict([Brief(WATCH, recent=(first.text,))])[0]
    assert likeness(again.text, [first.text]) <= likeness(first.text, [first.text])
