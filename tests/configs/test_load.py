from pathlib import Path
from typing import Any

import pytest

from configs.cluster import ClusterConfig
from configs.errors import ConfigError
from configs.load import ENVIRONMENTS, FOLDER, environment_file, load, read_yaml, validate
from configs.schema import RunConfig, ServingConfig, SplitConfig, StrictModel
from models import family

NOT_OF_MODELS: dict[str, type[StrictModel]] = {"serving": ServingConfig, "cluster": ClusterConfig}
FILES = sorted(path for environment in ENVIRONMENTS for path in (FOLDER / environment).glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_file_fits_its_schema(path: Path) -> None:
    load(NOT_OF_MODELS[path.stem] if path.stem in NOT_OF_MODELS else family.get(path.stem).config, path)


def test_the_environments_have_both_files() -> None:
    assert {"demo", "base"} <= set(ENVIRONMENTS)
    for environment in ("demo", "base"):
        for name in ("product", "serving"):
            assert environment_file(environment, name).is_file()


def test_an_unknown_environment_or_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"environment 'moon' does not exist; allowed: .*base.*demo"):
        environment_file("moon", "product")
    with pytest.raises(ConfigError, match=r"'demo' has no teapot\.yaml; it has: .*product"):
        environment_file("demo", "teapot")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trainer": {"epoch": 3}}, r"c\.yaml: unknown key 'trainer\.epoch'; allowed here: accumulate, batch_size"),
        ({"trane": {}}, r"unknown key 'trane'; allowed here: augmentation, drift"),
        (
            {"gates": {"thresholds": [{"metric": "a", "at_least": 1, "most": 2}]}},
            r"unknown key 'gates\.thresholds\.0\.most'; allowed here: at_least",
        ),
        ({"trainer": {"epochs": 0}}, r"trainer\.epochs = 0: .*greater than or equal to 1"),
        ({"trainer": {"epochs": "many"}}, r"trainer\.epochs = 'many': .*integer"),
        ({"trainer": {"learning_rate": float("nan")}}, r"trainer\.learning_rate = nan"),
        ({"split": {"by": "luck"}}, r"split\.by = 'luck': .*'hash' or 'time'"),
        ({"split": {"validation": 0.6, "test": 0.4}}, r"split = .*validation \+ test is 1; it must stay below 1"),
        ({"gates": {"thresholds": [{"metric": "a"}]}}, r"threshold on 'a' needs exactly one of at_least, at_most"),
    ],
)
def test_a_wrong_value_is_named_with_its_path(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(RunConfig, values, where="c.yaml")


def test_every_problem_is_told_in_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(RunConfig, {"trainer": {"epochs": 0}, "split": {"salt": 3}}, where="c.yaml")
    assert "trainer.epochs" in str(caught.value)
    assert "split.salt" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_overrides_go_on_top_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("trainer:\n  epochs: 7\n  seed: 1\n")
    config = load(RunConfig, path, ["trainer.epochs=9", "split.by=time", "trainer.max_minutes=null", "evaluation.worst = 3"])
    assert (config.trainer.epochs, config.trainer.seed, config.split.by, config.evaluation.worst) == (9, 1, "time", 3)
    assert config.trainer.max_minutes is None
    assert load(RunConfig) == RunConfig()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.epochs", "is not of the form a.b=value"),
        ("=3", "is not of the form a.b=value"),
        ("trainer..epochs=3", "is not of the form a.b=value"),
        ("trainer.epochs=[1", "the value is not valid YAML"),
        ("salt.by.day=1", "'salt' holds a value, not a section"),
        ("test=nan_", r"test = 'nan_'"),
        ("tset=0.1", "unknown key 'tset'; allowed here: by, salt, test, validation"),
    ],
)
def test_a_wrong_override_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(SplitConfig, None, ["salt=x", override])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1", "is not valid YAML"),
        (b"- 1\n- 2\n", "must hold a mapping of keys to values, not a list"),
        (b"a: \xff\n", "cannot read configuration"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        load(SplitConfig, path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_one_line_and_an_empty_one_means_defaults(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"c\.yaml: No such file"):
        load(SplitConfig, tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text("# nothing set\n")
    assert read_yaml(tmp_path / "c.yaml") == {}
    assert load(SplitConfig, tmp_path / "c.yaml") == SplitConfig()


def test_configurations_do_not_change_after_reading() -> None:
    with pytest.raises(ValueError, match="frozen"):
        SplitConfig().salt = "x"  # type: ignore[misc]


def test_a_file_may_say_only_what_differs_from_one_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: base/product\ntrainer: {epochs: 3}\ngates: {thresholds: []}\n")
    config = family.get("product").config
    mine, base = load(config, path, ["trainer.seed=4"]), load(config, environment_file("base", "product"))
    trainer = base.trainer.model_copy(update={"epochs": 3, "seed": 4})
    assert mine == base.model_copy(update={"trainer": trainer, "gates": base.gates.model_copy(update={"thresholds": ()})})


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("product", r"mine\.yaml: extends = 'product' names no file; allowed: ENVIRONMENT/NAME, such as base/product"),
        ("3", r"extends = 3 names no file"),
        ("moon/product", r"environment 'moon' does not exist"),
        ("base/teapot", r"'base' has no teapot\.yaml; it has: describer"),
        ("../etc/passwd", r"extends = '\.\./etc/passwd' names no file"),
        ("base/../demo/product", r"names no file"),
    ],
)
def test_what_a_file_extends_is_one_of_ours(tmp_path: Path, named: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: {named}\n")
    with pytest.raises(ConfigError, match=message):
        load(SplitConfig, path)


@pytest.mark.parametrize("model", family.names())
def test_the_cluster_trains_as_base_does_but_for_what_nodes_give(model: str) -> None:
    config = family.get(model).config
    base, there = load(config, environment_file("base", model)), load(config, environment_file("kubeflow", model))
    free = {"max_minutes": None, "workers": 0}
    assert there.trainer.model_copy(update=free) == base.trainer.model_copy(update=free)
    assert there.model_copy(update={"trainer": base.trainer}) == base
