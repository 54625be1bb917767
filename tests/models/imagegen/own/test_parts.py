"""Codec, prior, prompt encoder and loss, each against what is known beforehand."""

import numpy as np
import pytest
import torch
from diffusion_cases import Oracle, encoder, photos
from scipy.fft import dctn, idctn
from torch import nn

from models.imagegen.answers import STYLES
from models.imagegen.codec.block import BlockCodec
from models.imagegen.config import CodecConfig, DiffusionConfig, PriorConfig
from models.imagegen.own.prior import RidgePrior
from models.imagegen.own.task import Batch, DiffusionTask, scheduler_of
from models.imagegen.own.text import HIDDEN

SIZE = (16, 16)


def test_the_codec_keeps_more_than_the_cosine_transform_does() -> None:
    training, unseen = photos(200), photos(40, seed=1)
    codec = BlockCodec.fit(training.split(50), CodecConfig(coefficients=12))
    left = (codec.decode(codec.encode(unseen)) - unseen).square().mean()
    blocks = unseen.unfold(2, 8, 8).unfold(3, 8, 8).numpy()  # (n, 3, h, w, 8, 8)
    waves = dctn(blocks, axes=(-2, -1), norm="ortho")
    waves[..., 2:, :], waves[..., :, 2:] = 0, 0  # 2 x 2 of each colour: 12 numbers a block as well
    assert left < 0.5 * np.square(idctn(waves, axes=(-2, -1), norm="ortho") - blocks).mean()


def test_latents_are_linear_and_have_unit_variance_whatever_their_tempering() -> None:
    training = photos(200)
    for tempering in (0.0, 0.5, 1.0):
        codec = BlockCodec.fit([training], CodecConfig(coefficients=8, tempering=tempering))
        latents = codec.encode(training)
        assert latents.var(dim=(0, 2, 3)).mean().item() == pytest.approx(1.0, abs=0.01)
        assert latents.mean(dim=(0, 2, 3)).abs().max() < 1e-3
        half = codec.encode((training[:1] + training[1:2]) / 2)
        assert torch.allclose(half, (latents[:1] + latents[1:2]) / 2, atol=1e-4)
    variances = [
        BlockCodec.fit([training], CodecConfig(coefficients=8, tempering=t)).encode(training).var((0, 2, 3)) for t in (0, 1)
    ]
    assert variances[0][0] > 5 * variances[0][-1]
    assert variances[1].max() < 1.05 * variances[1].min()


def test_the_prior_finds_a_linear_mean_and_nothing_where_nothing_is_told() -> None:
    generator = torch.Generator().manual_seed(0)
    features = nn.functional.normalize(torch.randn(400, 6, generator=generator))
    truth = torch.randn(6, 2 * 4 * 4, generator=generator)
    offset = torch.randn(2 * 4 * 4, generator=generator)
    latents = (features @ truth + offset).view(-1, 2, 4, 4)
    prior = RidgePrior(6, 6, [(*SIZE, 2, 4, 4)])
    explained = prior.fit(SIZE, features, dict.fromkeys(STYLES, latents), PriorConfig(penalty=1e-6))
    assert min(explained.values()) > 0.999
    told = torch.tensor([True, True, False])
    found = prior(SIZE, features[:3], torch.tensor([0, 2, 0]), told)
    assert torch.allclose(found[:2], latents[:2], atol=1e-3)
    assert not found[2].any()


def test_padding_changes_nothing_and_words_do() -> None:
    read, features, style, told = encoder(), torch.randn(1, 6), torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.bool)
    short, padded, other = (torch.tensor([ids]) for ids in ([3, 4, 5], [3, 4, 5, 0, 0], [3, 4, 6]))
    states, there, summary = read(short, features, style, told)
    wide, where, same = read(padded, features, style, told)
    assert torch.allclose(states, wide[where].view_as(states), atol=1e-6)
    assert there.all() and where.tolist() == [[True] * 5 + [False] * 2]
    assert torch.allclose(summary, same, atol=1e-6)
    assert not torch.allclose(summary, read(other, features, style, told)[2], atol=1e-3)


def test_what_is_hidden_tells_neither_prompt_nor_style() -> None:
    read, hidden = encoder(), torch.zeros(2, dtype=torch.bool)
    ids, styles = torch.tensor([[3, 4], [7, 0]]), torch.tensor([0, HIDDEN - 1])
    states, there, summary = read(ids, torch.randn(2, 6), styles, hidden)
    assert there.tolist() == [[True, True, False, False]] * 2
    assert torch.equal(states[0, :2], states[1, :2]) and torch.equal(summary[0], summary[1])


def test_a_prompt_without_tokens_is_finite() -> None:
    states, _, summary = encoder()(
        torch.zeros(1, 3, dtype=torch.int64), torch.zeros(1, 6), torch.tensor([0]), torch.tensor([True])
    )
    assert torch.isfinite(states).all() and torch.isfinite(summary).all()


def test_the_loss_of_who_knows_the_answer_is_nothing() -> None:
    """So the shift by the prior's mean, on the way in and out, belongs together."""
    pixels = photos(16)
    codec = BlockCodec.fit([pixels], CodecConfig(coefficients=4))
    features = torch.randn(16, 6)
    prior = RidgePrior(6, 6, [(32, 32, 4, 4, 4)])
    prior.fit((32, 32), features, dict.fromkeys(STYLES, codec.encode(pixels)), PriorConfig())
    batch = Batch(pixels, torch.ones(16, 2, dtype=torch.int64), features, torch.zeros(16, dtype=torch.int64))
    task = DiffusionTask(Oracle(codec.encode(pixels)), encoder(), codec, prior, DiffusionConfig())
    assert task.validation_loss(batch)["loss"].item() < 1e-6
    assert task.training_loss(batch, torch.Generator().manual_seed(1))["loss"].item() < 1e-6
    task.unet.weight.data += 1.0  # off by one everywhere: the loss is the mean weight
    kept = scheduler_of(DiffusionConfig()).alphas_cumprod.double()
    times = ((torch.arange(16) + 0.5) / 16 * 1000).long()
    snr = kept[times] / (1 - kept[times])
    expected = (torch.minimum(snr, torch.tensor(5.0)) / (snr + 1)).mean()
    assert task.validation_loss(batch)["loss"].item() == pytest.approx(expected.item(), rel=1e-3)
