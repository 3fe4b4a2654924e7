"""Upkeep: what the dead have left behind is found, told, and with --apply put in order; one run can be stopped."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

import blocks.shell  # noqa: F401  (signals, --help, and what Prefect reads when it is imported)

from cyclopts import Parameter
from prefect import State, flow, get_run_logger
from prefect.artifacts import acreate_table_artifact
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from blocks.command_line import run_flow
from blocks.containers import Containers
from blocks.errors import SandboxUnavailable
from blocks.flow_runs import crash, find_run, heartbeat_s, runs_of, unfinished_runs
from blocks.remains import Box, Run, silence_s
from blocks.settings import settings
from blocks.slots import dead_holders, reclaim_slots
from blocks.stopping import stop_run
from blocks.store import installed_store
from blocks.watched import watched
from flows.runs.logs import told
from flows.runs.reports import run_name
from flows.tidying.keeping import tidy_files, tidy_folders, tidy_journal
from flows.tidying.options import UpkeepOptions
from flows.tidying.report import Row, UpkeepReport, print_upkeep
from flows.tidying.zombies import leftovers, zombies

DEFAULTS = UpkeepOptions()


@dataclass
class Scene:
    """What the chores of a run look at, and what the earlier ones have found.

    Attributes:
        runs: Runs that have not ended.
        boxes: The engine's containers; None where no engine answered.
        dead: Ids of the runs found dead: crashed by now, or to be.
    """

    options: UpkeepOptions
    now: datetime
    containers: Containers
    runs: list[Run]
    boxes: list[Box] | None
    dead: set[str] = field(default_factory=set)

    @property
    def silence_s(self) -> float:
        """For how long a dead run has not been heard of, at least, seconds."""
        return silence_s(heartbeat_s(), self.options.silent_minutes * 60)

    @property
    def oldest(self) -> datetime | None:
        """When the oldest unfinished run began that is not dead: what it may need stays."""
        return min((run.began or run.since for run in self.runs if run.id not in self.dead), default=None)


Chore = Callable[[Scene], Awaitable[list[Row]]]


async def crash_zombies(scene: Scene) -> list[Row]:
    """Runs that the server calls alive and that are dead are marked as Crashed, with the reason."""
    rows = []
    for run, silence, place in zombies(scene.runs, scene.boxes, now=scene.now, silence_s=scene.silence_s):
        end = await scene.containers.how_ended(run) if scene.boxes is not None else ""
        why = f"{silence}; its container {end}" if end else f"{silence}; {place}"
        done = scene.options.apply and await crash(run, f"Found dead by upkeep: {why}.")
        if done or not scene.options.apply:
            scene.dead.add(run.id)
        rows.append(Row(what="crash run", which=run.label, why=why, done=done))
    return rows


async def end_leftovers(scene: Scene) -> list[Row]:
    """Containers of dead and of ended runs are stopped and removed, and sandboxes whose owner is gone."""
    if scene.boxes is None:
        return []
    known = await runs_of(box.run for box in scene.boxes)
    rows = []
    for box, why in leftovers(scene.boxes, known, scene.dead, now=scene.now, silence_s=scene.silence_s):
        if scene.options.apply:
            await scene.containers.end(box, scene.options.grace)
        rows.append(Row(what="remove container", which=box.name, why=why, done=scene.options.apply))
    return rows


async def remove_folders(scene: Scene) -> list[Row]:
    """Private folders of process sandboxes whose owner is gone and could not remove them, as after a loss of power."""
    return await tidy_folders(scene.options)


async def give_back_slots(scene: Scene) -> list[Row]:
    """Slots of the cap on sandboxes, held or waited for by processes that have died, are given back."""
    count = dead_holders()
    if count and scene.options.apply:
        await reclaim_slots()
    why = "held, or waited for, by processes that died"
    return [Row(what="give back slots", which=str(count), why=why, done=scene.options.apply)] if count else []


async def remove_old(scene: Scene) -> list[Row]:
    """Old logs and results, and what was left half-written; nothing that an unfinished run may need."""
    return await tidy_files(settings().home, scene.options, now=scene.now, keep_since=scene.oldest)


async def trim_journal(scene: Scene) -> list[Row]:
    """Model calls too old for any rerun; the ledger keeps what they took."""
    return await tidy_journal(installed_store(), scene.options, now=scene.now, keep_since=scene.oldest)


CHORES: tuple[Chore, ...] = (crash_zombies, end_leftovers, remove_folders, give_back_slots, remove_old, trim_journal)
"""What upkeep does, in this order. A chore that fails is a row of the report and stops no other."""


@watched
@flow(name="upkeep")
async def upkeep(
    *,
    stop: Annotated[list[str] | None, Parameter(negative="")] = None,
    options: Annotated[UpkeepOptions, Parameter(name="*")] = DEFAULTS,
) -> State[UpkeepReport]:
    """Find what the dead have left behind and what is old, and put it in order when told to.

    Looked for are dead runs, their containers and slots, old logs, results and calls of the journal. Without --apply it
    only lists what it would do. What is alive is never touched, but for a run that --stop names.

    Args:
        stop: A flow run, by id or name, to be stopped at once with its own containers and nothing else, also where its
            runner is dead; may be given several times. Nothing else is done then.
        options: What may be done, and how patiently.
    """
    run, containers = run_name(flow_run.id), Containers(options.docker_host)
    try:
        rows = await (_stop_all(stop, containers, options, run) if stop else _tidy(containers, options, run))
    finally:
        containers.close()
    report = UpkeepReport(run=run, applied=options.apply or bool(stop), rows=tuple(rows))
    await acreate_table_artifact(report.table(), key="upkeep", description=f"{report.run}: {report.sentence()}")
    return (Failed if report.exit_code == 2 else Completed)(message=report.sentence(), data=report)


async def _tidy(containers: Containers, options: UpkeepOptions, run: str) -> list[Row]:
    rows = []
    try:
        boxes = await containers.boxes()
    except SandboxUnavailable as error:
        boxes = None
        get_run_logger().warning("Containers are left alone: %s", error)
    runs = await unfinished_runs(spare=str(flow_run.id))
    scene, logs = Scene(options, datetime.now(UTC), containers, runs, boxes), settings().home / "logs" / run
    for chore in CHORES:
        try:
            rows += await chore(scene)
        except Exception as error:  # One chore that fails never stops the others.
            name, problem = chore.__name__.replace("_", " "), told(error, logs, "upkeep")
            rows.append(Row(what=name, which="all", why="it broke off", problem=problem))
    return rows


async def _stop_all(names: list[str], containers: Containers, options: UpkeepOptions, run: str) -> list[Row]:
    """A row for each run that was to be stopped; a name that means none stops no other."""
    usable, rows = await _usable(containers), []
    for name in names:
        try:
            found = await find_run(name)
            why = await stop_run(found, usable, options.grace)
            rows.append(Row(what="stop run", which=found.label, why=why, done=True))
        except Exception as error:  # One run that cannot be stopped never keeps another from it.
            problem = told(error, settings().home / "logs" / run, "upkeep")
            rows.append(Row(what="stop run", which=name, why="", problem=problem))
    return rows


async def _usable(containers: Containers) -> Containers | None:
    try:
        await containers.boxes()
    except SandboxUnavailable:
        return None
    return containers


if __name__ == "__main__":
    sys.exit(run_flow(upkeep, closing=print_upkeep))
