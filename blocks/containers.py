"""The containers of flow runs and their sandboxes on one Docker engine: seen, ended, and their ends told apart."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import docker
from docker.errors import APIError, NotFound

from blocks.remains import Box, Run, ending
from blocks.sandboxes.attached import last_end, remove
from blocks.sandboxes.container import LABEL_OWNER, LABEL_ROLE
from blocks.sandboxes.engine import Engine
from blocks.sandboxes.holders import holder_of, name_of
from blocks.sandboxes.orphans import is_orphan

PREFECT_RUN = "io.prefect.flow-run-id"
"""The docker worker's label for the run a container is."""
FLOW_ROLE = "flow"
_MEMORY_S = 7 * 86400
"""How far back the engine's events are asked for; it keeps the last few hundred only."""

log = logging.getLogger(__name__)


class Containers:
    """Those of our containers that one engine has.

    Args:
        docker_host: Address of the engine; DOCKER_HOST, else the local one, when not given.
    """

    def __init__(self, docker_host: str | None = None) -> None:
        self._engine = Engine(docker_host)

    async def boxes(self) -> list[Box]:
        """All of them.

        Raises:
            SandboxUnavailable: The engine does not answer, or may not be used.
        """
        return await asyncio.to_thread(self._engine.ask, _boxes)

    async def how_ended(self, run: Run) -> str:
        """How the container a flow run was in ended, in words; empty while it runs, and where the engine forgot it.

        Raises:
            SandboxUnavailable: The engine does not answer, or may not be used.
        """
        return await asyncio.to_thread(self._engine.ask, lambda client: _how_ended(client, run))

    async def end(self, box: Box, grace_s: float = 10.0) -> None:
        """Stop a container (SIGTERM, then SIGKILL after the grace) and remove it.

        Raises:
            SandboxUnavailable: The engine does not answer, or may not be used.
        """
        await asyncio.to_thread(self._engine.ask, lambda client: _end(client, box, grace_s))

    def close(self) -> None:
        """Let go of the engine."""
        self._engine.close()


def _boxes(client: docker.APIClient) -> list[Box]:
    flows = client.containers(all=True, filters={"label": [PREFECT_RUN, f"{LABEL_ROLE}={FLOW_ROLE}"]})
    found = [_box(each, "flow", run=each["Labels"][PREFECT_RUN]) for each in flows]
    for each in client.containers(all=True, filters={"label": LABEL_OWNER}):
        holder = holder_of(each)
        found.append(_box(each, "sandbox", run=holder.run, owner=holder.owner, orphan=is_orphan(client, each)))
    return found


def _box(found: dict[str, Any], kind: str, **more: Any) -> Box:
    return Box.model_validate(
        {"id": found["Id"], "name": name_of(found), "kind": kind, "state": found["State"], **more}
    )


def _how_ended(client: docker.APIClient, run: Run) -> str:
    """From the container if it is still there, else from what the engine remembers of it."""
    where = {"id": run.container} if run.container else {"label": f"{PREFECT_RUN}={run.id}"}
    for each in client.containers(all=True, filters=where):
        state = client.inspect_container(each["Id"])["State"]
        return "" if state["Running"] else ending(state["ExitCode"], out_of_memory=state.get("OOMKilled") is True)
    where = {"container": run.container} if run.container else where
    end = last_end(client, int(time.time()) - _MEMORY_S, where)
    return "" if end.exit_code is None else ending(end.exit_code, out_of_memory=end.out_of_memory)


def _end(client: docker.APIClient, box: Box, grace_s: float) -> None:
    try:
        if box.alive:
            client.stop(box.id, timeout=round(grace_s))
    except NotFound:
        return
    except APIError as error:
        # Some are removed by the engine in the same moment: the removal below tells.
        log.debug("container %s: %s", box.name, error)
    remove(client, box.id)
