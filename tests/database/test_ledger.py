import threading

import pytest
import sqlalchemy

from database.engine import writing
from database.errors import DatabaseError, LedgerMoved
from database.ledger import append_promotion, last_promotion, promotions


def append(url: str, to: int | None, after: int, model: str = "product", who: str = "ana"):
    return append_promotion(url, model, from_version=None, to_version=to, who=who, why="better", action="promote", after=after)


def test_rows_are_kept_in_order_by_model(url):
    rows = [append(url, 1, 0), append(url, 2, 1), append(url, None, 2)]
    other = append(url, 7, 0, model="recommender")
    assert promotions(url, "product") == rows
    assert last_promotion(url, "product") == rows[-1]
    assert promotions(url, "recommender") == [other]
    assert last_promotion(url, "quality") is None


def test_a_writer_that_saw_an_old_ledger_is_refused(url):
    append(url, 1, 0)
    for stale in (0, 2):
        with pytest.raises(LedgerMoved):
            append(url, 2, stale)
    assert [row.to_version for row in promotions(url, "product")] == [1]


def test_of_many_writers_of_one_row_one_succeeds(url):
    append(url, 1, 0)
    outcomes: list[bool] = []
    start = threading.Barrier(6)

    def write(name: str) -> None:
        start.wait()
        try:
            append(url, 2, 1, who=name)
            outcomes.append(True)
        except LedgerMoved:
            outcomes.append(False)

    threads = [threading.Thread(target=write, args=(f"writer {i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 5 + [True]
    assert [row.sequence for row in promotions(url, "product")] == [1, 2]


STATEMENTS = [
    "UPDATE promotions SET who = 'nobody'",
    "DELETE FROM promotions",
    "INSERT OR REPLACE INTO promotions (id, model, sequence, alias, who, why, action, created_at) "
    "VALUES (1, 'product', 1, 'champion', 'nobody', '', 'promote', '2026-01-01')",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_the_ledger_cannot_be_rewritten(url, statement):
    if "REPLACE" in statement and url.startswith("postgresql"):
        statement = "TRUNCATE promotions"
    append(url, 1, 0)
    with pytest.raises(DatabaseError, match="append-only"), writing(url) as connection:
        connection.execute(sqlalchemy.text(statement))
    assert [row.who for row in promotions(url, "product")] == ["ana"]
