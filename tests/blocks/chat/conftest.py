"""Every place a store can be in, for tests of what holds in all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocks.chat.backends import Place
from tests.support.postgres_server import PostgresServer


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A store that does not exist yet."""
    if request.param == "sqlite":
        return tmp_path / "store.db"
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return postgres.new_database()
