import pytest
import torch

from models.product.heads.category import fit_temperature


def test_temperature_undoes_a_known_scaling() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(20_000, 4, generator=generator)
    labels = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0] + 1
    assert fit_temperature(3 * logits, labels, torch.arange(1, 5)) == pytest.approx(3, rel=0.05)
    assert fit_temperature(logits, torch.zeros_like(labels), torch.arange(1, 5)) == 1.0
