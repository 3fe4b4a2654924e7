"""Whether the server's schedules fire: each active one has a run to come, and nothing keeps that run from starting."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterCreatedBy,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import DeploymentSchedule, DeploymentStatus, StateType, WorkPoolStatus
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from pydantic import TypeAdapter

from blocks.host.findings import Finding, note, ok, wrong

PAGE = 200
ROUND_S = 75.0
"""The server looks at all schedules once a minute: one that was set less long ago may have no run yet."""
AHEAD = timedelta(days=90)
"""The server plans a little further than this; a date beyond it has no run yet."""
_DEPLOY = "deploy it again (`prefect --no-prompt deploy --all`)"


class Planned(NamedTuple):
    """A deployment with an active schedule, and when its next run begins; None: it has none."""

    name: str
    deployment: DeploymentResponse
    following: datetime | None


async def look_at_schedules(client: PrefectClient) -> list[Finding]:
    """What there is to say of all deployments on the server that have an active schedule."""
    found: list[Finding] = []
    fit: list[Planned] = []
    count = 0
    for deployment in await _deployments(client):
        active = [schedule for schedule in deployment.schedules if schedule.active]
        if not active:
            continue
        count += 1
        name = f"{(await client.read_flow(deployment.flow_id)).name}/{deployment.name}"
        seen = await _obstacles(client, name, deployment)
        if not deployment.paused:
            missing, following = await _unplanned(client, name, deployment, active)
            seen += missing
            fit += [Planned(name, deployment, following)] if not seen else []
        found += seen
    return [*found, *_fit(count, fit)]


def _fit(count: int, fit: list[Planned]) -> list[Finding]:
    if not count:
        return [ok("schedules", "no deployment has an active one")]
    if not fit:
        return []
    sooner = [each for each in fit if each.following]
    told = f"{len(fit)} deployments have active ones" if len(fit) > 1 else "1 deployment has an active one"
    if sooner:
        first = min(sooner, key=lambda each: each.following or datetime.max.replace(tzinfo=UTC))
        told += f"; the next run is {first.name} at {_minute(first.following)}"
    return [ok("schedules", told)]


def _minute(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at else "no date"


async def _deployments(client: PrefectClient) -> list[DeploymentResponse]:
    found: list[DeploymentResponse] = []
    while True:
        page = await client.read_deployments(limit=PAGE, offset=len(found))
        found += page
        if len(page) < PAGE:
            return found


async def _obstacles(client: PrefectClient, name: str, deployment: DeploymentResponse) -> list[Finding]:
    """What keeps a deployment's runs from starting though they are planned, or from being planned."""
    what = f"schedule of {name}"
    if deployment.paused:
        remedy = f"Resume {name} on its page of the UI, or {_DEPLOY} without `paused: true`."
        return [note(what, "the deployment is paused, so its active schedule plans no run", remedy)]
    if deployment.work_pool_name is None:
        if deployment.status == DeploymentStatus.READY:  # `flow.serve` polls it.
            return []
        told = "the deployment has no work pool (any more) and nobody serves it: its runs are planned and never start"
        return [wrong(what, told, f"Run `make pools` and {_DEPLOY}.")]
    return [
        *await _pool(client, what, deployment.work_pool_name),
        *await _queue(client, what, deployment),
    ]


async def _pool(client: PrefectClient, what: str, name: str) -> list[Finding]:
    try:
        pool = await client.read_work_pool(name)
    except ObjectNotFound:
        told = f"the server has no work pool {name}: runs of this schedule never start"
        return [wrong(what, told, f"Run `make pools` and {_DEPLOY}.")]
    if pool.is_paused:
        resume = f"`prefect work-pool resume {name}` once you know why it was paused."
        return [note(what, f"the work pool {name} is paused: runs are planned and wait", resume)]
    if pool.concurrency_limit == 0:
        change = f"`prefect work-pool set-concurrency-limit {name} N`."
        return [note(what, f"the work pool {name} lets 0 runs at once: runs are planned and wait", change)]
    if pool.status == WorkPoolStatus.NOT_READY:
        start = f"Run `prefect worker start --pool {name}` on a host, kept running by systemd."
        return [wrong(what, f"no living worker polls the work pool {name}: runs are planned and wait", start)]
    return []


