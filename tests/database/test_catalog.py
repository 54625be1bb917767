"""Products that clients put: every change has the next revision, and whoever has read up to one finds all later ones."""

from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np
import pytest
from sqlalchemy import Engine, event

from database import catalog
from database.catalog import (
    Change,
    Placing,
    Vector,
    changes_since,
    find,
    forget_vectors,
    keep_vectors,
    photos,
    put,
    remove,
    revision,
    states_since,
)
from database.errors import CatalogFull, NotFound

LISTING = {"title": "Blue jeans", "attributes": {"Fabric": "Denim"}, "price": 40.5}


def vector(value):
    return np.full(4, value, dtype="<f4").tobytes()


def product(name, **said):
    return Change(product_id=name, **{"listing": LISTING, "vector": vector(1), **said})


def write(url, *changes, version=1, most=100):
    return put(url, changes, most=most, by=Placing("product", version, "b"))


def test_a_product_is_found_as_it_was_put(url):
    assert revision(url) == 0
    written = write(url, product("5", photo=b"\xff\xd8"), product("a/b", hidden=True))
    assert (written.revision, written.new) == (2, {"5", "a/b"})
    found = find(url, "5")
    assert (found.product_id, found.state, found.listing, found.revision) == ("5", "shown", LISTING, 1)
    assert find(url, "a/b").state == "hidden"
    assert photos(url, ["5", "a/b", "c"]) == {"5": b"\xff\xd8"}
    with pytest.raises(NotFound, match=r"^no product 'c'$"):
        find(url, "c")


def test_what_is_put_again_is_what_it_is_said_to_be_now(url):
    write(url, product("5", photo=b"photo"))
    written = write(url, product("5", listing={"title": "Red jeans"}, vector=vector(2)))
    assert (written.revision, written.new) == (2, frozenset())
    assert find(url, "5").listing == {"title": "Red jeans"}
    assert photos(url, ["5"]) == {}
    last, [changed] = changes_since(url, 0, Placing("product", 1, "b"))
    assert (last, changed.revision, changed.vector) == (2, 2, vector(2))


def test_of_one_product_put_twice_at_once_the_last_counts(url):
    written = write(url, product("5"), product("6"), product("5", listing={"title": "last"}))
    assert written.revision == 2
    assert find(url, "5").listing == {"title": "last"}


def test_hiding_and_showing_keep_what_is_known_with_its_vector(url):
    write(url, product("5", photo=b"photo"))
    hide, show = (Change(product_id="5", hidden=hidden) for hidden in (True, False))
    assert write(url, hide, version=0).new == frozenset()
    last, [changed] = changes_since(url, 1, Placing("product", 1, "b"))
    assert (last, changed.state, changed.listing, changed.vector) == (2, "hidden", LISTING, vector(1))
    write(url, show, version=0)
    assert (find(url, "5").state, photos(url, ["5"])) == ("shown", {"5": b"photo"})
    assert changes_since(url, 2, Placing("product", 1, "b"))[1][0].vector == vector(1)


def test_a_product_of_the_version_is_hidden_without_a_listing_and_one_that_nobody_knows_is_not(url):
    assert write(url, Change(product_id="5", hidden=True, known=True)).new == frozenset()
    assert (find(url, "5").state, find(url, "5").listing) == ("hidden", None)
    with pytest.raises(NotFound, match="no product 'x'") as failure:
        write(url, product("7"), Change(product_id="x", hidden=True))
    assert failure.value.name == "x"
    assert revision(url) == 1  # and 7 was not written either


def test_deleting_leaves_a_mark_and_twice_is_once(url):
    write(url, product("5", photo=b"photo"))
    assert remove(url, "5", known=False) == 2
    assert remove(url, "5", known=False) == 2
    found = find(url, "5")
    assert (found.state, found.listing, photos(url, ["5"])) == ("deleted", None, {})
    assert changes_since(url, 0, Placing("product", 1, "b"))[1][0].vector is None
    with pytest.raises(NotFound, match="no product '6'"):
        remove(url, "6", known=False)
    assert remove(url, "6", known=True) == 3
    with pytest.raises(NotFound):
        write(url, Change(product_id="5", hidden=False, known=True))
    assert write(url, product("5")).new == {"5"}


def test_changes_are_read_from_a_revision_on(url):
    write(url, product("1"), product("2"), product("3"))
    remove(url, "2", known=False)
    write(url, product("1", hidden=True))
    assert [(p.product_id, p.revision) for p in changes_since(url, 0, Placing("product", 1, "b"))[1]] == [
        ("3", 3),
        ("2", 4),
        ("1", 5),
    ]
    assert changes_since(url, 5, Placing("product", 1, "b")) == (5, [])
    last, changed = states_since(url, 3)
    assert (last, dict(changed)) == (5, {"2": "deleted", "1": "hidden"})


