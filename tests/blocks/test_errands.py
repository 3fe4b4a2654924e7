"""Flows that a flow starts: plain subflows from a shell, runs of deployments where there are some."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectAlreadyExists
from prefect.states import Crashed

from blocks.errands import Errands
from blocks.specs import Errand, Outcome
from tests.support.small_flow import small

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("on_server")]
SMALL = Errand("small/idle", "tests.support.small_flow.small")


@pytest.fixture
async def idle(client: PrefectClient) -> PrefectClient:
    """A deployment whose runs no worker takes up."""
    with contextlib.suppress(ObjectAlreadyExists):
        await client.create_work_pool(WorkPoolCreate(name="idle", type="process"))
    flow = await client.create_flow(small)
    await client.create_deployment(flow, "idle", work_pool_name="idle", entrypoint=SMALL.entrypoint)
    return client


async def test_without_a_deployment_a_flow_runs_here(client: PrefectClient) -> None:
    errands = Errands(until=0)
    assert not errands.deployed
    assert await errands.run(SMALL, "of a {dataset}", number=3) == Outcome("completed", "the number was 3")
    assert "of a {dataset}" in {run.name for run in await client.read_flow_runs()}, "as it is where it is deployed"
    assert await errands.run(SMALL, "name", number=-3) == Outcome("failed", "the number was -3")
    raised = await errands.run(Errand("", "tests.support.small_flow.broken"), "name")
    assert raised.state == "failed"
    assert "1 is no number" in raised.message


async def test_a_run_that_no_worker_takes_up_is_given_up(idle: PrefectClient) -> None:
    errands = Errands(until=time.monotonic() - 1, deployed=True)
    outcome = await errands.run(SMALL, "waiting", number=1)
    assert outcome == Outcome("not started", "no worker took it up before the window closed")
    run = await named("waiting", idle)
    assert run.state is not None
    assert run.state.is_cancelled(), "no worker will take it up in the morning"
    assert run.parameters == {"number": 1}


async def test_a_run_that_was_lost_is_told_from_one_that_failed(idle: PrefectClient) -> None:
    errand = asyncio.create_task(Errands(until=time.monotonic() + 600, deployed=True).run(SMALL, "lost"))
    run = await named("lost", idle)
    await idle.set_flow_run_state(run.id, Crashed(message="nobody hears of it"), force=True)
    assert await errand == Outcome("crashed", "nobody hears of it")


async def named(name: str, client: PrefectClient) -> FlowRun:
    """The run of that name, as soon as there is one."""
    async with asyncio.timeout(200):
        while True:
            found = [run for run in await client.read_flow_runs() if run.name == name]
            if found:
                return found[0]
            await asyncio.sleep(0.2)


async def test_a_deployment_that_is_not_there_is_a_failure_with_a_remedy() -> None:
    outcome = await Errands(until=0, deployed=True).run(Errand("small/none", SMALL.entrypoint), "name")
    assert outcome.state == "failed"
    assert outcome.message == "There is no deployment small/none: `prefect deploy --all` makes it."
