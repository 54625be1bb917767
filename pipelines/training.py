"""Training: a delivery in, a registered and gated version out."""

from typing import Any

from zenml import pipeline

from configs.schema import GateConfig, ValidationConfig
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
def training(model: str, data: str, validation: ValidationConfig, gates: GateConfig, config: dict[str, Any]) -> None:
    """Validate, split, augment, train, evaluate, gate, report, register."""
    delivery = load_catalogue(model, data)
    quarantine, validation_report = validate_data(delivery, validation)
    split = split_data(delivery, quarantine, model, config)
    augmented = augment_data(delivery, split, model, config)
    bundle, mlflow_run = train_model(delivery, split, augmented, model, config)
    evaluation, predictions = evaluate_model(bundle, delivery, split, model, config)
    champion, champion_predictions = evaluate_champion(delivery, split, model, config)
    decision = check_gates(evaluation, champion, gates)
    report = write_report(delivery, evaluation, predictions, champion, champion_predictions, decision, model)
    register_model(bundle, mlflow_run, delivery, evaluation, decision, report, validation_report, model, config)