async def _queue(client: PrefectClient, what: str, deployment: DeploymentResponse) -> list[Finding]:
    if deployment.work_queue_id is None:
        return []
    try:
        queue = await client.read_work_queue(deployment.work_queue_id)
    except ObjectNotFound:
        told = f"the server has no work queue {deployment.work_queue_name}: runs of this schedule never start"
        return [wrong(what, told, f"Make the queue, or {_DEPLOY}.")]
    where = f"{queue.name} --pool {deployment.work_pool_name}"
    if queue.is_paused:
        resume = f"`prefect work-queue resume {where}` once you know why it was paused."
        return [note(what, f"the work queue {queue.name} is paused: runs are planned and wait", resume)]
    if queue.concurrency_limit == 0:
        change = f"`prefect work-queue set-concurrency-limit {where} N`."
        return [note(what, f"the work queue {queue.name} lets 0 runs at once: runs are planned and wait", change)]
    return []


async def _unplanned(
    client: PrefectClient, name: str, deployment: DeploymentResponse, active: list[DeploymentSchedule]
) -> tuple[list[Finding], datetime | None]:
    """What there is to say of active schedules without a run to come, and when the first run of the others begins."""
    found: list[Finding] = []
    coming: list[datetime] = []
    for schedule in active:
        following = await _following(client, deployment, schedule)
        if following is None:
            found += await asyncio.to_thread(_no_run, f"schedule of {name}", schedule)
        else:
            coming.append(following)
    return found, min(coming, default=None)


async def _following(
    client: PrefectClient, deployment: DeploymentResponse, schedule: DeploymentSchedule
) -> datetime | None:
    """When the next run of a schedule begins; one that was set a moment ago is given the time to get one."""
    changes = [each.updated for each in (deployment, *deployment.schedules) if each.updated]
    settled = max(changes, default=datetime.min.replace(tzinfo=UTC)) + timedelta(seconds=ROUND_S)
    while True:
        now = datetime.now(UTC)
        wanted = FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
            next_scheduled_start_time=FlowRunFilterNextScheduledStartTime.model_validate({"after_": now}),
            created_by=FlowRunFilterCreatedBy(id_=[schedule.id]),
        )
        runs = await client.read_flow_runs(
            flow_run_filter=wanted, sort=FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC, limit=1
        )
        if runs:
            return runs[0].next_scheduled_start_time
        if now >= settled or settled - now > timedelta(seconds=2 * ROUND_S):  # The clock's finding tells the latter.
            return None
        await asyncio.sleep(1.0)


def _no_run(what: str, schedule: DeploymentSchedule) -> list[Finding]:
    """Why a schedule has no run to come: no date is near, or the server does not do its work."""
    which = f"its active schedule ({_words(schedule)})"
    date = _next_date(schedule)
    if date is None:
        return [note(what, f"{which} has no date to come", "Remove the schedule, or give it dates to come.")]
    if date > datetime.now(UTC) + AHEAD:
        return []
    told = f"{which} has no scheduled run, though one is due at {_minute(date)}: nothing will start"
    remedy = (
        "The server's scheduler does not work. Look at the server's log for errors; is it started without "
        "`--no-services` and `--no-scheduler`, and from this version's lock file? Its SQLAlchemy must be below 2.1."
    )
    return [wrong(what, told, remedy)]


def _words(schedule: DeploymentSchedule) -> str:
    wanted = schedule.schedule.model_dump(mode="json", exclude_none=True)
    rule = next((f"{kind} {wanted[kind]}" for kind in ("cron", "rrule", "interval") if kind in wanted), "none")
    return f"{rule}, {schedule.slug}" if schedule.slug else rule


def _next_date(schedule: DeploymentSchedule) -> datetime | None:
    """When a schedule is due next, as the server reckons; None: never."""
    # The server's code takes a second to import, which only a schedule without a run needs.
    from prefect.server.schemas import schedules as reckoned

    written = schedule.schedule.model_dump(mode="json", exclude_none=True)
    if not {"interval", "cron", "rrule"} & written.keys():
        return None
    try:
        rule: reckoned.SCHEDULE_TYPES = TypeAdapter(reckoned.SCHEDULE_TYPES).validate_python(written)
        dates: list[datetime] = list(asyncio.run(rule.get_dates(n=1, start=datetime.now(UTC))))
    except ValueError:  # The thirty-first of February: the server, too, finds none.
        return None
    return dates[0] if dates else None
