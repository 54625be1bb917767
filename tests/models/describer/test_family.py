"""The describer from a catalogue to its page; what it has learnt in a moment is not looked at."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from catalog.catalogue import Catalogue
from catalog.listing import Listing
from catalog.sample import write_sample
from configs.errors import VitrinaError
from configs.load import environment_file, load, validate
from models import family
from models.bundles import load_seen, product_keys
from models.describer import bundle
from models.describer.answers import Brief
from models.describer.config import DescriberRunConfig
from models.describer.family import FAMILY
from models.describer.predictor import DescriberPredictor
from models.describer.shown import read_row, texts_row
from models.errors import NotSupported
from models.evaluation.gates import decide
from models.family import EvaluationRun

pytestmark = pytest.mark.slow

CONFIG = {
    "model": {
        "writer": {
            "width": 32,
            "layers": 1,
            "heads": 2,
            "kv_heads": 1,
            "mlp_hidden": 48,
            "vocab_size": 420,
            "context": 256,
            "prompt_tokens": 120,
            "min_slot_rows": 10,
        },
        "generation": {
            "title_candidates": 1,
            "meta_candidates": 1,
            "description_candidates": 1,
            "bullet_candidates": 1,
            "title_tokens": 8,
            "meta_tokens": 12,
            "description_tokens": 16,
            "bullets_tokens": 12,
            "rounds": 0,
        },
        "measured": 12,
    },
    "trainer": {"epochs": 1, "batch_size": 64, "workers": 0, "tensorboard": False, "ema_decay": 0.0},
    "evaluation": {"bootstrap_samples": 50, "latency_calls": 2, "min_slice_rows": 2},
}


@pytest.fixture(scope="module")
def config() -> DescriberRunConfig:
    return validate(DescriberRunConfig, CONFIG, where="test")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    folder = tmp_path_factory.mktemp("shop") / "data"
    write_sample(folder, products=200)
    return Catalogue.open(folder)


@pytest.fixture(scope="module")
def split(shop: Catalogue, config: DescriberRunConfig) -> pd.DataFrame:
    return FAMILY.split(shop, config)


@pytest.fixture(scope="module")
def trained(shop: Catalogue, split: pd.DataFrame, config: DescriberRunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FAMILY.train(shop, split, split[:0], config, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def run(trained: Path, shop: Catalogue, split: pd.DataFrame, config: DescriberRunConfig) -> EvaluationRun:
    return FAMILY.evaluate_rows(trained, shop, config, split.loc[split["split"] == "test", "product_id"])


def test_it_is_found_by_its_folder_and_rests_on_nothing() -> None:
    assert family.get("describer") is FAMILY and FAMILY.rests_on is None


def test_a_bundle_says_what_it_is_and_knows_what_it_has_seen(trained: Path, shop: Catalogue, split: pd.DataFrame) -> None:
    settings, products = bundle.load_config(trained), shop.products().drop_duplicates("product_id")
    used = products[products["product_id"].isin(split.loc[split["split"] != "test", "product_id"])]
    parts = split.drop_duplicates("product_id")["split"].value_counts()
    assert (settings.training_rows, settings.validation_rows) == (parts["train"], parts["validation"])
    assert set(load_seen(trained).tolist()) == set(product_keys(used).tolist())
    assert settings.updates == settings.planned > 0 and np.isfinite(settings.validation_loss)
    assert settings.parameters < 200_000 and settings.tokens > 1000
    assert not [path for path in trained.rglob("*") if path.suffix in {".pkl", ".pt", ".bin", ".ckpt"}]
    reference = pd.read_parquet(trained / "reference.parquet")
    spec = json.loads((trained / "reference.json").read_text())
    assert len(reference) and {*spec["numerical"], *spec["categorical"]} <= set(reference.columns)
    assert f"{settings.training_texts:,} have texts" in (trained / "card.md").read_text()


def test_a_loaded_bundle_writes_as_the_trained_one_and_another_load_does(trained: Path, shop: Catalogue) -> None:
    brief = Brief(Listing(title="Nordlys Red Scarf", fields={"brand": "Nordlys", "base_colour": "Red"}), seed=3)
    first, second = (DescriberPredictor.load(trained, "cpu").predict([brief]) for _ in range(2))
    assert first == second
    assert read_row(texts_row(first[0])).parts == first[0].parts


def test_every_metric_that_a_configuration_judges_is_measured(run: EvaluationRun) -> None:
    metrics = run.evaluation.metrics
    for environment in ("base", "demo"):
        gates = load(DescriberRunConfig, environment_file(environment, "describer")).gates
        named = {t.metric for t in gates.thresholds} | {name for g in gates.better_than for name in (g.metric, g.baseline)}
        assert {name for name in named if metrics[name].value is None} == set()
        decision = decide(run.evaluation, gates, None)
        assert not [check.detail for check in decision.checks if "missing" in check.detail or "not compared" in check.detail]
    assert metrics["attribute_precision"].value == 1.0
    assert metrics["neighbour.copy_rate"].value == 1.0
    assert run.evaluation.n == len(run.predictions) == 12


def test_what_is_held_against_a_peer_is_what_is_shown(run: EvaluationRun) -> None:
    metrics = run.evaluation.metrics
    assert {against.baseline for against in run.evaluation.against} >= {"template.attribute_coverage", "neighbour.rouge_l"}
    for against in run.evaluation.against:
        own, peer = metrics[against.metric].value, metrics[against.baseline].value
        assert own is not None and peer is not None
        assert against.difference.value == pytest.approx(own - peer, abs=1e-9), against.baseline


def test_the_configuration_of_a_run_says_how_many_are_measured(
    trained: Path, shop: Catalogue, split: pd.DataFrame, config: DescriberRunConfig, run: EvaluationRun
) -> None:
    few = config.model_copy(update={"model": config.model.model_copy(update={"measured": 5})})
    tested = split.loc[split["split"] == "test", "product_id"]
    found = FAMILY.evaluate_rows(trained, shop, few, tested)
    assert found.predictions["product_id"].tolist() == run.predictions["product_id"].tolist()[:5]
    learned = split.loc[split["split"] != "test", "product_id"].drop_duplicates().head(4)
    both = FAMILY.evaluate_rows(trained, shop, few, pd.concat([tested, learned]))
    assert (found.evaluation.known, both.evaluation.known) == (0, 4)


def test_products_that_it_was_trained_on_are_not_measured(
    trained: Path, shop: Catalogue, split: pd.DataFrame, config: DescriberRunConfig
) -> None:
    unseen = FAMILY.evaluate(trained, shop, config.evaluation)
    tested = set(split.loc[split["split"] == "test", "product_id"].astype(str))
    assert set(unseen.predictions["product_id"]) <= tested
    with pytest.raises(VitrinaError, match="split 'future' is not known; allowed: unseen, validation, train, all"):
        FAMILY.evaluate(trained, shop, config.evaluation, split="future")
    with pytest.raises(NotSupported, match="--modalities is for product"):
        FAMILY.evaluate(trained, shop, config.evaluation, modalities=["title"])


def test_the_page_shows_each_sentence_with_its_facts_and_the_peers(run: EvaluationRun, shop: Catalogue, tmp_path: Path) -> None:
    gates = load(DescriberRunConfig, environment_file("demo", "describer")).gates
    decision = decide(run.evaluation, gates, run.evaluation)
    headline = FAMILY.report(run, run, shop, decision, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(headline.figures) == 3
    for words in ("The weakest descriptions", "What is left unsaid?", "a template filled with the facts", "brand: "):
        assert words in text


def test_there_is_nothing_to_export_and_nothing_to_write_of_nothing(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match="no graph holds"):
        FAMILY.export(trained, tmp_path / "out")
    predictor = DescriberPredictor.load(trained, "cpu")
    with pytest.raises(VitrinaError, match="listing 1 gives nothing to write of"):
        predictor.predict([Brief(Listing(title="Scarf")), Brief(Listing(price=10.0))])
    with pytest.raises(VitrinaError, match="device 'moon' does not exist here"):
        DescriberPredictor.load(trained, "moon")


def test_a_type_that_is_not_known_counts_as_the_one_that_is_called_most_alike(trained: Path) -> None:
    predictor = DescriberPredictor.load(trained, "cpu")
    known = next(iter(predictor.settings.usual))
    assert predictor.type_of(Listing(categories={"article_type": known.upper()})) == known
    assert predictor.type_of(Listing(categories={"article_type": "Lightsabers"})) is None
    assert predictor.type_of(Listing(title="a scarf")) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.safetensors", "does not hold this model's weights"),
        ("lexicon.json", "lexicon.json is damaged"),
        ("frames.json", "frames.json is damaged"),
        ("tokenizer.json", "is not a tokenizer"),
    ],
)
def test_a_damaged_file_is_told_in_one_line(trained: Path, tmp_path: Path, name: str, message: str) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "bundle"))
    (folder / name).write_text("{}")
    with pytest.raises(VitrinaError, match=message) as told:
        DescriberPredictor.load(folder, "cpu")
    assert "\n" not in str(told.value)


def test_a_folder_is_trained_in_by_one_run(
    trained: Path, shop: Catalogue, split: pd.DataFrame, config: DescriberRunConfig
) -> None:
    other = config.model_copy(update={"trainer": config.trainer.model_copy(update={"learning_rate": 0.1})})
    with pytest.raises(VitrinaError, match="holds a run with another config"):
        FAMILY.train(shop, split, split[:0], other, trained.parent)
