"""What steps hand each other comes through ZenML as it was, and changes when what it stands for does."""

import json

import pytest
from pydantic import ValidationError

from configs.load import environment_file, load
from configs.schema import NOT_FITTED, EvaluationConfig, GateConfig, IndexConfig, RunConfig, Threshold, ValidationConfig
from models import family
from models.product.config import ProductRunConfig
from provenance.source import model_source, validation_source
from steps.results import Checks, ModelRun


@pytest.fixture(scope="module", params=family.names())
def run(request: pytest.FixtureRequest) -> ModelRun:
    return ModelRun.of(request.param, load(family.get(request.param).config, environment_file("demo", request.param)))


def test_a_run_comes_back_from_plain_values_with_the_configuration_of_its_model(run: ModelRun) -> None:
    for values in (run.model_dump(), json.loads(run.model_dump_json())):
        back = ModelRun.model_validate(values)
        assert back == run
        assert type(back.config) is family.get(run.model).config
    assert run.source == model_source(run.model)


def test_a_configuration_of_another_model_is_refused() -> None:
    values = ModelRun.of("product", ProductRunConfig()).model_dump()
    with pytest.raises(ValidationError, match="corruption"):
        ModelRun.model_validate(values | {"model": "recommender"})
    with pytest.raises(ValidationError, match="does not exist; allowed"):
        ModelRun.model_validate(values | {"model": "no such"})


def test_what_does_not_change_the_model_does_not_change_what_training_depends_on(run: ModelRun) -> None:
    other = {
        "validation": ValidationConfig(min_products=7),
        "evaluation": EvaluationConfig(bootstrap_samples=51),
        "gates": GateConfig(thresholds=(Threshold(metric="mrr", at_least=0.1),)),
        "drift": run.config.drift.model_copy(update={"min_rows": 3}),
        "tuning": run.config.tuning.model_copy(update={"trials": 3}),
        "index": IndexConfig(exact=7),
    }
    assert set(other) == set(NOT_FITTED)
    changed = run.model_copy(update={"config": run.config.model_copy(update=other)})
    assert changed != run
    assert changed.fitted == run.fitted
    assert changed.indexing != run.indexing
    assert run.fitted.fitted == run.fitted


@pytest.mark.parametrize("section", sorted(set(RunConfig.model_fields) - set(NOT_FITTED)))
def test_every_other_section_stays_as_it_is(run: ModelRun, section: str) -> None:
    assert getattr(run.fitted.config, section) == getattr(run.config, section)


def test_a_trainers_seed_is_another_run(run: ModelRun) -> None:
    trainer = run.config.trainer.model_copy(update={"seed": 99})
    assert run.model_copy(update={"config": run.config.model_copy(update={"trainer": trainer})}).fitted != run.fitted


def test_checks_know_their_source() -> None:
    checks = Checks.of(ValidationConfig(min_products=7))
    assert Checks.model_validate(checks.model_dump()) == checks
    assert checks.source == validation_source()
