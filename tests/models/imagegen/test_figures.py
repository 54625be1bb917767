"""The arithmetic of the benchmarks."""

import argparse

import numpy as np
import pytest
import torch

from benchmarks import imagegen_gpu
from benchmarks.imagegen import chosen, nearest, settings
from models.imagegen.config import CodecConfig, ImagegenModelConfig, PriorConfig, TextConfig, UNetConfig


def test_drawings_that_lie_nearer_are_noticed() -> None:
    real = np.linspace(0.2, 0.4, 200)
    found = nearest(real - 0.1, real)
    assert found["quantiles_drawn_real"]["0.50"] == [0.2, 0.3]
    assert found["nearer"]["statistic"] == pytest.approx(0.5, abs=0.01)  # half of the drawings lie below all photos
    assert found["nearer"]["p"] < 1e-6
    assert nearest(real + 0.1, real)["nearer"] == {"statistic": 0.0, "p": 1.0}  # farther is no copy


def test_the_command_line_changes_drawing_alone() -> None:
    model = ImagegenModelConfig()
    options = argparse.Namespace(guidance=5.0, steps=None, sampler="ddim", candidates=2)
    found = chosen(model, options)
    assert (found.generation.guidance, found.generation.steps) == (5.0, model.generation.steps)
    assert found.measured.candidates == 2 and found.unet == model.unet
    assert settings(found) == f"ddim-{model.generation.steps}-5-2" != settings(model)


def test_share_of_a_gpus_peak() -> None:
    peak = imagegen_gpu.peak_of("NVIDIA H100 80GB HBM3")
    assert peak == 989e12 and imagegen_gpu.peak_of("a GPU that nobody knows") is None
    assert imagegen_gpu.share_of_peak(operations=989e12, seconds=2.0, peak=peak) == pytest.approx(0.5)
    if not torch.cuda.is_available():
        assert imagegen_gpu.unmeasurable() == "there is no GPU here"


@pytest.mark.slow
def test_what_is_timed_on_a_gpu_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagegen_gpu, "SIZE", (32, 32))
    model = ImagegenModelConfig(
        codec=CodecConfig(kind="kl", widths=(8, 8), groups=4),
        text=TextConfig(width=16, layers=1, heads=2, tokens=4),
        unet=UNetConfig(channels=(16, 16), heads=2, groups=4),
        prior=PriorConfig(rank=2),
    )
    found = imagegen_gpu.drawing(model, steps=10, repeats=1)
    assert found["seconds_an_image"] * 1000 == pytest.approx(found["ms"], abs=1.0)
    step = imagegen_gpu.TrainingStep(model, rows=2)
    assert torch.isfinite(step())
    assert all(weights.grad is not None and torch.isfinite(weights.grad).all() for weights in step.unet.conv_in.parameters())
