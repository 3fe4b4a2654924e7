"""Incidents on a real server: a killed zygote is an event with its place and its queue, too many pause that queue."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.events.schemas.automations import EventTrigger

from blocks.automations import INCIDENTS, MOST_INCIDENTS, put_automations, sick_queues
from blocks.incidents import EVENT
from blocks.sandboxes import Incident
from tests.support.prefect_server import PrefectServer, wait_for_events
from tests.support.sick_flow import SLUG, sick

pytestmark = pytest.mark.server

ROOT = Path(__file__).resolve().parents[2]


async def waiting_run(client: PrefectClient) -> FlowRun:
    """A run of a deployment, in the queue of a pool of its own."""
    name = f"sick-{uuid.uuid4().hex[:8]}"
    await client.create_work_pool(WorkPoolCreate(name=name, type="process"))
    flow = await client.create_flow(sick)
    deployment = await client.create_deployment(flow_id=flow, name=name, work_pool_name=name)
    return await client.create_flow_run_from_deployment(deployment)


async def is_paused(client: PrefectClient, run: FlowRun) -> bool:
    assert run.work_queue_id is not None
    return (await client.read_work_queue(run.work_queue_id)).is_paused


def fall_sick(url: str, data: Path, orders: list[tuple[FlowRun, int]]) -> Incident:
    """Run the flows in a process of their own; the real incident."""
    words = [f"{run.id}={count}" for run, count in orders]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.sick_flow", str(data), *words], cwd=ROOT, text=True, check=False,
        env={**os.environ, "PREFECT_API_URL": url}, capture_output=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Incident.model_validate_json(done.stdout.splitlines()[-1])


async def test_a_killed_zygote_is_an_event_and_too_many_pause_the_queue(
    client: PrefectClient, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    """The automation is the one that ships; a queue with one incident less goes on."""
    url = prefect_server.api_url
    data = tmp_path / "data.csv"
    data.write_text("a,b\n1,2\n")
    automation = await client.create_automation(sick_queues())
    try:
        await asyncio.sleep(3)  # The server reads its automations anew.
        few, many = await waiting_run(client), await waiting_run(client)
        orders = [(few, MOST_INCIDENTS - 1), (many, MOST_INCIDENTS)]
        incident = await asyncio.to_thread(fall_sick, url, data, orders)
        events = [
            await asyncio.to_thread(wait_for_events, url, EVENT, f"prefect.work-queue.{run.work_queue_id}", count)
            for run, count in orders
        ]
        deadline = time.monotonic() + 300
        while not await is_paused(client, many) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.3)
        assert [await is_paused(client, run) for run, _ in orders] == [False, True]
    finally:
        await client.delete_automation(automation)
    assert [len(found) for found in events] == [MOST_INCIDENTS - 1, MOST_INCIDENTS]
    event = events[0][-1]
    assert event["resource"] == {
        "prefect.resource.id": f"trigpoint.sandbox.{os.uname().nodename}.{incident.sandbox}",
        "prefect.resource.name": f"sandbox of {SLUG}",
        "trigpoint.host": os.uname().nodename,
        "trigpoint.sandbox": incident.sandbox,
        "trigpoint.dataset": SLUG,
        "trigpoint.runtime": "process",
    }
    assert (event["payload"]["kind"], event["payload"]["sessions"]) == ("died", 1)
    assert "SIGKILL" in event["payload"]["what"]
    assert event["payload"]["recovered_s"] == incident.recovered_s
    assert incident.recovered_s
    roles = {related["prefect.resource.role"]: related for related in reversed(event["related"])}
    assert roles["flow-run"]["prefect.resource.id"] == f"prefect.flow-run.{few.id}", "the deployed run comes first"
    runs = [related for related in event["related"] if related["prefect.resource.role"] == "flow-run"]
    assert len(runs) == 2, "and the part it happened in"
    assert roles["work-queue"]["prefect.resource.id"] == f"prefect.work-queue.{few.work_queue_id}"
    assert roles["work-pool"]["prefect.resource.name"] == few.work_pool_name


async def test_what_the_operator_has_set_stays(client: PrefectClient) -> None:
    await put_automations(client)
    (made,) = await client.read_automations_by_name(INCIDENTS)
    try:
        assert made.enabled
        assert isinstance(made.trigger, EventTrigger)
        assert made.trigger.threshold == MOST_INCIDENTS
        await client.update_automation(made.id, sick_queues(9).model_copy(update={"enabled": False}))
        await put_automations(client)
        (kept,) = await client.read_automations_by_name(INCIDENTS)
        assert isinstance(kept.trigger, EventTrigger)
        assert (kept.enabled, kept.trigger.threshold, kept.trigger.within) == (False, 9, made.trigger.within)
    finally:
        for name in (INCIDENTS, "trigpoint-silent-runs"):
            for found in await client.read_automations_by_name(name):
                await client.delete_automation(found.id)
