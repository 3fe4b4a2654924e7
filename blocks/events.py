"""Events of ours in Prefect's feed: each names the flow run around it, and none starts a server to be heard by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.events import emit_event
from prefect.settings import PREFECT_API_URL


class Emit(Protocol):
    """Tells Prefect of an event; returns at once."""

    def __call__(self, event: str, *, resource: Mapping[str, str], payload: Mapping[str, Any]) -> None:
        """Tell it.

        Args:
            event: Its name.
            resource: What it happened to, in Prefect's keys.
            payload: What is to be known about it.
        """
        ...


def emitter() -> Emit:
    """Emits events that name the flow run around this call, its work pool and its work queue.

    Prefect names the innermost run by itself, but a part of a run has no work queue: its deployed one has. Where there
    is neither a run nor a server nobody is told: Prefect would start a server for it, and wait until it answers.
    """
    context = FlowRunContext.get()
    heard = context is not None or bool(PREFECT_API_URL.value())
    related = _around(context.flow_run) if context is not None and context.flow_run is not None else []

    def emit(event: str, *, resource: Mapping[str, str], payload: Mapping[str, Any]) -> None:
        if heard:
            emit_event(event, resource=dict(resource), related=related, payload=dict(payload))

    return emit


def _around(run: FlowRun) -> list[dict[str, str]]:
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
