"""The background services of `server/start`, on PostgreSQL and Redis, and a schedule that fires there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.background import SETTINGS, Background
from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.scheduled import Scheduled
from tests.support.service_tests import ServiceTests
from tests.support.shipped_server import ShippedServer

pytestmark = [pytest.mark.server, pytest.mark.postgres, pytest.mark.redis]


@pytest.fixture(scope="module")
def background(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Background]:
    """The server, its services at work."""
    home = tmp_path_factory.mktemp("services") / "home"
    with RedisServer() as redis, ShippedServer(home, postgres, redis, **SETTINGS) as server:
        yield Background(server)


@pytest.fixture(scope="module")
def scheduled(background: Background, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scheduled]:
    """A deployment on it, due each minute."""
    with Scheduled(background.server, tmp_path_factory.mktemp("scheduled")) as scheduled:
        yield scheduled


class TestServicesOnPostgres(ServiceTests):
    database = "postgres"
