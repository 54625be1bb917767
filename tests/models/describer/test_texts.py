"""Measures by hand, cleaning, slots, keywords and the peers over a shirt."""

import tracemalloc

import pytest

from catalog.listing import Listing
from models.describer.answers import MAX_META, MAX_TITLE, Brief
from models.describer.facts.cleaning import examples, sentences
from models.describer.facts.given import facts_of, unsupported
from models.describer.facts.keywords import refused
from models.describer.facts.lexicon import Lexicon
from models.describer.facts.measures import copy_rates, distinct_2, rouge_l, self_bleu
from models.describer.facts.peers import Neighbours, template
from models.describer.facts.slots import realised

SHIRT = Listing(
    title="Arrow Men Navy Blue Shirt",
    description="<p>Navy blue shirt by Arrow for men. It is made of a cotton blend. It has two pockets.</p>"
    "<p>Do not bleach it ever.</p>",
    fields={"brand": "Arrow", "gender": "Men", "base_colour": "Navy Blue"},
    categories={"article_type": "Shirts"},
    attributes={"Fabric": "Cotton Blend", "Fit": "Slim Fit", "Trend": "NA"},
)
BAG = Listing(
    title="Baggit Women Tan Handbag",
    description="<p>A tan handbag by Baggit for women.</p>",
    fields={"brand": "Baggit", "gender": "Women", "base_colour": "Tan"},
    categories={"article_type": "Handbags"},
    attributes={"Closure": "Zip"},
)
LEXICON = Lexicon.fit([SHIRT, BAG])
FACTS = facts_of(SHIRT, LEXICON)


def test_rouge_l_by_hand() -> None:
    # Longest common subsequence "a c": 2 of 3 words and 2 of 2.
    assert rouge_l("a b c", "a c") == pytest.approx(0.8)
    assert rouge_l("", "a c") == 0.0


def test_variety_by_hand() -> None:
    assert distinct_2(["a b a b", "c d"]) == pytest.approx(3 / 4)
    assert distinct_2([]) == 0.0
    same, other = ["one two three four five"] * 2, ["one two three four five", "six seven eight nine ten"]
    assert self_bleu(same) == pytest.approx(1.0)
    assert self_bleu(other) < 0.3


def test_copies_are_runs_of_eight_words() -> None:
    texts = ["A b c, d e f g h i", "a b c d e f g h x", "a b c"]
    assert copy_rates(texts, ["a b c d e f g h i"]) == pytest.approx([1.0, 0.5, 0.0])
    assert copy_rates(texts, []) == [0.0, 0.0, 0.0]


@pytest.mark.slow
def test_training_texts_pass_through_memory() -> None:
    texts = (" ".join(f"{word}{text}" for word in range(30)) for text in range(4000))  # all runs: 92,000, more than 6 MB
    tracemalloc.start()
    try:
        assert copy_rates([" ".join(f"{word}7" for word in range(9))], texts) == [1.0]
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


def test_values_that_say_nothing_are_no_facts() -> None:
    assert {fact.name for fact in FACTS} >= {"brand", "gender", "base_colour", "article_type", "Fabric", "Fit"}
    assert "Trend" not in {fact.name for fact in FACTS}


def test_sentences_that_state_what_is_not_given_go() -> None:
    kept = " ".join(sentences(SHIRT.description or "", FACTS, LEXICON))
    assert "cotton blend" in kept
    assert "bleach" not in kept
    assert "pocket" not in kept


def test_what_is_learnt_states_only_what_is_given() -> None:
    for example in examples([SHIRT, BAG], LEXICON):
        assert example.targets["description"]
        for told in example.targets.values():
            for text in told:
                assert not unsupported(realised(text, example.facts), example.facts, LEXICON), text


@pytest.mark.parametrize(
    ("keyword", "why"),
    [
        ("navy", None),
        ("everyday hero", None),
        ("cotton blend", None),
        ("leather", "'leather' states a value that the listing does not give"),
        ("tan shirt", "'tan' contradicts the base colour 'Navy Blue'"),
        ("shirt for women", "'women' contradicts the gender 'Men'"),
    ],
)
def test_keywords_are_used_where_they_are_true(keyword: str, why: str | None) -> None:
    assert refused(keyword, SHIRT, FACTS, LEXICON) == why


def test_a_template_states_every_fact_and_nothing_else() -> None:
    told = template(Brief(SHIRT), LEXICON)
    assert not unsupported(told.text, FACTS, LEXICON)
    assert {fact.name for sentence in told.description for fact in sentence.facts} >= {"brand", "base_colour", "Fabric", "Fit"}
    assert len(told.seo_title.text) <= MAX_TITLE
    assert len(told.meta_description.text) <= MAX_META


def test_the_nearest_neighbour_lends_its_text() -> None:
    neighbours = Neighbours.fit([SHIRT, BAG], LEXICON)
    asked = Listing(title="Tan Handbag", fields={"base_colour": "Tan"}, categories={"article_type": "Handbags"})
    assert neighbours.describe(Brief(asked)).text == "A tan handbag by Baggit for women."
