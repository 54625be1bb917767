"""Every row of a table is answered once or named once, whatever happens in between."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest
from commands import environment
from scored import BAD, PRODUCTS, USERS, check_whole, score
from services import until

from catalog.catalogue import Catalogue, listing_of, records_of
from catalog.errors import CatalogueError
from catalog.listing import Listing
from configs.errors import CheckFailed, ConfigError, VitrinaError
from configs.settings import Settings
from models import family
from models.errors import NotSupported
from models.product.predictor import ProductPrediction, ProductPredictor
from registry.errors import RegistryError
from registry.fetch import fetch
from registry.versions import resolve
from scoring import shard
from scoring.request import Quarantined
from scoring.run import require_share

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scored(settings: Settings, shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's products by the product model; nothing may be written into it."""
    out = tmp_path_factory.mktemp("scored") / "out"
    score(settings, shop, out, values={"embedding": True})
    return out


def test_a_row_is_answered_or_named_with_the_reason(settings: Settings, shop: Path, scored: Path) -> None:
    answered = check_whole(scored)
    summary = json.loads((scored / "summary.json").read_text())
    assert (summary["n"], summary["scored"], summary["quarantined"]) == (PRODUCTS, PRODUCTS - len(BAD), len(BAD))
    assert (summary["shards"], summary["finished_before"]) == (5, 0)
    quarantine = pd.read_parquet(scored / "quarantine").set_index("row")
    assert quarantine["why"].to_dict() == BAD
    assert quarantine["product_id"].dropna().astype(int).to_dict() == {11: 1011, 20: 1003, 55: 1055, 70: 1070}
    assert [example["row"] for example in summary["examples"]] == list(BAD)
    assert answered["product_id"].tolist() == [1000 + row for row in range(PRODUCTS) if row not in BAD]


def test_answers_are_those_of_the_predictor_that_serves(settings: Settings, shop: Path, scored: Path) -> None:
    catalogue = Catalogue.open(shop)
    records = records_of(catalogue.products())
    rows = [row for row in range(PRODUCTS) if row not in BAD]
    listings = [listing_of(records[row], catalogue.images.get(records[row]["product_id"])) for row in rows]
    predictor = family.load("product", fetch(settings, resolve(settings, "product@1")))
    assert isinstance(predictor, ProductPredictor)
    table = pd.read_parquet(scored / "scores")
    for said, found in zip(table.to_dict("records"), predictor.predict(listings), strict=True):
        assert found.price is not None
        assert found.quality is not None
        for level, values in found.categories.items():
            assert (said[level], said[f"{level}_confidence"]) == (values[0][0], pytest.approx(values[0][1], abs=1e-4))
        numbers = [said[name] for name in ("price", "price_low", "price_high", "quality")]
        assert numbers == pytest.approx([found.price.median, found.price.low, found.price.high, found.quality.score], rel=1e-3)
        assert said["fault_probability"] == pytest.approx(max(found.quality.faults.values()), abs=1e-4)
        assert tuple(said["modalities"]) == found.modalities
        np.testing.assert_allclose(said["embedding"], found.embedding, atol=1e-4)


def test_the_answers_are_one_table_in_the_order_of_the_rows(scored: Path) -> None:
    rows = [row for row in range(PRODUCTS) if row not in BAD]
    dataset = ds.dataset(scored / "scores", format="parquet")
    assert dataset.to_table(columns=["row"]).column("row").to_pylist() == rows
    with duckdb.connect() as connection:
        assert connection.sql(f"SELECT row FROM '{scored}/scores/*.parquet'").fetchall() == [(row,) for row in rows]
    expected = ["row", "product_id", *(f.name for f in family.scorer("product").schema(_config("product", embedding=True)))]
    assert dataset.schema.names == expected


def _config(model: str, table: str | None = None, **values: Any) -> Any:
    return family.scorer(model, table).config.model_validate(values)


