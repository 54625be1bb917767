import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from mlflow import MlflowClient

import registry.promotion as promotion
from database.errors import DatabaseError, LedgerMoved
from database.ledger import promotions
from registry.errors import PromotionRefused, RegistryError
from registry.promotion import NOTE_TAG, history, promote, reconcile, rollback
from registry.register import mark_challenger
from registry.versions import alias_targets

pytestmark = pytest.mark.slow


def moves(settings) -> list[tuple[object, ...]]:
    return [(row.from_version, row.to_version, row.who, row.action) for row in history(settings, "product")]


def in_the_ui(settings, alias: str, version: int | None) -> None:
    client = MlflowClient(settings.tracking_uri)
    if version is None:
        client.delete_registered_model_alias("vitrina-product", alias)
    else:
        client.set_registered_model_alias("vitrina-product", alias, str(version))


@pytest.fixture
def three(settings, make_version):
    """Versions 1, 2 and 3, all through their gates."""
    return [make_version(settings) for _ in range(3)]


def test_promotion_moves_champion_keeps_previous_and_takes_challenger_away(settings, three):
    mark_challenger(settings, three[0])
    assert promote(settings, "product", 1, "ana", "first").aliases == ("champion",)
    assert alias_targets(settings, "product") == {"champion": 1}
    mark_challenger(settings, three[1])
    promote(settings, "product", 2, "bo", "higher recall")
    mark_challenger(settings, three[2])
    assert alias_targets(settings, "product") == {"champion": 2, "previous": 1, "challenger": 3}
    first, second = history(settings, "product")
    assert (first.from_version, first.to_version, first.who, first.why) == (None, 1, "ana", "first")
    assert (second.from_version, second.to_version, second.who, second.why) == (1, 2, "bo", "higher recall")
    assert timedelta(0) <= datetime.now(UTC) - second.created_at < timedelta(minutes=1)


def test_rollback_swaps_champion_and_previous(settings, three):
    promote(settings, "product", 1, "ana")
    promote(settings, "product", 2, "ana")
    assert rollback(settings, "product", "bo", "complaints").version == 1
    assert alias_targets(settings, "product") == {"champion": 1, "previous": 2}
    assert rollback(settings, "product", "bo").version == 2
    assert moves(settings)[2:] == [(2, 1, "bo", "rollback"), (1, 2, "bo", "rollback")]


def test_what_may_not_be_promoted_leaves_everything_as_it_was(settings, make_version):
    make_version(settings)
    make_version(settings, tags={"vitrina.gates": "failed", "vitrina.gate_failures": "price_rmsle 0.9 > 0.5"}, gates="failed")
    promote(settings, "product", 1, "ana")
    before = (alias_targets(settings, "product"), moves(settings))
    with pytest.raises(PromotionRefused, match=r"product@2 may not become champion: gates failed \(price_rmsle 0\.9 > 0\.5\)"):
        promote(settings, "product", 2, "ana")
    with pytest.raises(PromotionRefused, match="product@1 is champion already"):
        promote(settings, "product", 1, "ana")
    with pytest.raises(RegistryError, match="no version 9; versions: 2, 1"):
        promote(settings, "product", 9, "ana")
    with pytest.raises(RegistryError, match="no alias 'previous'"):
        rollback(settings, "product", "ana")
    with pytest.raises(RegistryError, match="a reviewer must be named"):
        promote(settings, "product", make_version(settings).version, "  ")
    assert (alias_targets(settings, "product"), moves(settings)) == before
    assert PromotionRefused.exit_code == 1


def test_a_move_in_the_ui_is_written_down_once(settings, three):
    promote(settings, "product", 1, "ana")
    mark_challenger(settings, three[2])
    in_the_ui(settings, "champion", 3)
    row = reconcile(settings, "product")
    assert row is not None and (row.from_version, row.to_version, row.who) == (1, 3, "MLflow UI")
    assert reconcile(settings, "product") is None
    assert alias_targets(settings, "product") == {"champion": 3, "previous": 1}
    in_the_ui(settings, "champion", None)
    assert moves(settings) == [
        (None, 1, "ana", "promote"),
        (1, 3, "MLflow UI", "moved_in_ui"),
        (3, None, "MLflow UI", "moved_in_ui"),
    ]
    assert rollback(settings, "product", "bo").version == 3


def test_the_ledger_says_so_when_the_ui_ships_what_failed_its_gates(settings, make_version):
    make_version(settings, gates="failed")
    in_the_ui(settings, "champion", 1)
    assert history(settings, "product")[0].why == "alias moved in MLflow, although the version's gates are failed"


def test_a_ui_move_just_before_a_promotion_is_not_lost(settings, three):
    promote(settings, "product", 1, "ana")
    in_the_ui(settings, "champion", 2)
    promote(settings, "product", 3, "bo")
    assert moves(settings)[1:] == [(1, 2, "MLflow UI", "moved_in_ui"), (2, 3, "bo", "promote")]
    assert alias_targets(settings, "product") == {"champion": 3, "previous": 2}


