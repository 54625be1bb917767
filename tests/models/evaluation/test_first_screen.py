"""What a reviewer sees without scrolling."""

import io
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from screens import beside, panel

from catalog.catalogue import Catalogue
from catalog.profile import Profile
from configs.schema import GateConfig
from models.bundles import PROFILE, read_profile, save_profile
from models.evaluation import first_screen
from models.evaluation.examples import pick, turned
from models.evaluation.gates import decide
from models.evaluation.page import PANEL_LINES
from models.evaluation.results import Evaluation, Metric
from models.family import EvaluationRun
from models.product.report import write_report

GATES = GateConfig.model_validate({"thresholds": [{"metric": "article_type_accuracy", "at_least": 0.1}]})
DATA = Profile(
    fingerprint="a" * 64,
    rows={"products": 100},
    missing={"photo": 0.0},
    values={"article_type": {"Shirts": 60, "Jeans": 40}},
    price=(10.0, 50.0, 90.0),
)
TYPES = ["Shirts", "Jeans", "Hats", "Belts", "Shoes", "Bags"]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    folder = tmp_path_factory.mktemp("shop")
    titles = [f"{kind} number {i}" for i, kind in enumerate(TYPES)]
    pd.DataFrame({"product_id": range(len(TYPES)), "title": titles}).to_parquet(folder / "products.parquet")
    buffer = io.BytesIO()
    Image.new("RGB", (1200, 900), (200, 30, 30)).save(buffer, "JPEG")
    photos = [buffer.getvalue(), b"broken"]
    pd.DataFrame({"product_id": [0, 1], "jpeg": photos}).to_parquet(folder / "images.parquet")
    return Catalogue.open(folder)


def run(
    predicted: list[str], price: float = 100.0, n: int = 400, profile: Profile | None = DATA, **metrics: Metric
) -> EvaluationRun:
    frame = pd.DataFrame({"product_id": range(len(TYPES)), "true_article_type": TYPES, "predicted_article_type": predicted})
    for level in ("sub_category", "master_category"):
        frame[f"true_{level}"] = frame[f"predicted_{level}"] = "Apparel"
    frame["article_type_confidence"] = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    frame["true_price"], frame["predicted_price"] = 100.0, price
    frame["price_low"], frame["price_high"], frame["price_band"] = 50.0, 150.0, "any"
    measured = {"article_type_accuracy": Metric(value=0.9, low=0.88, high=0.92, n=n)} | metrics
    evaluation = Evaluation(model="product", data="f" * 64, split="test", n=n, metrics=measured, profile=profile)
    return EvaluationRun(evaluation, frame)


def page(new: EvaluationRun, old: EvaluationRun | None, catalogue: Catalogue, out: Path, playground: str | None = None) -> str:
    decision = decide(new.evaluation, GATES, old.evaluation if old else None)
    write_report(new, old, catalogue, decision, out / "page.html", playground)
    return (out / "page.html").read_text(encoding="utf-8")


def test_examples_are_what_was_lost_and_won_with_small_photos(catalogue: Catalogue, tmp_path: Path) -> None:
    right = list(TYPES)
    new = run(["Jeans", "Shirts", *right[2:]], price=110.0)
    old = run([*right[:2], "Belts", "Hats", *right[4:]], price=50.0)
    html = page(new, old, catalogue, tmp_path)
    assert beside(html) == [
        "Shirts number 0 true: Shirts, 100 challenger Jeans (90%) price 110 champion Shirts (90%) price 50.00",
        "Jeans number 1 true: Jeans, 100 challenger Shirts (80%) price 110 champion Jeans (80%) price 50.00",
        "Hats number 2 true: Hats, 100 challenger Hats (70%) price 110 champion Belts (70%) price 50.00",
        "Belts number 3 true: Belts, 100 challenger Belts (60%) price 110 champion Hats (60%) price 50.00",
    ]
    strip = html.split('<ol class="beside"', 1)[1].split("</ol>", 1)[0]
    assert strip.count("<img") == 1, "a photo that cannot be read is left out"
    assert len(strip) < 10_000, "a photo of a million pixels is shown small"
    assert "2 of 6 products that the champion got right are wrong now; 2 the other way round" in panel(html, "Riskier")


@pytest.mark.slow
def test_the_data_of_challenger_and_champion(catalogue: Catalogue, tmp_path: Path) -> None:
    moved = DATA.model_copy(
        update={"fingerprint": "b" * 64, "rows": {"products": 110}, "values": {"article_type": {"Shirts": 70, "Hats": 40}}}
    )

    def told(now: Profile | None, before: Profile | None) -> list[str]:
        html = page(run(TYPES, profile=now), run(TYPES, profile=before), catalogue, tmp_path)
        return panel(html, "The data" if now is None else "What changed in the data")

    assert told(moved, DATA) == [
        "1 new article type (40 products): Hats",
        "1 gone article type (40 products): Jeans",
        "100 → 110 products (+10%)",
    ]
    assert told(DATA, DATA) == ["Nothing: it is the data that the champion was trained on."]
    assert told(DATA, None) == ["Not known: nobody noted down what the champion was trained on."]
    assert told(None, DATA) == ["Nobody noted down what it is like."]
    first = page(run(TYPES), None, catalogue, tmp_path)
    assert panel(first, "The data") == ["100 products, 2 article types", "median price 50, most between 10 and 90"]


