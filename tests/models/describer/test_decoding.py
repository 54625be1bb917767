"""Candidates over a shared cache are those that the whole model would draw."""

import describer_cases as cases
import pytest
import torch
from transformers import LogitsProcessor

from models.describer.generation.constraint import Allowed, FactsOnly, Spelling
from models.describer.generation.decoding import Drawn, Sampler, Wanted
from models.describer.model import build, own_architecture
from models.describer.prompt import prompt
from models.describer.tokens import PARTS

TOKENIZER = cases.tokenizer()
torch.manual_seed(5)
MODEL = build(own_architecture(cases.SMALL, len(TOKENIZER)), len(TOKENIZER)).eval()
ASKED = prompt(TOKENIZER, cases.SMALL, cases.facts_of(cases.SHOP[0]), "Nike Red Shirts", None, "neutral")
ALLOWED = FactsOnly(Spelling.of(TOKENIZER), TOKENIZER, Allowed.of(ASKED.slots, ["blue", "wool"], []), uses=2)
ROWS = [Wanted(TOKENIZER.parts[part], most) for part, most in zip(PARTS, (5, 12, 30, 20), strict=True)]


def draw(rows: list[Wanted], seed: int = 1, top_p: float = 1.0, temperature: float = 1.0) -> list[Drawn]:
    return Sampler(MODEL, TOKENIZER, temperature, top_p).draw(ASKED.ids, rows, ALLOWED, seed)


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    assert draw(ROWS, 1) == draw(ROWS, 1) != draw(ROWS, 2)


def test_rows_come_in_order_and_within_their_lengths() -> None:
    found = draw(ROWS)
    for row, one in zip(ROWS, found, strict=True):
        assert one.ended or len(one.ids) == row.most
        assert TOKENIZER.end not in one.ids and len(one.ids) <= row.most


def test_the_likeliest_tokens_are_those_of_the_whole_model_without_a_cache() -> None:
    """Greedy rows, some of which end before others, against a pass over everything for each token."""
    rows = [Wanted(TOKENIZER.parts[part], most) for part, most in zip(PARTS, (4, 9, 14, 7), strict=True)]
    for row, one in zip(rows, draw(rows, top_p=1e-6), strict=True):
        ids: list[int] = [row.part]
        while len(ids) <= row.most:
            with torch.no_grad():
                logits = MODEL(torch.tensor([[*ASKED.ids, *ids]])).logits[0, -1:]
            if len(ids) == 1 or ids[-1] == TOKENIZER.next:
                logits[0, [TOKENIZER.next, TOKENIZER.end]] = float("-inf")
            ids.append(int(ALLOWED(torch.tensor([ids]), logits).argmax()))
            if ids[-1] == TOKENIZER.end:
                break
        assert list(one.ids) == [token for token in ids[1:] if token != TOKENIZER.end]


def test_its_probability_is_the_mean_over_its_tokens() -> None:
    [one] = draw([Wanted(TOKENIZER.parts["description"], 6)])
    ids, total = [TOKENIZER.parts["description"]], 0.0
    for token in [*one.ids, *([TOKENIZER.end] if one.ended else [])]:
        with torch.no_grad():
            logits = MODEL(torch.tensor([[*ASKED.ids, *ids]])).logits[0, -1:]
        if len(ids) == 1 or ids[-1] == TOKENIZER.next:
            logits[0, [TOKENIZER.next, TOKENIZER.end]] = float("-inf")
        total += float(ALLOWED(torch.tensor([ids]), logits).log_softmax(-1)[0, token])
        ids.append(token)
    assert one.log_probability == pytest.approx(total / (len(ids) - 1), abs=1e-4)


class Hasty(LogitsProcessor):
    """Allows what the constraint does, and would end every sentence at once."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = ALLOWED(input_ids, scores)
        scores[:, [TOKENIZER.next, TOKENIZER.end]] += 20.0
        return scores


@pytest.mark.parametrize("seed", range(5))
def test_a_sentence_that_needs_a_fact_copies_one_before_it_ends(seed: int) -> None:
    needs = frozenset([TOKENIZER.slots["brand"], TOKENIZER.slots["base_colour"]])
    row = Wanted(TOKENIZER.parts["bullets"], 24, needs, within=5)
    [one] = Sampler(MODEL, TOKENIZER, 1.0, 1.0).draw(ASKED.ids, [row], Hasty(), seed)
    first = one.ids[: one.ids.index(TOKENIZER.next)] if TOKENIZER.next in one.ids else one.ids
    assert needs & set(first) and len(first) <= 6


class Nothing(LogitsProcessor):
    """Forbids every token from the third on."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return scores if input_ids.shape[1] < 3 else torch.full_like(scores, float("-inf"))


def test_a_text_that_may_not_go_on_stops_and_is_not_whole() -> None:
    found = Sampler(MODEL, TOKENIZER, 1.0, 1.0).draw(ASKED.ids, ROWS, Nothing(), 3)
    for one in found:
        assert one.ended or len(one.ids) == 2
        assert TOKENIZER.end not in one.ids and one.log_probability > float("-inf")
    assert not all(one.ended for one in found)
