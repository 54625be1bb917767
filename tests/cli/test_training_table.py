"""What `vitrina train` prints for people."""

import cli
from configs.schema import GateConfig
from models.evaluation.gates import decide
from models.evaluation.results import Evaluation, Metric

GATES = GateConfig.model_validate(
    {
        "thresholds": [
            {"metric": "article_type_accuracy", "at_least": 0.5},
            {"metric": "knn_f1", "at_least": 0.9},
            {"metric": "price_rmsle", "at_most": 0.4},
        ]
    }
)


def test_gates_and_tasks_that_do_not_apply_are_told_apart_from_failures() -> None:
    evaluation = Evaluation(
        model="product",
        data="f" * 64,
        split="test",
        n=9,
        metrics={name: Metric(value=0.8, low=0.7, high=0.9, n=9) for name in ("article_type_accuracy", "knn_f1")},
        not_applicable={"price_rmsle": "no prices"},
    )
    gates = decide(evaluation, GATES).model_dump(mode="json")
    more = {"stages": [], "gates": gates, "challenger": False, "version": 3, "report": "report.html"}
    lines = [" ".join(line.split()) for line in cli._show_training(evaluation.as_json() | more).splitlines()]
    for start in ("passed article_type_accuracy ≥ 0.5", "FAILED knn_f1 ≥ 0.9", "not applicable price_rmsle ≤ 0.4"):
        assert len([line for line in lines if line.startswith(start)]) == 1, start
    assert "not applicable: price_rmsle: no prices" in lines
