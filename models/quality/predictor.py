"""From listings to assessments."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from catalog.images import DecodedPhoto
from catalog.listing import Listing
from configs.errors import VitrinaError
from models import family
from models.bundles import BASE, BaseVersion, read_base
from models.inspection import Inspection, Inspector
from models.quality import bundle
from models.quality.answers import Assessment, Axis, Candidate, Improvement
from models.quality.axes import readers
from models.quality.bundle import BundleConfig, Fitted
from models.quality.evened import Evened
from models.quality.improvements import improvements
from models.quality.judge import Judge, Judgement
from models.quality.memory.duplicates import Duplicates
from models.quality.seen import Seen


class QualityPredictor:
    """A trained model ready to assess. Safe to call from several threads: nothing in it changes.

    Attributes:
        base: The version that reads the listings; the bundle holds a copy of it.
        judge: What scores them.
        threshold: Score from which a listing is published.
    """

    name = "quality"

    def __init__(self, fitted: Fitted, inspector: Inspector, base: BaseVersion, settings: BundleConfig) -> None:
        self.fitted, self.inspector, self.base, self.settings = fitted, inspector, base, settings
        self.threshold, memory = fitted.threshold, fitted.memory
        self.judge = Judge(
            inspector=Evened(inspector, settings.config.model),
            memory=memory,
            duplicates=memory.duplicates(),
            models=fitted.learned.models,
            belonging=fitted.learned.belonging,
            config=settings.config.model,
        )

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> "QualityPredictor":
        """Read a bundle, with the base in it, and warm up.

        Raises:
            VitrinaError: a file is missing or damaged, or the base does not say what the parts of a listing show.
        """
        settings = bundle.load_config(folder)
        fitted, base = bundle.load(folder, settings), read_base(folder)
        inspector = family.load(base.model, folder / BASE, device)
        if not isinstance(inspector, Inspector):
            raise VitrinaError(f"{folder / BASE}: {base.model} does not say what the parts of a listing show")
        predictor = cls(fitted, inspector, base, settings)
        grey = DecodedPhoto(np.full((16, 16, 3), 128, dtype=np.uint8))  # a base may read photos alone
        predictor.predict([Candidate(Listing(title="warm up", image=grey))])
        return predictor

    def predict(self, candidates: Sequence[Candidate]) -> list[Assessment]:
        """One assessment a candidate, with improvements.

        Raises:
            VitrinaError: a listing says nothing that the version reads, or its photo cannot be decoded; says which.
        """
        return self.assess(candidates)

    def assess(self, candidates: Sequence[Candidate], improve: bool = True, among: Duplicates | None = None) -> list[Assessment]:
        """One assessment a candidate.

        Args:
            candidates: What is assessed.
            improve: Whether to look for what would raise the scores, which takes several times as long.
            among: Where duplicates are looked for; without it, among the products that the version was trained on.

        Raises:
            VitrinaError: a listing says nothing that the version reads, or its photo cannot be decoded; says which.
        """
        return self.of_seen(self.judge.look(candidates), partial(self.judge.compare, duplicates=among), improve)

    def of_seen(
        self, looked_at: Sequence[Seen], compare: Callable[[Sequence[Seen]], Sequence[Seen]], improve: bool = True
    ) -> list[Assessment]:
        """One assessment of each candidate that was looked at, with the duplicate that `compare` finds."""
        seen = compare(looked_at)
        judged = self.judge.judge(seen)
        found = improvements(self.judge, judged, compare) if improve else [()] * len(judged)
        whole = self.inspector.inspect([one.listing for one in seen])  # for the faults that the base looks for
        return [self._assessment(*parts) for parts in zip(judged, found, whole, strict=True)]

    def duplicates(self, candidates: Sequence[Candidate]) -> Duplicates:
        """Where else duplicates can be looked for: among the products of training and these, of whom those with known ids count.

        Raises:
            VitrinaError: as `assess`.
        """
        signed = self.judge.sign(self.judge.look(candidates))
        known = self.fitted.memory.signatures.without(frozenset(signed.ids)).joined(signed)
        return replace(self.fitted.memory, signatures=known).duplicates()

    def _assessment(self, judged: Judgement, found: tuple[Improvement, ...], whole: Inspection) -> Assessment:
        return Assessment(
            score=judged.score,
            verdict="publish" if judged.score >= self.threshold else "hold",
            threshold=self.threshold,
            axes=judged.axes,
            left_out=self._left_out(judged),
            improvements=found,
            faults=whole.faults,
            modalities=whole.modalities,
            article_type=judged.seen.article_type,
        )

    def _left_out(self, judged: Judgement) -> dict[Axis, str]:
        """Why an axis is not among the scores."""
        left = [axis for axis in readers() if axis not in judged.scores]
        return {axis: judged.readings[axis].left_out or self.settings.not_learned.get(axis, "not learned") for axis in left}
