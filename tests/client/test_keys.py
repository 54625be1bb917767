"""A service that asks for keys."""

import pytest

from database.keys import create, revoke
from tests.client.conftest import ALL, served
from vitrina_client import Forbidden, NotFound, RateLimited, Unauthorized

QUICK = ALL.model_copy(update={"access": ALL.access.model_copy(update={"reread_seconds": 0.02})})


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Its address, and a key for the storefront, one for the catalogue, one of two requests a minute and one that was revoked."""
    with served(tmp_path_factory.mktemp("keyed"), QUICK) as (url, database):
        keys = {
            "predict": create(database, "storefront", ("predict",), who="ada")[1],
            "other": create(database, "second-storefront", ("predict",), who="ada")[1],
            "catalog": create(database, "catalogue", ("catalog",), who="ada")[1],
            "slow": create(database, "slow", ("predict",), who="ada", requests_a_minute=2)[1],
            "revoked": create(database, "revoked", ("predict",), who="ada")[1],
        }
        revoke(database, "revoked", who="ada")
        yield url, keys


def test_a_key_opens_what_it_is_for(face, shop):
    url, keys = shop
    assert face(url, api_key=keys["predict"]).classify(title="Shirt").model.version == 1
    with pytest.raises(Forbidden) as caught:
        face(url, api_key=keys["catalog"]).classify(title="Shirt")
    assert caught.value.status == 403
    for key in (None, "vk_1_no", keys["revoked"]):
        with pytest.raises(Unauthorized) as caught:
            face(url, api_key=key).classify(title="Shirt")
        assert caught.value.request_id


def test_a_client_may_ask_with_the_key_of_another(face, shop):
    url, keys = shop
    mine = face(url, api_key=keys["predict"])
    with pytest.raises(Forbidden):
        mine.run(mine.client.options(api_key=keys["catalog"]).classify(title="Shirt"))
    assert mine.classify(title="Shirt").model.version == 1
    assert keys["catalog"] not in repr(mine.client.options(api_key=keys["catalog"])._connection)


def test_a_job_belongs_to_its_key(face, shop):
    url, keys = shop
    mine = face(url, api_key=keys["predict"])
    job = mine.embed_batch_job([{"title": "Belt"}])
    assert job.id in [one.id for one in mine.list_jobs().jobs]
    other = face(url, api_key=keys["other"])
    assert job.id not in [one.id for one in other.list_jobs().jobs]
    with pytest.raises(NotFound):
        other.get_job(job.id)
    assert mine.run(job.cancel()).state == "cancelled"


def test_a_key_that_asks_too_often(face, shop):
    url, keys = shop
    slow = face(url, api_key=keys["slow"], retries=0)
    with pytest.raises(RateLimited) as caught:
        for _ in range(3):
            slow.classify(title="Shirt")
    assert 0 < caught.value.retry_after <= 60
