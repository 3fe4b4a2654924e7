"""Incidents of sandboxes as Prefect events: seen in the UI's event feed, and what automations can react to."""

from __future__ import annotations

from blocks.events import emitter
from blocks.sandboxes.models import Incident, Observer

EVENT = "trigpoint.sandbox.incident"
RESOURCE = "trigpoint.sandbox"
"""What the id of an incident's resource begins with; its host and its container or process follow."""


def event_observer() -> Observer:
    """Emits each incident as an event, see `blocks.events.emitter`."""
    emit = emitter()
    return lambda incident: emit(EVENT, resource=_resource(incident), payload=_payload(incident))


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


def _payload(incident: Incident) -> dict[str, object]:
    return {
        "kind": incident.kind,
        "what": incident.reason,
        "recovered_s": incident.recovered_s,
        "failure": incident.failure,
        "sessions": len(incident.sessions),
        "at": incident.at.isoformat(),
    }
