import socket
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from database.audit import note
from database.engine import engine, migrate, reading, writing
from database.errors import DatabaseError
from database.tables import Base

ROOT = Path(__file__).parents[2]


def test_migrations_build_exactly_the_tables_that_the_code_declares(url):
    migrate(url)
    with reading(url) as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "vitrina_schema", "compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        names = set(sqlalchemy.inspect(connection).get_table_names())
    few_shot = {"fewshot_tasks", "fewshot_versions", "fewshot_states", "fewshot_examples"}
    service = {"jobs", "job_items", "catalog_products", "catalog_vectors", "api_keys", "audit", "cached_results"}
    assert names == {"predictions", "feedback", "promotions", "monitor_runs", "events", "vitrina_schema"} | few_shot | service


@pytest.mark.slow
def test_processes_that_migrate_at_once_all_succeed(url):
    program = f"from database.engine import migrate; migrate({url!r})"
    running = [subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in running] == [("", 0)] * 4
    with reading(url) as connection:
        assert len(sqlalchemy.inspect(connection).get_table_names()) == 17


def test_a_migration_that_is_run_twice_changes_nothing(url):
    migrate(url)
    migrate(url)
    with reading(url) as connection:
        assert connection.scalar(sqlalchemy.text("SELECT count(*) FROM vitrina_schema")) == 1


def test_a_schema_of_a_newer_program_is_refused(url):
    migrate(url)
    with writing(url) as connection:
        connection.execute(sqlalchemy.text("UPDATE vitrina_schema SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match="9999"):
        migrate(url)


def test_sqlite_is_opened_for_many_processes(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with reading(url) as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1}
    assert engine(url) is engine(url)


def test_a_reader_sees_one_moment_whatever_is_written_meanwhile(url):
    count = sqlalchemy.text("SELECT count(*) FROM audit")
    with reading(url) as connection:
        before = connection.scalar(count)
        with writing(url) as other:
            note(other, "ada", "key created", "shop")
        assert (before, connection.scalar(count)) == (0, 0)
    with reading(url) as connection:
        assert connection.scalar(count) == 1


def test_an_error_inside_a_transaction_leaves_nothing_behind(url):
    with pytest.raises(DatabaseError), writing(url) as connection:
        connection.execute(
            sqlalchemy.text("INSERT INTO feedback (prediction_id, created_at, labels) VALUES ('nobody', '2026-01-01', '{}')")
        )
    with reading(url) as connection:
        assert connection.scalar(sqlalchemy.text("SELECT count(*) FROM feedback")) == 0


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://somebody:s3cret@127.0.0.1:1/vitrina", "refused"),
        ("mysql://somebody:s3cret@127.0.0.1/vitrina", "allowed: sqlite, postgresql"),
        ("s3cret and no address", "postgresql://USER@HOST/NAME"),
        ("sqlite:////proc/s/vitrina.db", "cannot create the folder of the database, /proc/s"),
    ],
)
def test_a_database_that_cannot_be_reached_is_one_clear_line_without_the_password(address: str, said: str):
    with pytest.raises(DatabaseError, match=said) as caught, reading(address):
        pass
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_is_named(tmp_path: Path):
    path = tmp_path / "junk.db"
    path.write_bytes(b"this is not SQLite" * 100)
    with pytest.raises(DatabaseError, match=r"junk\.db: file is not a database"), reading(f"sqlite:///{path}"):
        pass
    assert path.read_bytes() == b"this is not SQLite" * 100


@pytest.mark.parametrize(("query", "idle"), [("", 5), ("?keepalives_idle=60", 60)])
def test_a_server_that_is_gone_without_a_word_is_given_up(postgres_url, query, idle):
    with reading(postgres_url + query) as connection:
        driver = connection.connection.driver_connection
        with socket.fromfd(driver.fileno(), socket.AF_INET, socket.SOCK_STREAM) as held:
            assert held.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert held.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == idle
            assert held.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