def test_what_is_finished_is_never_computed_again(settings: Settings, shop: Path, scored: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(scored, tmp_path / "out"))
    before = {path.name: path.stat().st_mtime_ns for path in (out / "scores").iterdir()}
    (out / "scores" / "part-00000003.parquet").unlink()
    damaged = out / "scores" / "part-00000001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:500])
    (out / "quarantine" / "part-00000000.parquet").unlink()
    again = score(settings, shop, out, values={"embedding": True})
    assert (again.finished_before, again.shards) == (2, 5)
    check_whole(out)
    after = {path.name: path.stat().st_mtime_ns for path in (out / "scores").iterdir()}
    assert [name for name in sorted(after) if after[name] == before[name]] == ["part-00000002.parquet", "part-00000004.parquet"]
    pd.testing.assert_frame_equal(pd.read_parquet(out / "scores"), pd.read_parquet(scored / "scores"))
    nothing = score(settings, shop, out, values={"embedding": True})
    assert (nothing.finished_before, nothing.rows_per_second, nothing.scored) == (5, None, again.scored)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            {"values": {"embedding": False}},
            "holds answers with embedding True, not False; go on with that, or give another --out",
        ),
        ({"values": {"embedding": True, "shard_rows": 21}}, "holds answers with shard_rows 20, not 21; "),
        ({"reference": "quality@1"}, "holds answers with model product, not quality; "),
        ({"table": "reviews"}, "holds answers with table products, not reviews; "),
    ],
)
def test_a_folder_of_other_answers_is_refused(
    settings: Settings, shop: Path, scored: Path, asked: dict[str, Any], says: str
) -> None:
    with pytest.raises(VitrinaError, match=f"^{scored} {says}"):
        score(settings, shop, scored, **asked)


def test_another_catalogue_is_refused(settings: Settings, shop: Path, scored: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(shop, tmp_path / "shop"))
    products = pd.read_parquet(changed / "products.parquet")
    products.loc[0, "title"] = "Another title"
    products.to_parquet(changed / "products.parquet", index=False)
    with pytest.raises(VitrinaError, match=r"holds answers with data .{12}…, not .{12}…; "):
        score(settings, changed, scored, values={"embedding": True})
    copied = Path(shutil.copytree(shop, tmp_path / "copy", copy_function=shutil.copyfile))  # the same content, at another time
    assert score(settings, copied, scored, values={"embedding": True}).finished_before == 5


def test_a_file_of_somebody_else_is_refused(settings: Settings, shop: Path, scored: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(scored, tmp_path / "out"))
    pd.DataFrame({"row": [0]}).to_parquet(out / "scores" / "part-00000002.parquet")
    with pytest.raises(VitrinaError, match=r"part-00000002.parquet is no file of this batch; remove it, or give another --out"):
        score(settings, shop, out, values={"embedding": True})


