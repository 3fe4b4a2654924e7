"""A Prefect server for tests in this process: the one of the whole run, as Prefect's own client finds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.support.prefect_server import PrefectServer


@pytest.fixture
async def on_server(prefect_server: PrefectServer) -> AsyncIterator[None]:
    """Prefect in this process works with the server."""
    with temporary_settings({PREFECT_API_URL: prefect_server.api_url}):
        yield
        # While open, the connection for events draws from `random` with every ping, in a thread of its own: Hypothesis
        # would take that for a doing of the strategies of a later test, and warn.
        await asyncio.to_thread(EventsWorker.drain_all)


@pytest.fixture
async def client(on_server: None) -> AsyncIterator[PrefectClient]:
    """A client of the server, with which Prefect works."""
    async with get_client() as client:
        yield client
