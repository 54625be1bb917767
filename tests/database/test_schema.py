"""The schema is brought up to date once, by whoever is told to, and others wait for that."""

import json
import subprocess
import threading
from pathlib import Path

import pytest
import sqlalchemy
from commands import VITRINA, environment

from database.engine import engine, migrate, writing
from database.errors import DatabaseError
from database.schema import awaited, upgrade

HEAD = max(path.name[:4] for path in (Path(__file__).parents[2] / "database/migrations/versions").glob("0*.py"))


def tables(url: str) -> set[str]:
    with engine(url).connect() as connection:
        inspected = sqlalchemy.inspect(connection)
        names = set(inspected.get_table_names())
        return names | (set(inspected.get_table_names("dbos")) if "postgres" in url else set())


def test_upgrade_says_from_what_to_what_and_makes_the_tables_of_jobs_too(url):
    first, again = upgrade(url), upgrade(url)
    assert (first.before, first.after) == (None, HEAD)
    assert (again.before, again.after) == (HEAD, HEAD)
    assert {"predictions", "jobs", "workflow_status"} <= tables(url)


def test_looking_makes_no_schema(url):
    assert awaited(url, 0)[1:] == (None, HEAD)
    assert tables(url) == set()


@pytest.mark.slow
def test_waiting_ends_when_somebody_has_migrated(url):
    waiting, found = threading.Event(), []

    def wait() -> None:
        waiting.set()
        found.append(awaited(url, 60))

    thread = threading.Thread(target=wait)
    thread.start()
    waiting.wait(60)
    migrate(url)
    thread.join(60)
    assert [status.schema for status in found] == [HEAD]


def test_a_newer_schema_is_not_waited_for(url):
    migrate(url)
    with writing(url) as connection:
        connection.execute(sqlalchemy.text("UPDATE vitrina_schema SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match="9999, is newer than this program's"):
        awaited(url, 60)
    with pytest.raises(DatabaseError, match="9999"):
        upgrade(url)


def test_a_server_that_is_away_is_an_error_when_the_time_is_over():
    with pytest.raises(DatabaseError, match="nobody"):
        awaited("postgresql://nobody@127.0.0.1:1/x", 0.5)


@pytest.mark.slow
def test_the_commands_end_with_1_before_and_0_after_and_2_without_a_server(tmp_path: Path):
    def vitrina(*arguments: str, url: str | None = None) -> "subprocess.CompletedProcess[str]":
        variables = environment(tmp_path) | ({"VITRINA_DATABASE_URL": url} if url else {})
        return subprocess.run([VITRINA, "database", *arguments], capture_output=True, text=True, env=variables, timeout=120)

    before = vitrina("status", "--json")
    assert (before.returncode, json.loads(before.stdout)["schema"]) == (1, None)
    assert before.stderr == f"vitrina: the schema is empty, {HEAD} is needed: `vitrina database migrate`\n"
    done = vitrina("migrate")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'vitrina.db'}: from an empty schema to {HEAD}\n")
    assert vitrina("status").returncode == 0
    away = vitrina("migrate", url="postgresql://nobody:hush@127.0.0.1:1/x")
    assert (away.returncode, away.stderr.count("\n"), "hush" in away.stderr) == (2, 1, False)
