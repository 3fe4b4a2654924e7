"""Incidents of sandboxes as Prefect events: seen in the UI's event feed, and what automations can react to."""

from __future__ import annotations

from uuid import UUID

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.context import FlowRunContext
from prefect.events import emit_event

from blocks.sandboxes.models import Incident, Observer

EVENT = "trigpoint.sandbox.incident"
RESOURCE = "trigpoint.sandbox"
"""What the id of an incident's resource begins with; its host and its container or process follow."""


def event_observer() -> Observer:
    """Emits each incident as an event that names the flow run around this call, its work pool and its work queue.

    Prefect names the innermost run by itself, but a part of a run has no work queue: its deployed one has.
    """
    related = run_around()

    def emit(incident: Incident) -> None:
        emit_event(EVENT, resource=_resource(incident), related=related, payload=_payload(incident))

    return emit


def _resource(incident: Incident) -> dict[str, str]:
    where = f"{incident.host or 'unknown'}.{incident.sandbox or 'none'}"
    return {
        "prefect.resource.id": f"{RESOURCE}.{where}",
        "prefect.resource.name": f"sandbox of {incident.dataset}",
        "trigpoint.host": incident.host,
        "trigpoint.sandbox": incident.sandbox,
        "trigpoint.dataset": incident.dataset,
        "trigpoint.runtime": incident.runtime,
    }


def run_around() -> list[dict[str, str]]:
    """The flow run around this call, its work queue and its work pool, as an event names them; outside of any none."""
    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    if run is None:
        return []
    named = (
        ("flow-run", run.id, run.name),
        ("work-queue", run.work_queue_id, run.work_queue_name),
        ("work-pool", run.work_pool_id, run.work_pool_name),
    )
    return [_related(role, each, name) for role, each, name in named if each is not None]


def _related(role: str, each: UUID, name: str | None) -> dict[str, str]:
    return {
        "prefect.resource.id": f"prefect.{role}.{each}",
        "prefect.resource.role": role,
        "prefect.resource.name": name or "",
    }


def _payload(incident: Incident) -> dict[str, object]:
    return {
        "kind": incident.kind,
        "what": incident.reason,
        "recovered_s": incident.recovered_s,
        "failure": incident.failure,
        "sessions": len(incident.sessions),
        "at": incident.at.isoformat(),
    }
