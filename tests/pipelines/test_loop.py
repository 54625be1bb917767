"""The pipelines on a small catalogue: what runs, what is cached, what is registered, what stops them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from screens import beside, panel

from catalog.catalogue import Catalogue, listing_of
from catalog.errors import CatalogueError
from configs.errors import VitrinaError
from configs.load import environment_file, load
from configs.settings import Settings
from models.bundles import read_profile
from models.product.config import ProductRunConfig
from models.product.predictor import ProductPredictor
from operations.run import TrainingOutcome, run_promotion, run_training
from registry.fetch import fetch
from registry.promotion import history
from registry.versions import resolve
from serving.source import RegistrySource
from steps.materializers import BundleMaterializer
from steps.results import Bundle

pytestmark = [pytest.mark.slow, pytest.mark.trains]

TO_TRY = "http://127.0.0.1:3000/playground?tab=versions&model=product"
FAST = ["trainer.epochs=1", "evaluation.bootstrap_samples=50", "evaluation.latency_calls=5"]
NO_COMPARISON = ["gates.better_than=[]", "gates.not_worse_than=[]", "gates.no_regression=[]"]
LENIENT = ["gates.thresholds=[{metric: article_type_accuracy, at_least: 0.0}]", *NO_COMPARISON]


def config(*overrides: str) -> ProductRunConfig:
    return load(ProductRunConfig, environment_file("demo", "product"), [*FAST, *LENIENT, *overrides])


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VITRINA_HOME", str(home))
        patch.setenv("VITRINA_PLAYGROUND", "http://127.0.0.1:3000")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield Settings.from_environment()


@pytest.fixture(scope="module")
def trained(settings: Settings, sample: Path) -> TrainingOutcome:
    return run_training(settings, "product", [sample], config())


def cached(outcome: TrainingOutcome) -> set[str]:
    return {stage.name for stage in outcome.stages if stage.cached}


def test_a_run_registers_a_challenger_with_its_provenance(settings: Settings, trained: TrainingOutcome, sample: Path) -> None:
    version = resolve(settings, "product@challenger")
    assert version.version == trained.version == 1
    assert trained.challenger
    assert version.tags["vitrina.gates"] == "passed"
    assert version.tags["vitrina.data_path"] == str(sample)
    assert version.tags["vitrina.zenml_run"] == trained.zenml_run
    assert {"vitrina.git_commit", "vitrina.config", "vitrina.data_fingerprint", "vitrina.bundle_sha256"} <= set(version.tags)
    assert Path(trained.report).read_text().startswith("<!")
    first, _, figure, *_ = version.description.splitlines()
    assert first == "**May be promoted: its only gate passed.**"
    assert figure.startswith("- Article type: accuracy **")
    to_try = f"[Open the playground on the challenger]({TO_TRY})"
    assert f"\n\nThere is no champion yet.\n\n{to_try}\n\n[Evaluation report](#/experiments/" in version.description
    assert f'href="{TO_TRY.replace("&", "&amp;")}"' in Path(trained.report).read_text(encoding="utf-8")


def test_the_same_run_again_is_cached_and_registers_nothing_new(
    settings: Settings, trained: TrainingOutcome, sample: Path
) -> None:
    again = run_training(settings, "product", [sample], config())
    steps = {"validate_data", "split_data", "augment_data", "train_model", "index_catalogue", "evaluate_model"}
    assert steps <= cached(again)
    assert again.version == trained.version


def test_a_version_is_registered_with_the_index_of_its_delivery(
    settings: Settings, trained: TrainingOutcome, sample: Path
) -> None:
    source = RegistrySource(settings)
    index, predictor = source.index("product", trained.version), source.load("product", trained.version)
    assert isinstance(predictor, ProductPredictor)
    assert index is not None
    products = Catalogue.open(sample).products().drop_duplicates("product_id")
    assert index.spec.products > 0.9 * len(products)  # all but what is in quarantine
    row = index.products.slice(7, 1).to_pylist()[0]
    told = products.set_index("product_id").loc[row["product_id"]]
    assert row["title"] == told["title"]
    listing = listing_of(told.to_dict() | {"product_id": row["product_id"]}, Catalogue.open(sample).images.get(row["product_id"]))
    assert float(predictor.place([listing])[0] @ index.vectors[7]) == pytest.approx(1, abs=1e-3)
    assert index.photos is not None
    assert index.photos.get(7) == Catalogue.open(sample).images.get(row["product_id"])
    [(version, run)] = [found for found in source.versions("product", 20) if found[0].version == trained.version]
    assert (run.gated, run.reports) == (("article_type_accuracy",), ("evaluation.html", "validation.html"))
    data = read_profile(fetch(settings, version))
    assert data is not None and data.fingerprint == version.tags["vitrina.data_fingerprint"]


def test_a_changed_configuration_trains_again_but_does_not_validate_again(
    settings: Settings, trained: TrainingOutcome, sample: Path
) -> None:
    other = run_training(settings, "product", [sample], config("trainer.seed=18"))
    assert "validate_data" in cached(other)
    assert "train_model" not in cached(other)
    assert other.version == trained.version + 1


def test_changed_data_is_validated_again(settings: Settings, trained: TrainingOutcome, sample: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(sample, tmp_path / "changed")
    products = pd.read_parquet(changed / "products.parquet")
    products.iloc[:-1].to_parquet(changed / "products.parquet")
    outcome = run_training(settings, "product", [changed], config())
    assert not {"validate_data", "train_model"} & cached(outcome)


def test_a_failed_gate_registers_without_an_alias(
    settings: Settings, trained: TrainingOutcome, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, load_bundle = [], BundleMaterializer.load

    def load_and_note(materializer: BundleMaterializer, data_type: type[Bundle]) -> Bundle:
        loaded.append(load_bundle(materializer, data_type))
        return loaded[-1]

    monkeypatch.setattr(BundleMaterializer, "load", load_and_note)
    strict = config("gates.thresholds=[{metric: price_rmsle, at_most: 0.0}, {metric: missing_metric, at_most: 1.0}]")
    outcome = run_training(settings, "product", [sample], strict)
    assert not outcome.challenger
    assert "train_model" in cached(outcome)
    assert len(outcome.gates.failures()) == 2
    assert loaded
    assert not any(bundle.path.exists() for bundle in loaded), "copies of a bundle go with the step that read it"
    assert resolve(settings, f"product@{outcome.version}").tags["vitrina.gates"] == "failed"
    with pytest.raises(VitrinaError, match="gates"):
        run_promotion(settings, "product", outcome.version, "ana", "")


def test_promotion_is_verified_and_written_down(settings: Settings, trained: TrainingOutcome) -> None:
    assert run_promotion(settings, "product", trained.version, "ana", "looks right") == trained.version
    assert resolve(settings, "product@champion").version == trained.version
    newest = history(settings, "product")[-1]
    assert (newest.who, newest.why, newest.to_version) == ("ana", "looks right", trained.version)


def test_a_delivery_that_breaks_a_table_rule_stops_the_run(settings: Settings, sample: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(sample, tmp_path / "broken")
    products = pd.read_parquet(broken / "products.parquet")
    products.assign(article_type="Tshirts", sub_category="Topwear", master_category="Apparel").to_parquet(
        broken / "products.parquet"
    )
    with pytest.raises(VitrinaError, match="article type"):
        run_training(settings, "product", [broken], config())


def test_a_corrupt_table_stops_the_run(settings: Settings, sample: Path, tmp_path: Path) -> None:
    corrupt = shutil.copytree(sample, tmp_path / "corrupt")
    (corrupt / "products.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(CatalogueError, match=r"products\.parquet"):
        run_training(settings, "product", [corrupt], config())


def test_tables_of_several_folders_are_one_delivery(
    settings: Settings, trained: TrainingOutcome, sample: Path, tmp_path: Path
) -> None:
    shop, reviews = shutil.copytree(sample, tmp_path / "shop"), tmp_path / "reviews"
    reviews.mkdir()
    (shop / "reviews.parquet").rename(reviews / "reviews.parquet")
    outcome = run_training(settings, "product", [shop, reviews], config())
    # The same content as from one folder: the same bundle, which is registered already.
    assert outcome.version == trained.version
    fingerprint = resolve(settings, f"product@{trained.version}").tags["vitrina.data_fingerprint"]
    assert Catalogue.open(shop, reviews).fingerprint() == fingerprint


def test_a_version_tells_what_it_was_compared_with(settings: Settings, trained: TrainingOutcome, sample: Path) -> None:
    before = run_training(settings, "product", [sample], config("trainer.seed=18"))
    run_promotion(settings, "product", before.version, "ana", "")
    judged = run_training(settings, "product", [sample], config("gates.no_regression=[{metric: price_rmsle, better: lower}]"))
    description = resolve(settings, f"product@{judged.version}").description
    figures = [line for line in description.splitlines() if line.startswith("- ")]
    assert all("champion" in line for line in figures[:3])
    assert f"Champion: version {before.version}, measured on the same rows." in description
    html = Path(judged.report).read_text(encoding="utf-8")
    assert panel(html, "What changed in the data") == ["Nothing: it is the data that the champion was trained on."]
    assert len(beside(html)) == 4


def test_another_index_trains_nothing_again(settings: Settings, trained: TrainingOutcome, sample: Path) -> None:
    outcome = run_training(settings, "product", [sample], config("index.exact=50", "index.sample_a_list=39"))
    assert {"train_model", "evaluate_model"} <= cached(outcome)
    assert "index_catalogue" not in cached(outcome)
    index = RegistrySource(settings).index("product", outcome.version)
    assert index is not None
    assert index.lists.ntotal == index.spec.products
