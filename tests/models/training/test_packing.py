from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.training.packing import Packing

PRESENT = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 1, 1, 1], [0, 0, 1, 0, 0]], dtype=torch.bool)


def by_hand(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention of every row by itself."""
    lengths, out = PRESENT.sum(1).tolist(), []
    for a, b, c in zip(q.split(lengths), k.split(lengths), v.split(lengths), strict=True):
        weights = torch.einsum("qhd,khd->hqk", a, b).div(a.shape[-1] ** 0.5).softmax(-1)
        out.append(torch.einsum("hqk,khd->qhd", weights, c))
    return torch.cat(out)


@pytest.mark.parametrize("way", [Packing.attend, Packing._jagged, Packing._padded])
def test_each_row_attends_to_its_own_tokens(way: Callable[..., Tensor]) -> None:
    torch.manual_seed(0)
    packing = Packing.of(PRESENT)
    qkv = [torch.randn(8, 2, 16, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    weights = torch.randn(8, 2, 16, dtype=torch.float64)
    found, expected = way(packing, *qkv), by_hand(*qkv)
    assert torch.allclose(found, expected)
    gradients = torch.autograd.grad((found * weights).sum(), qkv)
    for gradient, reference in zip(gradients, torch.autograd.grad((expected * weights).sum(), qkv), strict=True):
        assert torch.allclose(gradient, reference)


def test_packing_keeps_order_and_unpacking_puts_it_back() -> None:
    packing = Packing.of(PRESENT)
    x = torch.arange(15.0).view(3, 5, 1)
    assert packing.pack(x).flatten().tolist() == [0, 1, 2, 5, 7, 8, 9, 12]
    assert torch.equal(packing.unpack(packing.pack(x)), x * PRESENT[..., None])
    assert packing.offsets.tolist() == [0, 3, 7, 8]
    assert (packing.shortest, packing.longest) == (1, 4)


def test_a_row_without_tokens_is_refused() -> None:
    with pytest.raises(AssertionError, match="every row needs a token"):
        Packing.of(torch.zeros(2, 3, dtype=torch.bool))
