from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fewshot_cases import EVALUATION, listings, pool

from configs.errors import VitrinaError
from models.evaluation.metrics import expected_calibration_error
from models.family import EvaluationRun
from models.fewshot.answers import Example, Lesson, Question
from models.fewshot.episodes import EpisodesConfig, Pool
from models.fewshot.evaluate import measure_pool
from models.fewshot.names import NAMES
from models.fewshot.played import Setting, play, rejections, uncalibrated
from models.fewshot.predictor import FewshotPredictor
from models.fewshot.report import paired_differences
from models.fewshot.shown import COLUMNS

DESIGN = (
    "accuracy_5way_1shot",
    "accuracy_5way_5shot",
    "accuracy_20way_5shot",
    "unknown_rejection",
    "adapt_p50_ms",
    "adapt_p95_ms",
)


def test_every_metric_is_there_with_its_interval_and_reads(made_up_run: EvaluationRun) -> None:
    metrics = made_up_run.evaluation.metrics
    for name in (*DESIGN, "false_rejection", "accuracy_novel_5way_5shot", "expected_calibration_error"):
        found = metrics[name]
        assert found.value is not None and found.low is not None and found.high is not None, name
        assert found.low <= found.value <= found.high
    assert metrics["accuracy_5way_1shot"].n == 30 and metrics["adapt_p50_ms"].n == EVALUATION.latency_calls
    assert {name for name in metrics if "." not in name} <= set(NAMES.metrics)
    assert {"chance", "shrunk_prototypes", "nearest_centroid"} == {name.partition(".")[0] for name in metrics if "." in name}
    assert not made_up_run.evaluation.not_applicable


def test_accuracy_and_rejections_are_what_the_service_answers(
    made_up_predictor: FewshotPredictor, tested: Pool, made_up_run: EvaluationRun
) -> None:
    frame = made_up_run.predictions
    main = tested.of_types([name for name in tested.types if made_up_predictor.settings.types[name] == "test"])
    rows = frame[(frame["kind"] == "episode") & (frame["setting"] == "5way_5shot")].reset_index(drop=True)
    drawn = play(main, Setting(5, 5), {}, 3, made_up_predictor.settings.config.model.episodes).episodes
    for place, episode in enumerate(drawn):
        taught = [
            Example(str(c), x) for c, x in zip(episode.support_codes, listings(main.product_ids[episode.support]), strict=True)
        ]
        [task] = made_up_predictor.adapt([Lesson(taught)])
        asked = made_up_predictor.classify([Question(task, x) for x in listings(main.product_ids[episode.query])])
        right = [
            max(answer.probabilities, key=lambda label: answer.probabilities[label]) == str(code)
            for answer, code in zip(asked, episode.query_codes, strict=True)
        ]
        strangers = made_up_predictor.classify([Question(task, x) for x in listings(main.product_ids[episode.strangers])])
        told = rows.loc[place]
        assert told["accuracy"] == pytest.approx(np.mean(right))
        assert told["false_rejection"] == pytest.approx(np.mean([answer.label is None for answer in asked]))
        assert told["unknown_rejection"] == pytest.approx(np.mean([answer.label is None for answer in strangers]))


def test_a_metric_is_the_mean_of_its_episodes_and_the_default_learners_own(
    made_up_predictor: FewshotPredictor, made_up_run: EvaluationRun
) -> None:
    metrics, frame = made_up_run.evaluation.metrics, made_up_run.predictions
    for setting, shots in (("5way_1shot", 1), ("5way_5shot", 5), ("20way_5shot", 5), ("novel_5way_5shot", 5)):
        rows = frame[(frame["kind"] == "episode") & (frame["setting"] == setting)]
        assert metrics[f"accuracy_{setting}"].value == pytest.approx(rows["accuracy"].mean())
        assert metrics[f"accuracy_{setting}"] == metrics[f"{made_up_predictor.settings.learner_for(shots)}.accuracy_{setting}"]
    assert metrics["chance.accuracy_20way_5shot"].value == pytest.approx(0.05)


