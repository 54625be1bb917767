"""Latents by a network: AutoencoderKL, trained here or by others.

- reconstruction: L1, with a small divergence of the posterior from a unit normal, as in latent diffusion (Rombach et al. 2022);
  no perceptual or adversarial term, which would need a pretrained network or a second one
- squares cut from the photos are enough: what the network learns is local
- latents are the posterior's mean, each channel standardised on training photos

Shapes: B images, H x W pixels, h x w cells of `factor` pixels, C channels.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.utils.data import Dataset

from catalog.images import DecodedPhoto
from configs.errors import VitrinaError
from configs.schema import TrainerConfig
from models.imagegen.answers import Size
from models.imagegen.config import CodecConfig
from models.imagegen.memory import enough_memory
from models.imagegen.photos import fitted
from models.imagegen.reading import weights
from models.training.batches import mix, moved, part_of, training_loader, validation_loader
from models.training.distributed import drawn_rows
from models.training.task import Task

Photos = Sequence[bytes | DecodedPhoto]

AT_ONCE = 1 << 20
"""Pixels that go through the network at once, 4 images of 512 x 512: at its first layers, each takes a kilobyte."""
MEASURED = 256
"""Photos on which the latents are standardised, at most."""
DONE = "codec"
"""Folder, in that of the training, of the trained codec."""


class KLCodec(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """See the module. Images that do not fit through the network at once go one part after the other.

    Args:
        architecture: Settings of the AutoencoderKL.
    """

    _supports_gradient_checkpointing = True

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, architecture: dict[str, Any]) -> None:
        super().__init__()
        self.vae = AutoencoderKL(**architecture)
        self.channels: int = self.vae.config.latent_channels
        self.factor: int = 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.register_buffer("mean", torch.zeros(self.channels, 1, 1))
        self.register_buffer("deviation", torch.ones(self.channels, 1, 1))

    @classmethod
    def new(cls, config: CodecConfig) -> "KLCodec":
        """Random weights."""
        blocks = len(config.widths)
        codec: KLCodec = cls(
            {
                "block_out_channels": config.widths,
                "down_block_types": ("DownEncoderBlock2D",) * blocks,
                "up_block_types": ("UpDecoderBlock2D",) * blocks,
                "latent_channels": config.latent_channels,
                "layers_per_block": config.layers,
                "norm_num_groups": config.groups,
            }
        )
        return codec

    @classmethod
    def read(cls, folder: Path) -> "KLCodec":
        """The AutoencoderKL that others trained, not standardised yet.

        Raises:
            VitrinaError: see `models.imagegen.reading.weights`.
        """
        vae = weights(folder, AutoencoderKL)
        settings = {name: value for name, value in vae.config.items() if not name.startswith("_")}
        codec: KLCodec = cls(settings)
        codec.vae.load_state_dict(vae.state_dict())
        return codec

    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] to latents (B, C, h, w)."""
        with _fast(pixels.device):
            parts = _parts(pixels, pixels.shape[-2] * pixels.shape[-1])
            latents = torch.cat([self.vae.encode(part).latent_dist.mode() for part in parts])
        standard: Tensor = (latents.float() - self.mean) / self.deviation
        return standard

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) to pixels (B, 3, H, W), not clipped."""
        with _fast(latents.device):
            parts = _parts(latents, latents.shape[-2] * latents.shape[-1] * self.factor**2)
            pixels = torch.cat([self.vae.decode(part * self.deviation + self.mean).sample for part in parts])
        return pixels.float()

    @torch.no_grad()
    def standardise(self, photos: Photos, size: Size) -> None:
        """Let every channel have mean 0 and variance 1 over some photos."""
        self.mean.zero_()
        self.deviation.fill_(1.0)
        step = max(1, len(photos) // MEASURED)
        found = [self.encode(_pixels(fitted(photos[row], size))[None])[0].flatten(1) for row in range(0, len(photos), step)]
        latents = torch.cat(found, dim=1).double()
        self.mean.copy_(latents.mean(dim=1)[:, None, None])
        self.deviation.copy_(latents.std(dim=1).clamp(min=1e-6)[:, None, None])


def fit_codec(
    training: Photos,
    validation: Photos,
    sizes: Sequence[Size],
    config: CodecConfig,
    trainer: TrainerConfig,
    workdir: Path,
    loggers: Sequence[Any] = (),
) -> KLCodec:
    """The codec that `config` asks for: read from its folder, or trained in `workdir`, going on where a training was killed.

    Raises:
        VitrinaError: the folder holds none, the sizes are no whole cells, a photo cannot be decoded, memory is not enough.
        TrainingError: see `models.training.trainer.fit`.
    """
    done = workdir / DONE
    if done.is_dir():
        return _checked(KLCodec.from_pretrained(done, local_files_only=True, use_safetensors=True), sizes)
    codec: KLCodec = _checked(KLCodec.read(Path(config.folder)) if config.folder else _new(config, trainer.seed), sizes)
    if config.folder is None:
        _train(codec, training, validation, sizes, config, trainer, workdir, loggers)
    codec.eval().requires_grad_(False).standardise(training, sizes[0])
    partial = done.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    codec.save_pretrained(partial, safe_serialization=True)
    partial.replace(done)
    return codec


def _new(config: CodecConfig, seed: int) -> KLCodec:
    torch.manual_seed(seed)
    codec: KLCodec = KLCodec.new(config)
    return codec


def _checked(codec: KLCodec, sizes: Sequence[Size]) -> KLCodec:
    for width, height in sizes:
        if width % codec.factor or height % codec.factor:
            raise VitrinaError(f"model.sizes {width} x {height}: the autoencoder's cells have {codec.factor} pixels on each side")
    codec.eval().requires_grad_(False)
    return codec


def _train(
    codec: KLCodec,
    training: Photos,
    validation: Photos,
    sizes: Sequence[Size],
    config: CodecConfig,
    trainer: TrainerConfig,
    workdir: Path,
    loggers: Sequence[Any],
) -> None:
    from models.training.trainer import fit  # brings Lightning: seconds for whoever only answers

    own = trainer.model_copy(
        update={
            "epochs": config.epochs,
            "batch_size": config.batch_size,
            "accumulate": 1,
            "learning_rate": config.learning_rate,
            "max_minutes": trainer.max_minutes and trainer.max_minutes * config.share_of_time,
        }
    )
    rows = [Squares(photos, sizes, config.crop, codec.factor, trainer.seed) for photos in (training, validation)]
    task = CodecTask(codec, config.kl_weight)
    with enough_memory("training the autoencoder", "lower model.codec.batch_size or model.codec.crop"):
        fit(task, training_loader(rows[0], own), validation_loader(rows[1], own), own, workdir, loggers)


@dataclass
class SquareBatch:
    """Pixels (B, 3, H, W) uint8."""

    pixels: Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "SquareBatch":
        """On another device."""
        return moved(self, device, non_blocking)


class Squares(Dataset[SquareBatch]):
    """Squares of fitted photos, all of a batch from photos of one size; the middle ones in validation."""

    def __init__(self, photos: Photos, sizes: Sequence[Size], side: int, factor: int, seed: int) -> None:
        self._photos, self._sizes, self._seed = photos, tuple(sizes), seed
        self._sides = {size: tuple(min(side, part) // factor * factor for part in size) for size in self._sizes}

    def __len__(self) -> int:
        return len(self._photos)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> SquareBatch:
        epoch, first = part_of(keys).whole[0]
        turn = first // len(keys) if epoch < 0 else mix(self._seed, epoch, first)
        size = self._sizes[turn % len(self._sizes)]
        return SquareBatch(torch.stack([self._square(size, epoch, row) for epoch, row in keys]))

    def _square(self, size: Size, epoch: int, row: int) -> Tensor:
        (width, height), pixels = self._sides[size], fitted(self._photos[row], size)
        room = np.array([size[0] - width, size[1] - height])
        chance = np.random.default_rng(mix(self._seed, epoch, row)).random(2) if epoch >= 0 else 0.5
        left, top = (room * chance).astype(int)
        return torch.from_numpy(pixels[top : top + height, left : left + width]).permute(2, 0, 1)


class CodecTask(Task):
    """Reconstruction of pixels through a posterior that is kept near a unit normal."""

    def __init__(self, codec: KLCodec, kl_weight: float) -> None:
        super().__init__()
        self.vae, self.kl_weight = codec.vae.requires_grad_(), kl_weight

    def training_loss(self, batch: SquareBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """L1 through a latent drawn from the posterior."""
        pixels, posterior = self._posterior(batch)
        shape = posterior.mean.shape[1:]
        noise = drawn_rows(len(batch), lambda rows: torch.randn((rows, *shape), generator=generator)).to(pixels.device)
        return self._losses(pixels, posterior, posterior.mean + posterior.std * noise)

    def validation_loss(self, batch: SquareBatch) -> dict[str, Tensor]:
        """L1 through the posterior's mean, which is what the codec uses."""
        pixels, posterior = self._posterior(batch)
        return self._losses(pixels, posterior, posterior.mean)

    def compile_parts(self) -> tuple[nn.Module, ...]:
        """Both halves."""
        return (self.vae.encoder, self.vae.decoder)

    def checkpoint_activations(self) -> None:
        """Recompute the blocks in the backward pass."""
        self.vae.enable_gradient_checkpointing()

    def _posterior(self, batch: SquareBatch) -> tuple[Tensor, Any]:
        pixels = batch.pixels.float() / 127.5 - 1
        return pixels, self.vae.encode(pixels).latent_dist

    def _losses(self, pixels: Tensor, posterior: Any, latents: Tensor) -> dict[str, Tensor]:
        reconstruction = (self.vae.decode(latents).sample.float() - pixels).abs().mean()
        divergence = posterior.kl().mean()
        return {"loss": reconstruction + self.kl_weight * divergence, "l1": reconstruction, "kl": divergence}


def _parts(images: Tensor, pixels: int) -> list[Tensor]:
    """Images of so many pixels in such parts as go through the network at once."""
    step = max(1, AT_ONCE // pixels)
    return [images[start : start + step] for start in range(0, len(images), step)]


def _fast(device: torch.device) -> torch.autocast:
    """On a GPU the network multiplies in bf16, also where the rest does not."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def _pixels(photo: Any) -> Tensor:
    """uint8 (H, W, 3) to (3, H, W) in [-1, 1]."""
    return torch.from_numpy(photo).permute(2, 0, 1).float() / 127.5 - 1
