"""The small world of `grove`, fitted once for this room's tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves the shared module to us

from grove import NOW_US, SETTINGS, LiveTable, catalogue_of, history_of, live_of, ring_of

from vernal.config import Settings
from vernal.events.history import Catalogue, History
from vernal.features.ports import Ring
from vernal.retrieval.models import ItemModels, fit


@pytest.fixture(scope="session")
def settings() -> Settings:
    return SETTINGS


@pytest.fixture(scope="session")
def history() -> History:
    return history_of(1)


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return catalogue_of()


@pytest.fixture(scope="session")
def models(history: History, catalogue: Catalogue) -> ItemModels:
    return fit(history, catalogue, SETTINGS, NOW_US, 7)


@pytest.fixture
def live(history: History, catalogue: Catalogue) -> LiveTable:
    return live_of(history, catalogue)


@pytest.fixture(scope="session")
def rings(history: History) -> list[Ring]:
    return [ring_of(history, user) for user in range(len(history.users))]
