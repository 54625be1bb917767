"""The arithmetic of the benchmarks."""

import argparse

import numpy as np
import pytest
import torch

from benchmarks.imagegen import chosen, nearest, settings
from models.imagegen.config import ImagegenModelConfig


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
    gpu = pytest.importorskip("benchmarks.imagegen_gpu")
    peak = gpu.peak_of("NVIDIA H100 80GB HBM3")
    assert peak == 989e12 and gpu.peak_of("a GPU that nobody knows") is None
    assert gpu.share_of_peak(operations=989e12, seconds=2.0, peak=peak) == pytest.approx(0.5)
    if not torch.cuda.is_available():
        assert gpu.unmeasurable() == "there is no GPU here"
