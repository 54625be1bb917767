"""Byte-pair tokens of listing texts, learnt from the catalogue (Sennrich et al. 2016, byte level)."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from configs.errors import VitrinaError

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # loader workers are forked; batches are short

PAD = "[PAD]"
FILE = "tokenizer.json"


class ProductTokenizer:
    """Encodes normalised texts; id 0 is padding, and bytes are the fallback, so no text is unknown."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def fit(cls, texts: Iterable[str], vocab_size: int) -> "ProductTokenizer":
        """Learn at most `vocab_size` tokens from normalised texts."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            special_tokens=[PAD],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    @classmethod
    def load(cls, folder: Path) -> "ProductTokenizer":
        """Read `tokenizer.json` from a bundle.

        Raises:
            VitrinaError: missing or not a tokenizer.
        """
        try:
            text = (folder / FILE).read_text(encoding="utf-8")
            kind = json.loads(text)["model"]["type"]
        except OSError as error:
            raise VitrinaError(f"cannot read {folder / FILE}: {error.strerror}") from error
        except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise VitrinaError(f"{folder / FILE} is not a tokenizer: {type(error).__name__} {error}") from error
        if kind != "BPE":
            raise VitrinaError(f"{folder / FILE} holds a {kind!r} tokenizer; allowed: BPE")
        return cls.from_json(text)

    @classmethod
    def from_json(cls, text: str) -> "ProductTokenizer":
        """Read back what `to_json` wrote."""
        return cls(Tokenizer.from_str(text))

    def to_json(self) -> str:
        """The whole tokenizer as JSON."""
        text: str = self._tokenizer.to_str(pretty=False)
        return text

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json`."""
        (folder / FILE).write_text(self.to_json(), encoding="utf-8")

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def __getstate__(self) -> str:
        return self.to_json()

    def __setstate__(self, state: str) -> None:
        self._tokenizer = Tokenizer.from_str(state)

    def encode(self, texts: Sequence[str], limit: int) -> NDArray[np.int64]:
        """Ids [n, longest ≤ limit], padded with 0; an empty text is all padding."""
        ids = [encoding.ids[:limit] for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        out = np.zeros((len(ids), max((len(i) for i in ids), default=0)), dtype=np.int64)
        for row, tokens in zip(out, ids, strict=True):
            row[: len(tokens)] = tokens
        return out
