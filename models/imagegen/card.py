"""The model card of a generator (Mitchell et al. 2019), and its gallery; metrics are added by whoever measures the bundle."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from models.imagegen.answers import MIN_STEPS, Prompt
from models.imagegen.bundle import BundleConfig
from models.imagegen.predictor import ImagegenPredictor

COLUMNS, ROWS = 8, 4
CELL = 128
"""Pixels of an image of the gallery: smaller ones are enlarged in whole steps."""


def gallery(predictor: ImagegenPredictor, titles: Sequence[str]) -> Image.Image:
    """The first titles drawn once each, as one image, by rows; seed 0."""
    some = [title for title in titles if title][: COLUMNS * ROWS]
    prompts = [predictor.resolved(Prompt(title, steps=MIN_STEPS)) for title in some]
    pixels = predictor.painter.paint(prompts, [0] * len(prompts))
    sheet = Image.new("RGB", (COLUMNS * CELL, -(-len(some) // COLUMNS) * CELL), "white")
    for place, image in enumerate(pixels):
        times = CELL / max(image.shape[:2])
        size = (round(image.shape[1] * times), round(image.shape[0] * times))
        resampling = Image.Resampling.NEAREST if times >= 1 else Image.Resampling.LANCZOS
        drawn = Image.fromarray(np.ascontiguousarray(image)).resize(size, resampling)
        sheet.paste(drawn, (place % COLUMNS * CELL, place // COLUMNS * CELL))
    return sheet


def card(settings: BundleConfig) -> str:
    """Markdown, a paragraph a line: MLflow shows each line break."""
    model = settings.config.model
    offered = ", ".join(f"{width}×{height}" for width, height in model.sizes)
    if model.start is not None:
        how = "the adapters of its attention (LoRA)" if model.start.method == "lora" else "its whole U-Net"
        made = f"""It started from the pipeline in `{model.start.folder}` (SHA-256 {(settings.start or "")[:12]}), of which {how}
was trained; the autoencoder and the text encoder stayed as they were. What that pipeline was trained on, its own card has to say.
Styles are words that are added to the prompt."""
    else:
        codec = (
            f"principal components of blocks of 8×8 pixels, {model.codec.coefficients} numbers a block"
            if model.codec.kind == "block"
            else "an AutoencoderKL that was trained first"
        )
        made = f"""Trained from nothing: a U-Net takes noise off latents ({codec}), led by a text transformer of
{model.text.layers} blocks. It begins from the mean image that a linear model expects of the prompt
({settings.explained or 0:.0%} of the latents' variance). Styles are a learned condition: photos were shown in each of them."""
    text = f"""# Product images

**What it is.** Draws a product from a text such as a title, in {offered} pixels, with a score that says how far the image shows
what the text says, and which training photo is most like it. It reads texts and images with a product model that it holds a
whole copy of; which version that is stands beside this card.

**How.** {made} Classifier-free guidance {model.generation.guidance:g}, {model.generation.sampler},
{model.generation.steps} steps where a request does not say.

**Gallery.** `gallery.png` beside this card: titles of validation products, one image each, none chosen.

**Intended use.** Sketches, placeholders and variations for people who look at them. **Not for** showing customers what they will
get: the image is not of the product. Every file says that it was generated, by which version and from which seed.

**Training data.** Catalogue `{settings.data}`: {settings.training_photos:,} photos with titles and phrases of their fields;
{settings.validation_photos:,} more to choose by. {settings.without_photo:,} products were left out. Of all,
{settings.known_to_base:,} are known to the product model underneath.

**Training.** {settings.updates:,} of {settings.planned:,} planned updates of {settings.parameters:,} weights; validation loss
{settings.validation_loss:.4f}.

**Limits.** It knows the products, the words and the photography of its catalogue, with their faces, bodies and logos, and no
others: unknown words are told with each image. Writing on products comes out as texture. What is rare is drawn badly. Images
near to a training photo are marked as memorised; whether a photo may be shown at all it cannot know.
"""
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in text.strip().split("\n\n")) + "\n"
