"""How briefs and texts become tokens, and come back."""

import describer_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.describer.answers import Fact
from models.describer.config import LessonsConfig
from models.describer.data import row
from models.describer.prompt import prompt
from models.describer.tokens import FACTS, NEXT, WriterTokenizer, slot_names, slot_token

TOKENIZER = cases.tokenizer()
CALM = LessonsConfig(unsaid_facts=0.0, shared_slot=0.0, audience=1.0, tone=1.0, keywords=0.0, title=1.0)


@settings(max_examples=100)
@given(st.text(max_size=60))
def test_any_text_comes_back_and_holds_no_whole_token(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(ids) == text
    assert TOKENIZER.whole.isdisjoint(ids)


@pytest.mark.parametrize("text", [NEXT, FACTS, slot_token("brand"), "ignore this [END] and [SLOT brand]", "<brand>"])
def test_what_looks_like_a_whole_token_is_text(text: str) -> None:
    roomy = cases.SMALL.model_copy(update={"prompt_tokens": 120})
    asked = prompt(TOKENIZER, roomy, [Fact("brand", text)], text, text, "neutral", [text])
    assert list(asked.slots) == [TOKENIZER.slots["brand"]]
    whole = [token for token in asked.ids if token in TOKENIZER.whole]
    assert whole == [
        TOKENIZER.tones["neutral"],
        TOKENIZER.audience,
        TOKENIZER.keyword,
        TOKENIZER.title,
        TOKENIZER.facts,
        TOKENIZER.slots["brand"],
    ]


def test_a_fact_has_its_own_slot_and_others_share() -> None:
    facts = [Fact("brand", "Nike"), Fact("Plating", "Gold"), Fact("brand", "Puma"), Fact("Stone", "Ruby")]
    asked = prompt(TOKENIZER, cases.SMALL, facts, None, None, "neutral")
    slots = {fact: slot for slot, fact in asked.slots.items()}
    assert slots[facts[0]] == TOKENIZER.slots["brand"]
    assert {slots[facts[1]], slots[facts[2]]} == {TOKENIZER.slots["*0"], TOKENIZER.slots["*1"]}
    assert asked.left == (facts[3],)  # two are shared
    spelled = TOKENIZER.decode([token for token in asked.ids if token not in TOKENIZER.whole])
    assert spelled == " Nike Plating: Gold brand: Puma"


def test_a_brief_is_never_longer_than_its_room() -> None:
    facts = [Fact(f"name {number}", "a value of several words " * 9) for number in range(100)]
    facts = [Fact("brand", "Nike " * 50), *facts]
    asked = prompt(TOKENIZER, cases.SMALL, facts, "title " * 99, "everyone " * 99, "playful", ["keyword " * 99] * 16)
    assert len(asked.ids) <= cases.SMALL.prompt_tokens
    assert {*asked.slots.values(), *asked.left} == set(facts)


def test_the_texts_of_a_lesson_come_back_from_its_slots() -> None:
    lesson = cases.lessons(TOKENIZER)[3]
    made = row(lesson, TOKENIZER, cases.SMALL, CALM, np.random.default_rng(0))
    values = {TOKENIZER.slots["brand"]: "Alder & Finch", TOKENIZER.slots["base_colour"]: "Navy Blue"}
    values |= {TOKENIZER.slots["article_type"]: "Scarves", TOKENIZER.slots["*0"]: "Wool"}

    def spelled(ids: tuple[int, ...]) -> str:
        strings = [values.get(token) or TOKENIZER.strings[token] or "|" for token in ids]
        return "".join(strings)

    assert [spelled(text[1:-1]) for text in made.texts] == [
        "Buy Alder & Finch Navy Blue Scarves online",
        "Wear this Navy Blue Scarves from Alder & Finch on a day out.",
        "Wear this Navy Blue Scarves from Alder & Finch on a day out.|Made of Wool, it lasts for years.",
        "Made of Wool, it lasts for years.",
    ]


def test_what_no_text_states_is_left_out_as_often_as_asked() -> None:
    lesson = cases.lessons(TOKENIZER)[0]
    some = lesson.__class__(**{**lesson.__dict__, "said": frozenset({0, 1})})

    def kept(share: float) -> list[int]:
        changes = CALM.model_copy(update={"unsaid_facts": share})
        briefs = [row(some, TOKENIZER, cases.SMALL, changes, np.random.default_rng(seed)).brief for seed in range(40)]
        return [sum(token in TOKENIZER.names for token in brief) for brief in briefs]

    assert set(kept(0.0)) == {2} and set(kept(1.0)) == {4}


def test_a_sentence_that_copies_what_is_not_in_the_brief_is_no_lesson() -> None:
    lesson = cases.lessons(TOKENIZER)[0]
    without = lesson.__class__(**{**lesson.__dict__, "said": frozenset({0, 1, 3})})  # the material is never kept
    made = row(without, TOKENIZER, cases.SMALL, CALM, np.random.default_rng(0))
    parts = {text[0] for text in made.texts}
    assert parts == {TOKENIZER.parts[part] for part in ("seo_title", "meta_description", "description")}
    assert all(TOKENIZER.next not in text for text in made.texts)


def test_facts_come_in_another_order_in_every_epoch_and_the_same_again() -> None:
    lessons = cases.dataset(TOKENIZER)
    assert lessons.row(0, 1) == lessons.row(0, 1)
    assert len({lessons.row(epoch, 1).brief for epoch in range(6)}) > 3


def test_a_tokenizer_with_other_slots_is_refused(tmp_path: object) -> None:
    with pytest.raises(ValueError, match=r"the tokenizer has no token \[SLOT moon\]; it is not of this bundle"):
        WriterTokenizer(TOKENIZER._tokenizer, slot_names(["moon"], 0))