def test_what_is_put_while_changes_are_read_is_among_those_that_are_read_next(url, monkeypatch):
    write(url, product("5"))
    revision_of = catalog._revision

    def late(connection):
        monkeypatch.setattr(catalog, "_revision", revision_of)
        write(url, product("6"))
        return revision_of(connection)

    monkeypatch.setattr(catalog, "_revision", late)
    by = Placing("product", 1, "b")
    last, first = changes_since(url, 0, by)
    _, then = changes_since(url, last, by)
    assert [change.product_id for change in (*first, *then)] == ["5", "6"]


def test_no_more_products_than_allowed(url):
    write(url, product("1"), product("2"), most=2)
    write(url, product("2"), Change(product_id="9", hidden=True, known=True), most=2)
    with pytest.raises(CatalogFull, match="clients may put 2 products"):
        write(url, product("3"), most=2)
    assert revision(url) == 4
    remove(url, "1", known=False)
    write(url, product("3"), most=2)


def test_listings_are_read_for_their_number_only_where_there_may_be_too_many(url):
    said = []

    def note(connection, cursor, statement, *others):
        said.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        write(url, product("1"), most=1)
        assert not [statement for statement in said if "listing IS NOT NULL" in statement]
        with pytest.raises(CatalogFull):
            write(url, product("2"), most=1)
        assert [statement for statement in said if "listing IS NOT NULL" in statement]
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_vectors_of_another_version_are_added_and_those_of_old_ones_forgotten(url):
    write(url, product("1"), product("2"))
    second = Placing("product", 2, "b")
    keep_vectors(url, second, [Vector("1", 1, vector(3)), Vector("2", 99, vector(4)), Vector("gone", 1, vector(5))])
    assert [p.vector for p in changes_since(url, 0, second)[1]] == [vector(3), None]
    keep_vectors(url, second, [Vector("1", 1, vector(6))])
    assert changes_since(url, 0, second)[1][0].vector == vector(6)
    keep_vectors(url, Placing("other", 1, "b"), [Vector("1", 1, vector(7))])
    assert forget_vectors(url, second, [2]) == 2
    assert [p.vector for p in changes_since(url, 0, Placing("product", 1, "b"))[1]] == [None, None]
    assert changes_since(url, 0, Placing("other", 1, "b"))[1][0].vector == vector(7)


@pytest.mark.slow
def test_processes_that_keep_vectors_of_one_product_at_once_wait_for_each_other(url, monkeypatch):
    write(url, product("5", vector=None))
    by, revisions_of = Placing("product", 1, "b"), catalog._revisions

    def meanwhile(connection, product_ids):
        monkeypatch.setattr(catalog, "_revisions", revisions_of)
        found = revisions_of(connection, product_ids)
        others.append(pool.submit(keep_vectors, url, by, [Vector("5", 1, vector(2))]))
        wait(others, timeout=1)
        return found

    others: list[Future[None]] = []
    monkeypatch.setattr(catalog, "_revisions", meanwhile)
    with ThreadPoolExecutor(1) as pool:
        keep_vectors(url, by, [Vector("5", 1, vector(1))])
        others[0].result()
    assert changes_since(url, 0, by)[1][0].vector == vector(2)


def test_a_version_of_the_same_number_in_another_bundle_has_vectors_of_its_own(url):
    write(url, product("1"), product("2"))
    anew = Placing("product", 1, "another")
    assert [p.vector for p in changes_since(url, 0, anew)[1]] == [None, None]
    keep_vectors(url, anew, [Vector("1", 1, vector(5))])
    assert [p.vector for p in changes_since(url, 0, anew)[1]] == [vector(5), None]
    assert forget_vectors(url, anew, [1]) == 1
    assert [p.vector for p in changes_since(url, 0, Placing("product", 1, "b"))[1]] == [None, None]


@pytest.mark.slow
def test_writers_at_once_get_revisions_of_their_own(url):
    revision(url)

    def one(place):
        return write(url, product(f"a{place}"), product(f"b{place}"), most=1000).revision

    with ThreadPoolExecutor(8) as pool:
        last = sorted(pool.map(one, range(24)))
    assert last == list(range(2, 50, 2))
    found = changes_since(url, 0, Placing("product", 1, "b"))[1]
    assert [p.revision for p in found] == list(range(1, 49))