def test_a_mover_that_died_before_the_ledger_still_gets_its_row(settings, three, monkeypatch):
    promote(settings, "product", 1, "ana")

    def die(*_: object, **__: object) -> None:
        raise DatabaseError("the database went away")

    with monkeypatch.context() as patch:
        patch.setattr(promotion, "append_promotion", die)
        with pytest.raises(DatabaseError):
            promote(settings, "product", 2, "bo", "higher recall")
    assert [row.to_version for row in promotions(settings.database_url, "product")] == [1]
    row = reconcile(settings, "product")
    assert row is not None and (row.from_version, row.to_version, row.who, row.why) == (1, 2, "bo", "higher recall")
    assert alias_targets(settings, "product") == {"champion": 2, "previous": 1}


def test_a_mover_that_died_before_the_other_aliases_is_mended(settings, three, monkeypatch):
    promote(settings, "product", 1, "ana")
    mark_challenger(settings, three[1])

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(promotion, "_mend_aliases", die)
        patch.setattr(promotion, "reconcile", lambda *_: None)
        promote(settings, "product", 2, "bo")
    assert alias_targets(settings, "product") == {"champion": 2, "challenger": 2}
    assert reconcile(settings, "product") is None
    assert alias_targets(settings, "product") == {"champion": 2, "previous": 1}


def test_an_old_note_of_a_mover_that_never_moved_does_not_sign_a_later_ui_move(settings, three):
    promote(settings, "product", 1, "ana")
    old = datetime.now(UTC) - timedelta(hours=1)
    note = promotion._Note(to_version=2, who="bo", why="", action="promote", at=old)
    MlflowClient(settings.tracking_uri).set_registered_model_tag("vitrina-product", promotion.NOTE_TAG, note.model_dump_json())
    reconcile(settings, "product")
    in_the_ui(settings, "champion", 2)
    assert moves(settings)[-1] == (1, 2, "MLflow UI", "moved_in_ui")


@pytest.mark.parametrize("text", ["", "{", "{}", '{"to_version": "x"}'])
def test_a_note_that_is_not_ours_says_nothing(settings, three, text):
    MlflowClient(settings.tracking_uri).set_registered_model_tag("vitrina-product", promotion.NOTE_TAG, text or "[]")
    in_the_ui(settings, "champion", 1)
    assert moves(settings) == [(None, 1, "MLflow UI", "moved_in_ui")]


def test_workers_that_see_a_ui_move_at_once_add_one_row(settings, three):
    promote(settings, "product", 1, "ana")
    in_the_ui(settings, "champion", 2)
    start, rows, errors = threading.Barrier(6), [], []

    def work() -> None:
        start.wait()
        try:
            rows.append(reconcile(settings, "product"))
        except (RegistryError, DatabaseError) as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len([row for row in rows if row is not None]) == 1
    assert moves(settings)[1:] == [(1, 2, "MLflow UI", "moved_in_ui")]


def test_workers_that_reconcile_during_promotions_sign_none_of_them(settings, three):
    over, errors = threading.Event(), []

    def follow() -> None:
        while not over.is_set():
            try:
                reconcile(settings, "product")
            except (RegistryError, DatabaseError) as error:
                errors.append(error)

    threads = [threading.Thread(target=follow) for _ in range(3)]
    for thread in threads:
        thread.start()
    for version in (1, 2, 3, 1, 2, 3):
        promote(settings, "product", version, "ana")
    over.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert moves(settings) == [
        (before, after, "ana", "promote") for before, after in [(None, 1), (1, 2), (2, 3), (3, 1), (1, 2), (2, 3)]
    ]


def test_a_ledger_row_that_somebody_else_adds_first_is_not_doubled(settings, three, monkeypatch):
    real, calls = promotion.append_promotion, []

    def slow(*args: object, **kwargs: object):
        calls.append(kwargs)
        if len(calls) == 1:
            real(*args, **kwargs)
            raise LedgerMoved("somebody saw the note and added the row")
        return real(*args, **kwargs)

    monkeypatch.setattr(promotion, "append_promotion", slow)
    promote(settings, "product", 1, "ana")
    assert moves(settings) == [(None, 1, "ana", "promote")]


def test_promoters_at_once_wait_for_each_other_and_each_signs_its_own_move(settings, three):
    start, errors = threading.Barrier(3), []

    def work(version: int) -> None:
        start.wait()
        try:
            promote(settings, "product", version, f"reviewer of {version}")
        except (RegistryError, DatabaseError) as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(version,)) for version in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    made = moves(settings)
    assert {(after, who, action) for _, after, who, action in made} == {(n, f"reviewer of {n}", "promote") for n in (1, 2, 3)}
    assert [before for before, *_ in made] == [None, *(after for _, after, *_ in made[:-1])]
    assert alias_targets(settings, "product") == {"champion": made[-1][1], "previous": made[-1][0]}


def test_a_promotion_while_the_database_is_away_moves_nothing(settings, three):
    promote(settings, "product", 1, "ana")
    away = replace(settings, database_url="postgresql://nobody@127.0.0.1:9/nothing")
    for move in (lambda: promote(away, "product", 2, "bo"), lambda: rollback(away, "product", "bo")):
        with pytest.raises(DatabaseError, match="connection"):
            move()
    assert alias_targets(settings, "product") == {"champion": 1}
    assert NOTE_TAG not in MlflowClient(settings.tracking_uri).get_registered_model("vitrina-product").tags
    assert moves(settings) == [(None, 1, "ana", "promote")]


def test_a_model_that_was_never_registered_has_an_empty_history(settings):
    assert history(settings, "quality") == []
    with pytest.raises(RegistryError, match="no registered version yet"):
        rollback(settings, "quality", "ana")