def test_killed_in_the_middle_and_started_again(settings: Settings, shop: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    score(settings, shop, whole, "quality@1", values={"shard_rows": 3})
    command = [sys.executable, str(ROOT / "cli.py"), "score", "quality@1", "--data", str(shop), "--out", str(tmp_path / "out")]
    command += ["--set", "shard_rows=3", "--set", "batch_size=8", "--json"]
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(command, env=environment(settings.home), stdout=log, stderr=log)
    scores = tmp_path / "out" / "scores"
    until(lambda: len(list(scores.glob("part-*"))) >= 3, lambda: running.poll() is None, (tmp_path / "log").read_text)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait(60) == -signal.SIGKILL
    finished = len(list(scores.glob("part-*")))
    (scores / ".part-00000029.parquet.0123").write_bytes(b"half")
    outcome = score(settings, shop, tmp_path / "out", "quality@1", values={"shard_rows": 3})
    assert 3 <= finished < outcome.shards == 30
    assert outcome.finished_before == finished
    assert outcome.scored == PRODUCTS - len(BAD)
    pd.testing.assert_frame_equal(check_whole(tmp_path / "out"), check_whole(whole))


def test_a_row_that_nobody_thought_of_is_quarantined(
    settings: Settings, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = pd.read_parquet(shop / "products.parquet")["title"]
    predict = ProductPredictor.predict

    def surprised(self: ProductPredictor, listings: Sequence[Listing]) -> list[ProductPrediction]:
        if any(listing.title == titles[42] for listing in listings):
            raise IndexError("index 7 is out of bounds")
        return predict(self, listings)

    monkeypatch.setattr(ProductPredictor, "predict", surprised)
    outcome = score(settings, shop, tmp_path / "out")
    assert outcome.quarantined == len(BAD) + 1
    assert Quarantined(row=42, key=1042, why="IndexError: index 7 is out of bounds") in outcome.examples
    check_whole(tmp_path / "out")


def test_a_broken_device_is_no_fault_of_the_rows(
    settings: Settings, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, predict = [0], ProductPredictor.predict

    def breaks(self: ProductPredictor, listings: Sequence[Listing]) -> list[ProductPrediction]:
        calls[0] += 1
        if calls[0] > 5:
            raise RuntimeError("CUDA error: device-side assert triggered")
        return predict(self, listings)

    monkeypatch.setattr(ProductPredictor, "predict", breaks)
    with pytest.raises(
        VitrinaError, match=r"^shard 1: the model answers no more, and it is no fault of a row: RuntimeError: CUDA"
    ):
        score(settings, shop, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "scores").iterdir()] == ["part-00000000.parquet"]
    monkeypatch.undo()
    assert score(settings, shop, tmp_path / "out").finished_before == 1
    check_whole(tmp_path / "out")


def test_users_are_answered_once_each_from_what_the_version_knows(settings: Settings, shop: Path, tmp_path: Path) -> None:
    outcome = score(settings, shop, tmp_path / "out", "recommender@1", values={"top_k": 4})
    assert (outcome.table, outcome.n, outcome.scored) == ("purchases", len(USERS), len(USERS))
    table = check_whole(tmp_path / "out", rows=len(USERS))
    assert dict(zip(table["user_id"], table["known"], strict=True)) == USERS
    predictor: Any = family.load("recommender", fetch(settings, resolve(settings, "recommender@1")))
    from models.recommender.answers import Query

    for row in table.to_dict("records"):
        [found] = predictor.recommend([Query(user_id=row["user_id"], num_recs=4)])
        assert list(row["items"]) == [str(item.item_id) for item in found.items]
        np.testing.assert_allclose(row["scores"], [item.score for item in found.items], rtol=1e-5)


def test_reviews_are_answered_where_the_version_learned_from_some(
    settings: Settings, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = score(settings, shop, tmp_path / "out", table="reviews")
    assert (outcome.n, outcome.scored) == (25, 25)
    table = check_whole(tmp_path / "out", rows=25)
    assert table["recommended"].between(0, 1).all()
    assert table["rating"].between(1, 5).all()

    def without(self: ProductPredictor, reviews: object) -> None:
        raise NotSupported("this version was trained without reviews")

    monkeypatch.setattr(ProductPredictor, "predict_reviews", without)
    with pytest.raises(NotSupported, match="without reviews"):
        score(settings, shop, tmp_path / "none", table="reviews")
    assert list((tmp_path / "none" / "scores").iterdir()) == []


@pytest.mark.parametrize("model", ["describer", "quality"])
def test_texts_and_assessments(settings: Settings, shop: Path, tmp_path: Path, model: str) -> None:
    few = tmp_path / "few"
    few.mkdir()
    pd.read_parquet(shop / "products.parquet").head(4).to_parquet(few / "products.parquet", index=False)
    outcome = score(settings, few, tmp_path / "out", f"{model}@1")
    assert (outcome.n, outcome.scored) == (4, 4)
    table = ds.dataset(tmp_path / "out" / "scores").to_table()
    assert table.schema.remove_metadata() == _schema(model, _config(model))
    for row in table.to_pylist():
        if model == "quality":
            assert 0 <= row["score"] <= 1
            assert row["verdict"] in ("publish", "hold")
            assert row["worst_axis"] in json.loads(row["evidence"])
        else:
            assert 0 < len(row["seo_title"]) <= 60
            assert 0 < len(row["meta_description"]) <= 155
            assert row["description"]


def _schema(model: str, config: Any) -> Any:
    import pyarrow as pa

    about = [pa.field("row", pa.int64(), nullable=False), pa.field("product_id", pa.int64())]
    return pa.schema([*about, *family.scorer(model).schema(config)])


def test_a_table_of_two_columns_with_ids_that_are_words(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    rows = pd.DataFrame({"product_id": ["a", "b", "a", None, "ü'%"], "title": ["Shirt", "NA", "Boots", "Belt", "Watch"]})
    rows.to_parquet(folder / "products.parquet", index=False)
    outcome = score(settings, folder, tmp_path / "out")
    assert check_whole(tmp_path / "out", rows=5)["product_id"].tolist() == ["a", "ü'%"]
    assert [(one.row, one.key) for one in outcome.examples] == [(1, "b"), (2, "a"), (3, None)]


def test_too_few_answers_are_a_no(settings: Settings, shop: Path, tmp_path: Path) -> None:
    outcome = score(settings, shop, tmp_path / "out", require_share=0.95)
    assert outcome.passed is False
    with pytest.raises(CheckFailed, match=r"^94.4% of the rows were answered, 95.0% was asked for; see .*quarantine$"):
        require_share(outcome)
    require_share(score(settings, shop, tmp_path / "out", require_share=0.9))


def test_the_name_of_a_folder_may_tell_version_and_data(settings: Settings, shop: Path, tmp_path: Path) -> None:
    outcome = score(settings, shop, tmp_path / "v{version}-{data}", table="reviews")
    assert outcome.scores == str(tmp_path / f"v1-{Catalogue.open(shop).fingerprint()[:12]}" / "scores")


@pytest.mark.parametrize(
    ("reference", "asked", "error", "says"),
    [
        (
            "imagegen",
            {},
            ConfigError,
            "model 'imagegen' scores no catalogue: .*; allowed: describer, product, quality, recommender",
        ),
        ("fewshot", {}, ConfigError, "model 'fewshot' scores no catalogue"),
        ("shoe", {}, ConfigError, "model 'shoe' does not exist; allowed: "),
        ("product", {"table": "users"}, ConfigError, "model 'product' scores no table 'users'; allowed: products, reviews"),
        ("product", {"values": {"top_k": 3}}, ConfigError, "unknown key 'top_k'; allowed here: "),
        ("recommender", {"values": {"top_k": 0}}, ConfigError, "top_k = 0"),
        ("product@9", {}, RegistryError, "model 'product' has no version 9; versions: 1"),
    ],
)
def test_bad_requests_leave_nothing_behind(
    settings: Settings, shop: Path, tmp_path: Path, reference: str, asked: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        score(settings, shop, tmp_path / "out", reference, **asked)
    assert list(tmp_path.iterdir()) == []


def test_bad_catalogues_and_folders_leave_nothing_behind(settings: Settings, shop: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    pd.DataFrame({"product_id": pd.array([], "int64")}).to_parquet(empty / "products.parquet", index=False)
    with pytest.raises(VitrinaError, match=r"products.parquet has no row to answer$"):
        score(settings, empty, tmp_path / "out")
    with pytest.raises(CatalogueError, match=r"has no purchases.parquet; it has: products$"):
        score(settings, empty, tmp_path / "out", "recommender@1")
    with pytest.raises(CatalogueError, match="exists and is not an empty folder"):
        score(settings, shop, empty)
    pd.DataFrame({"product_id": [1.5]}).to_parquet(empty / "products.parquet", index=False)
    with pytest.raises(CatalogueError, match="product_id is double; allowed: int64, string"):
        score(settings, empty, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]


def test_a_worker_with_other_source_says_so(
    settings: Settings, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "scoring_source", lambda model: "0" * 64)
    with pytest.raises(VitrinaError, match="runs another source of product than the machine that planned"):
        score(settings, shop, tmp_path / "out", table="reviews")
