"""From prompts to images with scores."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from configs.errors import VitrinaError
from models import family
from models.bundles import BASE, BaseVersion, read_base
from models.family import Embedder
from models.imagegen import bundle
from models.imagegen.answers import MAX_GUIDANCE, MAX_STEPS, MIN_STEPS, SAMPLERS, STYLES, Drawing, Picture, Prompt, Score, Style
from models.imagegen.bundle import BundleConfig
from models.imagegen.judge.judge import Judge
from models.imagegen.own.painter import OwnPainter
from models.imagegen.own.pipeline import load as load_pipeline
from models.imagegen.own.prompts import Reader, words_of
from models.imagegen.painter import Painter
from models.imagegen.photos import Pixels
from models.imagegen.scoring.scorer import Scorer
from models.imagegen.started.bundle import PIPELINE
from models.imagegen.started.bundle import load as load_started
from models.inspection import Inspector


class ImagegenPredictor:
    """A trained version ready to draw. Safe to call from several threads: nothing in it changes.

    Attributes:
        base: The version that reads prompts and images; the bundle holds a copy of it.
        painter: Draws.
        scorer: Scores what was drawn.
        judge: What the version is measured by; None where the catalogue says neither types nor colours.
    """

    name = "imagegen"

    def __init__(self, painter: Painter, scorer: Scorer, judge: Judge | None, base: BaseVersion, settings: BundleConfig) -> None:
        self.painter, self.scorer, self.judge, self.base, self.settings = painter, scorer, judge, base, settings

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> "ImagegenPredictor":
        """Read a bundle, with the base in it, and warm up.

        Raises:
            VitrinaError: a file is missing or damaged, or there is no such device.
        """
        settings, base = bundle.load_config(folder), read_base(folder)
        inspector = family.load(base.model, folder / BASE, device)
        if not isinstance(inspector, Inspector):
            raise VitrinaError(f"{folder / BASE}: {base.model} does not say what prompts and photos show")
        judge = Judge.load(folder) if bundle.has_judge(folder) else None
        painter = _painter(folder, inspector, settings, device)
        predictor = cls(painter, bundle.load_scorer(folder, inspector, settings), judge, base, settings)
        predictor._drawing(predictor.resolved(Prompt("warm up", steps=MIN_STEPS)))  # words that it need not know
        return predictor

    def predict(self, prompts: Sequence[Prompt]) -> list[Drawing]:
        """One drawing a prompt. Each candidate is drawn by itself: it has the same bits however many there are.

        Raises:
            VitrinaError: a prompt says nothing, or nothing that this version knows, or asks for what it does not offer; memory is
                not enough; what a prompt's `watch` raises.
        """
        wanted = [self.resolved(prompt) for prompt in prompts]
        for prompt in wanted:
            self._check_words(prompt)
        return [self._drawing(prompt) for prompt in wanted]

    def resolved(self, prompt: Prompt) -> Prompt:
        """The prompt with size and guidance filled in.

        Raises:
            VitrinaError: it says nothing, or asks for what this version does not offer.
        """
        drawn = self.settings.config.model.generation
        size = prompt.size or self.painter.sizes[0]
        guidance = drawn.guidance if prompt.guidance is None else prompt.guidance
        offered = ", ".join(f"{width}x{height}" for width, height in self.painter.sizes)
        wrong = {
            "the prompt says nothing; say what the image is to show": not prompt.text.strip(),
            f"size {size[0]}x{size[1]} is not offered; allowed: {offered}": size not in self.painter.sizes,
            f"guidance {guidance:g} is not allowed; allowed: 1 to {MAX_GUIDANCE:g}": not 1 <= guidance <= MAX_GUIDANCE,
            f"{prompt.steps} steps are not allowed; allowed: {MIN_STEPS} to {MAX_STEPS}": not (
                MIN_STEPS <= prompt.steps <= MAX_STEPS
            ),
            f"style {prompt.style!r} is not known; allowed: {', '.join(STYLES)}": prompt.style not in STYLES,
            f"sampler {prompt.sampler!r} is not known; allowed: {', '.join(SAMPLERS)}": prompt.sampler not in SAMPLERS,
            f"{prompt.candidates} candidates are not allowed; allowed: 1 to {drawn.max_candidates}": not (
                1 <= prompt.candidates <= drawn.max_candidates
            ),
        }
        for said, is_so in wrong.items():
            if is_so:
                raise VitrinaError(said)
        return replace(prompt, size=size, guidance=guidance)

    def score(self, prompts: Sequence[Prompt], pixels: Sequence[Pixels]) -> list[Score]:
        """Scores of images that were drawn for prompts."""
        learned: list[Style] = [prompt.style for prompt in prompts] if isinstance(self.painter, OwnPainter) else []
        return self.scorer.score([prompt.text for prompt in prompts], pixels, learned)

    def _check_words(self, prompt: Prompt) -> None:
        """A pipeline that was started from has read more words than we can know of."""
        unknown = self.painter.unknown_words(prompt.text)
        if isinstance(self.painter, OwnPainter) and set(words_of(prompt.text)) <= set(unknown):
            told = f" ({', '.join(unknown[:3])})" if unknown else ""
            raise VitrinaError(f"this version knows no word of the prompt{told}; use words that the catalogue's titles have")

    def _drawing(self, prompt: Prompt) -> Drawing:
        pictures = []
        for number in range(prompt.candidates):
            seed = prompt.seed + number
            [pixels] = self.painter.paint([prompt], [seed], _counted(prompt, number))
            [score] = self.score([prompt], [pixels])
            pictures.append(Picture(pixels, seed, score))
        best_first = tuple(sorted(pictures, key=lambda picture: -picture.score.overall))
        return Drawing(prompt, best_first, self.painter.unknown_words(prompt.text), self.painter.cuts(prompt.text))


def _counted(prompt: Prompt, number: int) -> Callable[[int, int], None] | None:
    """The prompt's own `watch`, told of the steps of all candidates."""
    watch = prompt.watch
    if watch is None:
        return None
    return lambda done, steps: watch(number * steps + done, prompt.candidates * steps)


def _painter(folder: Path, base: Embedder, settings: BundleConfig, device: str) -> Painter:
    """Ours, or the pipeline that was started from."""
    model = settings.config.model
    if model.start is not None:
        return load_started(folder, model.sizes, device)
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        where = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise VitrinaError(f"device {device!r} is not available here; allowed: auto, cpu, cuda") from error
    reader = Reader.load(base, folder / BASE, model.text.tokens, bundle.load_words(folder))
    return OwnPainter(load_pipeline(folder / PIPELINE, model.codec.kind), reader, model.sizes, where)
