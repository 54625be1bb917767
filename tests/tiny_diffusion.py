"""A tiny pipeline of Stable Diffusion's class with random weights, saved as diffusers saves it, and photos to learn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from catalog.images import DecodedPhoto
from models.imagegen.answers import Size
from models.imagegen.shots import Shot

WORDS = ["red", "blue", "green", "shirt", "shoes", "watch"]
COLOURS = {"red": (200, 30, 30), "blue": (30, 40, 200), "green": (30, 160, 60)}
START, END = "<|startoftext|>", "<|endoftext|>"
STATE = 16


def tokenizer(tokens: int = 24) -> Any:
    """CLIP's, whose vocabulary is bytes and a few words."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    merges: list[tuple[str, str]] = []
    for word in WORDS:
        first, *rest = [*word[:-1], f"{word[-1]}</w>"]
        for part in rest:
            if (first, part) not in merges:
                merges.append((first, part))
            first += part
    letters = sorted(ByteLevel.alphabet())
    pieces = dict.fromkeys([*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges), START, END])
    return CLIPTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges, model_max_length=tokens)


def unet(**settings: Any) -> Any:
    """Random weights."""
    import diffusers

    return diffusers.UNet2DConditionModel(
        **{
            "sample_size": 8,
            "block_out_channels": (16, 32),
            "layers_per_block": 1,
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
            "cross_attention_dim": STATE,
            "attention_head_dim": 8,
            "norm_num_groups": 4,
        }
        | settings
    )


def save_unet(folder: Path, **settings: Any) -> None:
    """One that differs."""
    unet(**settings).save_pretrained(folder)


def save_pipeline(folder: Path, scheduler: str = "PNDMScheduler", vae_blocks: int = 3, **settings: Any) -> Path:
    """About 200,000 weights; latents of 4 numbers on 4 x 4 pixels."""
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(5)
    words = tokenizer()
    text = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=STATE,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=24,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(*((8,) * (vae_blocks - 1)), 16),
        down_block_types=("DownEncoderBlock2D",) * vae_blocks,
        up_block_types=("UpDecoderBlock2D",) * vae_blocks,
        norm_num_groups=4,
        scaling_factor=0.7,
    )
    noise = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
    diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=words,
        unet=unet(),
        scheduler=getattr(diffusers, scheduler)(**noise | settings),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def shots(rows: int, size: Size = (40, 32)) -> Sequence[Shot]:
    """Squares of three colours on white, and what they are called."""
    found: list[Shot] = []
    for row in range(rows):
        colour = list(COLOURS)[row % len(COLOURS)]
        pixels = np.full((size[1], size[0], 3), 250, dtype=np.uint8)
        pixels[8 : 24 + row % 4, 8:28] = COLOURS[colour]
        found.append(Shot((f"{colour} shirt", f"shirt {colour}"), DecodedPhoto(pixels)))
    return found
