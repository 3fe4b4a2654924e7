"""Flows that a flow starts: as runs of a deployment where it is itself deployed, as plain subflows where it is not.

A flow is named by its deployment and its entry point, never imported by the one that starts it: Prefect loads it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal
from uuid import UUID

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

import httpx
from prefect import Flow, State
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.deployments import arun_deployment
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.runtime import deployment
from prefect.states import Cancelled

from blocks.specs import Errand, Outcome

POLL_S = 5.0
"""Between two looks at a run. A run takes minutes, and a look costs the server a few milliseconds."""
_WAITING = {StateType.SCHEDULED, StateType.PENDING}

log = logging.getLogger(__name__)


class Errands:
    """Starts flows and waits for them.

    Args:
        until: Moment (monotonic clock) after which a run that no worker has taken up is given up.
        deployed: Whether by deployments; by default, whether this flow run is one of a deployment.
    """

    def __init__(self, until: float, *, deployed: bool | None = None) -> None:
        self.deployed = deployment.id is not None if deployed is None else deployed
        self._until = until
        # In one process flows would share sandboxes made for other limits than theirs.
        self._alone = asyncio.Lock()

    async def run(self, errand: Errand, name: str, **parameters: Any) -> Outcome:
        """Run a flow to its end; an error of it is an outcome.

        Args:
            errand: The flow.
            name: Of its run.
            parameters: What it is given, as values of its own types.
        """
        if self.deployed:
            return await self._deployed(errand, name, parameters)
        async with self._alone:
            return await _subflow(errand, name, parameters)

    async def _deployed(self, errand: Errand, name: str, parameters: Mapping[str, Any]) -> Outcome:
        try:
            run = await arun_deployment(
                errand.deployment, parameters=_plain(parameters), flow_run_name=name, timeout=0, as_subflow=True
            )
        except ObjectNotFound:
            return Outcome("failed", f"There is no deployment {errand.deployment}: `prefect deploy --all` makes it.")
        async with get_client() as client:
            return await self._watch(client, run.id)

    async def _watch(self, client: PrefectClient, run: UUID) -> Outcome:
        while True:
            await asyncio.sleep(POLL_S)
            try:
                state = (await client.read_flow_run(run)).state
                if state is not None and state.type in _WAITING and time.monotonic() > self._until:
                    message = "no worker took it up before the window closed"
                    await client.set_flow_run_state(run, Cancelled(message=message))
                    return Outcome("not started", message)
            except httpx.HTTPError as error:
                # A server that restarts is no reason to lose sight of the run.
                log.warning("the Prefect server did not answer (%s); asked again in %g s", error, POLL_S)
                continue
            if state is not None and state.is_final():
                return _outcome(state)


async def _subflow(errand: Errand, name: str, parameters: Mapping[str, Any]) -> Outcome:
    flow: Flow[..., Awaitable[State[Any]]] = load_flow_from_entrypoint(errand.entrypoint, use_placeholder_flow=False)
    # Prefect fills in what stands in braces.
    named: Callable[..., Awaitable[State[Any]]] = flow.with_options(
        flow_run_name=name.replace("{", "{{").replace("}", "}}")
    )
    return _outcome(await named(**parameters, return_state=True))


def _outcome(state: State[Any]) -> Outcome:
    ended: Literal["completed", "crashed", "failed"] = "failed"
    if state.is_completed():
        ended = "completed"
    elif state.is_crashed():
        ended = "crashed"
    return Outcome(ended, state.message or state.name or "")


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as JSON has them: options are sent as what differs from their defaults."""
    return {
        name: value.model_dump(mode="json", exclude_defaults=True) if hasattr(value, "model_dump") else value
        for name, value in parameters.items()
    }