def test_what_answers_is_held_against_simple_models_episode_by_episode(made_up_run: EvaluationRun) -> None:
    metrics, against = made_up_run.evaluation.metrics, made_up_run.evaluation.against
    pairs = {(pair.metric, pair.baseline): pair.difference for pair in against}
    assert ("accuracy_5way_1shot", "nearest_centroid.accuracy_5way_1shot") in pairs
    assert ("unknown_rejection", "nearest_centroid.unknown_rejection") in pairs
    for (metric, baseline), difference in pairs.items():
        one, other = metrics[metric].value, metrics[baseline].value
        assert one is not None and other is not None
        assert difference.value == pytest.approx(one - other) and difference.n == 30
    peers = {peer for of in NAMES.peers.values() for peer in of if not peer.startswith("prototypes.")}
    assert peers <= set(metrics)


def test_the_calibration_error_is_that_of_all_queries(
    made_up_predictor: FewshotPredictor, tested: Pool, made_up_run: EvaluationRun
) -> None:
    main = tested.of_types([name for name in tested.types if made_up_predictor.settings.types[name] == "test"])
    name = made_up_predictor.settings.learner_for(5)
    learners = {name: made_up_predictor.fitted.learners[name]}
    played = play(main, Setting(5, 5), learners, 30, made_up_predictor.settings.config.model.episodes)
    expected = expected_calibration_error(np.concatenate(played.confidence(name)), np.concatenate(played.right(name)))
    assert made_up_run.evaluation.metrics["expected_calibration_error"].value == pytest.approx(expected)


def test_the_frame_is_stored_as_parquet_and_tells_a_thing_a_row(made_up_run: EvaluationRun, tmp_path: Path) -> None:
    frame = made_up_run.predictions
    frame.to_parquet(tmp_path / "predictions.parquet", index=False)
    again = pd.read_parquet(tmp_path / "predictions.parquet")
    assert list(again.columns) == [*COLUMNS] and len(again) == len(frame)
    assert again["kind"].value_counts().to_dict() == frame["kind"].value_counts().to_dict()
    asked = again[again["kind"] == "asked"]
    support = again[again["kind"] == "support"]
    for key, rows in asked.groupby("episode"):
        taught = support[support["episode"] == key]
        assert not set(rows["product_id"]) & set(taught["product_id"])
        assert set(rows["answered"]) <= set(taught["true"])
        assert not set(rows.loc[rows["true"].notna(), "true"]) - set(taught["true"])


def test_the_worst_tasks_are_shown(made_up_run: EvaluationRun) -> None:
    frame = made_up_run.predictions
    rows = frame[frame["setting"] == "5way_5shot"]
    asked = rows[(rows["kind"] == "asked") & rows["true"].notna()]
    failed = ((asked["true"] != asked["answered"]) | (asked["stranger"] > 0.5)).groupby(asked["episode"]).mean()
    worst = asked.groupby("episode")["shown"].first() == "worst"
    assert worst.sum() == 5 and (~worst).sum() == 2
    assert failed[worst].min() >= failed[~worst].max()


def test_confused_pairs_are_counted_in_both_directions(made_up_run: EvaluationRun) -> None:
    frame = made_up_run.predictions
    rows = frame[(frame["kind"] == "confused") & (frame["setting"] == "5way_5shot")]
    pairs = [frozenset(pair) for pair in zip(rows["true"], rows["answered"], strict=True)]
    assert len(set(pairs)) == len(pairs) and rows["count"].is_monotonic_decreasing
    assert (rows["count"] <= rows["of"]).all()
    episodes = frame[(frame["kind"] == "episode") & (frame["setting"] == "5way_5shot")]
    assert rows["count"].sum() == round(float((1 - episodes["accuracy"]).sum() * 75))


