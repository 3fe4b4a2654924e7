"""The store of an installation: the home's file, or a database whose address is in the environment or in a block."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.blocks.system import Secret
from pydantic import SecretStr

from blocks.chat_model import ChatModel
from blocks.errors import UserError
from blocks.settings import settings
from blocks.store import installed_store
from tests.support.chat import KEY, MODEL, ask
from tests.support.model_server import ModelServer
from tests.support.postgres_server import PASSWORD, PostgresServer
from tests.support.stores import look, written


def _set(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("TRIGPOINT_STORE_URL", url)
    settings.cache_clear()


def test_without_an_address_it_is_the_home_s_file(own_home: Path) -> None:
    assert installed_store() == own_home / "store.db"


def test_an_address_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, f"postgresql+psycopg://u:{PASSWORD}@h/d")
    assert PASSWORD not in repr(installed_store()) + repr(settings()) + settings().model_dump_json()


@pytest.mark.postgres
@pytest.mark.server
@pytest.mark.usefixtures("on_server")
async def test_a_flow_s_model_keeps_its_calls_in_the_database_that_a_block_names(
    postgres: PostgresServer, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = postgres.new_database()
    model = ChatModel(model=MODEL, base_url="http://nowhere/v1", api_key=SecretStr(KEY))
    with ModelServer() as server:
        await Secret(value=written(place)).save("test-store")
        _set(monkeypatch, "block:test-store")
        async with model.model_copy(update={"base_url": server.base_url}).get_client() as client:
            reply = await client.complete(ask())
        assert look(place, "SELECT key FROM journal_calls") == [(reply.key,)]
        assert not (own_home / "store.db").exists()
        _set(monkeypatch, "block:no-such-store")
        with pytest.raises(UserError, match="no-such-store") as caught:
            model.get_client()
        assert caught.value.remedy
