"""Every route of the API: without a key, with one of another scope, with one that has ended."""

import asyncio
import base64
import re
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI, Request
from homes import settings_of
from starlette.testclient import TestClient

from database.errors import DatabaseError
from database.keys import SCOPES, Key, create, digest_of, forget, revoke
from serving.access.gate import is_local
from serving.access.keyring import Keyring, holder
from serving.access.passed import Behind
from serving.access.scopes import BELOW, OPEN, scopes_of
from serving.app import create_app
from serving.errors import Unauthorized, Unavailable
from tests.serving.conftest import CONFIG, Source, refused, wait_until

ACCESS = CONFIG.access.model_copy(update={"reread_seconds": 0.02, "refusals_a_minute": 100_000})
KEYED = CONFIG.model_copy(
    update={"access": ACCESS, "models": ("describer", "fewshot", "imagegen", "product", "quality", "recommender")}
)
UNLISTED = ("/", "/openapi.json", "/assets/swagger-ui.css", "/metrics", "/nowhere", "/v1/nowhere")
SECRET = "A" * 43


@contextmanager
def running(settings, config=KEYED, **options):
    app = create_app(settings, config, Source())
    with TestClient(app, raise_server_exceptions=False, **options) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        yield client


@pytest.fixture(scope="module")
def keyed(tmp_path_factory):
    """A service that asks for keys, and keys: one of each scope, one that has expired, one that was revoked."""
    home = tmp_path_factory.mktemp("keyed")
    settings = settings_of(home)
    url = settings.database_url
    tokens = {scope: create(url, scope, (scope,), who="ada")[1] for scope in SCOPES}
    past = datetime.now(UTC) - timedelta(seconds=1)
    tokens["expired"] = create(url, "expired", ("admin",), who="ada", expires_at=past)[1]
    tokens["revoked"] = create(url, "revoked", ("admin",), who="ada")[1]
    revoke(url, "revoked", who="ada")
    with running(settings) as client:
        yield client, tokens


def routes(client):
    """Method and path of each operation of the API, and of what is not among them."""
    paths = client.app.openapi()["paths"]
    found = [(method.upper(), re.sub(r"{\w+}", "x", path)) for path, methods in paths.items() for method in methods]
    assert len(found) > 20
    return [*found, *(("GET", path) for path in UNLISTED)]


def closed(client):
    return [(method, path) for method, path in routes(client) if path not in OPEN]


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def ask(client, method, path, headers=None):
    return client.request(method, path, headers=headers or {}, content=b"" if method in ("GET", "DELETE") else b"{")


def test_every_operation_has_a_scope_of_its_own_choice(keyed):
    client, _ = keyed
    paths = [path for path in client.app.openapi()["paths"] if path not in OPEN]
    assert [path for path in paths if scopes_of(path) == ("admin",)] == []
    known = client.app.openapi()["paths"]
    served = [path for path in BELOW if path.startswith("/v1/")]
    later = ("/v1/search", "/v1/jobs", "/v1/catalog")
    assert [path for path in served if path not in later and not any(p == path or p.startswith(path + "/") for p in known)] == []


def test_without_a_key_every_route_but_health_is_closed(keyed):
    client, _ = keyed
    for method, path in closed(client):
        answer = ask(client, method, path)
        message = refused(answer, 401, "unauthorized")
        assert "this needs a key" in message
        assert answer.headers.get_list("www-authenticate") == ['Bearer realm="vitrina"', 'Basic realm="vitrina", charset="UTF-8"']


def test_health_is_open(keyed):
    client, _ = keyed
    assert [client.get(path).status_code for path in sorted(OPEN)] == [200, 200, 200]


@pytest.mark.parametrize("ended", ["expired", "revoked"])
def test_a_key_that_has_ended_opens_nothing(keyed, ended):
    client, tokens = keyed
    for method, path in closed(client):
        assert refused(ask(client, method, path, bearer(tokens[ended])), 401, "unauthorized") == f"the key {ended} is {ended}"


def test_a_key_of_another_scope_opens_nothing(keyed):
    client, tokens = keyed
    for method, path in closed(client):
        needed = scopes_of(path)
        for scope in set(SCOPES) - {*needed, "admin"}:
            message = refused(ask(client, method, path, bearer(tokens[scope])), 403, "forbidden")
            assert message == f"the key {scope} does not open this; it needs the scope {' or '.join(needed)}"


def test_a_key_of_the_scope_and_an_admins_open_every_route(keyed):
    client, tokens = keyed
    for method, path in closed(client):
        for scope in {*scopes_of(path), "admin"}:
            assert ask(client, method, path, bearer(tokens[scope])).status_code not in (401, 403, 429, 500), (path, scope)


