"""Training: a delivery in, a registered and gated version out."""

from typing import Any

from zenml import pipeline

from configs.schema import EvaluationConfig, GateConfig, ValidationConfig
from steps.augment_data import augment_data
from steps.check_gates import check_gates
from steps.evaluate_champion import evaluate_champion
from steps.evaluate_model import evaluate_model
from steps.load_catalogue import load_catalogue
from steps.register_model import register_model
from steps.split_data import split_data
from steps.train_model import train_model
from steps.validate_data import validate_data
from steps.write_report import write_report


@pipeline(name="training")
def training(
    model: str,
    data: list[str],
    validation: ValidationConfig,
    fit: dict[str, Any],
    evaluation: EvaluationConfig,
    gates: GateConfig,
    config: dict[str, Any],
) -> None:
    """Validate, split, augment, train, evaluate, gate, report, register.

    Each step gets the sections it depends on, so that a changed gate does not train again; `fit` is what training
    depends on, `config` the whole, for the record.
    """
    delivery = load_catalogue(model, data)
    quarantine, validation_report = validate_data(delivery, validation)
    split = split_data(delivery, quarantine, model, fit)
    augmented = augment_data(delivery, split, model, fit)
    bundle, mlflow_run = train_model(delivery, split, augmented, model, fit)
    measured, predictions = evaluate_model(bundle, delivery, split, model, evaluation)
    champion, champion_predictions = evaluate_champion(delivery, split, model, evaluation)
    decision = check_gates(measured, champion, gates)
    report = write_report(delivery, measured, predictions, champion, champion_predictions, decision, model)
    register_model(bundle, mlflow_run, delivery, measured, decision, report, validation_report, model, config)
