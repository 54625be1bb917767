"""Batches of briefs with their texts: one row holds several listings, each with its brief and all its texts.

Every text of a listing sees the brief and itself, not the other texts: the brief is read once, and texts are written at once.

Shapes: R rows, S tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from models.describer.answers import Fact, Tone
from models.describer.config import LessonsConfig, WriterConfig
from models.describer.prompt import Prompt, prompt
from models.describer.tokens import PARTS, WriterTokenizer
from models.training.batches import mix, moved

IGNORED = -100
"""Label of what is not to be predicted."""

Piece = int
"""An id; -1 - i for the copy of fact i."""


@dataclass(frozen=True)
class Lesson:
    """A listing with its texts as ids.

    Attributes:
        facts: What may be stated.
        said: Places in `facts` of those that its texts state.
        title: Of the listing.
        audience: For whom the texts sound.
        tone: How they sound.
        texts: Part to its sentences; copies of facts are negative (`Piece`).
        words: Words of the texts that could have been asked for as keywords.
    """

    facts: tuple[Fact, ...]
    said: frozenset[int]
    title: str | None
    audience: str | None
    tone: Tone
    texts: Mapping[str, tuple[tuple[Piece, ...], ...]]
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Batch:
    """Packed rows; padding has listing -1."""

    ids: Tensor  # (R, S) int64
    labels: Tensor  # (R, S) int64, the next token of the same text, else IGNORED
    positions: Tensor  # (R, S) int64, counted from the start of the listing; every text goes on where the brief ends
    listing: Tensor  # (R, S) int64, which listing of the row
    text: Tensor  # (R, S) int64, 0 in the brief, else which text of the listing

    def __len__(self) -> int:
        """Tokens that are to be predicted: means over batches weigh by them."""
        return int((self.labels != IGNORED).sum())

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The batch on another device."""
        return moved(self, device, non_blocking)

    def mask(self) -> Tensor:
        """(R, 1, S, S) bool: what each token sees. Padding sees itself."""
        seen = (self.listing[:, :, None] == self.listing[:, None, :]) & (
            (self.text[:, None, :] == 0) | (self.text[:, :, None] == self.text[:, None, :])
        )
        causal = torch.ones(self.ids.shape[1], self.ids.shape[1], dtype=torch.bool, device=self.ids.device).tril()
        return (seen & causal)[:, None]


@dataclass
class LessonDataset(Dataset[Batch]):
    """Lessons as batches; in every epoch the briefs differ."""

    lessons: Sequence[Lesson]
    tokenizer: WriterTokenizer
    writer: WriterConfig
    changes: LessonsConfig
    seed: int = 0

    def __len__(self) -> int:
        return len(self.lessons)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch:
        """One batch of (epoch, index); epoch -1 is drawn as any other, the same each time."""
        return packed([self.row(epoch, index) for epoch, index in keys], self.writer.context)

    def row(self, epoch: int, index: int) -> "Row":
        """One listing with its brief as it is in an epoch."""
        rng = np.random.default_rng(mix(self.seed, epoch + 1, index))
        return row(self.lessons[index], self.tokenizer, self.writer, self.changes, rng)


@dataclass(frozen=True)
class Row:
    """Ids of a brief, and of its texts."""

    brief: tuple[int, ...]
    texts: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.brief) + sum(len(text) for text in self.texts)


def row(
    lesson: Lesson, tokenizer: WriterTokenizer, config: WriterConfig, changes: LessonsConfig, rng: np.random.Generator
) -> Row:
    """A lesson with its facts in another order, some of them away, and a brief that asks for less or more."""
    order = [int(i) for i in rng.permutation(len(lesson.facts))]
    kept = [i for i in order if i in lesson.said or rng.random() < changes.unsaid_facts]
    shared = frozenset(lesson.facts[i] for i in kept if rng.random() < changes.shared_slot)
    brief = prompt(
        tokenizer,
        config,
        [lesson.facts[i] for i in kept],
        lesson.title if rng.random() < changes.title else None,
        lesson.audience if rng.random() < changes.audience else None,
        lesson.tone if rng.random() < changes.tone else "neutral",
        _keywords(lesson, changes, rng),
        shared,
    )
    return Row(brief.ids, tuple(_texts(lesson, brief, tokenizer, config.context - len(brief.ids))))


def _keywords(lesson: Lesson, changes: LessonsConfig, rng: np.random.Generator) -> list[str]:
    if not lesson.words or rng.random() >= changes.keywords:
        return []
    count = int(rng.integers(1, changes.max_keywords + 1))
    return [str(word) for word in rng.permutation(np.array(lesson.words, dtype=object))[:count]]


def _texts(lesson: Lesson, brief: Prompt, tokenizer: WriterTokenizer, room: int) -> "list[tuple[int, ...]]":
    """Texts with their copies as slots; a sentence that copies what is not in the brief is left out, as is one beyond `room`."""
    slots = {fact: slot for slot, fact in brief.slots.items()}
    found = []
    for part in PARTS:
        ids, whole = [tokenizer.parts[part]], True
        for sentence in lesson.texts.get(part, ()):
            said = [piece if piece >= 0 else slots.get(lesson.facts[-1 - piece], -1) for piece in sentence]
            if -1 in said:
                continue
            if len(ids) + len(said) + 2 > room:
                whole = False
                break
            ids += [tokenizer.next] * (len(ids) > 1) + said
        if len(ids) > 1:
            found.append(tuple([*ids, tokenizer.end] if whole else ids))
    return found


def packed(rows: Sequence[Row], size: int) -> Batch:
    """Listings put into rows of `size` tokens, or of the longest one's, the longest first."""
    size = min(max(size, max(map(len, rows))), sum(map(len, rows)))
    bins: list[list[Row]] = []
    free: list[int] = []
    for one in sorted(rows, key=len, reverse=True):
        place = next((i for i, room in enumerate(free) if room >= len(one)), None)
        if place is None:
            bins.append([])
            free.append(size)
            place = len(bins) - 1
        bins[place].append(one)
        free[place] -= len(one)
    arrays = {name: np.zeros((len(bins), size), dtype=np.int64) for name in ("ids", "positions", "text")}
    arrays |= {"labels": np.full((len(bins), size), IGNORED), "listing": np.full((len(bins), size), -1)}
    for place, held in enumerate(bins):
        _fill({name: array[place] for name, array in arrays.items()}, held)
    return Batch(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def _fill(arrays: Mapping[str, NDArray[Any]], rows: Sequence[Row]) -> None:
    start = 0
    for number, one in enumerate(rows):
        at = slice(start, start + len(one.brief))
        arrays["ids"][at], arrays["positions"][at] = one.brief, range(len(one.brief))
        arrays["listing"][start : start + len(one)] = number
        start = at.stop
        for which, text in enumerate(one.texts, 1):
            at = slice(start, start + len(text))
            arrays["ids"][at], arrays["text"][at] = text, which
            arrays["positions"][at] = range(len(one.brief), len(one.brief) + len(text))
            arrays["labels"][start : start + len(text) - 1] = text[1:]
            start = at.stop
