"""From briefs to descriptions."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from catalog.listing import Listing
from catalog.text import clean_html
from configs.errors import VitrinaError
from models.describer import bundle
from models.describer.answers import Brief, Description
from models.describer.bundle import BundleConfig
from models.describer.facts.lexicon import Lexicon
from models.describer.frames import Frames
from models.describer.generation.writer import Writer
from models.describer.tokens import WriterTokenizer

ALIKE = 0.75
"""Similarity of names (Ratcliff & Obershelp) from which a type that is not known counts as a known one."""


class DescriberPredictor:
    """A trained model ready to write. Safe to call from several threads: nothing of it changes.

    Attributes:
        settings: What the bundle says of itself.
        lexicon: Which words state values.
    """

    name = "describer"

    def __init__(self, model: Any, tokenizer: WriterTokenizer, lexicon: Lexicon, frames: Frames, settings: BundleConfig) -> None:
        self.settings, self.lexicon = settings, lexicon
        self.writer = Writer(model, tokenizer, lexicon, frames, settings.config.model)
        self._types = {name.casefold(): name for name in settings.usual}

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> "DescriberPredictor":
        """Read a bundle and warm up.

        Raises:
            VitrinaError: a file is missing or damaged, or the device does not exist.
        """
        settings = bundle.load_config(folder)
        tokenizer, lexicon = WriterTokenizer.load(folder, settings.slots), bundle.load_lexicon(folder)
        model = bundle.load_model(folder, settings, len(tokenizer)).to(_device(device))
        predictor = cls(model, tokenizer, lexicon, bundle.load_frames(folder), settings)
        predictor.predict([Brief(Listing(title="Warm up", fields={"brand": "Vitrina"}))])
        return predictor

    def predict(self, briefs: Sequence[Brief]) -> list[Description]:
        """One description a brief.

        Raises:
            VitrinaError: a listing gives nothing that can be said; says which.
        """
        found = []
        for place, brief in enumerate(briefs):
            kind = self.type_of(brief.listing)
            if not self.describes(brief):
                raise VitrinaError(
                    f"listing {place} gives nothing to write of: no title, brand, colour, gender, article type or attribute"
                )
            found.append(self.writer.write(brief, self.settings.usual.get(kind or "", ()), kind))
        return found

    def describes(self, brief: Brief) -> bool:
        """Whether a listing gives anything to write of: a title, or a value that says something."""
        return bool(clean_html(brief.listing.title or "") or self.writer.task(brief).facts)

    def type_of(self, listing: Listing) -> str | None:
        """The listing's article type as the version knows it, or the known one whose name is most like it."""
        given = listing.categories.get("article_type")
        if given is None:
            return None
        near = difflib.get_close_matches(given.casefold(), self._types, n=1, cutoff=ALIKE)
        return self._types[near[0]] if near else None


def _device(name: str) -> torch.device:
    """Where the model runs.

    Raises:
        VitrinaError: this machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise VitrinaError(f"device {name!r} does not exist here: {str(error).splitlines()[0]}") from error
