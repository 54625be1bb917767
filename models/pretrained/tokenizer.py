"""Tokens of listing texts: byte pairs learnt from the catalogue (Sennrich et al. 2016, byte level), or a pretrained model's.

Id 0 is padding. A pretrained tokenizer whose padding has another id is shifted: our id is its id + 1, and 0 is padding.
`tokenizer.json` notes that id in its padding section.
"""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer, decoders, models, pre_tokenizers, trainers

from configs.errors import VitrinaError

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # loader workers are forked; batches are short

PAD = "[PAD]"
FILE = "tokenizer.json"
KINDS = ("BPE", "Unigram", "WordLevel", "WordPiece")


class TextTokenizer:
    """Encodes normalised texts. In one fitted here bytes are the fallback, so no text is unknown.

    Attributes:
        pad_id: The tokenizer's own id of padding.
        shift: What is added to its ids: 1 where `pad_id` is not 0, else 0.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        padding = tokenizer.padding
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self.pad_id = int(padding["pad_id"]) if padding else 0
        self.shift = int(self.pad_id != 0)
        self._special: int = tokenizer.num_special_tokens_to_add(is_pair=False)

    @classmethod
    def fit(cls, texts: Iterable[str], vocab_size: int) -> "TextTokenizer":
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
    def from_pretrained(cls, init_from: str) -> "TextTokenizer":
        """The fast tokenizer of a `transformers` model, by folder or hub id, with its special tokens; no code of it is run.

        Raises:
            VitrinaError: there is none, or it has no fast form or no padding token.
        """
        from transformers import AutoTokenizer

        try:
            found = AutoTokenizer.from_pretrained(init_from, trust_remote_code=False)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise VitrinaError(f"cannot read a tokenizer of {init_from}: {str(error).strip().splitlines()[0]}") from error
        has = {
            "a fast form (tokenizer.json)": found.is_fast,
            "a padding token": found.pad_token_id is not None,
            "a vocabulary (tokenizer.json)": bool(set(found.get_vocab()) - set(found.all_special_tokens)),
        }
        if lacks := [what for what, there in has.items() if not there]:
            raise VitrinaError(f"the tokenizer of {init_from} has not {lacks[0]}, which is needed")
        tokenizer = Tokenizer.from_str(found.backend_tokenizer.to_str())
        tokenizer.enable_padding(pad_id=found.pad_token_id, pad_token=found.pad_token)
        return cls(tokenizer)

    @classmethod
    def load(cls, folder: Path) -> "TextTokenizer":
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
        if kind not in KINDS:
            raise VitrinaError(f"{folder / FILE} holds a {kind!r} tokenizer; allowed: {', '.join(KINDS)}")
        return cls.from_json(text)

    @classmethod
    def from_json(cls, text: str) -> "TextTokenizer":
        """Read back what `to_json` wrote."""
        return cls(Tokenizer.from_str(text))

    def to_json(self) -> str:
        """The whole tokenizer as JSON."""
        noted = self._tokenizer
        if self.shift:
            noted = Tokenizer.from_str(noted.to_str())
            noted.enable_padding(pad_id=self.pad_id, pad_token=noted.id_to_token(self.pad_id))
        text: str = noted.to_str(pretty=False)
        return text

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json`."""
        (folder / FILE).write_text(self.to_json(), encoding="utf-8")

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size()) + self.shift

    def __getstate__(self) -> str:
        return self.to_json()

    def __setstate__(self, state: str) -> None:
        self.__init__(Tokenizer.from_str(state))  # type: ignore[misc]

    def encode(self, texts: Sequence[str], limit: int) -> NDArray[np.int64]:
        """Ids [n, longest ≤ limit], padded with 0; an empty text is all padding. A long text keeps its special tokens."""
        found = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        ids = [self._ids(encoding, limit) for encoding in found]
        out = np.zeros((len(ids), max((len(i) for i in ids), default=0)), dtype=np.int64)
        for row, tokens in zip(out, ids, strict=True):
            row[: len(tokens)] = tokens
        return out

    def _ids(self, encoding: Encoding, limit: int) -> list[int]:
        if self._special and encoding.ids:
            encoding.truncate(max(limit - self._special, 0))
            encoding = self._tokenizer.post_process(encoding)
        return [i + self.shift for i in encoding.ids[:limit]] if self.shift else list(encoding.ids[:limit])
