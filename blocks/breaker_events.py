"""Breakers of models as Prefect events: seen in the UI's event feed, and what automations can react to."""

from __future__ import annotations

from blocks.chat.breaker import BreakerChange, BreakerObserver
from blocks.events import emitter

EVENT = "trigpoint.model.breaker"
"""What the name of the event begins with; `.open` or `.closed` follows."""
RESOURCE = "trigpoint.model"
"""What the id of the model's resource begins with; its endpoint and its name follow."""


def breaker_observer() -> BreakerObserver:
    """Emits each opening and closing as an event, see `blocks.events.emitter`."""
    emit = emitter()

    def observe(change: BreakerChange) -> None:
        emit(
            f"{EVENT}.{change.state}",
            resource={
                "prefect.resource.id": f"{RESOURCE}.{change.endpoint}.{change.model}",
                "prefect.resource.name": change.model,
                "trigpoint.endpoint": change.endpoint,
                "trigpoint.model": change.model,
            },
            payload={"state": change.state, "reason": change.reason, "probe_s": round(change.probe_s, 1)},
        )

    return observe
