"""Other wordings of a text by translation into another language and back (Sennrich et al. 2016).

Texts are translated sentence by sentence: descriptions of a catalogue share many, and each is translated once. What was
translated is kept in an SQLite file, so that a second run translates nothing and loads no model. Only safetensors are
read, and no code that comes with a model is run.
"""

import json
import logging
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch

from configs.errors import VitrinaError
from configs.schema import BackTranslationConfig

log = logging.getLogger(__name__)

FILE = "back_translation.sqlite"
PIECE_WORDS = 60
"""Longer sentences are translated in parts: models lose the end of what exceeds their positions."""

_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+")
_BUSY_SECONDS = 30.0
_PIECES_A_COMMIT = 256


def back_translate(texts: Sequence[str], config: BackTranslationConfig, cache: Path) -> list[str]:
    """Each text in other words; a sentence whose translation is empty or does not end stays as it is.

    Args:
        texts: Plain texts.
        config: The pair of models and how they generate.
        cache: Folder of `back_translation.sqlite`, created if it is missing. Processes may share it.

    Raises:
        VitrinaError: a model is missing or is not what it should be, or the cache cannot be read or written.
    """
    pieces = [_pieces(text) for text in texts]
    wanted = sorted({piece for parts in pieces for piece in parts}, key=lambda piece: (len(piece), piece))
    with _opened(cache) as store:
        known = _translated(wanted, config, store)
    return [" ".join(known[piece] for piece in parts) for parts in pieces]


def _pieces(text: str) -> list[str]:
    """Sentences, long ones in parts of at most `PIECE_WORDS` words."""
    sentences = [sentence.split() for sentence in _SENTENCE_END.split(text)]
    parts = [words[start : start + PIECE_WORDS] for words in sentences for start in range(0, len(words), PIECE_WORDS)]
    return [" ".join(words) for words in parts]


def _translated(pieces: Sequence[str], config: BackTranslationConfig, store: sqlite3.Connection) -> dict[str, str]:
    """Every piece with its other wording, from the store or, where it lacks one, from the models."""
    setting = _setting(config)
    keys = {piece: blake2b(f"{setting}\0{piece}".encode(), digest_size=16).digest() for piece in pieces}
    found = {piece: row[0] for piece, key in keys.items() if (row := store.execute(_READ, (key,)).fetchone())}
    missing = [piece for piece in pieces if piece not in found]
    if not missing:
        return found
    log.info("translating %d of %d sentences with %s and %s", len(missing), len(pieces), config.forward, config.backward)
    there, back = _Translator(config.forward, config), _Translator(config.backward, config)
    for start in range(0, len(missing), _PIECES_A_COMMIT):
        chunk = missing[start : start + _PIECES_A_COMMIT]
        away = there.translate([config.forward_prefix + piece for piece in chunk])
        home = back.translate([config.backward_prefix + text for text in away])
        for piece, between, text in zip(chunk, away, home, strict=True):
            found[piece] = text if between and text else piece
        with store:
            store.executemany(_WRITE, [(keys[piece], found[piece]) for piece in chunk])
    return found


class _Translator:
    """One seq2seq model with its tokenizer, on a GPU where there is one."""

    def __init__(self, name: str, config: BackTranslationConfig) -> None:
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        self.config = config
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        if not Path(name).is_dir() and (name[0] in "./~" or name.count("/") > 1):
            raise VitrinaError(f"there is no folder {name}; allowed: a folder of a seq2seq model, or an id on the hub")
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
            model, told = AutoModelForSeq2SeqLM.from_pretrained(
                name, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise VitrinaError(f"cannot read a seq2seq model with its tokenizer from {name}: {reason}") from error
        if lacking := sorted(told["missing_keys"]):
            raise VitrinaError(f"the weights of {name} lack {lacking[0]} ({len(lacking)} of their parts in all)")
        self.model: Any = model.eval().to(self.device)
        positions = getattr(model.config, "max_position_embeddings", None) or self.tokenizer.model_max_length
        self.length = min(positions, self.tokenizer.model_max_length)

    def translate(self, texts: Sequence[str]) -> list[str]:
        """Translations in order; '' where one does not end within `max_new_tokens`."""
        size = self.config.batch_size
        return [text for start in range(0, len(texts), size) for text in self._batch(list(texts[start : start + size]))]

    @torch.inference_mode()
    def _batch(self, texts: list[str]) -> list[str]:
        inputs = self.tokenizer(texts, padding=True, truncation=True, max_length=self.length, return_tensors="pt")
        out = self.model.generate(
            input_ids=inputs["input_ids"].to(self.device),
            attention_mask=inputs["attention_mask"].to(self.device),
            max_new_tokens=self.config.max_new_tokens,
            num_beams=self.config.beams,
            do_sample=False,
        )
        # The first token only starts the decoder, and the last one may be an end that generation forces.
        ends = torch.tensor(self.model.generation_config.eos_token_id, device=out.device)
        ended = torch.isin(out[:, 1 : self.config.max_new_tokens], ends).any(dim=1).tolist()
        decoded = self.tokenizer.batch_decode(out, skip_special_tokens=True)
        return [text.strip() if whole else "" for text, whole in zip(decoded, ended, strict=True)]


_CREATE = "CREATE TABLE IF NOT EXISTS translations (key BLOB PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID"
_READ = "SELECT text FROM translations WHERE key = ?"
_WRITE = "INSERT OR REPLACE INTO translations VALUES (?, ?)"


@contextmanager
def _opened(cache: Path) -> Iterator[sqlite3.Connection]:
    """The store; each commit is whole or absent, whatever stops the process.

    Raises:
        VitrinaError: not a folder, not a store, no right to write, or the disk is full.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(cache / FILE, timeout=_BUSY_SECONDS)) as store:
            store.execute(_CREATE)
            yield store
    except (OSError, sqlite3.Error) as error:
        raise VitrinaError(f"cannot keep translations in {cache / FILE}: {error}") from error


def _setting(config: BackTranslationConfig) -> str:
    """Everything besides the text that a translation depends on; a folder's files count by name, size and time."""
    values = config.model_dump(mode="json", exclude={"share", "batch_size"})
    return json.dumps([values, *(_files(Path(name)) for name in (config.forward, config.backward))], sort_keys=True)


def _files(folder: Path) -> list[tuple[str, int, int]]:
    if not folder.is_dir():
        return []
    stats = [(path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
