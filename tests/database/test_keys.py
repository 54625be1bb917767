import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy

from configs.errors import ConfigError
from database.audit import entries
from database.engine import reading, writing
from database.errors import NotFound
from database.keys import TOKEN, NameTaken, create, digest_of, forget, keys, revoke

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_key_is_kept_as_its_digest_alone(url):
    key, token = create(url, "shop", ("read", "predict"), who="ada", requests_a_minute=7)
    assert TOKEN.fullmatch(token)[1] == key.id
    assert key.digest == digest_of(token)
    assert key.scopes == ("predict", "read")
    assert keys(url) == [key]
    secret = token.rpartition("_")[2] if token.count("_") == 2 else token[16:]
    with reading(url) as connection:
        for table in ("api_keys", "audit"):
            assert secret not in str(connection.execute(sqlalchemy.text(f"SELECT * FROM {table}")).all())


def test_two_keys_have_nothing_in_common(url):
    (_, first), (_, second) = create(url, "a", ("read",), who="ada"), create(url, "b", ("read",), who="ada")
    assert first[:15] != second[:15]
    assert first[16:] != second[16:]
    assert len(first) == len(second) == 59


def test_a_key_ends_by_revocation_and_by_its_time(url):
    key, _ = create(url, "shop", ("read",), who="ada", expires_at=NOW + timedelta(days=1))
    assert [key.state(NOW), key.state(NOW + timedelta(days=1))] == ["valid", "expired"]
    revoked = revoke(url, "shop", who="ada")
    assert revoked.state(NOW) == "revoked"
    assert revoke(url, "shop", who="bob") == revoked
    assert keys(url) == [revoked]


def test_what_is_done_to_keys_is_in_the_audit_trail(url):
    key, _ = create(url, "shop", ("read",), who="ada", requests_a_minute=7)
    revoke(url, "shop", who="bob")
    forget(url, "shop", who="cem")
    rows = [(row.who, row.action, row.subject) for row in entries(url)]
    assert rows == [("cem", "key forgotten", "shop"), ("bob", "key revoked", "shop"), ("ada", "key created", "shop")]
    assert entries(url)[-1].detail == {"id": key.id, "scopes": ["read"], "expires_at": None, "requests_a_minute": 7}
    assert len(entries(url, limit=2)) == 2
    assert keys(url) == []


def test_a_deed_that_fails_is_not_in_the_audit_trail(url):
    create(url, "shop", ("read",), who="ada")
    with pytest.raises(NameTaken, match="a key 'shop' exists"):
        create(url, "shop", ("admin",), who="eve")
    with pytest.raises(NotFound, match="no key 'other'"):
        revoke(url, "other", who="eve")
    with pytest.raises(NotFound, match="no key 'other'"):
        forget(url, "other", who="eve")
    assert [row.who for row in entries(url)] == ["ada"]


def test_of_several_that_make_one_name_at_once_one_succeeds(url):
    create(url, "first", ("read",), who="ada")  # the schema is there
    outcomes = []

    def make():
        try:
            outcomes.append(create(url, "shop", ("read",), who="ada")[0].name)
        except NameTaken:
            outcomes.append(None)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes, key=str) == [None] * 5 + ["shop"]
    assert len(keys(url)) == 2


@pytest.mark.parametrize("name", ["", "a b", "a" * 65, "-a", "käse", "a\n", "../a"])
def test_names_are_plain(url, name):
    with pytest.raises(ConfigError, match="is not 1 to 64 letters"):
        create(url, name, ("read",), who="ada")


def test_a_key_opens_something(url):
    with pytest.raises(ConfigError, match="opens nothing; allowed scopes: predict, teach, catalog, read, admin"):
        create(url, "shop", (), who="ada")


@pytest.mark.slow
def test_entries_are_only_ever_in_the_transaction_of_their_deed(url):
    from database.audit import note

    with pytest.raises(RuntimeError), writing(url) as connection:
        note(connection, "ada", "did", "something")
        raise RuntimeError
    assert entries(url) == []
