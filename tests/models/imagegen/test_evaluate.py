"""What is measured of a generator whose mistakes are known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from imagegen_cases import CONFIG, MODEL, SIZE, Fake, FakePainter, measured

from catalog.catalogue import Catalogue
from catalog.images import decode
from configs.errors import VitrinaError
from models.family import EvaluationRun
from models.imagegen.answers import STYLES, Prompt
from models.imagegen.drawn import Drawn, draw, enlarged, png, seed_of
from models.imagegen.evaluate import BANDS, measure
from models.imagegen.judge.distances import frechet, kernel
from models.imagegen.judge.judge import Judge
from models.imagegen.names import HELD, NAMES, PEERS
from models.imagegen.nearest import NEIGHBOURS, NearestPhotos
from models.imagegen.photos import Pixels
from models.imagegen.rows import photo_of, with_photos
from models.imagegen.summary import REFERENCE_SPEC, reference
from models.imagegen.sweeps import GUIDANCES, PRODUCT, STEPS
from monitoring.verdict import ReferenceSpec

pytestmark = pytest.mark.slow


def test_agreement_is_what_the_painter_got_right(run: EvaluationRun, judge: Judge) -> None:
    metrics, rows = run.evaluation.metrics, run.predictions[run.predictions["kind"] == PRODUCT]
    first, photos = _images(rows)
    for label, metric in (("article_type", "type_agreement"), ("base_colour", "colour_agreement")):
        drawn = np.array(judge.read(first).labels[label]) == rows[label]
        assert metrics[metric].value == pytest.approx(drawn.mean())
        assert rows[metric].tolist() == drawn.astype(float).tolist()
        real = np.array(judge.read(photos).labels[label]) == rows[label]
        assert metrics[f"real.{metric}"].value == pytest.approx(real.mean())
    wrong = [seed_of(product_id) % 3 == 0 for product_id in rows["product_id"]]  # they are drawn in another colour
    assert rows["colour_agreement"][wrong].mean() < rows["colour_agreement"][np.logical_not(wrong)].mean() - 0.5
    assert metrics["judged_types"].value == 1.0 and metrics["judged_types"].n == 40
    assert metrics["named.colour_agreement"].value == metrics["colour_agreement"].value  # every title names its colour


def _images(rows: pd.DataFrame) -> tuple[Pixels, Pixels]:
    """What is drawn first for products, and their photos."""
    prompts = [Prompt(text=title, size=SIZE, guidance=3.0) for title in rows["title"]]
    first = FakePainter(wrong=3).paint(prompts, [seed_of(product_id) for product_id in rows["product_id"]])
    return first, np.stack([decode(photo) for photo in rows["photo"]])


def test_it_is_held_against_peers_on_the_same_products(run: EvaluationRun, judge: Judge) -> None:
    metrics = run.evaluation.metrics
    told = {(one.metric, one.baseline): one.difference for one in run.evaluation.against}
    assert set(told) == {(metric, f"{peer}.{metric}") for metric in HELD for peer in PEERS}
    for (metric, baseline), difference in told.items():
        assert difference.value == pytest.approx(metrics[metric].value - metrics[baseline].value)
        assert difference.n == 40
    assert told["colour_agreement", "prior.colour_agreement"].low > 0  # the prior is grey
    assert told["fid", "prior.fid"].high < 0
    images = _images(run.predictions[run.predictions["kind"] == PRODUCT])
    first, photos = (judge.read(pixels).features for pixels in images)
    assert metrics["fid"].value == pytest.approx(frechet(photos, first))
    assert metrics["kid"].value == pytest.approx(kernel(photos, first))


def test_the_best_candidate_has_the_highest_score(run: EvaluationRun) -> None:
    rows = run.predictions[run.predictions["kind"] == PRODUCT]
    assert (rows["overall"].astype(float) >= rows["first_overall"].astype(float)).all()
    offset = rows["seed"].astype(int) - [seed_of(product_id) for product_id in rows["product_id"]]
    assert set(offset) == {0, 1, 2}
    assert run.evaluation.metrics["memorised"].value == pytest.approx(rows["copied"].astype(float).mean())
    assert run.evaluation.metrics["nearest_distance"].value == pytest.approx(rows["distance"].astype(float).median())


def test_every_metric_has_a_name_or_is_a_peers(run: EvaluationRun) -> None:
    metrics = run.evaluation.metrics
    assert {name for name in metrics if not NAMES.is_peer(name)} == set(NAMES.metrics)
    assert all(metric.value is not None for metric in metrics.values())
    assert all(metrics[name].low is not None for name in NAMES.metrics)


def test_slices_are_departments_and_how_often_a_type_was_seen(run: EvaluationRun, judge: Judge) -> None:
    found = {(part.slice, part.value) for part in run.evaluation.slices}
    assert {value for name, value in found if name == "photos"} == {name for start, name in BANDS if start == 21}
    assert {value for name, value in found if name == "master_category"} == {"Accessories", "Apparel", "Footwear"}
    assert sum(judge.settings.photos["article_type"].values()) == 180


def test_prompts_are_drawn_in_every_setting(run: EvaluationRun) -> None:
    rows = run.predictions
    assert rows[rows["kind"] == "guidance"]["setting"].tolist() == [f"{g:g}" for g in GUIDANCES for _ in range(2)]
    assert rows[rows["kind"] == "steps"]["setting"].unique().tolist() == [str(steps) for steps in STEPS]
    assert rows["image"].map(lambda image: image[:4] == b"\x89PNG").all()


def test_rows_survive_parquet(run: EvaluationRun, tmp_path: Path) -> None:
    run.predictions.to_parquet(tmp_path / "frame.parquet", index=False)
    back = pd.read_parquet(tmp_path / "frame.parquet")
    assert back["image"].tolist() == run.predictions["image"].tolist()


def test_a_catalogue_without_labels_or_known_products_says_what_cannot_be_measured(shop: Catalogue) -> None:
    products = shop.products()
    known = products[:0].assign(part=[])
    found = measure(Fake(FakePainter(), None), MODEL, shop, products[:30], known, CONFIG, "all").evaluation
    told = {"type_agreement", "best.colour_agreement", "fid", "real.kid", "prior.fid", "nearest.type_agreement"}
    assert told <= set(found.not_applicable)
    assert not set(found.metrics) & set(found.not_applicable)
    assert found.metrics["score"].value is not None


def test_products_without_title_or_photo_are_not_measured(shop: Catalogue) -> None:
    products = shop.products()[:3].assign(title=[None, " ", "&nbsp;"])
    known = products[:0].assign(part=[])
    with pytest.raises(VitrinaError, match="none of 3 products has a title that can be drawn"):
        measure(Fake(FakePainter(), None), MODEL, shop, products, known, CONFIG, "all")


def test_a_measuring_that_was_ended_goes_on(shop: Catalogue, judge: Judge, run: EvaluationRun, tmp_path: Path) -> None:
    first = Fake(FakePainter(wrong=3), judge)
    once = measured(shop, first, tmp_path)
    again = Fake(FakePainter(wrong=3), judge)
    twice = measured(shop, again, tmp_path)
    assert first.painter.painted - again.painter.painted == 40 * MODEL.measured.candidates  # nothing is drawn twice
    timed = {"draw_p50_ms", "draw_p95_ms"}
    for other in (once, run):
        same = {name: metric for name, metric in other.evaluation.metrics.items() if name not in timed}
        assert same == {name: metric for name, metric in twice.evaluation.metrics.items() if name not in timed}
    pd.testing.assert_frame_equal(once.predictions, twice.predictions)


def test_what_is_drawn_is_kept_whole(tmp_path: Path) -> None:
    subject = Fake(FakePainter(), None)
    prompts = [subject.resolved(Prompt(text="nordal red dress 1")), subject.resolved(Prompt(text="velora blue watch 2"))]
    found = draw(subject, prompts, [5, 9], 2)
    found.saved(tmp_path / "one.npz")
    back = Drawn.restored(tmp_path / "one.npz")
    np.testing.assert_array_equal(back.best, found.best)
    assert back.best_scores == found.best_scores and back.first_scores == found.first_scores
    assert back.seeds.tolist() == found.seeds.tolist()
    np.testing.assert_array_equal(found.best[0], subject.painter.paint(prompts[:1], [int(found.seeds[0])])[0])


def test_the_nearest_photos_are_those_of_the_most_similar_titles(shop: Catalogue) -> None:
    products = shop.products()[:150]
    neighbours = NearestPhotos.fit(products)
    assert neighbours is not None
    red = products[products["title"].str.contains("red dress")]
    twins = red.head(NEIGHBOURS).assign(title="quite another red gown")
    alone = NearestPhotos.fit(pd.concat([products.drop(twins.index), twins]))
    assert alone is not None
    drawn = alone.draw(["another red gown", "&nbsp;"], shop, SIZE)
    expected = np.stack([photo_of(shop, product_id, SIZE) for product_id in twins["product_id"]]).mean(axis=0)
    assert np.abs(drawn[0] - expected).max() <= 0.5
    assert (drawn[1] == 128).all()  # nothing is like it
    assert NearestPhotos.fit(products.assign(title="")) is None


def test_the_same_products_are_measured_whatever_their_order(shop: Catalogue) -> None:
    products = shop.products()
    orders = (products, products.sample(frac=1, random_state=0))
    once, again = (with_photos(shop, part, SIZE, 20)[0]["product_id"] for part in orders)
    assert once.tolist() == again.tolist()


def test_small_images_are_enlarged_in_whole_steps() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    large = enlarged(png(pixels))
    np.testing.assert_array_equal(decode(large), pixels.repeat(3, axis=0).repeat(3, axis=1))
    wide = decode(png(np.zeros((300, 600, 3), dtype=np.uint8)))
    assert wide.shape == (128, 256, 3)
    assert enlarged(png(wide)) == png(wide)


def test_the_reference_has_every_style_of_every_title(shop: Catalogue) -> None:
    products = shop.products()[:5].assign(title=lambda frame: frame["title"].where(frame.index != 2))
    rows = reference(Fake(FakePainter(), None), products, MODEL.generation)
    assert [(row["product_id"], row["style"]) for row in rows] == [
        (product_id, style) for product_id in dict.fromkeys(row["product_id"] for row in rows) for style in STYLES
    ]
    assert len(rows) == 4 * len(STYLES)
    spec = ReferenceSpec.model_validate(REFERENCE_SPEC)
    assert set(spec.kinds()) | {"style", "prompt_digest", "product_id"} <= set(rows[0])
