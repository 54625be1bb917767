"""What a reviewer is told first."""

from configs.schema import GateConfig
from models.evaluation.gates import decide
from models.evaluation.names import Names
from models.evaluation.results import Evaluation, Metric
from models.evaluation.verdict import Headline, headline

NAMES = Names(
    metrics={
        "type": ("Type: accuracy", "higher"),
        "price": ("Price: error", "lower"),
        "photo": ("Photo: recall", "higher"),
        "near": ("Neighbours: F1", "higher"),
        "range": ("Price: inside its range", None),
    },
    headline=("type", "price", "photo", "near"),
    peers={"type": ("majority", "linear"), "price": ("median",)},
    does={"majority": "the most frequent type", "linear": "a linear model", "median": "the median"},
)
GATES = GateConfig.model_validate(
    {
        "better_than": [{"metric": "type", "baseline": "majority", "better": "higher"}],
        "not_worse_than": [{"metric": "price", "baseline": "median", "better": "lower"}],
    }
)
VALUES = {"type": 0.9, "price": 0.2, "photo": 0.7, "near": 0.8, "range": 0.9, "majority": 0.3, "linear": 0.85, "median": 0.6}


def evaluation(absent: dict[str, str] | None = None, **changed: float | None) -> Evaluation:
    values = {name: value for name, value in (VALUES | changed).items() if name not in (absent or {})}
    metrics = {
        name: Metric(value=None) if value is None else Metric(value=value, low=value - 0.01, high=value + 0.01, n=500)
        for name, value in values.items()
    }
    return Evaluation(model="product", data="f", split="test", n=500, metrics=metrics, not_applicable=absent or {})


def told(new: Evaluation, old: Evaluation | None = None) -> Headline:
    return headline(new, old, decide(new, GATES, old), NAMES)


def test_a_version_that_passed_with_its_champion_and_simple_models() -> None:
    assert told(evaluation(), evaluation(type=0.8, price=0.19)).markdown() == [
        "**May be promoted: all 2 gates passed.**",
        "",
        "- Type: accuracy **0.900** (champion 0.800: clearly better; the most frequent type 0.300; a linear model 0.850)",
        "- Price: error, lower is better **0.200** (champion 0.190: no clear difference; the median 0.600)",
        "- Photo: recall **0.700** (champion 0.700: no clear difference)",
    ]


def test_a_version_that_failed_says_why() -> None:
    found = told(evaluation(type=0.31, price=0.9))
    assert (found.verdict, found.tone) == ("Do not ship: 2 of 2 gates failed", "bad")
    assert found.markdown()[-4:] == [
        "Why not:",
        "",
        "- type is 0.31, majority 0.3: between 0.00414 worse and 0.0241 better; asked: clearly better",
        "- price is 0.9, median 0.6: worse by 0.286 to 0.314; asked: not clearly worse",
    ]


def test_figures_are_of_tasks_that_there_are() -> None:
    absent = {"price": "no prices", "range": "no prices", "median": "no prices", "photo": "no photos"}
    found = told(evaluation(absent))
    assert [figure.label for figure in found.figures] == ["Type: accuracy", "Neighbours: F1"]
    assert found.verdict == "May be promoted: its only gate passed (1 not applicable)"
    assert found.left_out == ("Price: error, Price: inside its range (no prices)", "Photo: recall (no photos)")
    assert found.markdown()[-4:] == ["Not applicable:", "", *(f"- {line}" for line in found.left_out)]


def test_a_figure_that_a_gate_misses_is_shown_as_missing_others_make_room() -> None:
    found = told(evaluation(price=None, photo=None))
    assert [figure.label for figure in found.figures] == ["Type: accuracy", "Price: error, lower is better", "Neighbours: F1"]
    assert "- Price: error, lower is better **not measured** (the median 0.600)" in found.markdown()


def test_tasks_that_only_the_champion_has_are_a_warning() -> None:
    absent = {"price": "no prices", "range": "no prices"}
    found = told(evaluation(absent), evaluation())
    assert found.tone == "warn"
    assert found.verdict.endswith(", but the champion has tasks that it lacks")
    assert "The champion has tasks that this version lacks: Price: error, Price: inside its range." in found.markdown()
    assert told(evaluation(), evaluation(absent)).lost == ()
    assert told(evaluation(absent), evaluation(absent)).tone == "good"
