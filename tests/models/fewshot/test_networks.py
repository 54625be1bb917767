"""Shapes, numbers of parameters, and the independence of rows."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from models.errors import TrainingError
from models.fewshot.networks import FeatureNet, PhotoNet, PhotoNetConfig, balanced_loss, class_means, nearest_mean, prepared


@pytest.mark.parametrize(
    ("shape", "filters", "vector", "parameters"),
    [
        ((64, 48, 3), 32, 32 * 4 * 3, 32 * 27 + 3 * 32 * 32 * 9 + 4 * 64 + 1),
        ((28, 28, 1), 64, 64, 64 * 9 + 3 * 64 * 64 * 9 + 4 * 128 + 1),
    ],
)
def test_the_papers_net(shape: tuple[int, int, int], filters: int, vector: int, parameters: int) -> None:
    net = PhotoNetConfig(filters=filters, groups=8).body(shape)
    photos = np.random.default_rng(0).integers(0, 256, (2, *shape), dtype=np.uint8)
    assert net(prepared(photos)).shape == (2, vector)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


def test_pooling_before_the_relu_is_pooling_after_it() -> None:
    net = PhotoNet(3, 8, 2, 1.0)
    x = expected = torch.randn(2, 3, 32, 16)
    for block in net.blocks:
        convolution, normalisation = block[0], block[1]
        expected = F.max_pool2d(F.relu(normalisation(convolution(expected))), 2)
    torch.testing.assert_close(net(x), expected.flatten(1) / expected[0].numel() ** 0.5)


def test_rows_do_not_see_each_other() -> None:
    net, x = PhotoNet(3, 8, 2, 1.0), torch.randn(5, 3, 32, 16)
    torch.testing.assert_close(net(x)[2:3], net(x[2:3]), rtol=1e-5, atol=1e-6)


def test_features_alone_count_before_training() -> None:
    x = F.normalize(torch.randn(4, 10), dim=1)
    torch.testing.assert_close(FeatureNet(10, 3, 2.5)(x), 2.5 * x)


def test_photos_are_scaled_and_features_left_alone() -> None:
    photos = np.zeros((1, 16, 16, 3), dtype=np.uint8)
    photos[0, 2, 5] = (255, 0, 51)
    found = prepared(photos)
    assert found.shape == (1, 3, 16, 16)
    torch.testing.assert_close(found[0, :, 2, 5], torch.tensor([1.0, -1.0, -0.6]))
    features = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    np.testing.assert_array_equal(prepared(features).numpy(), features)
    with pytest.raises(TrainingError, match="photos of 15 x 40 pixels: at least 16 x 16 are needed"):
        prepared(np.zeros((1, 15, 40, 3), dtype=np.uint8))


def test_the_linear_form_of_the_nearest_mean() -> None:
    vectors, codes = torch.randn(6, 4, dtype=torch.float64), torch.tensor([0, 1, 1, 2, 2, 2])
    means = class_means(vectors, codes, 3)
    torch.testing.assert_close(means[1], vectors[1:3].mean(0))
    questions = torch.randn(5, 4, dtype=torch.float64)
    distances = ((questions[:, None] - means[None]) ** 2).sum(2)
    torch.testing.assert_close(
        F.softmax(F.linear(questions, *nearest_mean(means)), dim=1), F.softmax(-distances, dim=1), rtol=0, atol=1e-12
    )


def test_classes_count_the_same_in_the_loss() -> None:
    logits = torch.randn(5, 2, dtype=torch.float64)
    codes = torch.tensor([0, 1, 1, 1, 1])
    expected = (F.cross_entropy(logits[:1], codes[:1]) + F.cross_entropy(logits[1:], codes[1:])) / 2
    torch.testing.assert_close(balanced_loss(logits, codes), expected)
    torch.testing.assert_close(balanced_loss(logits[:2], codes[:2]), F.cross_entropy(logits[:2], codes[:2]))
