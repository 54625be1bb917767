"""A folder with a pipeline of Stable Diffusion's class, read part by part: no code of it is run, and nothing is unpickled."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from configs.errors import VitrinaError
from models.bundles import sha256_of
from models.imagegen.answers import Size
from models.imagegen.reading import readable, weights

INDEX = "model_index.json"
PIPELINE = "StableDiffusionPipeline"
PARTS = {
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
    "text_encoder": ("CLIPTextModel",),
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
}
"""Parts of the pipeline, and the classes that they may have."""
SCHEDULERS = tuple(sorted({"DDIMScheduler", *DDIMScheduler._compatibles} - {"EDMEulerScheduler"}))
"""Classes of schedulers, of whose settings ours are built: those whose noise levels are betas."""
PREDICTIONS = ("epsilon", "v_prediction")
_PLAIN = ("class_embed_type", "addition_embed_type", "encoder_hid_dim", "time_cond_proj_dim")
"""Settings of a U-Net that ask for more than a prompt."""


@dataclass(frozen=True, eq=False)
class Parts:
    """A pipeline's parts.

    Attributes:
        unet: Latents, noise level and prompt to noise or v.
        vae: Pixels to latents and back.
        text_encoder: Tokens to states.
        tokenizer: Prompts to tokens.
        scheduler: Settings of its scheduler: the noise levels, and what the U-Net predicts.
    """

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: Mapping[str, Any]

    @property
    def networks(self) -> tuple[Any, ...]:
        """Those with weights."""
        return self.unet, self.vae, self.text_encoder

    @property
    def factor(self) -> int:
        """Pixels a cell of the latents, on each side."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    def pipeline(self, scheduler: Any = None) -> StableDiffusionPipeline:
        """These parts as diffusers' own pipeline, by default with a DDIM scheduler; it shares their memory."""
        found = StableDiffusionPipeline(
            vae=self.vae,
            text_encoder=self.text_encoder,
            tokenizer=self.tokenizer,
            unet=self.unet,
            scheduler=scheduler or DDIMScheduler.from_config(dict(self.scheduler), clip_sample=False),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        found.set_progress_bar_config(disable=True)
        return found


def read(folder: Path) -> Parts:
    """The pipeline in a folder, in 32 bits on the CPU; a safety checker is left where it is.

    Raises:
        VitrinaError: a file is missing or damaged, a class is not one of Stable Diffusion's, weights are pickled or of the wrong
            shape, or the parts do not fit each other.
    """
    _check_index(folder)
    scheduler = _json(folder / "scheduler" / "scheduler_config.json")
    with readable(folder / "tokenizer", "a CLIP tokenizer"):
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    parts = Parts(
        unet=weights(folder / "unet", UNet2DConditionModel),
        vae=weights(folder / "vae", AutoencoderKL),
        text_encoder=weights(folder / "text_encoder", CLIPTextModel),
        tokenizer=tokenizer,
        scheduler=scheduler,
    )
    _check_fit(folder, parts)
    return parts


def fingerprint(folder: Path) -> str:
    """SHA-256 of the files of a pipeline that `read` may read.

    Raises:
        VitrinaError: one cannot be read.
    """
    found = [folder / INDEX]
    for part in (*PARTS, "scheduler"):
        found += sorted(path for path in (folder / part).glob("*") if path.suffix in {".json", ".txt", ".safetensors"})
    told = "\n".join(f"{path.relative_to(folder).as_posix()} {sha256_of(path)}" for path in found)
    return hashlib.sha256(told.encode()).hexdigest()


def check_sizes(sizes: tuple[Size, ...], parts: Parts) -> None:
    """Whether the autoencoder divides images of these sizes into whole cells.

    Raises:
        VitrinaError: not all.
    """
    for width, height in sizes:
        if width % parts.factor or height % parts.factor:
            raise VitrinaError(f"model.sizes {width} x {height}: the pipeline's cells have {parts.factor} pixels on each side")


def _check_index(folder: Path) -> None:
    index = _json(folder / INDEX)
    kind = index.get("_class_name")
    if kind != PIPELINE:
        raise VitrinaError(f"{folder} holds a {kind}; allowed: {PIPELINE}")
    for part, allowed in {**PARTS, "scheduler": SCHEDULERS}.items():
        named = index.get(part)
        if not isinstance(named, list) or len(named) != 2 or named[1] is None:
            raise VitrinaError(f"{folder / INDEX} names no {part}; allowed: {', '.join(allowed)}")
        if named[1] not in allowed:
            raise VitrinaError(f"{folder / INDEX}: {part} is a {named[1]}; allowed: {', '.join(allowed)}")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise VitrinaError(f"cannot read {path}: {error.strerror}; allowed: folder of a {PIPELINE}") from error
    except ValueError as error:
        raise VitrinaError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise VitrinaError(f"{path} holds no JSON object")
    return found


def _check_fit(folder: Path, parts: Parts) -> None:
    unet, vae, text = parts.unet.config, parts.vae.config, parts.text_encoder.config
    if asks := [name for name in _PLAIN if unet.get(name) is not None]:
        raise VitrinaError(f"{folder / 'unet'} has {asks[0]}: it asks for more than a prompt, as no {PIPELINE} gives it")
    fits = {
        f"unet reads {unet.in_channels} channels": unet.in_channels == vae.latent_channels,
        f"unet gives {unet.out_channels} channels": unet.out_channels == vae.latent_channels,
        f"unet reads states of {unet.cross_attention_dim}": unet.cross_attention_dim == text.hidden_size,
        f"tokenizer has {len(parts.tokenizer)} tokens": len(parts.tokenizer) <= text.vocab_size,
    }
    if wrong := [what for what, right in fits.items() if not right]:
        has = f"vae has {vae.latent_channels} channels, text_encoder states of {text.hidden_size} and {text.vocab_size} tokens"
        raise VitrinaError(f"the parts of {folder} do not fit: {wrong[0]}; {has}")
    prediction = parts.scheduler.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise VitrinaError(f"{folder}: scheduler predicts {prediction!r}; allowed: {', '.join(PREDICTIONS)}")
