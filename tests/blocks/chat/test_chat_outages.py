"""A model whose breaker is open is known to who asks the store, with the reason and the wait, until it is back."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocks.chat.backends import Place
from blocks.chat.breaker import DENSITY_REQUESTS, FIRST_PROBE_S
from blocks.chat.errors import ChatError
from blocks.chat.journal import Journal
from blocks.chat.outages import outages
from blocks.chat.retry import RetryPolicy
from blocks.settings import settings
from blocks.specs import ModelSpec
from blocks.workbench import outage_of
from tests.support.chat import MODEL, ask, opened
from tests.support.model_answers import error
from tests.support.model_server import ModelServer

AT_ONCE = RetryPolicy(max_attempts=1, max_breaker_wait_s=0)


async def _bring_down(server: ModelServer, place: Place) -> None:
    async with opened(server, place, retry=AT_ONCE) as client:
        for number in range(DENSITY_REQUESTS):
            with pytest.raises(ChatError):
                await client.complete(ask(f"question {number}"))


async def test_an_open_breaker_is_an_outage(place: Place) -> None:
    with ModelServer(lambda _: error(503)) as server:
        await _bring_down(server, place)
        with Journal(place) as journal:
            (outage,) = await outages(journal)
        endpoint = server.base_url
    assert (outage.model, outage.state, outage.trips) == (MODEL, "open", 1)
    assert outage.endpoint in endpoint
    assert 0 < outage.wait_s <= FIRST_PROBE_S
    assert "requests failed" in outage.sentence()


async def test_a_run_asks_for_its_own_model_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIGPOINT_HOME", str(tmp_path))
    monkeypatch.delenv("TRIGPOINT_STORE_URL", raising=False)
    settings.cache_clear()
    with ModelServer(lambda _: error(503)) as server:
        spec = ModelSpec(MODEL, server.base_url)
        assert await outage_of(spec) is None
        assert not (tmp_path / "store.db").exists(), "asking makes no store"
        await _bring_down(server, tmp_path / "store.db")
        found = await outage_of(spec)
        assert found is not None
        assert found.model == MODEL
        assert await outage_of(ModelSpec("another", server.base_url)) is None
        assert await outage_of(ModelSpec(MODEL, server.base_url, offline=True)) is None
