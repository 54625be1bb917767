"""The committed recommender: what it answers and why, and what it refuses; and small trainings on planted purchases.

What anyone would expect of a recommender is in `tests/behaviour`.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import committed
import numpy as np
import pandas as pd
import pytest
from recommender_cases import catalogue_of, planted_purchases

from catalog.catalogue import Catalogue
from configs.errors import VitrinaError
from configs.load import environment_file, load
from models.recommender.answers import Event, Query, Recommendations
from models.recommender.bundle import load_config
from models.recommender.config import RecommenderRunConfig
from models.recommender.evaluate import measure
from models.recommender.family import FAMILY
from models.recommender.predictor import RecommenderPredictor

pytestmark = pytest.mark.trains

SMALLER = (
    "model.spectral.dimensions=16",
    "model.factorisation={dimensions: 8, sweeps: 2}",
    "model.sequence={epochs: 3, refit_epochs: 1, batch_size: 64, width: 16, length: 20}",
    "model.attention={width: 16, heads: 2, lessons: 1, lesson_pairs: 512, negatives: 256, fanouts: [6, 4, 3, 3]}",
    "model.history.decays=[0.0, 0.2]",
    "trainer.epochs=1",
    "trainer.precision=32-true",
    "evaluation={bootstrap_samples: 50, latency_calls: 5}",
)
COUNTED = "model.parts=[co_purchase, content]"


def config(*overrides: str) -> RecommenderRunConfig:
    return load(RecommenderRunConfig, environment_file("demo", "recommender"), (*SMALLER, *overrides))


def train(catalogue: Catalogue, workdir: Path, *overrides: str) -> Path:
    chosen = config(*overrides)
    split = FAMILY.split(catalogue, chosen)
    return FAMILY.train(catalogue, split, FAMILY.augment(catalogue, split, chosen), chosen, workdir)


@pytest.fixture(scope="module")
def catalogue(recommender_catalogue: Catalogue) -> Catalogue:
    return recommender_catalogue


@pytest.fixture(scope="module")
def bundle() -> Path:
    return committed.bundle("recommender")


@pytest.fixture(scope="module")
def predictor(bundle: Path) -> RecommenderPredictor:
    return FAMILY.load(bundle)


@pytest.fixture(scope="module")
def products(catalogue: Catalogue) -> pd.DataFrame:
    return catalogue.products().drop_duplicates("product_id").set_index("product_id")


@pytest.fixture(scope="module")
def bought(catalogue: Catalogue) -> dict[int, list[int]]:
    table = catalogue.purchases().sort_values("timestamp", kind="stable")
    return {int(user): rows.tolist() for user, rows in table.groupby("user_id")["item_id"]}


def ask(predictor: RecommenderPredictor, query: Query) -> Recommendations:
    (answer,) = predictor.recommend([query])
    return answer


def ids(answer: Recommendations) -> list[object]:
    return [item.item_id for item in answer.items]


def session(items: Sequence[int], **values: object) -> Query:
    return replace(Query(events=tuple(Event(item) for item in items)), **values)


def test_a_bundle_answers_the_same_wherever_it_travels(
    bundle: Path, predictor: RecommenderPredictor, bought: dict[int, list[int]], tmp_path: Path
) -> None:
    shutil.copytree(bundle, tmp_path / "moved")
    queries = [Query(), session([10_005, 10_010]), *(Query(user_id=user) for user in list(bought)[:20])]
    assert RecommenderPredictor.load(tmp_path / "moved").recommend(queries) == predictor.recommend(queries)
    assert predictor.recommend(queries) == [ask(predictor, query) for query in queries]


def test_items_come_with_what_the_catalogue_says_of_them(predictor: RecommenderPredictor, products: pd.DataFrame) -> None:
    for item in ask(predictor, Query(user_id=3)).items:
        said = products.loc[item.item_id]
        assert (item.title, item.price, item.article_type) == (said["title"], said["price"], said["article_type"])


def test_the_bundle_says_what_it_was_trained_on(bundle: Path, catalogue: Catalogue) -> None:
    settings = load_config(bundle)
    split = FAMILY.split(catalogue, settings.config)
    assert settings.ordered
    assert settings.data == catalogue.fingerprint()
    assert settings.users == split["user_id"].nunique()
    assert settings.training_purchases == (split["split"] == "train").sum()
    assert set(settings.weights) == {*settings.config.model.parts, "popularity"}
    reference = pd.read_parquet(bundle / "reference.parquet")
    spec = json.loads((bundle / "reference.json").read_text())
    named = {name for kind in ("numerical", "categorical", "prediction") for name in spec[kind]}
    assert named <= set(reference.columns)
    assert set(reference["basis"]) == {"history"}
    assert "co_purchase" in (bundle / "card.md").read_text()


def test_some_users_alone_are_measured_where_asked_for(bundle: Path, catalogue: Catalogue) -> None:
    run = FAMILY.evaluate_rows(bundle, catalogue, config(), pd.Series([3, 5, 5, 10_000_000]))
    assert run.evaluation.n == 2
    assert set(run.predictions["user_id"]) == {3, 5}


@pytest.mark.slow
def test_the_split_of_a_run_says_which_purchases_are_measured(
    bundle: Path, catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unordered = catalogue_of(tmp_path / "unordered", purchases=catalogue.purchases()[["user_id", "item_id"]])
    shutil.copytree(bundle, tmp_path / "champion")
    written = json.loads((bundle / "config.json").read_text())
    written["config"]["split"] |= {"salt": "another", "test": 0.3}
    (tmp_path / "champion" / "config.json").write_text(json.dumps(written))
    seen: list[set[tuple[object, object]]] = []

    def measured(recommender: Any, predictor: Any, users: Any, histories: Any, relevant: Any, *rest: Any, **more: Any) -> Any:
        rows, items = relevant.nonzero()
        seen.append({(users[row], recommender.items.keys[item]) for row, item in zip(rows, items, strict=True)})
        return measure(recommender, predictor, users, histories, relevant, *rest, **more)

    monkeypatch.setattr("models.recommender.evaluate.measure", measured)
    run = config("split.salt=of the run")
    split = FAMILY.split(unordered, run)
    parts = [split[split["split"] == "test"], split[split["split"] != "test"]]
    asked, before = (set(part[["user_id", "item_id"]].itertuples(index=False, name=None)) for part in parts)
    runs = [FAMILY.evaluate_rows(folder, unordered, run, parts[0]["user_id"]) for folder in (bundle, tmp_path / "champion")]
    assert seen[0] == seen[1] == asked - before
    own = FAMILY.split(catalogue, load_config(bundle).config)
    learned = set(own.loc[own["split"] != "test", ["user_id", "item_id"]].itertuples(index=False, name=None))
    assert [one.evaluation.known for one in runs] == [len((asked - before) & learned)] * 2
    assert learned & asked


def test_another_catalogue_with_other_users_is_measured(
    bundle: Path, catalogue: Catalogue, bought: dict[int, list[int]], tmp_path: Path
) -> None:
    table = catalogue.purchases()[["user_id", "item_id", "timestamp"]]
    strangers = table[table["user_id"] <= 20].assign(user_id=lambda rows: "new-" + rows["user_id"].astype(str))
    unknown = pd.DataFrame({"user_id": "new-1", "item_id": [77, 78], "timestamp": pd.Timestamp("2040-01-01", tz="UTC")})
    other = catalogue_of(tmp_path / "other", purchases=pd.concat([strangers, unknown]))
    run = FAMILY.evaluate(bundle, other, config().evaluation)
    assert run.evaluation.n == 20
    rows = run.predictions.set_index("user_id")
    assert rows.loc["new-1", "recall_at_20"] == 0  # what this version does not know is not found
    assert rows["recall_at_20"].mean() > 0


def test_what_cannot_be_measured_is_one_clear_line(bundle: Path, catalogue: Catalogue, tmp_path: Path) -> None:
    evaluation = config().evaluation
    with pytest.raises(VitrinaError, match="has no modalities to restrict"):
        FAMILY.evaluate(bundle, catalogue, evaluation, modalities=["title"])
    with pytest.raises(VitrinaError, match=r"split 'yesterday' is not known to the recommender.*allowed: unseen"):
        FAMILY.evaluate(bundle, catalogue, evaluation, "yesterday")
    few = catalogue_of(tmp_path / "few", purchases=pd.DataFrame({"user_id": [1], "item_id": [10_001], "position": [1]}))
    with pytest.raises(VitrinaError, match="has no unseen purchase to measure"):
        FAMILY.evaluate(bundle, few, evaluation)
    with pytest.raises(VitrinaError, match="no ONNX graphs"):
        FAMILY.export(bundle, tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "items.json", "users.json", "config.json"])
def test_a_damaged_bundle_is_one_clear_line(bundle: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(bundle, tmp_path / "bundle")
    (tmp_path / "bundle" / name).write_text("{")
    with pytest.raises(VitrinaError) as error:
        RecommenderPredictor.load(tmp_path / "bundle")
    assert len(str(error.value).splitlines()) == 1
    (tmp_path / "bundle" / name).unlink()
    with pytest.raises(VitrinaError):
        RecommenderPredictor.load(tmp_path / "bundle")


def test_a_bundle_of_another_version_is_one_clear_line(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "bundle")
    written = json.loads((bundle / "config.json").read_text())
    for changed in ({"parts": {"co_purchase": "neighbours"}}, {"config": written["config"] | {"model": {"parts": ["ease"]}}}):
        (tmp_path / "bundle" / "config.json").write_text(json.dumps(written | changed))
        with pytest.raises(VitrinaError, match="it is not a recommender bundle of this version") as error:
            RecommenderPredictor.load(tmp_path / "bundle")
        assert len(str(error.value).splitlines()) == 1
    (tmp_path / "bundle" / "config.json").write_text(json.dumps(written | {"weights": {"ease": 1.0}}))
    with pytest.raises(VitrinaError, match="part 'ease' does not exist") as error:
        RecommenderPredictor.load(tmp_path / "bundle")
    assert len(str(error.value).splitlines()) == 1


def test_the_basis_says_what_is_known(predictor: RecommenderPredictor, bought: dict[int, list[int]]) -> None:
    known, stranger, visitor, browsing = predictor.recommend(
        [Query(user_id=3), Query(user_id="nobody"), Query(), Query(user_id="nobody", events=(Event(10_005),))]
    )
    assert (known.basis, known.history) == ("history", len(set(bought[3])))
    assert (stranger.basis, stranger.history, stranger.history_popularity) == ("popularity", 0, None)
    assert ids(stranger) == ids(visitor)
    assert (browsing.basis, browsing.history) == ("session", 1)
    assert ids(ask(predictor, Query(user_id="3"))) == ids(known)


def test_a_known_user_and_a_session_with_the_same_purchases_are_answered_alike(
    predictor: RecommenderPredictor, bought: dict[int, list[int]]
) -> None:
    for user in (3, 17):
        known, same = predictor.recommend([Query(user_id=user), session(bought[user])])
        assert ids(known) == ids(same)
        assert [x.score for x in known.items] == pytest.approx([x.score for x in same.items], rel=1e-4)


def test_what_was_only_viewed_may_come_and_counts_less(predictor: RecommenderPredictor) -> None:
    everything = replace(session([10_020, 10_030]), num_recs=500)
    viewed = replace(everything, events=(Event(10_020), Event(10_030, "view")))
    assert 10_030 not in ids(ask(predictor, everything))
    assert 10_030 in ids(ask(predictor, viewed))
    assert 10_020 not in ids(ask(predictor, viewed))


def test_bought_items_come_back_where_asked_for(predictor: RecommenderPredictor, bought: dict[int, list[int]]) -> None:
    answer = ask(predictor, Query(user_id=3, num_recs=500, exclude_bought=False))
    assert set(bought[3]) <= set(ids(answer))
    assert not set(bought[3]) & set(ids(ask(predictor, Query(user_id=3, num_recs=500))))


def test_unknown_items_are_told_once_each(predictor: RecommenderPredictor) -> None:
    answer = ask(predictor, Query(events=(Event(5), Event("what"), Event(5), Event("10005"))))
    assert answer.ignored == (5, "what")
    assert answer.history == 1


@pytest.mark.parametrize("count", [1, 7, 60])
def test_as_many_as_asked_for(predictor: RecommenderPredictor, count: int) -> None:
    for query in (Query(num_recs=count), Query(user_id=3, num_recs=count, diversity=0.5)):
        answer = ask(predictor, query)
        assert len(set(ids(answer))) == count


def test_answers_are_ordered_and_parts_sum_to_scores(predictor: RecommenderPredictor, bought: dict[int, list[int]]) -> None:
    for user in list(bought)[:10]:
        answer = ask(predictor, Query(user_id=user))
        scores = [item.score for item in answer.items]
        assert scores == sorted(scores, reverse=True)
        for item in answer.items:
            assert sum(item.parts.values()) == pytest.approx(item.score, abs=1e-4)
            assert set(item.parts) == {name for name, weight in predictor.recommender.weights.items() if weight > 0}


def test_bounds_are_kept(predictor: RecommenderPredictor, products: pd.DataFrame) -> None:
    kind = str(products["article_type"].mode()[0])
    narrow = ask(predictor, Query(user_id=3, categories=(kind,), num_recs=500))
    assert {products.loc[item, "article_type"] for item in ids(narrow)} == {kind}
    priced = ask(predictor, Query(user_id=3, price_min=500, price_max=900, num_recs=500))
    prices = products.loc[ids(priced), "price"]
    assert len(prices) > 10
    assert prices.between(500, 900).all()
    level = str(products["master_category"].mode()[0])
    both = ask(predictor, Query(user_id=3, categories=(level,), price_max=900, diversity=0.4))
    assert len(both.items) == 10
    assert (products.loc[ids(both), "master_category"] == level).all()
    assert ask(predictor, Query(price_min=1e9)).items == ()


def test_an_unknown_category_is_one_clear_line(predictor: RecommenderPredictor) -> None:
    with pytest.raises(VitrinaError, match=r"^category 'Submarines' is not known: it is no category of this version$"):
        predictor.recommend([Query(), Query(categories=("Submarines",))])


def test_a_ranking_without_reasons_is_that_of_the_answer(
    predictor: RecommenderPredictor, products: pd.DataFrame, bought: dict[int, list[int]]
) -> None:
    kind = str(products["article_type"].mode()[0])
    bounds = (
        Query(),
        Query(diversity=0.5, num_recs=4),
        Query(categories=(kind,)),
        Query(exclude_bought=False),
        Query(price_min=1e9),
    )
    queries = [replace(query, user_id=user) for query in bounds for user in (None, *list(bought)[:8])]
    keys = predictor.recommender.items.keys
    ranked = [[keys[code] for code in codes] for codes in predictor.rank(queries)]
    assert ranked == [ids(answer) for answer in predictor.recommend(queries)]
    with pytest.raises(VitrinaError, match="category 'Submarines' is not known"):
        predictor.rank([Query(categories=("Submarines",))])


def test_a_shared_attribute_is_one_that_both_have(
    predictor: RecommenderPredictor, products: pd.DataFrame, bought: dict[int, list[int]]
) -> None:
    items, named = predictor.recommender.items, 0
    for user in bought:
        for found in ask(predictor, Query(user_id=user)).items:
            for attribute in found.reason.attributes:
                column = items.names.index(attribute)
                assert items.attributes[items.codes[str(found.item_id)], column] == 1
                assert items.attributes[items.codes[str(found.reason.item_id)], column] == 1
                assert attribute in found.reason.text
                named += 1
    assert named > 0


def test_popularities_are_shares_of_items_that_sold_less(
    bundle: Path, predictor: RecommenderPredictor, catalogue: Catalogue, bought: dict[int, list[int]]
) -> None:
    split = FAMILY.split(catalogue, load_config(bundle).config)
    sold = split[split["split"] != "test"].groupby("item_id").size().reindex(predictor.recommender.items.keys, fill_value=0)
    answer = ask(predictor, Query(user_id=3))
    for shown, items in ((answer.shown_popularity, ids(answer)), (answer.history_popularity, sorted(set(bought[3])))):
        expected = np.mean([(sold < sold[item]).mean() for item in items])
        assert shown == pytest.approx(expected, abs=1e-6)


@pytest.fixture
def planted(tmp_path: Path) -> Catalogue:
    return catalogue_of(tmp_path / "planted", purchases=planted_purchases())


def test_a_folder_of_another_run_is_refused(planted: Catalogue, tmp_path: Path) -> None:
    train(planted, tmp_path / "work", COUNTED)
    with pytest.raises(VitrinaError, match=r"holds a run with another config; give a new folder or delete this one"):
        train(planted, tmp_path / "work", COUNTED, "model.neighbours=7")
    quarantine = pd.DataFrame({"table": ["purchases"], "row": [0]})
    with pytest.raises(VitrinaError, match="holds a run with another split"):
        train(planted.without(quarantine), tmp_path / "work", COUNTED)


def share_of(group: int, answer: Recommendations) -> float:
    """How many of the first three items are of a group."""
    return float(np.mean([int(item) // 100 == group for item in ids(answer)[:3]]))


@pytest.mark.slow
def test_purchases_alone_are_enough_and_training_twice_gives_the_same(
    tmp_path: Path, seed: int, measured: Callable[[str, float], float]
) -> None:
    planted = catalogue_of(tmp_path / "planted", purchases=planted_purchases(seed=seed))
    first, second = (train(planted, tmp_path / name, f"trainer.seed={seed}") for name in ("a", "b"))
    for name in ("model.safetensors", "config.json", "items.json", "users.json", "seen.npy"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    predictor = RecommenderPredictor.load(first)
    assert "content" not in predictor.recommender.parts
    shares = [share_of(group, ask(predictor, session([100 * group, 100 * group + 1]))) for group in range(3)]
    assert measured("share of first items of the group", float(np.mean(shares))) > 0.8  # 1.000
    with pytest.raises(VitrinaError, match="this version's catalogue has no categories"):
        predictor.recommend([Query(categories=("Shirts",))])


@pytest.mark.slow
def test_what_comes_next_is_learned_in_the_order_of_purchases(tmp_path: Path) -> None:
    ring = np.random.default_rng(3).permutation(60)  # everybody walks along it, so that ids say nothing of the order
    walks = [np.roll(ring, -start)[:7] for start in range(60)]
    table = pd.DataFrame({"user_id": np.repeat(np.arange(60), 7), "item_id": np.concatenate(walks)})
    ordered = catalogue_of(tmp_path / "ring", purchases=table.assign(position=np.tile(np.arange(7), 60)))
    folder = train(ordered, tmp_path / "work", "model.parts=[co_purchase, regression, spectral, transitions]")
    predictor = RecommenderPredictor.load(folder)
    for user in range(60):
        seen, _ = predictor.histories.user(user)
        assert [predictor.recommender.items.keys[code] for code in seen] == walks[user].tolist()
        assert ids(ask(predictor, Query(user_id=user)))[0] == np.roll(ring, -user)[7]
        newest = session([walks[user][-1]], num_recs=60)
        said = {item.item_id: item.parts.get("transitions", 0.0) for item in ask(predictor, newest).items}
        assert max(said, key=lambda item: said[item]) == np.roll(ring, -user)[7]


def test_without_an_order_nothing_depends_on_it(tmp_path: Path, seed: int, measured: Callable[[str, float], float]) -> None:
    unordered = catalogue_of(tmp_path / "unordered", purchases=planted_purchases(seed=seed).drop(columns="position"))
    predictor = RecommenderPredictor.load(train(unordered, tmp_path / "work", f"trainer.seed={seed}"))
    assert not {"transitions", "sequence"} & set(predictor.recommender.parts)
    first, turned = predictor.recommend([session([200, 201, 202]), session([202, 200, 201])])
    assert ids(first) == ids(turned)
    assert measured("share of first items of the group", share_of(2, first)) > 0.6  # 1.000


def test_a_given_test_split_is_what_is_measured(tmp_path: Path) -> None:
    table = planted_purchases()
    last = ~table.duplicated("user_id", keep="last")
    given = catalogue_of(
        tmp_path / "given", purchases=table[~last], purchases_test=table.loc[last, ["user_id", "item_id"]].reset_index(drop=True)
    )
    folder = train(given, tmp_path / "work", COUNTED)
    run = FAMILY.evaluate(folder, given, config().evaluation)
    assert run.evaluation.n == 48
    assert run.evaluation.metrics["recall_at_20"].value > 0.6
    predictor = RecommenderPredictor.load(folder)
    tested = table[last].set_index("user_id")["item_id"]
    answers = predictor.recommend([Query(user_id=user, num_recs=24) for user in tested.index])
    assert all(item in ids(answer) for item, answer in zip(tested, answers, strict=True))  # the test is not in the history


def test_what_was_looked_at_and_then_bought_is_measured(tmp_path: Path) -> None:
    table = planted_purchases()
    table = table.assign(timestamp=pd.Timestamp("2025-03-01", tz="UTC") + pd.to_timedelta(table.pop("position"), unit="D"))
    views = table.assign(kind="view", timestamp=table["timestamp"] - pd.Timedelta(minutes=5))
    viewed = catalogue_of(tmp_path / "viewed", purchases=table, events=views)
    run = FAMILY.evaluate(train(viewed, tmp_path / "work", COUNTED), viewed, config().evaluation)
    assert run.evaluation.n == 48
    assert run.evaluation.metrics["recall_at_20"].value > 0.6


def test_embeddings_tell_apart_what_nobody_bought(tmp_path: Path) -> None:
    table, rng = planted_purchases(), np.random.default_rng(0)
    products = [100 * group + number for group in range(3) for number in range(9)]  # number 8 is bought by nobody
    axes = np.eye(3, 6, dtype=np.float32)
    vectors = [(axes[key // 100] + 0.1 * rng.standard_normal(6)).astype(np.float32) for key in products]
    described = catalogue_of(
        tmp_path / "described",
        purchases=table,
        products=pd.DataFrame({"product_id": products, "title": [f"thing {key}" for key in products]}),
        embeddings=pd.DataFrame({"product_id": [str(key) for key in products], "embedding": vectors}),
    )
    predictor = RecommenderPredictor.load(train(described, tmp_path / "work", "model.parts=[content]"))
    unit = np.array(vectors[:9]) / np.linalg.norm(vectors[:9], axis=1, keepdims=True)
    np.testing.assert_allclose(predictor.recommender.features[:9], unit, atol=1e-5)
    for group in range(3):
        answer = ask(predictor, session([100 * group + number for number in range(4)], num_recs=27))
        places = {other: ids(answer).index(100 * other + 8) for other in range(3)}
        assert min(places, key=lambda other: places[other]) == group
        assert {item.reason.kind for item in answer.items[:3]} == {"similar_content"}


def test_without_users_to_choose_by_there_is_one_clear_line(tmp_path: Path) -> None:
    single = pd.DataFrame({"user_id": range(30), "item_id": [i % 7 for i in range(30)], "position": 0})
    with pytest.raises(VitrinaError, match=r"no user with purchases both to train on and to choose by; users with three or more"):
        train(catalogue_of(tmp_path / "single", purchases=single), tmp_path / "work")


def test_users_with_three_purchases_each_are_enough(tmp_path: Path) -> None:
    table = planted_purchases(users=30, each=3, seed=2)
    table = table[table.groupby("user_id")["item_id"].transform("size") == 3]
    predictor = RecommenderPredictor.load(train(catalogue_of(tmp_path / "three", purchases=table), tmp_path / "work"))
    assert len(ask(predictor, Query(user_id=int(table["user_id"].iloc[0]))).items) == 10


def test_text_ids_are_answered_as_text(tmp_path: Path) -> None:
    table = planted_purchases().assign(user_id=lambda rows: "u" + rows["user_id"].astype(str))
    table = table.assign(item_id="i" + table["item_id"].astype(str))
    predictor = RecommenderPredictor.load(train(catalogue_of(tmp_path / "text", purchases=table), tmp_path / "work", COUNTED))
    answer = ask(predictor, Query(user_id="u4", events=(Event("i103"),)))
    assert answer.basis == "history"
    assert {str(item)[:2] for item in ids(answer)[:3]} == {"i1"}
