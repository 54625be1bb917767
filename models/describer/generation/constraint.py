"""Which tokens may come next, so that a text can state nothing that is not given.

Words that state a value are forbidden unless the brief gives it; so are numbers other than those of given values, slots without a
fact, and tokens that are parts of a character: other scripts come with copied values. A word can be spelled by many splits into
tokens. What is looked at is therefore the word as spelled so far: a token is forbidden where the word, with it, becomes a
forbidden one, whatever it was made of. This forbids a little more than it must (no "redefined" where "red" is a token and not
given), and never less.

Shapes: R rows, V tokens of the vocabulary.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import LogitsProcessor

from models.describer.tokens import WriterTokenizer

WORD = re.compile(r"[^\W_]+")
"""A word; everything else stands between words."""

FORBIDDEN = float("-inf")

Frame = tuple[str, str]
"""The last two words before a copied value, case-folded."""

START, VALUE = "^", "<>"
"""In the place of a word: what is before the first one, and a copied value."""


@dataclass(frozen=True)
class Spelling:
    """What the tokens of a vocabulary spell; made once for a tokenizer.

    Attributes:
        words: The words in each token, case-folded.
        goes_on: Whether the token begins within a word.
        ends_word: Whether the token ends within a word, which the next may go on with.
        opening: Tokens by their first word.
        several: Tokens of more than one word.
        digits: Tokens with a digit.
        never: (V,) bool, what no text holds: whole tokens other than slots and ends, and parts of characters.
    """

    words: tuple[tuple[str, ...], ...]
    goes_on: tuple[bool, ...]
    ends_word: tuple[bool, ...]
    opening: Mapping[str, tuple[int, ...]]
    several: tuple[int, ...]
    digits: tuple[int, ...]
    never: Tensor

    @classmethod
    def of(cls, tokenizer: WriterTokenizer) -> "Spelling":
        """Of every token."""
        strings = tokenizer.strings
        never = torch.tensor([text is None for text in strings])
        never[[tokenizer.next, tokenizer.end, *tokenizer.names]] = False
        folded = [(text or "").casefold() for text in strings]
        words = tuple(tuple(WORD.findall(text)) for text in folded)
        opening: dict[str, list[int]] = defaultdict(list)
        for token, found in enumerate(words):
            if found:
                opening[found[0]].append(token)
        return cls(
            words=words,
            goes_on=tuple(WORD.match(text) is not None for text in folded),
            ends_word=tuple(WORD.match(text[-1:]) is not None for text in folded),
            opening={word: tuple(ids) for word, ids in opening.items()},
            several=tuple(token for token, found in enumerate(words) if len(found) > 1),
            digits=tuple(token for token, found in enumerate(words) if any(map(_is_number, found))),
            never=never,
        )


@dataclass(frozen=True)
class Allowed:
    """What one brief allows.

    Attributes:
        slots: Ids of the slots that have a fact.
        forbidden: Words that may not be completed.
        phrases: Words before, to the words that may not follow them.
        numbers: Words with digits that may be spelled.
        frames: Slots that may stand behind these words; None where they may stand anywhere (`models.describer.frames`).
    """

    slots: frozenset[int]
    forbidden: frozenset[str]
    phrases: Mapping[tuple[str, ...], frozenset[str]] = field(default_factory=dict)
    numbers: frozenset[str] = frozenset()
    frames: Mapping[Frame, frozenset[int]] | None = None

    @classmethod
    def of(
        cls,
        slots: Iterable[int],
        forms: Iterable[str],
        texts: Iterable[str],
        frames: Mapping[int, Iterable[Frame]] | None = None,
    ) -> "Allowed":
        """From the spelled forms of values that are not given, the texts that are, and in which frames each slot may stand."""
        single: set[str] = set()
        longer: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for form in forms:
            words = tuple(WORD.findall(form.casefold()))
            if len(words) == 1:
                single.add(words[0])
            elif words:
                longer[words[:-1]].add(words[-1])
        numbers = {word for text in texts for word in WORD.findall(text.casefold()) if _is_number(word)}
        phrases = {before: frozenset(last) for before, last in longer.items()}
        fitting: dict[Frame, set[int]] = defaultdict(set)
        for slot, held in (frames or {}).items():
            for frame in held:
                fitting[frame].add(slot)
        by_frame = None if frames is None else {frame: frozenset(held) for frame, held in fitting.items()}
        return cls(frozenset(slots), frozenset(single), phrases, frozenset(numbers), by_frame)


@dataclass
class Tail:
    """The end of a row: its last whole words, and the word that is being spelled."""

    words: list[str] = field(default_factory=list)
    partial: str = ""


class FactsOnly(LogitsProcessor):
    """Forbids tokens row by row; rows are ids of texts, without their briefs.

    Args:
        spelling: Of the tokenizer.
        tokenizer: Its whole tokens.
        allowed: What the brief allows.
        uses: How often a text may copy one fact.
    """

    def __init__(self, spelling: Spelling, tokenizer: WriterTokenizer, allowed: Allowed, uses: int) -> None:
        self.spelling, self.tokenizer, self.allowed, self.uses = spelling, tokenizer, allowed, uses
        self._edges = {tokenizer.next, *tokenizer.parts.values()}
        self._longest = max(map(len, allowed.phrases), default=0)
        self._unfinished = self._by_prefix()
        self._fixed = spelling.never.clone()
        closed = [slot for slot in tokenizer.names if slot not in allowed.slots]
        opening = [token for word in allowed.forbidden for token in spelling.opening.get(word, ())]
        closed += [token for token in opening if not spelling.goes_on[token]]
        self._opening = [token for token in opening if spelling.goes_on[token]]
        self._fixed[closed] = True
        self._digits = [token for token in spelling.digits if self._misnumbers(Tail(), token)]
        self._digits_apart = [token for token in self._digits if not spelling.goes_on[token]]
        self._digits_inside = [token for token in spelling.digits if spelling.goes_on[token]]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (R, V) with -inf where a token is forbidden behind the row's ids (R, S)."""
        banned = self._fixed.expand_as(scores).clone()
        for row, ids in enumerate(input_ids.tolist()):
            banned[row, self.forbidden(ids)] = True
        return scores.masked_fill(banned, FORBIDDEN)

    def forbidden(self, ids: Sequence[int]) -> list[int]:
        """Tokens that are forbidden behind these, besides those that are everywhere."""
        tail = self.tail(ids)
        found = self._used(ids) + self._completing_words(tail) + self._completing_phrases(tail) + self._misnumbering(tail)
        found += self._misplaced(ids)
        return found + [token for token in self.spelling.several if self.violates(tail, token)]

    def violates(self, tail: Tail, token: int) -> bool:
        """Whether a word, as spelled with the token, is forbidden, or the last of a forbidden phrase: the rule itself.

        What is looked up elsewhere for tokens of one word gives the same.
        """
        after = self._after(tail, token)
        spelled = [*after.words, after.partial] if after.partial else after.words
        if not self.spelling.words[token]:
            return False
        for end in range(len(tail.words) + 1, len(spelled) + 1):
            before, last = spelled[: end - 1], spelled[end - 1]
            if last in self.allowed.forbidden or self._ends_phrase(before, last):
                return True
        return False

    def tail(self, ids: Sequence[int]) -> Tail:
        """From the last tokens; a whole token ends the word before it, and no phrase reaches beyond one."""
        start = len(ids)
        while start and ids[start - 1] not in self.tokenizer.whole:
            start -= 1
        tail = Tail()
        for token in ids[start:]:
            tail = self._after(tail, token)
        return tail

    def _after(self, tail: Tail, token: int) -> Tail:
        words = list(self.spelling.words[token])
        if tail.partial:
            if words and self.spelling.goes_on[token]:
                words[0] = tail.partial + words[0]
            else:
                words.insert(0, tail.partial)
        partial = words.pop() if words and self.spelling.ends_word[token] else ""
        return Tail(tail.words + words, partial)

    def _by_prefix(self) -> dict[str, tuple[str, ...]]:
        """Forbidden words by what can be spelled of them."""
        found: dict[str, list[str]] = defaultdict(list)
        for word in self.allowed.forbidden:
            for end in range(1, len(word)):
                found[word[:end]].append(word)
        return {prefix: tuple(words) for prefix, words in found.items()}

    def _completing_words(self, tail: Tail) -> list[int]:
        if not tail.partial:
            return self._opening
        return [token for word in self._unfinished.get(tail.partial, ()) for token in self._rest(tail.partial, word)]

    def _completing_phrases(self, tail: Tail) -> list[int]:
        found: list[int] = []
        for word in self._closing(tail.words):
            if word.startswith(tail.partial) and word != tail.partial:
                found += self._rest(tail.partial, word)
            if not tail.partial:
                found += self.spelling.opening.get(word, ())
        if tail.partial:
            for word in self._closing([*tail.words, tail.partial]):
                found += [token for token in self.spelling.opening.get(word, ()) if not self.spelling.goes_on[token]]
        return found

    def _closing(self, words: Sequence[str]) -> list[str]:
        """Words that may not follow these."""
        return [
            word
            for length in range(1, min(self._longest, len(words)) + 1)
            for word in self.allowed.phrases.get(tuple(words[-length:]), ())
        ]

    def _ends_phrase(self, before: Sequence[str], last: str) -> bool:
        return last in self._closing(before)

    def _rest(self, partial: str, word: str) -> list[int]:
        """Tokens that begin within a word and spell what is lacking to this one."""
        lacking = word[len(partial) :]
        return [token for token in self.spelling.opening.get(lacking, ()) if self.spelling.goes_on[token]]

    def _misnumbering(self, tail: Tail) -> list[int]:
        """Tokens with digits that spell no given number, and all that would leave one unfinished."""
        if not tail.partial:
            return self._digits
        if _is_number(tail.partial):
            return [token for token in range(len(self.spelling.words)) if self._misnumbers(tail, token)]
        return self._digits_apart + [token for token in self._digits_inside if self._misnumbers(tail, token)]

    def _misnumbers(self, tail: Tail, token: int) -> bool:
        after = self._after(tail, token)
        whole = after.words[len(tail.words) :]
        if any(_is_number(word) and word not in self.allowed.numbers for word in whole):
            return True
        return _is_number(after.partial) and not any(number.startswith(after.partial) for number in self.allowed.numbers)

    def _misplaced(self, ids: Sequence[int]) -> list[int]:
        """Slots that do not stand behind such words."""
        if self.allowed.frames is None:
            return []
        fitting = self.allowed.frames.get(self.frame(ids), frozenset())
        return [slot for slot in self.allowed.slots if slot not in fitting]

    def frame(self, ids: Sequence[int]) -> Frame:
        """The last two words of the sentence that is being written."""
        words: list[str] = []
        end = len(ids)
        while end and len(words) < 2 and ids[end - 1] not in self._edges:
            if ids[end - 1] in self.tokenizer.names:
                words.insert(0, VALUE)
                end -= 1
                continue
            start = end
            while start and ids[start - 1] not in self.tokenizer.whole:
                start -= 1
            spelled = self.tail(ids[start:end])
            words[:0] = [*spelled.words, spelled.partial] if spelled.partial else spelled.words
            end = start
        padded = [START, START, *words]
        return padded[-2], padded[-1]

    def _used(self, ids: Sequence[int]) -> list[int]:
        """Slots that were copied often enough, or just now."""
        used = [token for token in ids if token in self.tokenizer.names]
        return [slot for slot in set(used) if used.count(slot) >= self.uses or ids[-1] == slot]


def _is_number(word: str) -> bool:
    return any(character.isdigit() for character in word)
