"""Which flow runs are dead although the server calls them alive, and which containers nobody needs any more."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from blocks.remains import Box, Run


class Zombie(NamedTuple):
    """A run that is dead: for how long it was silent, and what is known of where it was."""

    run: Run
    silence: str
    place: str


class Leftover(NamedTuple):
    """A container nobody needs, and why."""

    box: Box
    why: str


def zombies(runs: Sequence[Run], boxes: Sequence[Box] | None, *, now: datetime, silence_s: float) -> list[Zombie]:
    """The dead among runs that have not ended.

    A run is dead when it was silent for long and nothing of it is found alive: neither a container on this engine nor
    a process on this host. Where neither is known, as of a run on another host, silence decides alone, as it does for
    the automation on the server.

    Args:
        runs: Runs that are pending, running or cancelling.
        boxes: The engine's containers; None where no engine answered: then only a process known to be gone is proof.
        now: The moment they were looked at.
        silence_s: For how long, at least, a dead run has not been heard of, seconds.
    """
    dead = []
    for run in runs:
        silent_s = (now - run.last_sign).total_seconds()
        if run.final or silent_s < silence_s or run.process == "alive":
            continue
        if boxes is None and run.process != "gone":
            continue
        own = [box for box in boxes or () if box.kind == "flow" and run.has(box)]
        if not any(box.alive for box in own):
            dead.append(Zombie(run, f"{run.state}, not heard of for {_minutes(silent_s)}", _place(run)))
    return dead


def leftovers(
    boxes: Sequence[Box], runs: Mapping[str, Run], dead: Collection[str], *, now: datetime, silence_s: float
) -> list[Leftover]:
    """The containers nobody needs: of dead and of ended runs, and sandboxes whose owner is gone.

    Args:
        boxes: The engine's containers.
        runs: The runs they name, by id. A container of a run that this server does not know is another's.
        dead: Ids of runs found dead.
        now: The moment they were looked at.
        silence_s: A run's containers get so long to end by themselves, seconds.
    """
    found = []
    for box in boxes:
        run = runs.get(box.run)
        if box.kind == "sandbox" and box.orphan:
            found.append(Leftover(box, "a sandbox whose owner is gone"))
        elif run is None:
            continue
        elif run.id in dead:
            found.append(Leftover(box, f"{_kind(box)} of {run.label}, which is dead"))
        elif run.final and run.process != "alive" and (now - run.last_sign).total_seconds() >= silence_s:
            still = "still running, " if box.alive else ""
            found.append(Leftover(box, f"{still}{_kind(box)} of {run.label}, which is {run.state}"))
    return found


def _place(run: Run) -> str:
    if run.process == "gone":
        return f"its process {run.owner.split('/')[1]} is gone"
    if run.container:
        return f"its container {run.container[:12]} runs no more"
    return "no container of it runs"


def _kind(box: Box) -> str:
    return "container" if box.kind == "flow" else "sandbox"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
