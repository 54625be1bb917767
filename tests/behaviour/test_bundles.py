"""The committed bundles themselves: small, without pickle, and answering as they did where they were made."""

import json

import committed
import pytest
import torch

from models import family
from models.bundles import BASE, content_sha256, read_base

MODELS = sorted(committed.SAID)
LARGEST = 10e6
"""Bytes of all committed bundles."""


def test_they_are_small_and_hold_no_pickle() -> None:
    found = [path for path in committed.BUNDLES.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in found) < LARGEST
    assert {path.suffix for path in found} <= {".json", ".md", ".npy", ".parquet", ".png", ".safetensors"}


@pytest.mark.parametrize("model", MODELS)
def test_they_were_trained_with_the_configuration_beside_them(model: str) -> None:
    stored = json.loads((committed.bundle(model) / "config.json").read_text(encoding="utf-8"))["config"]
    assert stored == committed.config(model).model_dump(mode="json")


@pytest.mark.parametrize("model", ["fewshot", "quality"])
def test_what_rests_on_a_product_model_rests_on_the_one_beside_it(model: str) -> None:
    folder = committed.bundle(model)
    assert read_base(folder).digest == content_sha256(committed.bundle("product")) == content_sha256(folder / BASE)
    assert not (committed.BUNDLES / model / BASE).exists()


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("threads", [1, 2])
def test_they_answer_as_they_did_where_they_were_made(model: str, threads: int) -> None:
    expected: dict[str, dict[str, float]] = json.loads(committed.answers(model).read_text(encoding="utf-8"))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = committed.SAID[model](family.get(model).load(committed.bundle(model), "cpu"))
    finally:
        torch.set_num_threads(before)
    assert found.keys() == expected.keys()
    for name, numbers in expected.items():
        assert found[name] == pytest.approx(numbers, rel=1e-3, abs=1e-3), name
