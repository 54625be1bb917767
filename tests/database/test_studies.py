"""Optuna's tables in the application database: beside ours, made once, and in nobody's way."""

import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from alembic import command
from alembic.config import Config

from database.engine import engine, exclusive, migrate, probe, reading, writing
from database.errors import DatabaseError
from database.studies import study_storage

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TASKS = {"fewshot_tasks", "fewshot_versions", "fewshot_states", "fewshot_examples"}
SERVICE = {"jobs", "job_items", "catalog_products", "catalog_vectors", "api_keys", "audit", "cached_results"}
OURS = {"predictions", "feedback", "promotions", "monitor_runs", "events", "vitrina_schema"} | TASKS | SERVICE


def test_a_study_survives_its_process_and_leaves_our_tables_alone(url):
    with study_storage(url, 60, 1) as storage:
        study = optuna.create_study(storage=storage, study_name="s")
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    with study_storage(url, 60, 1) as storage:
        assert len(optuna.load_study(study_name="s", storage=storage).trials) == 2
    migrate(url)
    probe(url)
    with reading(url) as connection:
        names = set(sqlalchemy.inspect(connection).get_table_names())
    assert names >= OURS
    if url.startswith("postgresql"):
        assert names == OURS  # Optuna's have a schema of their own


def test_alembic_does_not_propose_to_drop_what_optuna_keeps(url, tmp_path: Path):
    with study_storage(url, 60, 1):
        pass
    config = Config()
    config.set_main_option("script_location", str(ROOT / "database" / "migrations"))
    with engine(url).connect() as connection:
        config.attributes["connection"] = connection
        command.check(config)  # raises where the database differs from the code


def test_a_version_table_of_mlflow_in_the_same_database_is_not_taken_for_optunas(postgres_url):
    with writing(postgres_url) as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)"))
        connection.execute(sqlalchemy.text("INSERT INTO alembic_version VALUES ('mlflow')"))
    with study_storage(postgres_url, 60, 1) as storage:
        optuna.create_study(storage=storage, study_name="s")
    with reading(postgres_url) as connection:
        assert connection.scalars(sqlalchemy.text("SELECT version_num FROM alembic_version")).all() == ["mlflow"]


def test_tables_of_another_version_of_optuna_are_refused(url):
    with study_storage(url, 60, 1):
        pass
    table = "optuna.alembic_version" if url.startswith("postgresql") else "alembic_version"
    with writing(url) as connection:
        connection.execute(sqlalchemy.text(f"UPDATE {table} SET version_num = 'v99'"))
    with pytest.raises(DatabaseError, match="no longer compatible") as refused, study_storage(url, 60, 1):
        pass
    assert "\n" not in str(refused.value)


def test_processes_that_open_a_new_storage_at_once_all_succeed(url):
    program = (
        f"from database.studies import study_storage\nwith study_storage({url!r}, 60, 1) as s: print(len(s.get_all_studies()))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [(process.communicate(timeout=60), process.returncode) for process in running] == [(("0\n", ""), 0)] * 2


def test_an_unreachable_database_is_one_line():
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    with pytest.raises(DatabaseError, match="database") as refused, study_storage(nowhere, 60, 1):
        pass
    assert "\n" not in str(refused.value)


def test_one_at_a_time_may_be_inside(url):
    migrate(url)
    program = f"from database.engine import exclusive\nwith exclusive({url!r}, 7): print('in', flush=True)"
    with exclusive(url, 7):
        waiting = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        with writing(url) as connection:  # writers are not held up
            connection.execute(sqlalchemy.text("DELETE FROM feedback"))
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(3)
    assert waiting.communicate(timeout=30)[0] == "in\n"
