"""No row of tokens that the constraint allows can spell a word, phrase or number that is not given."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.describer.generation.constraint import WORD, Allowed, FactsOnly, Spelling, Tail
from models.describer.tokens import WriterTokenizer, slot_names

TEXTS = [
    "A red cotton shirt with a round neck, made for summer.",
    "Navy blue jeans in a slim fit; redefined and sturdy, made of 100% cotton.",
    "Reddish brown leather shoes, size 38, for a bluer sky. A round-neck tee.",
    "cot ton re d nav y blu e roun d nec k silk sil k 1 2 3 4 5 6 7 8 9 0",
] * 3
TOKENIZER = WriterTokenizer.fit(TEXTS, 420, slot_names(["brand", "base_colour"], 1))
SPELLING = Spelling.of(TOKENIZER)
FORMS = ["red", "cotton", "silk", "navy blue", "round neck", "leather", "slim"]
GIVEN = ["100 % wool", "size 38"]


def constraint(uses: int = 2) -> FactsOnly:
    return FactsOnly(SPELLING, TOKENIZER, Allowed.of([TOKENIZER.slots["brand"]], FORMS, GIVEN), uses)


def allowed_behind(rule: FactsOnly, ids: list[int]) -> list[int]:
    scores = rule(torch.tensor([[TOKENIZER.parts["description"], *ids]]), torch.zeros(1, len(TOKENIZER)))
    return torch.isfinite(scores[0]).nonzero()[:, 0].tolist()


def said(ids: list[int]) -> list[str]:
    """The texts between whole tokens."""
    runs: list[list[int]] = [[]]
    for token in ids:
        if token in TOKENIZER.whole:
            runs.append([])
        else:
            runs[-1].append(token)
    return [TOKENIZER.decode(run) for run in runs if run]


@settings(max_examples=150)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=25), st.booleans())
def test_no_walk_through_allowed_tokens_states_what_is_not_given(choices: list[int], daring: bool) -> None:
    rule, ids = constraint(), []
    for choice in choices:
        free = allowed_behind(rule, ids)
        if daring:  # go towards what is forbidden as far as it lets us
            tail = rule.tail([TOKENIZER.parts["description"], *ids])
            towards = [
                token
                for token in free
                if (words := SPELLING.words[token])
                and any(form.startswith(tail.partial * SPELLING.goes_on[token] + words[0]) for form in " ".join(FORMS).split())
            ]
            free = towards or free
        ids.append(free[choice % len(free)])
    for text in said([*ids, TOKENIZER.end] if TOKENIZER.end in allowed_behind(rule, ids) else ids):
        folded = " ".join(WORD.findall(text.casefold()))
        for form in FORMS:
            assert not re.search(rf"(?<![^ ]){form}(?![^ ])", folded), (text, form)
        *whole, last = WORD.findall(text.casefold()) or [""]
        assert {word for word in whole if re.search(r"\d", word)} <= {"100", "38"}, text
        assert not re.search(r"\d", last) or "100".startswith(last) or "38".startswith(last), text


@pytest.mark.parametrize(
    "text", ["", "a round", "a round ne", "re", "made of cot", "nav", "in navy blu", "round-", "size 3", "1"]
)
def test_what_is_looked_up_is_what_the_rule_says_of_every_token(text: str) -> None:
    rule = constraint()
    ids = [TOKENIZER.parts["description"], *TOKENIZER.encode(text)]
    looked_up = set(rule.forbidden(ids)) | set(rule._fixed.nonzero()[:, 0].tolist())
    tail = rule.tail(ids)
    for token in range(len(TOKENIZER)):
        if rule.violates(tail, token) or rule._misnumbers(tail, token):
            assert token in looked_up, TOKENIZER.strings[token]
        elif TOKENIZER.strings[token] is not None:
            assert token not in looked_up, TOKENIZER.strings[token]


def test_a_word_is_forbidden_however_it_is_split() -> None:
    rule = constraint()
    splits = [["c", "otton"], ["cot", "ton"], ["co", "tt", "on"], ["cotto", "n"]]
    for pieces in splits:
        ids = [token for piece in [" ", *pieces] for token in TOKENIZER.encode(piece)]
        allowed = True
        for place, token in enumerate(ids):
            allowed = allowed and token in allowed_behind(rule, ids[:place])
        assert not allowed, pieces


def test_slots_without_a_fact_and_whole_tokens_never_come() -> None:
    free = set(allowed_behind(constraint(), []))
    assert TOKENIZER.slots["brand"] in free
    assert free.isdisjoint({TOKENIZER.slots["base_colour"], TOKENIZER.pad, TOKENIZER.title, *TOKENIZER.parts.values()})


def test_a_fact_is_copied_so_often_and_never_twice_in_a_row() -> None:
    brand, the = TOKENIZER.slots["brand"], TOKENIZER.encode(" a")[0]
    rule = constraint(uses=2)
    assert brand not in allowed_behind(rule, [brand])
    assert brand in allowed_behind(rule, [brand, the])
    assert brand not in allowed_behind(rule, [brand, the, brand, the])


def test_a_phrase_does_not_reach_over_a_copied_value() -> None:
    rule = constraint()
    navy = [TOKENIZER.parts["description"], *TOKENIZER.encode("navy")]
    blue = TOKENIZER.encode(" blu")
    assert rule.tail(navy) == Tail([], "navy")
    assert rule.tail([*navy, TOKENIZER.slots["brand"], *blue]).words == []
