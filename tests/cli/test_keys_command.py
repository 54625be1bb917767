"""`vitrina keys` and `vitrina audit`: a key is shown once, and what was done to it is told."""

import getpass
import json
from datetime import UTC, datetime, timedelta

import pytest
from commands import vitrina_here

from database.keys import TOKEN, digest_of


@pytest.fixture
def run(monkeypatch, capfd, tmp_path):
    def vitrina(*arguments):
        return vitrina_here(monkeypatch, capfd, tmp_path, *arguments)

    return vitrina


def told(run, *arguments):
    done = run(*arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_a_key_is_printed_once_and_only_its_digest_is_kept(run, tmp_path):
    made = told(run, "keys", "create", "shop", "--scope", "teach", "--scope", "predict", "--requests-a-minute", "600")
    token = made.pop("key")
    assert TOKEN.fullmatch(token)[1] == made["id"]
    assert made["scopes"] == ["predict", "teach"]
    [listed] = told(run, "keys", "list")["keys"]
    assert listed == made
    assert (listed["state"], listed["requests_a_minute"], listed["expires_at"]) == ("valid", 600, None)
    written = (tmp_path / "vitrina.db").read_bytes() + (tmp_path / "vitrina.db-wal").read_bytes()
    assert digest_of(token).encode() in written
    assert token[16:].encode() not in written


@pytest.mark.slow
def test_for_people_the_key_stands_on_a_line_of_its_own(run):
    lines = run("keys", "create", "shop", "--expires", "30").stdout.splitlines()
    assert TOKEN.fullmatch(lines[0])
    assert "opens predict, read, until 20" in lines[1]
    table = run("keys", "list").stdout
    assert "shop" in table
    assert lines[0][16:] not in table


@pytest.mark.parametrize(("said", "days"), [("1", 1), ("365", 365)])
def test_a_key_expires_after_days(run, said, days):
    ends = datetime.fromisoformat(told(run, "keys", "create", "shop", "--expires", said)["expires_at"])
    assert abs(ends - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=1)


def test_a_key_is_good_through_its_last_day(run):
    assert told(run, "keys", "create", "shop", "--expires", "2999-12-31")["expires_at"] == "3000-01-01T00:00:00+00:00"


def test_what_is_done_is_told_with_who_did_it(run):
    told(run, "keys", "create", "shop")
    assert told(run, "keys", "revoke", "shop")["forgotten"] is False
    assert told(run, "keys", "list")["keys"][0]["state"] == "revoked"
    assert told(run, "keys", "revoke", "shop", "--forget")["forgotten"] is True
    assert told(run, "keys", "list") == {"keys": []}
    rows = told(run, "audit")["entries"]
    assert [(row["who"], row["action"], row["subject"]) for row in rows] == [
        (getpass.getuser(), action, "shop") for action in ("key forgotten", "key revoked", "key created")
    ]
    assert len(told(run, "audit", "--limit", "1")["entries"]) == 1
    assert "key revoked" in run("audit").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("create", "a b"), "key name 'a b' is not 1 to 64 letters"),
        (("create", "shop", "--scope", "all"), "--scope 'all' is not one of predict, teach, catalog, read, admin"),
        (("create", "shop", "--expires", "soon"), "--expires 'soon' is neither a number of days nor a date"),
        (("create", "shop", "--expires", "2020-01-01"), "--expires '2020-01-01' is in the past"),
        (("create", "shop", "--expires", "0"), "is in the past"),
        (("create", "shop", "--expires", "9999999999"), "is neither a number of days nor a date"),
        (("revoke", "shop"), "there is no key 'shop'; `vitrina keys list` names them"),
    ],
)
def test_what_is_wrong_is_one_line(run, arguments, message):
    done = run("keys", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_name_is_taken_until_it_is_forgotten(run):
    told(run, "keys", "create", "shop")
    told(run, "keys", "revoke", "shop")
    assert "choose another name" in run("keys", "create", "shop").stderr
    told(run, "keys", "revoke", "shop", "--forget")
    told(run, "keys", "create", "shop")
