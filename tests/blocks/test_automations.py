"""The automation on a real server: a run that falls silent is crashed, one that beats and one of others is not."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.events.clients import PrefectEventsClient
from prefect.events.schemas.events import Event, RelatedResource, Resource
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Running

from blocks.automations import BEAT, NAME, put_automations, silent_runs
from blocks.flow_runs import TAG
from tests.support.prefect_server import PrefectServer
from tests.support.small_flow import small

pytestmark = pytest.mark.server

BEAT_S = 6.0
AGAIN_S = 60.0
"""How often the silent one gives its one sign of life; far longer than the window."""


def test_its_window_is_longer_than_three_beats() -> None:
    trigger = silent_runs(30.0).trigger
    assert trigger.within.total_seconds() > 3 * 30  # type: ignore[union-attr]


async def test_only_a_silent_run_of_ours_is_crashed(prefect_home: Path) -> None:
    with (
        PrefectServer(prefect_home) as server,
        temporary_settings({PREFECT_API_URL: server.api_url}),
    ):
        async with get_client() as client:
            assert f"automation {NAME}: made" in await put_automations(client)
            assert all("renewed" in told for told in await put_automations(client))
            (made,) = await client.read_automations_by_name(NAME)
            await client.update_automation(made.id, silent_runs(BEAT_S))
            await asyncio.sleep(3)  # The server reads its automations anew.
            silent, beating = await running(client, TAG), await running(client, TAG)
            foreign = await running(client, "other")
            async with PrefectEventsClient() as events:
                state, again = "RUNNING", time.monotonic()
                deadline = again + 4 * AGAIN_S
                while state == "RUNNING" and time.monotonic() < deadline:
                    if time.monotonic() >= again:
                        # Once more: the last may have come before the server knew of the automation.
                        for run in (foreign, silent):
                            await events.emit(beat(run))
                        again += AGAIN_S
                    await events.emit(beat(beating))
                    await asyncio.sleep(1)
                    state = await state_of(client, silent)
            assert state == "CRASHED"
            assert [await state_of(client, run) for run in (beating, foreign)] == ["RUNNING", "RUNNING"]


async def running(client: PrefectClient, tag: str) -> FlowRun:
    return await client.create_flow_run(small, tags=[tag], state=Running())


async def state_of(client: PrefectClient, run: FlowRun) -> str:
    state = (await client.read_flow_run(run.id)).state
    return state.type.value if state else ""


def beat(run: FlowRun) -> Event:
    """As the flow engine emits it."""
    related = [
        RelatedResource({"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"})
        for tag in run.tags
    ]
    return Event(event=BEAT, resource=Resource({"prefect.resource.id": f"prefect.flow-run.{run.id}"}), related=related)
