"""Whether the server's background services do their work: what is switched off, and work that was left undone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
)
from prefect.client.schemas.objects import Worker, WorkerStatus

from blocks.host.findings import Finding, ok, wrong

WHAT = "services"
NEEDED = {
    "scheduler": "no schedule plans a run",
    "late_runs": "a run that nobody begins is not marked Late",
    "cancellation_cleanup": "a run that does not end when it is cancelled stays Cancelling",
    "pause_expirations": "a paused run waits for ever",
    "foreman": "workers that are gone count as alive",
    "repossessor": "the slot of a run that was killed is lost",
    "event_persister": "no event is kept",
    "triggers": "no automation acts: silent runs stay Running",
    "task_run_recorder": "no task run is recorded",
}
"""The services that Trigpoint's runs rely on, and what is amiss without each."""
OVERDUE = timedelta(minutes=3)
"""The server marks a run as late after 15 s, and looks every 5 s."""
HEARTBEAT_S = 30.0
MISSED = 3
"""Heartbeats after which the server calls a worker offline."""
SLACK = timedelta(minutes=2)
_START = "Start the server without `--no-services` (or `prefect server services start` beside it), and look at its log."


async def look_at_services(client: PrefectClient) -> list[Finding]:
    """What the server's settings switch off, and what its services have visibly not done."""
    found = [*await _switched_off(client), *await _overdue(client), *await _called_alive(client)]
    return found or [ok(WHAT, "none is switched off by a setting, and none has left work undone")]


async def _switched_off(client: PrefectClient) -> list[Finding]:
    answer = await client.request("GET", "/admin/settings")
    told: Any = answer.json()
    services = told.get("server", {}).get("services", {}) if isinstance(told, dict) else {}
    return [
        wrong(
            WHAT,
            f"{name} is switched off on the server: {loss}",
            f"Start the server without PREFECT_SERVER_SERVICES_{name.upper()}_ENABLED=false"
            + (f" and `--no-{name.replace('_', '-')}`." if name in ("scheduler", "late_runs") else "."),
        )
        for name, loss in NEEDED.items()
        if services.get(name, {}).get("enabled") is False
    ]


async def _overdue(client: PrefectClient) -> list[Finding]:
    """Runs that should have begun and are not even called late."""
    before = datetime.now(UTC) - OVERDUE
    wanted = FlowRunFilter(
        state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Scheduled"])),
        next_scheduled_start_time=FlowRunFilterNextScheduledStartTime.model_validate({"before_": before}),
    )
    runs = await client.read_flow_runs(flow_run_filter=wanted, limit=1)
    if not runs:
        return []
    told = f"the flow run {runs[0].name} should have begun more than {OVERDUE.seconds // 60} minutes ago and is not"
    return [wrong(WHAT, f"{told} marked Late: the server's services do not work", _START)]


async def _called_alive(client: PrefectClient) -> list[Finding]:
    """Workers that the server calls online though it has long not heard them."""
    found = []
    for pool in await client.read_work_pools():
        workers = await client.read_workers_for_work_pool(pool.name)
        gone = [each.name for each in workers if each.status == WorkerStatus.ONLINE and silent(each)]
        if gone:
            told = f"{', '.join(gone)} of the work pool {pool.name} count as alive and have long not been heard"
            found.append(wrong(WHAT, f"{told}: the server's services do not work", _START))
    return found


def silent(worker: Worker) -> bool:
    """Whether a worker has not been heard for longer than any working server would call it online."""
    if worker.last_heartbeat_time is None:
        return False
    most = timedelta(seconds=MISSED * (worker.heartbeat_interval_seconds or HEARTBEAT_S)) + SLACK
    return datetime.now(UTC) - worker.last_heartbeat_time > most
