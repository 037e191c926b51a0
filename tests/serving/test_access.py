"""Who may call what: every route against every kind of caller."""

import pytest
from shop import Server, key_of

from vernal.serving.worker import ROUTES

SCOPES = ("ingest", "serve", "admin")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server that asks for keys, on an untrained, empty workspace."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "vernal.toml").write_text("[serving]\nrequire_keys = true\n")
    with Server(folder, workers=1) as running:
        yield running


def called(client, route):
    path = route.path
    for name in ("{id}", "{user}", "{item}", "{name}", "{category}", "{type}"):
        path = path.replace(name, "x")
    return client.request(route.method, path, content=b"{}" if route.method in ("POST", "PUT", "PATCH") else None).status_code


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_opens_the_routes_of_its_scope_and_no_other(guarded, scope):
    with guarded.client(key_of(guarded.folder, scope)) as client:
        refused = {route.name for route in ROUTES if called(client, route) in (401, 403)}
    assert refused == {route.name for route in ROUTES if route.scope not in (None, scope)}


@pytest.mark.parametrize("key", ["", "x", "vk_00000000_" + "0" * 40, "vk__", "null"])
def test_without_a_valid_key_only_open_routes_answer(guarded, key):
    with guarded.client(key) as client:
        refused = {route.name for route in ROUTES if called(client, route) == 401}
    assert refused == {route.name for route in ROUTES if route.scope is not None}


def test_open_routes_are_few_and_known():
    open_paths = {route.path for route in ROUTES if route.scope is None}
    assert open_paths == {"/healthz", "/readyz", "/openapi.json", "/docs", "/api/health/live", "/api/health/ready"}


def test_the_first_key_is_made_and_shown_once(guarded):
    shown = [line for line in guarded.lines if "vk_" in line]
    key = shown[0].split(": ")[1].strip()
    with guarded.client(key) as client:
        assert (len(shown), client.get("/v1/releases").status_code) == (1, 200)


def test_a_key_may_come_as_bearer_or_as_the_user_of_basic(guarded):
    key = key_of(guarded.folder, "serve")
    with guarded.client() as client:
        assert client.get("/v1/releases", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert client.get("/v1/releases", auth=(key, "")).status_code == 200
        assert client.get("/v1/releases", headers={"Authorization": "Basic !!"}).status_code == 401


def test_admin_routes_ask_for_a_key_even_where_no_other_route_does(server):
    with server.client() as client:
        assert {called(client, route) for route in ROUTES if route.scope == "admin"} == {401}


def test_another_sites_page_cannot_use_a_keyless_server(client):
    assert client.get("/v1/releases", headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.get("/v1/releases", headers={"Host": "evil.example"}).status_code == 403
    assert client.get("/v1/releases", headers={"Origin": str(client.base_url)}).status_code == 200


def test_off_loopback_a_server_asks_for_keys_by_itself(tmp_path):
    (tmp_path / "vernal.toml").write_text("")
    with Server(tmp_path, workers=1, host="0.0.0.0") as running, running.client() as client:
        assert client.get("/v1/releases").status_code == 401
