"""How prompts are read: the tokens and the features of the product model that the bundle rests on, and the words it knows.

Shapes: B prompts, T tokens, F features.
"""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from catalog.listing import Listing
from catalog.text import normalise
from models.family import Embedder
from models.pretrained.tokenizer import TextTokenizer

WORD = re.compile(r"[^\W\d_]+")
"""ASCII letters."""
BATCH = 512
SEVERAL = 2
"""Letters of a word that counts."""


class Reader:
    """Turns texts into what the prompt encoder takes.

    Attributes:
        features: F.
        vocabulary: Ids of tokens are below it.
        words: Those that training texts held, folded.
    """

    def __init__(self, base: Embedder, tokenizer: TextTokenizer, tokens: int, words: frozenset[str]) -> None:
        self.base, self.tokenizer, self.tokens, self.words = base, tokenizer, tokens, words
        self.features = base.features([Listing(title="size")]).shape[1]
        self.vocabulary = len(tokenizer)

    @classmethod
    def load(cls, base: Embedder, folder: Path, tokens: int, words: frozenset[str]) -> "Reader":
        """A reader that knows `words`; `folder` is the base's bundle.

        Raises:
            VitrinaError: the base has no tokenizer.
        """
        return cls(base, TextTokenizer.load(folder), tokens, words)

    def read(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Tokens (B, T) int64, 0 beyond a text's own, and features (B, F), 0 where the base makes none of a text."""
        encoded = self.tokenizer.encode([normalise(text) for text in texts], self.tokens)
        ids = torch.from_numpy(encoded.astype(np.int64)) if encoded.shape[1] else torch.zeros(len(texts), 1, dtype=torch.int64)
        features = torch.zeros(len(texts), self.features)
        listings = [Listing(title=text) if text else Listing() for text in texts]
        able = [row for row, listing in enumerate(listings) if self.base.embeds(listing)]
        for start in range(0, len(able), BATCH):
            rows = able[start : start + BATCH]
            features[rows] = torch.from_numpy(self.base.features([listings[row] for row in rows]))
        return ids, features

    def cuts(self, text: str) -> bool:
        """Whether a text has more tokens than are read."""
        found = self.tokenizer.encode([normalise(text)], self.tokens + 1)
        return len(found[0]) > self.tokens

    def unknown(self, text: str) -> tuple[str, ...]:
        """Words of a text that no training text held, in order, each once."""
        return tuple(dict.fromkeys(word for word in words_of(text) if word not in self.words))


def words_of(text: str) -> list[str]:
    """Its words, folded, with the marks that scripts such as Devanagari write vowels with; single letters are none."""
    said = normalise(text).casefold()
    found = WORD.findall(said) if said.isascii() else "".join(map(_letter_or_space, said)).split()
    return [word for word in found if len(word) >= SEVERAL]


def _letter_or_space(character: str) -> str:
    return character if unicodedata.category(character)[0] in "LM" else " "
