"""Tokens of briefs and texts: byte pairs, and whole tokens for parts, for the fields of a brief and for slots.

A *slot* stands for a given value: it names a fact in the brief and copies its value in a text. A text in a catalogue or a
request that looks like such a token is spelled as text.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from configs.errors import VitrinaError
from models.describer.answers import TONES
from models.pretrained.tokenizer import FILE, KINDS, PAD

PARTS = ("seo_title", "meta_description", "description", "bullets")
"""Texts of a listing, each of which begins with a token of its own."""

NEXT, END = "[NEXT]", "[END]"
"""Between the sentences of a text, and after the last."""

TITLE, FACTS, AUDIENCE, KEYWORD = "[TITLE]", "[FACTS]", "[AUDIENCE]", "[KEYWORD]"
SHARED = "*"
"""Slots whose names begin so are for facts that have no slot of their own."""


class WriterTokenizer:
    """Ids of texts and of whole tokens.

    Attributes:
        slots: Name of a fact, or `SHARED` and a number, to its id.
    """

    def __init__(self, tokenizer: Tokenizer, slots: Sequence[str]) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True  # what looks like a whole token in a text is text
        self._tokenizer = tokenizer
        self.slots = {name: self._id(slot_token(name)) for name in slots}
        self.names = {number: name for name, number in self.slots.items()}
        self.parts = {part: self._id(_part(part)) for part in PARTS}
        self.tones = {tone: self._id(_tone(tone)) for tone in TONES}
        self.next, self.end, self.pad = self._id(NEXT), self._id(END), self._id(PAD)
        self.title, self.facts, self.audience, self.keyword = (self._id(t) for t in (TITLE, FACTS, AUDIENCE, KEYWORD))

    @classmethod
    def fit(cls, texts: Iterable[str], vocab_size: int, slots: Sequence[str]) -> "WriterTokenizer":
        """Learn byte pairs from texts (Sennrich et al. 2016, byte level); whole tokens come on top of `vocab_size`."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            special_tokens=[PAD],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls.extended(tokenizer, slots)

    @classmethod
    def extended(cls, tokenizer: Tokenizer, slots: Sequence[str]) -> "WriterTokenizer":
        """A tokenizer with the whole tokens put behind its own."""
        whole = [PAD, NEXT, END, TITLE, FACTS, AUDIENCE, KEYWORD]
        whole += [_part(part) for part in PARTS] + [_tone(tone) for tone in TONES] + [slot_token(name) for name in slots]
        tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in whole])
        return cls(tokenizer, slots)

    @classmethod
    def load(cls, folder: Path, slots: Sequence[str]) -> "WriterTokenizer":
        """Read `tokenizer.json` of a bundle.

        Raises:
            VitrinaError: missing, not a tokenizer, or without these slots.
        """
        path = folder / FILE
        try:
            text = path.read_text(encoding="utf-8")
            kind = json.loads(text)["model"]["type"]
        except OSError as error:
            raise VitrinaError(f"cannot read {path}: {error.strerror}") from error
        except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise VitrinaError(f"{path} is not a tokenizer: {type(error).__name__} {error}") from error
        if kind not in KINDS:
            raise VitrinaError(f"{path} holds a {kind!r} tokenizer; allowed: {', '.join(KINDS)}")
        return cls(Tokenizer.from_str(text), slots)

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json`."""
        (folder / FILE).write_text(self._tokenizer.to_str(pretty=False), encoding="utf-8")

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """Ids of a text without slots."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids that are no whole tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    @cached_property
    def whole(self) -> frozenset[int]:
        """Ids of the whole tokens."""
        named = (self.next, self.end, self.pad, self.title, self.facts, self.audience, self.keyword)
        return frozenset((*named, *self.parts.values(), *self.tones.values(), *self.names))

    @cached_property
    def strings(self) -> tuple[str | None, ...]:
        """What each id spells; None for whole tokens, the tokenizer's own special ones, and parts of a character."""
        added = self._tokenizer.get_added_tokens_decoder()
        special = self.whole | {number for number, token in added.items() if token.special}
        anchor = self.encode("a")  # decoders drop a space at the very start: decode behind a letter
        before = len(self.decode(anchor))
        found: list[str | None] = []
        for number in range(len(self)):
            text = None if number in special else self.decode([*anchor, number])[before:]
            found.append(None if not text or "\ufffd" in text else text)
        return tuple(found)

    def slot_for(self, name: str, taken: set[int]) -> int | None:
        """The slot of a fact: its name's own, else the first shared one not in `taken`; None where none is left."""
        own = self.slots.get(name)
        if own is not None and own not in taken and not name.startswith(SHARED):
            return own
        return next((number for other, number in self.slots.items() if other.startswith(SHARED) and number not in taken), None)

    def _id(self, token: str) -> int:
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise VitrinaError(f"the tokenizer has no token {token}; it is not of this bundle")
        return int(number)


def slot_names(names: Iterable[str], shared: int) -> tuple[str, ...]:
    """Slots for facts of these names, and shared ones."""
    return (*names, *(f"{SHARED}{number}" for number in range(shared)))


def slot_token(name: str) -> str:
    """The whole token of a slot."""
    return f"[SLOT {name}]"


def _part(part: str) -> str:
    return f"[PART {part}]"


def _tone(tone: str) -> str:
    return f"[TONE {tone}]"
