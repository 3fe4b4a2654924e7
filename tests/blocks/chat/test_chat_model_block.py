"""The ChatModel block: from a model's name to a working client, without a Prefect server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

import blocks.collection
from blocks.chat.errors import MissingFromJournal, MissingKey, UnknownModelName
from blocks.chat.journal import Journal
from blocks.chat.prices import Price
from blocks.chat_model import ChatModel, parse_model
from blocks.settings import Settings
from tests.support.chat import KEY, MODEL, ask
from tests.support.model_server import ModelServer

ROOT = Path(__file__).resolve().parents[3]


async def test_from_a_name_to_an_answer(tmp_path: Path) -> None:
    price = Price(input_usd_per_mtok=1, output_usd_per_mtok=1)
    with ModelServer() as server:
        model = ChatModel(
            model=MODEL,
            base_url=server.base_url,
            api_key=SecretStr(KEY),
            extra={"top_k": 5},
            price=price,
            journal=tmp_path / "store.db",
        )
        async with model.get_client() as client:
            reply = await client.complete(ask())
        async with model.get_client() as client:
            assert (await client.complete(ask())).replayed is True
        assert server.asks[0].headers["authorization"] == f"Bearer {KEY}"
        assert server.asks[0].body["top_k"] == 5
    assert reply.usage.cost_usd == pytest.approx(18e-6)
    assert KEY not in repr(model)


async def test_a_shared_journal_stays_open_and_no_store_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # That may ask a Prefect server, and the one who lends a journal has looked for it off the event loop.
    monkeypatch.setattr("blocks.chat_model.installed_store", lambda: pytest.fail("looked for"))
    with ModelServer() as server, Journal(tmp_path / "store.db") as journal:
        model = ChatModel(model=MODEL, base_url=server.base_url)
        async with model.get_client(journal=journal) as client:
            reply = await client.complete(ask())
        assert await journal.find(reply.key) is not None


async def test_offline_needs_neither_key_nor_store_and_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blocks.chat_model.settings", lambda: Settings(home=tmp_path / "home"))
    async with ChatModel(model="openrouter/a/b").get_client(offline=True) as client:
        with pytest.raises(MissingFromJournal, match="openrouter"):
            await client.complete(ask())
    assert not (tmp_path / "home").exists()


async def test_offline_reads_the_store_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blocks.chat_model.settings", lambda: Settings(home=tmp_path))
    with ModelServer() as server:
        model = ChatModel(model=MODEL, base_url=server.base_url)
        async with model.get_client() as client:
            await client.complete(ask())
    async with model.get_client(offline=True) as client:
        assert (await client.complete(ask())).replayed is True


def test_mistakes_are_told_before_anything_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    with pytest.raises(UnknownModelName):
        ChatModel(model="gpt-x", journal=tmp_path / "store.db").get_client()
    with pytest.raises(MissingKey, match="OPENROUTER_API_KEY"):
        ChatModel(model="openrouter/a/b", journal=tmp_path / "store.db").get_client()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValidationError):
        ChatModel(model="openai/x", timeout_s=0)


def test_the_block_is_in_the_collection_under_a_name_of_its_own() -> None:
    assert "ChatModel" in blocks.collection.__all__
    assert ChatModel.get_block_type_slug() == "trigpoint-chat-model"
    assert parse_model is not None


def test_the_client_needs_no_prefect_nor_postgresql_and_the_models_no_http_library() -> None:
    program = (
        "import json, sys; import blocks.chat.models, blocks.chat.errors; early = sorted(sys.modules);"
        "import blocks.chat.client; print(json.dumps([early, sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    early, late = json.loads(done.stdout)
    assert not {"httpx", "sqlalchemy", "prefect"} & set(early)
    assert not {"prefect", "sqlalchemy.dialects.postgresql"} & set(late)