@pytest.mark.slow
def test_risks(catalogue: Catalogue, tmp_path: Path) -> None:
    wide = {"title_to_image_recall_at_10": Metric(value=0.31, low=0.2, high=0.4, n=150)}
    was = {"title_to_image_recall_at_10": Metric(value=0.33, low=0.2, high=0.4, n=150), "sentiment_auc": Metric(value=0.9, n=50)}
    new = run(TYPES, n=150, **wide)
    lacks = new.evaluation.model_copy(update={"not_applicable": {"sentiment_auc": "no reviews"}})
    html = page(EvaluationRun(lacks, new.predictions), run(TYPES, **was), catalogue, tmp_path)
    assert panel(html, "Riskier") == [
        "has no task that the champion has: Reviews: AUC of recommending",
        "may be worse, not clearly: Title finds its photo: recall@10 -0.020",
        "measured on 150 rows alone",
        "not judged: Reviews: AUC of recommending (no reviews)",
    ]
    assert panel(page(run(TYPES), run(TYPES), catalogue, tmp_path), "Riskier") == ["Nothing that is measured says so."]
    remembering = "the champion was fitted on 1,200 of the test rows: where it is better, it may remember them"
    assert panel(page(run(TYPES), run(TYPES).knowing(1200), catalogue, tmp_path), "Riskier") == [remembering]
    assert panel(page(run(TYPES), run(TYPES).knowing(0), catalogue, tmp_path), "Riskier") == ["Nothing that is measured says so."]


@pytest.mark.slow
def test_simple_models_stand_in_for_a_champion_that_is_not_there(catalogue: Catalogue, tmp_path: Path) -> None:
    peers = {"majority_accuracy": Metric(value=0.1, low=0.08, high=0.12, n=400)}
    peers["linear_title_accuracy"] = Metric(value=0.97, low=0.96, high=0.98, n=400)
    html = page(run(TYPES, **peers), None, catalogue, tmp_path)
    assert panel(html, "Better than simple models") == ["Article type: accuracy 0.900, always the most frequent type 0.100"]
    assert panel(html, "Worse than simple models") == ["Article type: accuracy 0.900, a linear model on titles 0.970"]
    assert panel(page(run(TYPES), None, catalogue, tmp_path), "Worse than simple models") == ["None was measured."]


@pytest.mark.slow
def test_a_panel_has_few_lines_and_says_how_many_more_there_are(catalogue: Catalogue, tmp_path: Path) -> None:
    names = ["title_to_image_recall_at_10", "retrieval_ndcg_at_10", "knn_f1", "sentiment_auc", "fault_auc_lowest"]
    names += ["fault_auc_unseen", "invariance_case_whitespace"]
    higher, lower = ({name: Metric(value=v, low=v - 0.01, high=v + 0.01, n=400) for name in names} for v in (0.9, 0.5))
    html = page(run(TYPES, **lower), run(TYPES, **higher), catalogue, tmp_path)
    assert panel(html, "Worse than the champion") == [
        "Title finds its photo: recall@10 0.900 → 0.500",
        "Embedding: nearest-neighbour F1 0.900 → 0.500",
        "Reviews: AUC of recommending 0.900 → 0.500",
        "Title finds photos of its type: nDCG@10 0.900 → 0.500",
        "Faults: AUC, worst known kind 0.900 → 0.500",
        f"and {len(names) - PANEL_LINES} more",
    ]


@pytest.mark.slow
def test_a_link_to_where_they_can_be_tried(catalogue: Catalogue, tmp_path: Path) -> None:
    html = page(run(TYPES), run(TYPES), catalogue, tmp_path, "http://127.0.0.1:3000/")
    address = "http://127.0.0.1:3000/playground?tab=versions&amp;model=product"
    assert f'<a class="go" href="{address}">Open the playground on challenger against champion</a>' in html
    assert "Open the playground on the challenger</a>" in page(run(TYPES), None, catalogue, tmp_path, "http://127.0.0.1:3000")
    assert 'class="go"' not in page(run(TYPES), run(TYPES), catalogue, tmp_path)
    assert first_screen.link("product", True, False, "http://127.0.0.1:3000") is None, "what was refused is no challenger"


def test_of_many_refusals_the_first_stand_on_top(catalogue: Catalogue, tmp_path: Path) -> None:
    rules = [{"metric": "article_type_accuracy", "at_least": 0.95 + place / 1000} for place in range(6)]
    decision = decide(run(TYPES).evaluation, GateConfig.model_validate({"thresholds": rules}))
    write_report(run(TYPES), None, catalogue, decision, tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    top = html.split('role="status"', 1)[1].split("</div>", 1)[0]
    assert (top.count("<li>"), "and 3 more, below" in top) == (4, True)


def test_which_examples_are_picked() -> None:
    assert pick("abc", "xyz") == ["a", "b", "x", "y"]
    assert pick("", "xyz", "pq") == ["x", "y", "z", "p"]
    assert pick("a", "", "apq") == ["a", "p", "q"]
    assert turned(0, 5, 9, "products") == []
    assert turned(1, 0, 9, "users") == ["1 of 9 users that the champion got right are wrong now"]


def test_a_bundle_says_what_its_data_was_like(tmp_path: Path) -> None:
    assert read_profile(tmp_path) is None
    save_profile(tmp_path, None)
    assert read_profile(tmp_path) is None
    save_profile(tmp_path, DATA)
    assert (read_profile(tmp_path), (tmp_path / PROFILE).suffix) == (DATA, ".json")
