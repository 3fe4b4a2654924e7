"""Breakers of models as Prefect events: seen in the UI's event feed, and what automations can react to."""

from __future__ import annotations

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.events import emit_event

from blocks.chat.breaker import BreakerChange, BreakerObserver
from blocks.incidents import run_around

EVENT = "trigpoint.model.breaker"
"""What the name of the event begins with; `.open` or `.closed` follows."""
RESOURCE = "trigpoint.model"
"""What the id of the model's resource begins with; its endpoint and its name follow."""


def breaker_observer() -> BreakerObserver:
    """Emits each opening and closing as an event that names the flow run around this call and its work queue."""
    related = run_around()

    def emit(change: BreakerChange) -> None:
        emit_event(
            f"{EVENT}.{change.state}",
            resource={
                "prefect.resource.id": f"{RESOURCE}.{change.endpoint}.{change.model}",
                "prefect.resource.name": change.model,
                "trigpoint.endpoint": change.endpoint,
                "trigpoint.model": change.model,
            },
            related=related,
            payload={"state": change.state, "reason": change.reason, "probe_s": round(change.probe_s, 1)},
        )

    return emit
