"""The loop's last link: a drift verdict starts the next training run, once."""

from collections.abc import Sequence
from pathlib import Path

from configs.errors import VitrinaError
from configs.schema import RunConfig, StrictModel
from configs.settings import Settings
from operations.run import TrainingOutcome, run_monitoring, run_training


class WatchOutcome(StrictModel):
    """What monitoring said, and what came of it.

    Attributes:
        verdict: drift, no drift, or not enough data.
        notes: What of the window was left out, where rows enough remained.
        refused: Why the command answers no (exit code 1); empty where it answers yes.
    """

    model: str
    version: int
    verdict: str
    rows: int
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()
    report: str
    retraining: str = ""
    training: TrainingOutcome | None = None
    refused: str = ""


def watched(settings: Settings) -> list[str]:
    """Models that have a champion.

    Raises:
        VitrinaError: none has.
    """
    from models import family
    from registry.versions import with_champion

    found = with_champion(settings, family.names())
    if not found:
        raise VitrinaError("no model has a champion to watch; `vitrina promote MODEL VERSION` makes one")
    return found


def watch(settings: Settings, model: str, config: RunConfig, data: Sequence[Path | str], retrain: bool) -> WatchOutcome:
    """Judge the newest window; with `retrain`, train on `data`, or where the champion's lay, when the verdict is drift.

    A window starts at most one training run, and none while another one is under way.

    Raises:
        VitrinaError: no champion, a store out of reach, or nothing new to train on.
    """
    seen = run_monitoring(settings, model, config)
    outcome = WatchOutcome(
        model=model,
        version=seen.version,
        verdict=seen.verdict.summary,
        rows=seen.verdict.n_current,
        reasons=seen.verdict.reasons,
        notes=seen.verdict.notes,
        report=seen.report,
    )
    if not seen.verdict.drifted:
        return outcome
    if not retrain:
        return outcome.model_copy(update={"refused": f"{model} has drifted; --retrain --data DIR starts the next training run"})
    return _retrain(settings, model, config, data, outcome, seen.window_key)


def _retrain(
    settings: Settings, model: str, config: RunConfig, data: Sequence[Path | str], outcome: WatchOutcome, window_key: str
) -> WatchOutcome:
    from database.monitor_runs import claim_window, retraining

    delivery = _new_delivery(settings, model, outcome.version, data)
    if not claim_window(settings.database_url, model, outcome.version, window_key):
        return outcome.model_copy(update={"retraining": "not started: this window has had its run, or one is under way"})
    with retraining(settings.database_url, model, window_key):
        training = run_training(settings, model, delivery, config)
    failed = "" if training.challenger else f"{model} version {training.version}: {'; '.join(training.gates.failures())}"
    done = f"version {training.version} registered" + (" as challenger" if training.challenger else ", gates failed")
    return outcome.model_copy(update={"retraining": done, "training": training, "refused": failed})


def _new_delivery(settings: Settings, model: str, version: int, data: Sequence[Path | str]) -> list[Path | str]:
    """The folders to train on; they must hold something that the champion was not trained on, or its base has moved on."""
    from catalog.remote import is_remote, open_catalogue
    from models import family
    from provenance.events import with_events, without_events
    from registry.bases import behind
    from registry.versions import resolve

    tags = resolve(settings, f"{model}@{version}").tags
    before = [line if is_remote(line) else Path(line) for line in tags["vitrina.data_path"].splitlines()]
    folders = list(data) or without_events(before)
    catalogue = open_catalogue(folders, settings.deliveries)
    if family.get(model).events:
        catalogue = with_events(catalogue, settings)
    if catalogue.fingerprint() == tags["vitrina.data_fingerprint"] and not behind(settings, model):
        seen = ", ".join(map(str, folders))
        raise VitrinaError(f"{seen} is what {model} version {version} was trained on; give the new delivery with --data DIR")
    return folders
