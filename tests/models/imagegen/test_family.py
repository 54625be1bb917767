"""The image generator from a catalogue to its page, on the committed product bundle."""

from collections.abc import Iterator
from pathlib import Path

import committed
import pandas as pd
import pytest
import tiny_diffusion
from torch import Tensor

from catalog.catalogue import Catalogue
from catalog.sample import write_sample
from configs.errors import VitrinaError
from configs.load import environment_file, load, validate
from models import family
from models.bundles import REFERENCE, content_sha256, read_base
from models.errors import NotSupported, TrainingError
from models.evaluation.gates import decide
from models.family import EvaluationRun
from models.imagegen import summary
from models.imagegen.answers import STYLES, Prompt
from models.imagegen.bundle import GALLERY, load_config
from models.imagegen.config import ImagegenRunConfig
from models.imagegen.family import FAMILY
from models.imagegen.names import HELD, PEERS
from models.imagegen.own.task import DiffusionTask
from models.imagegen.predictor import ImagegenPredictor
from models.imagegen.summary import INPUTS, REFERENCE_SPEC, summarise
from models.training.trainer import LAST

pytestmark = pytest.mark.slow

CONFIG = {
    "model": {
        "codec": {"coefficients": 4},
        "text": {"width": 16, "layers": 1, "heads": 2, "tokens": 12},
        "unet": {"channels": [8, 16], "heads": 2, "groups": 4},
        "prior": {"rank": 8},
        "generation": {"steps": 10},
        "measured": {"products": 12, "candidates": 2, "gallery": 6, "swept": 1},
        "judge": {"channels": [8, 16], "features": 8, "min_photos": 3, "epochs": 1, "batch_size": 64},
    },
    "trainer": {
        "epochs": 2,
        "batch_size": 64,
        "early_stopping": [],
        "workers": 0,
        "tensorboard": False,
        "precision": "32-true",
    },
    "evaluation": {"bootstrap_samples": 50, "latency_calls": 2},
}

PROMPTS = 6


@pytest.fixture(scope="module")
def config() -> ImagegenRunConfig:
    return validate(ImagegenRunConfig, CONFIG, where="test")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    folder = tmp_path_factory.mktemp("shop") / "sample"
    write_sample(folder, products=400)
    return Catalogue.open(folder)


@pytest.fixture(scope="module", autouse=True)
def few_are_drawn_for_monitoring() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(summary, "REFERENCE_PROMPTS", PROMPTS)
        yield


@pytest.fixture(scope="module")
def split(shop: Catalogue, config: ImagegenRunConfig) -> pd.DataFrame:
    return FAMILY.split(shop, config)


def train(shop: Catalogue, split: pd.DataFrame, config: ImagegenRunConfig, work: Path) -> Path:
    return FAMILY.train(shop, split, split[:0], config, work, base=committed.base("imagegen"))


