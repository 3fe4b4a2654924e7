"""The hooks every flow of ours has: a run says where it is when it begins, and leaves nothing when it is cut off.

Prefect calls hooks by keyword, so their parameters are named exactly `flow`, `flow_run` and `state`.
"""

from __future__ import annotations

import contextlib
from typing import Any, TypeVar

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect import Flow, State
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.logging.loggers import flow_run_logger

from blocks.errors import SandboxUnavailable
from blocks.local_server import server_is_temporary
from blocks.sandboxes import owner
from blocks.sandboxes.container import LABEL_CONTAINER, LABEL_OWNER
from blocks.slots import reclaim_slots

F = TypeVar("F", bound=Flow[..., Any])


def watched(flow: F) -> F:
    """Give a flow the hooks; to be written above `@flow`."""
    flow.on_running_hooks.append(sign_in)
    flow.on_cancellation_hooks.append(let_go)
    flow.on_crashed_hooks.append(let_go)
    return flow


async def sign_in(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Note in the run's labels which process of which container it is, so that upkeep can tell whether it lives."""
    box = owner.container_id()
    labels: dict[str, Any] = {LABEL_OWNER: owner.owner_tag(), **({LABEL_CONTAINER: box} if box else {})}
    async with get_client() as client:
        await client.update_flow_run_labels(flow_run.id, labels)


async def let_go(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Remove the sandboxes that serve this run and no other, give back slots of the dead, cancel what it has started.

    Called by the runner, which outlives the flow's process, or by the process itself where it can still run. With a
    temporary server everything ends with this process anyway.
    """
    if server_is_temporary():
        return
    log = flow_run_logger(flow_run, flow)
    # A crash is nobody's wish: what else was started then goes on.
    if state.is_cancelled() and (cancelled := await _cancel_started(flow_run)):
        log.info("%d runs that this one had started elsewhere are cancelled.", cancelled)
    with contextlib.suppress(SandboxUnavailable):  # The process runtime's sandboxes end with their owner.
        removed = await _remove_sandboxes(str(flow_run.id))
        log.info("%s: %d sandboxes of this run were still there and are removed.", state.name, removed)
    with contextlib.suppress(ObjectNotFound):  # No run has ever opened a sandbox.
        log.info("%d sandbox slots are given back.", await reclaim_slots())


async def _cancel_started(flow_run: FlowRun) -> int:
    """Cancel the runs of deployments that a run has started and that have not ended; how many there were."""
    where = FlowRunFilter(
        parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run.id]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(not_any_=[*TERMINAL_STATES, StateType.CANCELLING])),
    )
    async with get_client() as client:
        # Those without a deployment were part of its own process.
        started = [run for run in await client.read_flow_runs(flow_run_filter=where) if run.deployment_id is not None]
        for run in started:
            await client.set_flow_run_state(run.id, State(type=StateType.CANCELLING))
    return len(started)


async def _remove_sandboxes(run: str) -> int:
    # The engine's client takes a third of a second to import; who is never cut off need not wait.
    from blocks.containers import Containers

    containers = Containers()
    try:
        mine = [box for box in await containers.boxes() if box.kind == "sandbox" and box.run == run]
        for box in mine:
            await containers.end(box, grace_s=2.0)
        return len(mine)
    finally:
        containers.close()
