"""One trained shop with its server for the whole session; tests that break a server start their own."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shop import Server, key_of, trained

from vernal.app import Workspace


@pytest.fixture(scope="session")
def shop_folder(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def server(shop_folder):
    with Server(shop_folder) as running:
        yield running


@pytest.fixture(scope="session")
def admin_key(shop_folder):
    return key_of(shop_folder, "ingest", "serve", "admin")


@pytest.fixture
def client(server):
    with server.client() as made:
        yield made


@pytest.fixture
def own_shop(tmp_path):
    """A trained shop of this test alone."""
    return trained(tmp_path)


@pytest.fixture
def workspace(own_shop):
    """The same shop, opened by this process."""
    opened = Workspace.open(own_shop / "vernal.toml")
    yield opened
    opened.close()
