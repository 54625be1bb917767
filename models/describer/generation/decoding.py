"""Draws candidates of a brief's texts in one batch over a shared cache of keys and values.

The brief is read once; its keys and values serve every row. A row that has ended leaves the batch, so that all rows are equally
long and nothing is padded.

Shapes: R rows, S tokens, V tokens of the vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import DynamicCache, LogitsProcessor

from models.describer.generation.constraint import FORBIDDEN
from models.describer.tokens import WriterTokenizer

LIKELIEST = 128
"""Tokens that are drawn from, at most."""


@dataclass(frozen=True)
class Wanted:
    """A row that is to be drawn.

    Attributes:
        part: Id of the token that the text begins with.
        most: Tokens, at most.
        needs: Slots of which each sentence must copy one; empty where it need not.
        within: Tokens within which a sentence copies one of them.
    """

    part: int
    most: int
    needs: frozenset[int] = frozenset()
    within: int = 0


@dataclass(frozen=True)
class Drawn:
    """A candidate.

    Attributes:
        ids: Its tokens, without the part's and the end's.
        log_probability: Mean over its tokens, in nats, among what is allowed.
        ended: Whether it ended by itself.
    """

    ids: tuple[int, ...]
    log_probability: float
    ended: bool


@dataclass
class _Row:
    wanted: Wanted
    place: int
    ids: list[int]
    total: float = 0.0
    ended: bool = False
    stuck: bool = False  # no token is allowed: its last sentence is cut off


@dataclass
class Sampler:
    """Draws from a model.

    Attributes:
        temperature: Logits are divided by it.
        top_p: The likeliest tokens that hold this probability are drawn from.
    """

    model: Any
    tokenizer: WriterTokenizer
    temperature: float
    top_p: float

    @torch.inference_mode()
    def draw(self, brief: Sequence[int], rows: Sequence[Wanted], allowed: LogitsProcessor, seed: int) -> list[Drawn]:
        """A candidate for each row, in order; the same for the same seed."""
        generator = torch.Generator().manual_seed(seed)
        device = next(self.model.parameters()).device
        cache = DynamicCache()
        self.model.base_model(torch.tensor([list(brief)], device=device), past_key_values=cache, use_cache=True)
        cache.batch_repeat_interleave(len(rows))
        live = [_Row(wanted, place, [wanted.part]) for place, wanted in enumerate(rows)]
        done: list[_Row] = []
        position = len(brief)
        while live:
            last = torch.tensor([[row.ids[-1]] for row in live], device=device)
            at = torch.full_like(last, position)
            logits = self.model(last, past_key_values=cache, position_ids=at, use_cache=True).logits[:, -1].float().cpu()
            self._step(live, logits, allowed, generator)
            position += 1
            kept = [i for i, row in enumerate(live) if not (row.ended or row.stuck) and len(row.ids) <= row.wanted.most]
            done += [row for i, row in enumerate(live) if i not in set(kept)]
            if kept and len(kept) < len(live):
                cache.batch_select_indices(torch.tensor(kept, device=device))
            live = [live[i] for i in kept]
        return [self._drawn(row) for row in sorted(done, key=lambda row: row.place)]

    @torch.inference_mode()
    def next_tokens(
        self, brief: Sequence[int], rows: Sequence[Sequence[int]], allowed: LogitsProcessor
    ) -> list[dict[int, float]]:
        """The probability of each token that may follow each row's ids, which are equally many, without temperature."""
        ids = torch.tensor([[*brief, *row] for row in rows], device=next(self.model.parameters()).device)
        scores = allowed(torch.tensor([list(row) for row in rows]), self.model(ids).logits[:, -1].float().cpu())
        return [{token: p for token, p in enumerate(told) if p > 0.0} for told in F.softmax(scores, dim=-1).tolist()]

    def _step(self, rows: list[_Row], logits: Tensor, allowed: LogitsProcessor, generator: torch.Generator) -> None:
        """Draw a token for each row."""
        ids = torch.tensor([row.ids for row in rows])
        scores = self._needs(rows, allowed(ids, self._begins(rows, logits)))
        stuck = torch.isneginf(scores).all(dim=-1)
        scores[stuck, self.tokenizer.end] = 0.0
        log_probabilities = F.log_softmax(scores, dim=-1)
        chosen = torch.multinomial(self._nucleus(scores), 1, generator=generator)
        values = log_probabilities.gather(1, chosen)[:, 0].tolist()
        for row, token, value, cut in zip(rows, chosen[:, 0].tolist(), values, stuck.tolist(), strict=True):
            row.total += value
            row.ended, row.stuck = token == self.tokenizer.end and not cut, cut
            row.ids.append(token)

    def _begins(self, rows: list[_Row], logits: Tensor) -> Tensor:
        """No sentence is empty."""
        for place, row in enumerate(rows):
            if row.ids[-1] == self.tokenizer.next or len(row.ids) == 1:
                logits[place, [self.tokenizer.next, self.tokenizer.end]] = FORBIDDEN
        return logits

    def _needs(self, rows: list[_Row], scores: Tensor) -> Tensor:
        """A sentence ends when it has copied a fact that it needs; when it has taken long enough, it copies one where it can.

        One that could not for twice as long may end: it is no candidate (`models.describer.generation.writer`).
        """
        ends = [self.tokenizer.next, self.tokenizer.end]
        for place, row in enumerate(rows):
            if not row.wanted.needs:
                continue
            sentence = row.ids[_sentence_start(row.ids, self.tokenizer.next) :]
            if row.wanted.needs & set(sentence):
                continue
            open_ = [slot for slot in row.wanted.needs if scores[place, slot] > FORBIDDEN]
            if len(sentence) < row.wanted.within or not open_:
                scores[place, ends] = FORBIDDEN if len(sentence) < 2 * row.wanted.within else scores[place, ends]
            else:
                kept = scores[place, open_].clone()
                scores[place] = FORBIDDEN
                scores[place, open_] = kept
        return scores

    def _nucleus(self, scores: Tensor) -> Tensor:
        """Probabilities (R, V) of the likeliest tokens that together hold `top_p` (Holtzman et al. 2020)."""
        probabilities = F.softmax(scores / self.temperature, dim=-1)
        ordered, order = probabilities.topk(min(LIKELIEST, probabilities.shape[-1]), dim=-1)
        ordered[ordered.cumsum(-1) - ordered > self.top_p] = 0.0
        return torch.zeros_like(probabilities).scatter_(1, order, ordered)

    def _drawn(self, row: _Row) -> Drawn:
        ids = row.ids[1:-1] if row.ended or row.stuck else row.ids[1:]
        return Drawn(tuple(ids), row.total / max(1, len(row.ids) - 1), row.ended)


def _sentence_start(ids: Sequence[int], next_: int) -> int:
    """Place behind the last `next_`, or behind the part's token."""
    return max((i + 1 for i, token in enumerate(ids) if token == next_), default=1)