def test_the_same_episodes_are_paired_and_others_are_not(made_up_run: EvaluationRun) -> None:
    frame = made_up_run.predictions
    better = frame.assign(accuracy=frame["accuracy"] + 0.01)
    found = paired_differences(better, frame)
    assert found["accuracy_5way_1shot"].value == pytest.approx(0.01) and found["accuracy_5way_1shot"].n == 30
    assert found["unknown_rejection"].value == 0.0
    assert paired_differences(frame, frame.assign(episode=frame["episode"] + "x")) == {}


@pytest.mark.slow
def test_too_few_types_are_no_task_of_the_version_and_say_why(made_up_predictor: FewshotPredictor) -> None:
    run = measure_pool(made_up_predictor, pool(6, 12, seed=7), "0" * 64, EVALUATION, "test")
    metrics, absent = run.evaluation.metrics, run.evaluation.not_applicable
    assert absent == {"accuracy_20way_5shot": "6 types to test have more than 5 products, 20 ways need 20"}
    assert "accuracy_5way_10shot" in metrics and "accuracy_5way_20shot" not in metrics
    few = measure_pool(made_up_predictor, pool(5, 12, seed=7), "0" * 64, EVALUATION, "test").evaluation
    assert "none is left to play a stranger" in few.not_applicable["unknown_rejection"]
    assert few.metrics["false_rejection"].value is not None
    with pytest.raises(VitrinaError, match="nothing can be measured: 4 types to test have more than 1 products, 5 ways need 5"):
        measure_pool(made_up_predictor, pool(4, 12, seed=7), "0" * 64, EVALUATION, "test")


def test_types_with_too_few_products_for_five_examples_leave_one_example(made_up_predictor: FewshotPredictor) -> None:
    found = measure_pool(made_up_predictor, pool(6, 4, seed=7), "0" * 64, EVALUATION, "test").evaluation
    assert found.metrics["accuracy_5way_1shot"].value is not None
    for name in ("accuracy_5way_5shot", "unknown_rejection", "false_rejection", "expected_calibration_error", "adapt_p95_ms"):
        assert found.not_applicable[name] == "0 types to test have more than 5 products, 5 ways need 5"


def test_how_many_types_training_has_seen_is_told(
    made_up_predictor: FewshotPredictor, made_up_run: EvaluationRun, tested: Pool
) -> None:
    assert made_up_run.evaluation.metrics["types_seen_before"].value == 0.0
    types = dict(made_up_predictor.settings.types) | dict.fromkeys(tested.types[:14], "train")
    settings = made_up_predictor.settings.model_copy(update={"types": types})
    other = FewshotPredictor(made_up_predictor.fitted, made_up_predictor.embedder, made_up_predictor.base, settings, "weights")
    found = measure_pool(other, replace(tested), "0" * 64, EVALUATION.model_copy(update={"latency_calls": 1}), "train")
    assert found.evaluation.metrics["types_seen_before"].value == pytest.approx(14 / 28)
    assert set(found.predictions.loc[found.predictions["known"] == "yes", "true"]) == set(tested.types[:14])


def test_the_uncalibrated_peer_rejects_as_many_members(tested: Pool) -> None:
    played = play(tested, Setting(5, 5), {}, 20, EpisodesConfig())
    loose, strict = (uncalibrated(played, rate) for rate in (0.05, 0.4))
    assert (strict >= loose).all() and strict.mean() > loose.mean() > 0.05


def test_rejections_of_nothing_are_no_number(made_up_predictor: FewshotPredictor, tested: Pool) -> None:
    learner = made_up_predictor.fitted.learners["shrunk_prototypes"]
    played = play(tested.of_types(tested.types[:5]), Setting(5, 1), {}, 3, EpisodesConfig())
    found = rejections(played, made_up_predictor.fitted.unknown, learner)  # type: ignore[arg-type]
    assert not found.some and len(found.false_rejection) == 3