def test_whoever_may_leave_a_job_may_look_at_it(keyed):
    client, tokens = keyed
    for scope, status in {"predict": 200, "catalog": 200, "read": 403, "teach": 403}.items():
        assert client.get("/v1/jobs", headers=bearer(tokens[scope])).status_code == status, scope
    security = client.app.openapi()["paths"]["/v1/jobs"]["get"]["security"]
    assert [scopes for way in security for scopes in way.values()] == [["predict"]] * 3 + [["catalog"]] * 3


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),  # another secret
        lambda token: "vk_000000000000" + token[15:],  # an id that nobody has
        lambda token: token.upper(),
        lambda token: token + "A",
        lambda token: token[:-1],
        lambda token: token[:15],  # the id alone
        lambda token: digest_of(token),  # what the database holds
        lambda token: f"vk_{token[3:15]}_{digest_of(token)[:43]}",
        lambda token: "",
        lambda token: "null",
        lambda token: "*",
        lambda token: "' OR 1=1 --",
    ],
)
def test_what_is_no_key_opens_nothing(keyed, change):
    client, tokens = keyed
    assert client.get("/v1/models", headers=bearer(change(tokens["admin"]))).status_code == 401


def test_a_key_is_sent_in_one_of_three_ways(keyed):
    client, tokens = keyed
    token = tokens["read"]
    basic = base64.b64encode(f"me:{token}".encode()).decode()
    for headers in (
        bearer(token),
        {"X-API-Key": token},
        {"Authorization": f"Basic {basic}"},
        {"authorization": f"bearer  {token}"},
    ):
        assert client.get("/v1/models", headers=headers).status_code == 200
    assert client.get("/", auth=("anything", token)).status_code == 200


@pytest.mark.parametrize(
    "value", ["Basic !", "Basic", "Basic " + base64.b64encode(b"\xff\xfe").decode(), "Digest x", "Token x", "", "Bearer"]
)
def test_other_credentials_are_refused(keyed, value):
    client, _ = keyed
    assert client.get("/v1/models", headers={"Authorization": value}).status_code == 401


def test_of_two_keys_that_differ_none_counts(keyed):
    client, tokens = keyed
    both = [("Authorization", f"Bearer {tokens['read']}"), ("X-API-Key", tokens["predict"])]
    assert refused(client.get("/v1/models", headers=both), 401, "unauthorized") == "two keys that differ were sent"
    twice = [("X-API-Key", tokens["predict"]), ("X-API-Key", tokens["read"])]
    assert client.get("/v1/models", headers=twice).status_code == 401
    assert client.get("/v1/models", headers=[both[0], ("X-API-Key", tokens["read"])]).status_code == 200


@pytest.mark.parametrize("where", ["?key={}", "?x=1&api_key={}", "/{}", "?{}"])
def test_a_key_in_the_address_is_refused_even_if_it_is_sent_rightly_too(keyed, where):
    client, tokens = keyed
    answer = client.get("/v1/models" + where.format(tokens["read"]), headers=bearer(tokens["read"]))
    assert "a key stands in the address" in refused(answer, 401, "unauthorized")
    assert tokens["read"] not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/livez/../v1/models",
        "/livez/",
        "//livez",
        "/LIVEZ",
        "/livez%2f..%2fmetrics",
        "/livez;/v1/models",
        "/livez%00",
        "/v1//models",
        "/v1/models/",
        "/%2e/v1/models",
    ],
)
def test_no_spelling_of_a_path_goes_around_the_gate(keyed, path):
    client, _ = keyed
    assert client.request("GET", "http://testserver" + path).status_code == 401


def test_what_only_a_front_may_say_is_not_believed_of_a_client(keyed):
    client, _ = keyed
    forged = {"X-Vitrina-Front": "", "X-Vitrina-Key": "000000000000", "X-Vitrina-Who": "admin", "X-Forwarded-For": "127.0.0.1"}
    assert client.get("/v1/models", headers=forged).status_code == 401


def test_a_service_on_loopback_is_open_until_a_key_exists_and_again_when_the_last_is_forgotten(settings):
    with running(settings) as client:
        url = settings.database_url
        assert client.get("/v1/models").status_code == 200
        assert client.get("/v1/models", headers=bearer(f"vk_{'0' * 12}_{SECRET}")).status_code == 200
        _, token = create(url, "shop", ("read",), who="ada")
        wait_until(lambda: client.get("/v1/models").status_code == 401)
        assert client.get("/v1/models", headers=bearer(token)).status_code == 200
        revoke(url, "shop", who="ada")
        wait_until(lambda: client.get("/v1/models", headers=bearer(token)).status_code == 401)
        assert client.get("/v1/models").status_code == 401
        forget(url, "shop", who="ada")
        wait_until(lambda: client.get("/v1/models").status_code == 200)


@pytest.mark.parametrize(
    ("host", "address"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "10.0.0.5"), ("::", "[::1]"), ("192.168.1.2", "192.168.1.2")]
)
def test_a_service_that_others_reach_asks_for_keys_although_none_exists(settings, host, address):
    config = KEYED.model_copy(update={"host": host})
    with running(settings, config, base_url=f"http://{address}:3000") as client:
        assert "`vitrina keys create` makes one" in refused(client.get("/v1/models"), 401, "unauthorized")
        _, token = create(settings.database_url, "shop", ("read",), who="ada")
        wait_until(lambda: client.get("/v1/models", headers=bearer(token)).status_code == 200)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("/run/vitrina.sock", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("8.8.8.8", False),
    ],
)
def test_which_addresses_are_this_machine_alone(host, local):
    assert is_local(host) is local


