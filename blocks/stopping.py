"""Stops one flow run, also where nobody is left to hear that it is cancelled."""

from __future__ import annotations

import asyncio
import time

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from blocks.containers import Containers
from blocks.errors import UserError
from blocks.flow_runs import ask_to_cancel, close_as_cancelled, state_of
from blocks.remains import Box, Run
from blocks.sandboxes.owner import end_process, standing

_POLL_S = 0.5
_SANDBOX_GRACE_S = 2.0
_OVER = {"completed", "failed", "crashed", "cancelled"}


async def stop_run(run: Run, containers: Containers | None, grace_s: float) -> str:
    """Cancel a run: its runner is asked first, then its own containers and process are ended; what happened, in words.

    Args:
        run: The run; what runs beside it is not touched.
        containers: Those of this engine; None where no engine answers.
        grace_s: Seconds its runner gets to end it, and then again each container between SIGTERM and SIGKILL.

    Raises:
        UserError: It runs inside of another run's process.
        SandboxUnavailable: The engine does not answer any more.
    """
    if run.part:
        raise UserError(
            f"{run.label} is a part of another run and shares its process.", "Stop the run that started it instead."
        )
    asked = not run.final
    if asked:
        if await ask_to_cancel(run) == "cancelled":
            return "it had not begun"
        await _wait_for_its_runner(run, grace_s)
    ended = await _end_boxes(run, containers, grace_s)
    killed = await asyncio.to_thread(end_process, run.owner, grace_s)
    done = f"{ended} containers ended" + (", its process ended" if killed else "")
    if not asked:
        return f"it had ended before ({run.state}); {done}"
    state = await state_of(run)
    if state == "completed":
        return f"it completed before it could be stopped; {done}"
    if state != "cancelled":
        await close_as_cancelled(run, f"Stopped by upkeep; its runner had not done so within {grace_s:g} s.")
        return f"its runner did not end it within {grace_s:g} s; {done}"
    return f"its runner ended it; {done}"


async def _wait_for_its_runner(run: Run, grace_s: float) -> None:
    """Until the run has ended or the grace is over; not at all for a process that is known to be gone."""
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and await state_of(run) not in _OVER:
        if standing(run.owner) == "gone":
            return
        await asyncio.sleep(_POLL_S)


async def _end_boxes(run: Run, containers: Containers | None, grace_s: float) -> int:
    """The flow's own container first, so that nothing makes sandboxes any more."""
    if containers is None:
        return 0
    count = 0
    for kind in ("flow", "sandbox"):
        mine: list[Box] = [box for box in await containers.boxes() if box.kind == kind and run.has(box)]
        for box in mine:
            await containers.end(box, grace_s if kind == "flow" else _SANDBOX_GRACE_S)
        count += len(mine)
    return count
