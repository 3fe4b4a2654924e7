"""Flow runs of Trigpoint on the Prefect server: which have not ended, when each was last heard of, and their end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect import State
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterId, FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY
from prefect.states import Cancelled, Cancelling, Crashed

from blocks.errors import UserError
from blocks.remains import Run
from blocks.sandboxes import owner
from blocks.sandboxes.container import LABEL_CONTAINER, LABEL_OWNER

TAG = "trigpoint"
"""Of every deployment in `prefect.yaml`, hence of its runs also while they have not signed in."""
UNFINISHED = ("PENDING", "RUNNING", "CANCELLING")
"""Types of states in which a run is, or should soon be, somewhere."""
DEFAULT_HEARTBEAT_S = 30
_PAGE = 200


def heartbeat_s() -> float:
    """How often the heart of a run beats, as far as this process's settings tell, seconds."""
    return float(PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() or DEFAULT_HEARTBEAT_S)


async def unfinished_runs(*, spare: str = "") -> list[Run]:
    """Ours that are pending, running or cancelling, each with its last heartbeat.

    Args:
        spare: Id of the run that asks, which is none of them.
    """
    async with get_client() as client:
        found = await _pages(client, {"state": {"type": {"any_": list(UNFINISHED)}}})
        return await _described(client, [run for run in found if str(run.id) != spare and _is_ours(run)])


async def runs_of(ids: Iterable[str]) -> dict[str, Run]:
    """Runs by their ids, whatever their state; those that the server does not know are left out."""
    wanted = sorted({each for each in ids if _is_id(each)})
    async with get_client() as client:
        found: list[FlowRun] = []
        for start in range(0, len(wanted), _PAGE):
            found += await _pages(client, {"id": {"any_": wanted[start : start + _PAGE]}})
        return {run.id: run for run in await _described(client, found)}


async def find_run(name: str) -> Run:
    """The run with this id or this name; of several with one name the only one that has not ended.

    Raises:
        UserError: There is none, or it is not clear which is meant.
    """
    async with get_client() as client:
        where = {"id": {"any_": [name]}} if _is_id(name) else {"name": {"any_": [name]}}
        found = await _described(client, await _pages(client, where))
    going = [run for run in found if not run.final]
    if len(going or found) == 1:
        return (going or found)[0]
    if found:
        ids = ", ".join(run.id for run in going or found)
        raise UserError(f"{len(going or found)} flow runs are called {name!r}: {ids}.", "Name one by its id.")
    raise UserError(f"The server knows no flow run {name!r}.", "`prefect flow-run ls` lists them.")


async def crash(run: Run, message: str) -> bool:
    """Mark a run as Crashed, unless anything has become of it since it was looked at; whether it is now."""
    async with get_client() as client:
        (now,) = await _described(client, [await client.read_flow_run(UUID(run.id))])
        if (now.state_id, now.heard) != (run.state_id, run.heard):
            return False
        return await _set(client, run, Crashed(message=message), force=False)


async def crash_the_dead() -> int:
    """Mark runs as Crashed that have not ended although their process of this host has; how many there were.

    For the server of local runs, which nobody else watches: a killed run would be called running for ever.
    """
    async with get_client() as client:
        found = await _pages(client, {"state": {"type": {"any_": list(UNFINISHED)}}})
        dead = [run for run in found if owner.owner_is_gone(str(run.labels.get(LABEL_OWNER, "")))]
        for run in dead:
            await client.set_flow_run_state(run.id, Crashed(message="Its process has died."))
    return len(dead)


async def ask_to_cancel(run: Run) -> str:
    """Set a run to Cancelling, as the UI does; the type of the state it is in now."""
    async with get_client() as client:
        await _set(client, run, Cancelling(message="Stopped by upkeep."), force=False)
    return await state_of(run)


async def close_as_cancelled(run: Run, message: str) -> None:
    """Set a run to Cancelled, whatever state its dying runner or worker has put it in meanwhile."""
    async with get_client() as client:
        await _set(client, run, Cancelled(message=message), force=True)


async def state_of(run: Run) -> str:
    """The type of a run's state, in lower case."""
    async with get_client() as client:
        state = (await client.read_flow_run(UUID(run.id))).state
        return state.type.value.lower() if state else "unknown"


async def _set(client: PrefectClient, run: Run, state: State[Any], *, force: bool) -> bool:
    result = await client.set_flow_run_state(UUID(run.id), state, force=force)
    return result.state is not None and result.state.type == state.type


async def _pages(client: PrefectClient, where: dict[str, Any]) -> list[FlowRun]:
    chosen = FlowRunFilter.model_validate(where)
    found: list[FlowRun] = []
    while True:
        page = await client.read_flow_runs(flow_run_filter=chosen, limit=_PAGE, offset=len(found))
        found += page
        if len(page) < _PAGE:
            return found


async def _described(client: PrefectClient, found: Sequence[FlowRun]) -> list[Run]:
    wanted = list({run.flow_id for run in found})
    flows = {}
    if wanted:
        listed = await client.read_flows(flow_filter=FlowFilter(id=FlowFilterId(any_=wanted)))
        flows = {flow.id: flow.name for flow in listed}
    return [await _run(client, run, flows.get(run.flow_id, "?")) for run in found if run.state is not None]


async def _run(client: PrefectClient, run: FlowRun, flow: str) -> Run:
    assert run.state is not None
    tag, box = str(run.labels.get(LABEL_OWNER, "")), str(run.labels.get(LABEL_CONTAINER, ""))
    return Run(
        id=str(run.id),
        name=run.name,
        flow=flow,
        state=run.state.type.value.lower(),
        state_id=str(run.state.id),
        since=run.state.timestamp,
        began=run.start_time or run.expected_start_time,
        final=run.state.is_final(),
        part=run.parent_task_run_id is not None and run.deployment_id is None,
        heard=None if run.state.is_final() and not tag else await _last_heartbeat(client, run.id),
        owner=tag,
        container=box,
        process=owner.standing(tag),
    )


async def _last_heartbeat(client: PrefectClient, run: UUID) -> Any:
    page = await client.read_events(
        EventFilter(
            event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
            resource=EventResourceFilter(id=[f"prefect.flow-run.{run}"]),
        ),
        limit=1,
    )
    return page.events[0].occurred if page.events else None


def _is_ours(run: FlowRun) -> bool:
    return LABEL_OWNER in run.labels or TAG in run.tags


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