def key(**changed):
    values = {"id": "0" * 12, "name": "shop", "scopes": ("read",), "requests_a_minute": None, "expires_at": None}
    values |= {"digest": digest_of(f"vk_{'0' * 12}_{SECRET}"), "created_at": datetime(2026, 1, 1, tzinfo=UTC), "revoked_at": None}
    return Key(**values | changed)


def test_a_key_is_compared_as_long_whether_its_id_is_known_or_not(monkeypatch):
    compared = []
    monkeypatch.setattr("serving.access.keyring.hmac.compare_digest", lambda a, b: compared.append((len(a), len(b))) or a == b)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    known = {key().id: key()}
    assert holder(known, f"vk_{'0' * 12}_{SECRET}", now) == key()
    for token in (f"vk_{'0' * 12}_{'B' * 43}", f"vk_{'1' * 12}_{SECRET}", "nothing"):
        with pytest.raises(Unauthorized, match="not known here"):
            holder(known, token, now)
    assert compared == [(64, 64)] * 4


def test_a_clock_that_goes_back_does_not_bring_an_expired_key_back():
    wall, since = [1000.0], [50.0]
    ring = Keyring(lambda: [], ACCESS, clock=lambda: since[0], wall=lambda: wall[0])
    since[0] += 20
    wall[0] = 10.0
    assert ring.now().timestamp() == 1020
    wall[0] = 5000.0
    assert ring.now().timestamp() == 5000


class Table:
    """Keys that can be away."""

    def __init__(self):
        self.keys, self.error, self.read = [key()], None, 0

    def __call__(self):
        self.read += 1
        if self.error:
            raise self.error
        return self.keys


def test_known_keys_are_good_for_a_while_where_the_database_is_away():
    now, table = [0.0], Table()
    config = ACCESS.model_copy(update={"reread_seconds": 1.0, "keep_seconds": 60.0})
    ring = Keyring(table, config, clock=lambda: now[0], wall=lambda: 0.0)

    async def scenario():
        assert list(await ring.keys()) == [key().id]
        table.error = DatabaseError("away")
        for moment in (10.0, 30.0, 60.0):
            now[0] = moment
            assert list(await ring.keys()) == [key().id]
        now[0] = 61.0
        with pytest.raises(Unavailable, match="the database is away"):
            await ring.keys()
        table.error = None
        now[0] = 70.0
        async with asyncio.timeout(60):
            while True:
                with suppress(Unavailable):
                    return await ring.keys()
                await asyncio.sleep(0.01)

    assert list(asyncio.run(scenario())) == [key().id]


def test_where_no_keys_were_ever_read_nobody_is_let_in():
    table = Table()
    table.error = DatabaseError("away")
    with pytest.raises(Unavailable):
        asyncio.run(Keyring(table, ACCESS).keys())


def test_a_database_that_hangs_holds_up_nobody_who_is_known():
    now, table, hanging = [0.0], Table(), threading.Event()
    config = ACCESS.model_copy(update={"reread_seconds": 0.05, "keep_seconds": 60.0})
    ring = Keyring(lambda: table() if not table.error else hanging.wait(60) or [], config, clock=lambda: now[0])

    async def scenario():
        await ring.keys()
        table.error = DatabaseError("slow")
        now[0] = 10.0
        async with asyncio.timeout(10):
            assert list(await ring.keys()) == [key().id]
            assert list(await ring.keys()) == [key().id]
        hanging.set()

    asyncio.run(scenario())


def test_keys_are_read_seldom():
    now, table = [0.0], Table()
    ring = Keyring(table, ACCESS.model_copy(update={"reread_seconds": 1.0}), clock=lambda: now[0])

    async def scenario():
        for _ in range(100):
            await ring.keys()
        assert table.read == 1
        now[0], table.keys = 1.5, []
        assert await ring.keys() == {}
        assert table.read == 2

    asyncio.run(scenario())


def behind(settings):
    """A worker behind a front."""
    return create_app(settings, KEYED, Source(), front="the token of this start")


def test_a_worker_behind_a_front_believes_its_front_alone(settings):
    front = {"X-Vitrina-Front": "the token of this start"}
    with TestClient(behind(settings), raise_server_exceptions=False) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        for headers in ({}, {"X-Vitrina-Front": "another"}, {"X-Vitrina-Front": ""}, {"X-Vitrina-Key": "0" * 12}):
            assert "its front alone" in refused(client.get("/v1/models", headers=headers), 401, "unauthorized")
        assert client.get("/v1/models", headers=front).status_code == 200


def test_a_worker_knows_whose_key_its_front_has_seen():
    app, seen = FastAPI(), []

    @app.get("/")
    async def whose(request: Request):
        seen.append((request.scope["state"].get("key"), request.scope["state"].get("who")))

    client = TestClient(Behind(app, "token"))
    client.get("/", headers={"X-Vitrina-Front": "token", "X-Vitrina-Key": "0" * 12, "X-Vitrina-Who": "shop"})
    client.get("/", headers={"X-Vitrina-Front": "token"})
    assert seen == [("0" * 12, "shop"), (None, None)]
