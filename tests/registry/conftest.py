"""Homes with an MLflow store of their own, and small bundles to register."""

from collections.abc import Callable
from pathlib import Path

import pytest
from homes import fresh

from configs.settings import Settings
from registry.register import register
from registry.versions import ModelVersion


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A fresh home with the embedded stores."""
    return fresh(tmp_path / "home")


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a bundle whose weights depend on `seed`."""

    def make(seed: str = "a") -> Path:
        bundle = tmp_path / "work" / f"bundle-{seed}"
        (bundle / "vocabulary").mkdir(parents=True)
        (bundle / "model.safetensors").write_bytes(seed.encode() * 1000)
        (bundle / "config.json").write_text('{"preset": "tiny"}')
        (bundle / "vocabulary" / "brand.json").write_text('["Acme"]')
        (bundle / "card.md").write_text(f"# Model card of {seed}\n")
        return bundle

    return make


@pytest.fixture
def make_version(make_bundle: Callable[[str], Path], tmp_path: Path) -> Callable[..., ModelVersion]:
    """Registers a bundle of its own."""
    made: list[ModelVersion] = []

    def make(settings: Settings, gates: str = "passed", model: str = "product", **more: object) -> ModelVersion:
        report = tmp_path / "evaluation.html"
        report.write_text("<h1>Is it better?</h1>", encoding="utf-8")
        options = {
            "metrics": {"article_type_accuracy": 0.75},
            "config": {"trainer": {"epochs": 2}, "gates": {"thresholds": ["a", "b"]}},
            "tags": {"vitrina.gates": gates, "vitrina.data_fingerprint": "f00d"},
            "reports": {"evaluation.html": report},
        }
        version = register(settings, model, make_bundle(str(len(made))), **options | more)
        made.append(version)
        return version

    return make
