"""How photos become latents, and latents photos.

A codec is a module with `channels` (numbers a cell) and `factor` (pixels a cell on each side), and two methods:

    encode(pixels (B, 3, H, W) in [-1, 1]) -> latents (B, channels, H / factor, W / factor), of about unit variance
    decode(latents) -> pixels (B, 3, H, W), not clipped
"""

from typing import Any

from models.imagegen.codec.block import BlockCodec
from models.imagegen.codec.kl import KLCodec

CODECS: dict[str, Any] = {"block": BlockCodec, "kl": KLCodec}
"""By `CodecConfig.kind`."""
