"""Moves `champion`, keeps `previous`, and writes every move to the ledger, whoever made it.

The aliases live in MLflow and the ledger in the database, so no transaction spans both. `champion` in MLflow is the
truth; the ledger's newest row says where it was last seen. Whoever finds that they differ adds the missing row, which
only one can (rows are numbered). A mover first leaves a note (tag `vitrina.moving` of the registered model) saying
who moves what and why, so that a move whose mover died before the ledger is still written down under the right name.
Movers wait for each other, whatever host they run on: there is one note.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from configs.schema import StrictModel
from configs.settings import Settings
from database.engine import exclusive
from database.errors import LedgerMoved
from database.ledger import Action, Promotion, append_promotion, last_promotion, promotions
from registry.connection import connected, is_missing
from registry.errors import PromotionRefused, RegistryError
from registry.versions import CHALLENGER, CHAMPION, PREVIOUS, ModelVersion, point, registered_name, resolve

if TYPE_CHECKING:
    from mlflow import MlflowClient

IN_THE_UI = "MLflow UI"
NOTE_TAG = "vitrina.moving"
NOTE_LIFETIME = timedelta(minutes=10)
_MOVING = 0x5649_5450  # any number that nothing else in the database locks


class _Note(StrictModel):
    """Who is moving champion, where to, and why."""

    to_version: int
    who: str
    why: str
    action: Action
    at: datetime


def promote(settings: Settings, model: str, version: int, reviewer: str, note: str = "") -> ModelVersion:
    """Make `version` champion; the one it replaces becomes `previous`.

    Raises:
        PromotionRefused: its gates did not pass, or it is champion already.
        RegistryError: no such version, or no reviewer named.
        DatabaseError: unreachable; then nothing was moved.
    """
    with exclusive(settings.database_url, _MOVING):
        candidate = resolve(settings, f"{model}@{version}")
        reconcile(settings, model)
        if CHAMPION in candidate.aliases:
            raise PromotionRefused(f"{candidate} is champion already")
        if not candidate.gates_passed:
            reasons = candidate.tags.get("vitrina.gate_failures") or "its evaluation report says why"
            gates = candidate.tags.get("vitrina.gates", "unknown")
            raise PromotionRefused(f"{candidate} may not become champion: gates {gates} ({reasons})")
        return _move(settings, candidate, reviewer, note, "promote")


def rollback(settings: Settings, model: str, reviewer: str, note: str = "") -> ModelVersion:
    """Make `previous` champion again; the version it replaces becomes `previous`.

    Raises:
        RegistryError: there is no previous version, or no reviewer named.
        DatabaseError: unreachable; then nothing was moved.
    """
    with exclusive(settings.database_url, _MOVING):
        reconcile(settings, model)
        return _move(settings, resolve(settings, f"{model}@{PREVIOUS}"), reviewer, note, "rollback")


def history(settings: Settings, model: str) -> list[Promotion]:
    """Every move of `champion`, oldest first, those made in the MLflow UI included."""
    registered_name(model)
    reconcile(settings, model)
    return promotions(settings.database_url, model)


def reconcile(settings: Settings, model: str) -> Promotion | None:
    """Write down a move of `champion` that the ledger does not know, and mend the other aliases; the row, if one was added.

    Any number of processes may do this at any time.
    """
    name = registered_name(model)
    last = last_promotion(settings.database_url, model)  # before the aliases: a row is added only if none came in between
    with connected(settings) as client:
        registered = _registered(client, name)
        if registered is None:
            return None
        champion = _target(registered, CHAMPION)
        note = _note(registered)
        added = None
        if champion != (last.to_version if last else None):
            # MLflow reads tags and aliases one after the other. A mover's note precedes its move, so it stands in what is
            # read now, unless the move is in the ledger by now, and then no row is added.
            note = _note(_registered(client, name) or registered)
            added = _write_down(settings, client, model, last, champion, note)
            last = added or last_promotion(settings.database_url, model)
        elif note and datetime.now(UTC) - note.at > NOTE_LIFETIME:
            client.delete_registered_model_tag(name, NOTE_TAG)
        if last and champion == last.to_version:
            _mend_aliases(client, registered, last)
    return added


def _move(settings: Settings, target: ModelVersion, reviewer: str, note: str, action: Action) -> ModelVersion:
    if not reviewer.strip():
        raise RegistryError("a reviewer must be named: the ledger says who took the responsibility")
    name, version = registered_name(target.model), target.version
    intent = _Note(to_version=version, who=reviewer.strip(), why=note.strip(), action=action, at=datetime.now(UTC))
    with connected(settings) as client:
        client.set_registered_model_tag(name, NOTE_TAG, intent.model_dump_json())
        point(client, name, CHAMPION, version)
    _record(settings, target.model, intent)
    reconcile(settings, target.model)
    with connected(settings) as client:
        client.delete_registered_model_tag(name, NOTE_TAG)
    return resolve(settings, f"{target.model}@{version}")


def _record(settings: Settings, model: str, intent: _Note) -> None:
    """Add the row of a move just made, unless somebody who saw the note already did."""
    while True:
        last = last_promotion(settings.database_url, model)
        if last and last.to_version == intent.to_version:
            return
        try:
            append_promotion(
                settings.database_url,
                model,
                from_version=last.to_version if last else None,
                to_version=intent.to_version,
                who=intent.who,
                why=intent.why,
                action=intent.action,
                after=last.sequence if last else 0,
            )
        except LedgerMoved:
            continue
        return


def _write_down(
    settings: Settings,
    client: "MlflowClient",
    model: str,
    last: Promotion | None,
    champion: int | None,
    note: _Note | None,
) -> Promotion | None:
    ours = note if note and note.to_version == champion else None
    try:
        return append_promotion(
            settings.database_url,
            model,
            from_version=last.to_version if last else None,
            to_version=champion,
            who=ours.who if ours else IN_THE_UI,
            why=ours.why if ours else _what_the_ui_did(client, model, champion),
            action=ours.action if ours else "moved_in_ui",
            after=last.sequence if last else 0,
        )
    except LedgerMoved:
        return None


def _what_the_ui_did(client: "MlflowClient", model: str, champion: int | None) -> str:
    if champion is None:
        return "alias removed in MLflow"
    gates = client.get_model_version(registered_name(model), str(champion)).tags.get("vitrina.gates", "unknown")
    return "alias moved in MLflow" + ("" if gates == "passed" else f", although the version's gates are {gates}")


def _mend_aliases(client: "MlflowClient", registered: Any, last: Promotion) -> None:
    """`previous` is what champion replaced; a champion is nobody's challenger."""
    from mlflow.exceptions import MlflowException

    if last.to_version is not None and _target(registered, CHALLENGER) == last.to_version:
        now = _registered(client, registered.name)  # a training may have made a new challenger meanwhile
        if now is not None and _target(now, CHALLENGER) == last.to_version:
            client.delete_registered_model_alias(registered.name, CHALLENGER)
    if last.from_version is not None and _target(registered, PREVIOUS) != last.from_version:
        try:
            point(client, registered.name, PREVIOUS, last.from_version)
        except MlflowException as error:
            if not is_missing(error):  # the version was deleted since
                raise


def _registered(client: "MlflowClient", name: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if is_missing(error):
            return None
        raise


def _target(registered: Any, alias: str) -> int | None:
    return int(registered.aliases[alias]) if alias in registered.aliases else None


def _note(registered: Any) -> _Note | None:
    text = registered.tags.get(NOTE_TAG)
    if not text:
        return None
    try:
        return _Note.model_validate(json.loads(text))
    except (json.JSONDecodeError, ValidationError):
        return None  # anybody may write tags; one that is not ours says nothing
