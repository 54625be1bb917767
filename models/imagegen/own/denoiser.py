"""The network that takes noise away: `diffusers.UNet2DConditionModel` around the mean image of the prompt.

With latents x, noise e and x_t = a x + s e, the network is to say v = a e - s x (Salimans & Ho 2022). It sees x_t - a m and m,
where m is the prior's mean latents of the prompt, and what it says is taken for v + s m: it only learns how images differ from
what a linear model expects. That is the shifted noise of PriorGrad (Lee et al. 2022), written so that samplers need not know.

Shapes: B images, C channels, h x w cells, S states of the prompt, W their width.
"""

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from models.imagegen.config import ImagegenModelConfig


def new_unet(config: ImagegenModelConfig, channels: int) -> Any:
    """A U-Net with fresh weights, for latents of so many channels and their means beside them.

    GroupNorm and SiLU; attention to the prompt where the configuration says so.
    """
    unet = config.unet
    return UNet2DConditionModel(
        in_channels=2 * channels,
        out_channels=channels,
        block_out_channels=unet.channels,
        layers_per_block=unet.layers,
        down_block_types=tuple("CrossAttnDownBlock2D" if there else "DownBlock2D" for there in unet.attention),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=tuple("CrossAttnUpBlock2D" if there else "UpBlock2D" for there in reversed(unet.attention)),
        attention_head_dim=unet.heads,  # diffusers takes it for their number
        norm_num_groups=unet.groups,
        cross_attention_dim=config.text.width,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=config.text.width,
        act_fn="silu",
    )


def velocity(
    unet: Any, noisy: Tensor, times: Tensor, mean: Tensor, alphas: Tensor, sigmas: Tensor, told: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """What the network takes for v.

    Args:
        unet: From `new_unet`.
        noisy: x_t (B, C, h, w).
        times: (B,) noise levels.
        mean: m (B, C, h, w).
        alphas: a (B, 1, 1, 1) of the levels.
        sigmas: s of them.
        told: States (B, S, W), which are there (B, S), and their summary (B, W), from `PromptEncoder`.
    """
    states, there, summary = told
    out: Tensor = unet(
        torch.cat([noisy - alphas * mean, mean], dim=1),
        times,
        encoder_hidden_states=states,
        encoder_attention_mask=there,
        class_labels=summary,
        return_dict=False,
    )[0]
    return out - sigmas * mean
