"""Every place a store can be in, for tests of what holds in all of them; and days that do not end meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from blocks.chat.backends import Place
from tests.support.postgres_server import PostgresServer

DAY_S = 86_400


@pytest.fixture(autouse=True)
def same_day() -> None:
    """Lets midnight (UTC) pass before a test: in the middle of one, what is counted by day would begin anew."""
    left = DAY_S - time.time() % DAY_S
    if left < 60:
        time.sleep(left + 0.1)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A store that does not exist yet."""
    if request.param == "sqlite":
        return tmp_path / "store.db"
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return postgres.new_database()
