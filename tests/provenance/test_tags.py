"""A version's tags say where it came from."""

from configs.schema import GateConfig, Threshold
from models.bundles import BaseVersion
from models.evaluation.gates import decide
from models.evaluation.results import Evaluation, Metric
from provenance.source import git_commit
from provenance.tags import version_tags

GATES = GateConfig(thresholds=(Threshold(metric="knn_f1", at_least=0.5),))
EMPTY = Evaluation(model="product", data="f", split="test", n=1, metrics={})
PASSED = decide(EMPTY.model_copy(update={"metrics": {"knn_f1": Metric(value=0.6)}}), GATES)


def test_tags_of_a_version() -> None:
    tags = version_tags(("/a", "/b"), "f" * 64, {"trainer": {"seed": 1}}, PASSED, "run")
    assert tags["vitrina.data_path"] == "/a\n/b"
    assert tags["vitrina.data_fingerprint"] == "f" * 64
    assert tags["vitrina.git_commit"] == git_commit()
    assert tags["vitrina.zenml_run"] == "run"
    assert (tags["vitrina.gates"], tags["vitrina.gate_failures"]) == ("passed", "")


def test_the_configuration_is_told_whatever_its_order() -> None:
    configs = ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2})
    first, second, third = (version_tags((), "f", config, PASSED, "run")["vitrina.config"] for config in configs)
    assert first == second != third


def test_what_failed_is_told() -> None:
    tags = version_tags((), "f", {}, decide(EMPTY, GATES), "run")
    assert tags["vitrina.gates"] == "failed"
    assert "knn_f1" in tags["vitrina.gate_failures"]


def test_what_a_version_rests_on_is_told_where_it_does() -> None:
    base = BaseVersion(model="product", version=3, digest="d" * 64)
    told = version_tags((), "f", {}, PASSED, "run", base)
    assert told.pop("vitrina.rests_on") == "product@3 " + "d" * 64
    assert told == version_tags((), "f", {}, PASSED, "run")
