"""Training: a delivery in, a registered and gated version out."""

from zenml import pipeline

from pipelines.hooks import remember
from steps.augment_data import augment_data
from steps.check_gates import check_gates
from steps.evaluate_champion import evaluate_champion
from steps.evaluate_model import evaluate_model
from steps.find_base import find_base
from steps.index_catalogue import index_catalogue
from steps.load_catalogue import load_catalogue
from steps.register_model import register_model
from steps.results import Checks, ModelRun
from steps.split_data import split_data
from steps.train_model import train_model
from steps.validate_data import validate_data
from steps.write_report import write_report


@pipeline(name="training", on_failure=remember)
def training(run: ModelRun, checks: Checks, data: list[str]) -> None:
    """Validate, split, augment, train, index, evaluate, gate, report, register.

    Each step gets what it depends on, so that a changed gate does not train again.
    """
    base = find_base(run.model)
    delivery = load_catalogue(run.model, data)
    quarantine, validation_report = validate_data(delivery, checks)
    split = split_data(delivery, quarantine, run.fitted)
    augmented = augment_data(delivery, quarantine, split, run.fitted)
    bundle, mlflow_run = train_model(delivery, quarantine, split, augmented, run.fitted, base)
    index = index_catalogue(bundle, delivery, quarantine, run.indexing)
    measured, predictions = evaluate_model(bundle, delivery, quarantine, split, run.fitted, run.config.evaluation)
    champion, champion_predictions = evaluate_champion(delivery, quarantine, split, run.fitted, run.config.evaluation)
    decision = check_gates(measured, champion, run.config.gates)
    report, headline = write_report(delivery, measured, predictions, champion, champion_predictions, decision, run.model)
    register_model(bundle, index, mlflow_run, delivery, measured, decision, report, headline, validation_report, run, base)
