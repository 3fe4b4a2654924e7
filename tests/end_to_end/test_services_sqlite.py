"""The background services of `prefect server start`, on SQLite, and a schedule that fires there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.background import SETTINGS, Background
from tests.support.prefect_home import migrated_home
from tests.support.prefect_server import PrefectServer
from tests.support.scheduled import Scheduled
from tests.support.service_tests import ServiceTests

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def background(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Background]:
    """The server, its services at work."""
    with PrefectServer(migrated_home(tmp_path_factory.mktemp("services") / "home"), **SETTINGS) as server:
        yield Background(server)


@pytest.fixture(scope="module")
def scheduled(background: Background, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scheduled]:
    """A deployment on it, due each minute."""
    with Scheduled(background.server, tmp_path_factory.mktemp("scheduled")) as scheduled:
        yield scheduled


class TestServicesOnSqlite(ServiceTests):
    database = "sqlite"