@pytest.fixture(scope="module")
def trained(shop: Catalogue, split: pd.DataFrame, config: ImagegenRunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(shop, split, config, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def run(trained: Path, shop: Catalogue, split: pd.DataFrame, config: ImagegenRunConfig) -> EvaluationRun:
    rows = split.loc[split["split"] == "test", "product_id"]
    return FAMILY.evaluate_rows(trained, shop, config, rows)


def test_it_is_found_by_its_folder_and_rests_on_product() -> None:
    assert family.get("imagegen") is FAMILY and FAMILY.rests_on == "product"


@pytest.mark.parametrize("environment", ["base", "demo", "gpu"])
def test_its_configurations_load_and_its_gates_name_metrics_that_there_are(environment: str, run: EvaluationRun) -> None:
    gates = load(ImagegenRunConfig, environment_file(environment, "imagegen")).gates
    named = {gate.metric for kind in (gates.better_than, gates.no_regression, gates.thresholds) for gate in kind}
    assert named | {gate.baseline for gate in gates.better_than} <= run.evaluation.metrics.keys()


def test_the_bundle_says_what_it_is_and_holds_its_base(trained: Path, split: pd.DataFrame) -> None:
    settings = load_config(trained)
    used = split.loc[split["split"] != "test", "product_id"].nunique()
    assert settings.training_photos + settings.validation_photos + settings.without_photo == used
    assert settings.explained is not None and 0 < settings.explained < 1
    assert read_base(trained).digest == content_sha256(committed.bundle("product"))
    assert (trained / GALLERY).stat().st_size > 10_000
    assert not [path for path in trained.rglob("*") if path.suffix in (".bin", ".pt", ".pkl", ".ckpt")]
    assert "gallery.png" in (trained / "card.md").read_text(encoding="utf-8")


def test_it_is_measured_beside_its_peers_on_the_rows_that_are_named(run: EvaluationRun) -> None:
    assert (run.evaluation.n, run.evaluation.known) == (12, 0)
    for peer in PEERS:
        assert {f"{peer}.{metric}" for metric in HELD} <= run.evaluation.metrics.keys() | run.evaluation.not_applicable.keys()
    assert run.evaluation.metrics["draw_p50_ms"].value > 0


def test_a_version_is_not_worse_than_itself(run: EvaluationRun, shop: Catalogue, tmp_path: Path) -> None:
    gates = load(ImagegenRunConfig, environment_file("base", "imagegen")).gates
    gates = gates.model_copy(update={"thresholds": (), "better_than": ()})
    told = FAMILY.report(run, run, shop, decide(run.evaluation, gates, run.evaluation), tmp_path / "page.html")
    assert told.failed == ()
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("data:image/png;base64,") > 12


def test_predictions_are_stored_as_they_are(run: EvaluationRun, tmp_path: Path) -> None:
    run.predictions.to_parquet(tmp_path / "rows.parquet")
    again = pd.read_parquet(tmp_path / "rows.parquet")
    assert again["image"].tolist() == run.predictions["image"].tolist()


def test_what_monitoring_compares_has_the_columns_that_are_logged(trained: Path) -> None:
    reference, prompt = pd.read_parquet(trained / REFERENCE), Prompt("Red Shirts", steps=10)
    [drawing] = ImagegenPredictor.load(trained).predict([prompt])
    row = summarise(prompt, drawing)
    watched = [column for kind in ("numerical", "categorical", "prediction", "match") for column in REFERENCE_SPEC.get(kind, [])]
    assert {*watched, *INPUTS} <= row.keys() <= {*reference.columns}
    assert len(reference) == PROMPTS * len(STYLES)


def test_a_killed_training_ends_as_one_that_was_not(
    shop: Catalogue,
    split: pd.DataFrame,
    config: ImagegenRunConfig,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    often = config.model_copy(update={"trainer": config.trainer.model_copy(update={"checkpoint_minutes": 1e-9})})
    learn, steps = DiffusionTask.training_loss, [0]

    def cut(task: DiffusionTask, *arguments: object) -> dict[str, Tensor]:
        steps[0] += 1
        if steps[0] == 3:
            raise TrainingError("cut")
        return learn(task, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(DiffusionTask, "training_loss", cut)
    with pytest.raises(TrainingError, match="cut"):
        train(shop, split, often, tmp_path)
    assert (tmp_path / LAST).is_file() and not (tmp_path / "bundle").exists()
    made = steps[0]
    resumed = train(shop, split, often, tmp_path)
    whole = load_config(trained)
    assert steps[0] - made == whole.updates - 2, "the two steps before the cut are not made again"
    for part in ("unet", "encoder", "prior", "codec"):
        name = f"pipeline/{part}/diffusion_pytorch_model.safetensors"
        assert (resumed / name).read_bytes() == (trained / name).read_bytes(), part


def test_a_pipeline_that_is_started_from_travels_the_same_way(shop: Catalogue, split: pd.DataFrame, tmp_path: Path) -> None:
    start = tiny_diffusion.save_pipeline(tmp_path / "start")
    model = CONFIG["model"] | {"sizes": [[32, 32]], "start": {"folder": str(start), "method": "lora", "rank": 2}}  # type: ignore[operator]
    trainer = CONFIG["trainer"] | {"epochs": 1}  # type: ignore[operator]
    config = validate(ImagegenRunConfig, CONFIG | {"model": model, "trainer": trainer}, where="test")
    some = split.groupby("split").head(40)
    bundle = train(shop, some, config, tmp_path / "work")
    [drawing] = ImagegenPredictor.load(bundle).predict([Prompt("Red Shirts", size=(32, 32), steps=10, style="vintage")])
    assert drawing.best.pixels.shape == (32, 32, 3)
    assert load_config(bundle).start is not None and load_config(bundle).explained is None


def test_what_cannot_be_done_is_refused_in_one_line(
    trained: Path, shop: Catalogue, config: ImagegenRunConfig, tmp_path: Path
) -> None:
    with pytest.raises(VitrinaError, match="split 'some' is not known; allowed: unseen, validation, train, all"):
        FAMILY.evaluate(trained, shop, config.evaluation, "some")
    with pytest.raises(NotSupported, match="draws from titles"):
        FAMILY.evaluate(trained, shop, config.evaluation, modalities=["title"])
    with pytest.raises(NotSupported, match="no ONNX form"):
        FAMILY.export(trained, tmp_path / "out")


def test_products_without_photos_are_nothing_to_learn_from(
    shop: Catalogue, split: pd.DataFrame, config: ImagegenRunConfig, tmp_path: Path
) -> None:
    photos = shop.images
    without = split[[photos.get(product_id) is None for product_id in split["product_id"]]]
    without = pd.concat([without.assign(split="train"), split[split["split"] == "validation"]])
    if (without["split"] == "train").any():
        with pytest.raises(TrainingError, match="no training product has a photo that can be decoded and a title"):
            train(shop, without, config, tmp_path)
