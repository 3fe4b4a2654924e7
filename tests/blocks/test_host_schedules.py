"""What the check of a host says of schedules and background services, of a real server and on the wire."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import prefect
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import State
from prefect.client.schemas.schedules import CronSchedule
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Scheduled

from blocks.host import schedules
from blocks.host.findings import Finding, HostNeeds
from blocks.host.server import look_at_server
from blocks.host.services import NEEDED
from tests.support.answering import answering
from tests.support.prefect_home import migrated_home
from tests.support.prefect_server import PrefectServer
from tests.support.small_flow import small

EVERY_MINUTE = {"cron": "* * * * *"}
LONG_AGO = "2026-01-01T00:00:00+00:00"
FLOW, POOL, QUEUE, SCHEDULE = (str(uuid.UUID(int=number)) for number in range(1, 5))
NAME = "small/nightly"

Answers = dict[str, Any]


def run(start: datetime) -> dict[str, Any]:
    """A run that a schedule has planned."""
    return {
        "id": str(uuid.uuid4()),
        "flow_id": FLOW,
        "name": "good-owl",
        "next_scheduled_start_time": start.isoformat(),
    }


def planned(asked: Any) -> list[dict[str, Any]]:
    """Runs as a healthy server has them: one to come for the schedule, none overdue."""
    return [run(datetime.now(UTC) + timedelta(minutes=1))] if asked["flow_runs"].get("created_by") else []


@pytest.fixture
def answers() -> Answers:
    """A healthy server with a deployment whose schedule fires each minute."""
    schedule = {"id": SCHEDULE, "schedule": EVERY_MINUTE, "active": True, "updated": LONG_AGO}
    deployment = {
        "id": str(uuid.UUID(int=9)), "name": "nightly", "flow_id": FLOW, "updated": LONG_AGO, "paused": False,
        "work_pool_name": "pool", "work_queue_name": "default", "work_queue_id": QUEUE, "status": "READY",
        "schedules": [schedule],
    }  # fmt: skip
    pool = {"id": POOL, "name": "pool", "type": "docker", "status": "READY", "default_queue_id": QUEUE}
    worker = {
        "id": str(uuid.UUID(int=8)), "name": "w", "work_pool_id": POOL, "status": "ONLINE",
        "last_heartbeat_time": datetime.now(UTC).isoformat(), "heartbeat_interval_seconds": 30,
    }  # fmt: skip
    return {
        "/api/health": True,
        "/api/admin/version": prefect.__version__,
        "/api/admin/settings": {"server": {"services": {name: {"enabled": True} for name in NEEDED}}},
        "/api/deployments/filter": [deployment],
        f"/api/flows/{FLOW}": {"id": FLOW, "name": "small"},
        "/api/flow_runs/filter": planned,
        "/api/work_pools/filter": [pool],
        "/api/work_pools/pool": pool,
        "/api/work_pools/pool/workers/filter": [worker],
        f"/api/work_queues/{QUEUE}": {"id": QUEUE, "name": "default", "is_paused": False, "work_pool_id": POOL},
    }


async def told(answers: Answers, what: str) -> list[Finding]:
    with answering(answers) as address, temporary_settings({PREFECT_API_URL: f"http://{address}/api"}):
        found = await look_at_server(HostNeeds(pool=("pool",)), None)
    assert {each.what for each in found} >= {"clock", "server version", "pool pool"}, found
    return [each for each in found if each.what == what]


# On the wire


async def test_a_schedule_with_a_run_to_come_is_well(answers: Answers) -> None:
    (found,) = await told(answers, "schedules")
    assert (found.standing, found.remedy) == ("ok", "")
    assert found.found.startswith("1 deployment has an active one; the next run is small/nightly at 2")
    assert await told(answers, f"schedule of {NAME}") == []
    (found,) = await told(answers, "services")
    assert found.standing == "ok"


async def test_no_active_schedule_is_no_fault(answers: Answers) -> None:
    answers["/api/deployments/filter"][0]["schedules"][0]["active"] = False
    (found,) = await told(answers, "schedules")
    assert (found.standing, found.found) == ("ok", "no deployment has an active one")


async def test_an_active_schedule_without_a_run_is_wrong(answers: Answers) -> None:
    answers["/api/flow_runs/filter"] = []
    (found,) = await told(answers, f"schedule of {NAME}")
    assert found.standing == "wrong"
    assert "cron * * * * *) has no scheduled run, though one is due at 2" in found.found
    assert "SQLAlchemy must be below 2.1" in found.remedy
    assert "--no-services" in found.remedy
    assert await told(answers, "schedules") == []


async def test_one_of_two_schedules_without_a_run_is_found(answers: Answers) -> None:
    """Each has runs of its own: those of the other do not hide it."""
    other = {"id": str(uuid.UUID(int=7)), "schedule": {"interval": 60}, "active": True, "slug": "other"}
    answers["/api/deployments/filter"][0]["schedules"].append(other)
    answers["/api/flow_runs/filter"] = lambda asked: (
        planned(asked) if SCHEDULE in str(asked["flow_runs"].get("created_by")) else []
    )
    (found,) = await told(answers, f"schedule of {NAME}")
    assert "its active schedule (interval 60.0, other)" in found.found


@pytest.mark.parametrize(
    ("rule", "standing"),
    [
        ({"cron": "0 0 31 2 *"}, "note"),
        ({"rrule": "DTSTART:20200101T000000\nRRULE:FREQ=DAILY;COUNT=1"}, "note"),
        # The server plans a hundred days ahead, and this is one day in a hundred years or so.
        ({"interval": 3_000_000_000, "anchor_date": "2026-01-01T00:00:00+00:00"}, None),
    ],
    ids=["no such day", "all in the past", "far ahead"],
)
async def test_a_schedule_without_a_near_date_needs_no_run(
    answers: Answers, rule: dict[str, Any], standing: str | None
) -> None:
    answers["/api/deployments/filter"][0]["schedules"][0]["schedule"] = rule
    answers["/api/flow_runs/filter"] = []
    found = await told(answers, f"schedule of {NAME}")
    assert [each.standing for each in found] == ([standing] if standing else [])
    assert all("has no date to come" in each.found for each in found)


async def test_a_schedule_set_a_moment_ago_is_given_time(answers: Answers) -> None:
    """The run is there when it is asked for the third time."""
    asked_s: list[Any] = []

    def slowly(asked: Any) -> list[dict[str, Any]]:
        asked_s.extend([asked] if asked["flow_runs"].get("created_by") else [])
        return planned(asked) if len(asked_s) > 2 else []

    answers["/api/flow_runs/filter"] = slowly
    answers["/api/deployments/filter"][0]["schedules"][0]["updated"] = datetime.now(UTC).isoformat()
    (found,) = await told(answers, "schedules")
    assert found.standing == "ok"


Change = Callable[[Answers], object]
DEPLOYMENT = "/api/deployments/filter"


@pytest.mark.parametrize(
    ("change", "standing", "words", "remedy"),
    [
        (lambda all_: all_[DEPLOYMENT][0].update(paused=True), "note", "the deployment is paused", "Resume"),
        (
            lambda all_: all_[DEPLOYMENT][0].update(work_pool_name=None, work_queue_id=None, status="NOT_READY"),
            "wrong", "has no work pool", "make pools",
        ),
        (lambda all_: all_.pop("/api/work_pools/pool"), "wrong", "has no work pool pool", "make pools"),
        (lambda all_: all_["/api/work_pools/pool"].update(is_paused=True), "note", "pool is paused", "pool resume"),
        (lambda all_: all_["/api/work_pools/pool"].update(concurrency_limit=0), "note", "lets 0 runs", "pool set-"),
        (
            lambda all_: all_["/api/work_pools/pool"].update(status="NOT_READY"),
            "wrong", "no living worker polls the work pool pool", "prefect worker start --pool pool",
        ),
        (
            lambda all_: all_[f"/api/work_queues/{QUEUE}"].update(is_paused=True),
            "note", "the work queue default is paused", "prefect work-queue resume default --pool pool",
        ),
        (
            lambda all_: all_[f"/api/work_queues/{QUEUE}"].update(concurrency_limit=0),
            "note", "lets 0 runs", "work-queue set-concurrency-limit default --pool pool",
        ),
    ],
    ids=["paused", "no pool", "pool gone", "pool paused", "pool 0", "no worker", "queue paused", "queue 0"],
)  # fmt: skip
async def test_what_keeps_planned_runs_from_starting_is_told(
    answers: Answers, change: Change, standing: str, words: str, remedy: str
) -> None:
    change(answers)
    (found,) = await told(answers, f"schedule of {NAME}")
    assert found.standing == standing
    assert words in found.found
    assert remedy in found.remedy


async def test_a_served_deployment_needs_no_pool(answers: Answers) -> None:
    answers[DEPLOYMENT][0].update(work_pool_name=None, work_queue_id=None, status="READY")
    assert await told(answers, f"schedule of {NAME}") == []


async def test_deployments_beyond_the_first_page_are_looked_at(answers: Answers) -> None:
    (found,) = answers[DEPLOYMENT]
    awake = [found | {"id": str(uuid.uuid4()), "name": f"d{n}", "schedules": []} for n in range(schedules.PAGE)]
    answers[DEPLOYMENT] = lambda asked: awake if not asked["offset"] else [found]
    answers["/api/flow_runs/filter"] = []
    (found,) = await told(answers, f"schedule of {NAME}")
    assert found.standing == "wrong"


@pytest.mark.parametrize("name", NEEDED)
async def test_a_service_that_is_switched_off_is_wrong(answers: Answers, name: str) -> None:
    answers["/api/admin/settings"]["server"]["services"][name]["enabled"] = False
    (found,) = await told(answers, "services")
    assert found.standing == "wrong"
    assert found.found.startswith(f"{name} is switched off on the server: ")
    assert f"PREFECT_SERVER_SERVICES_{name.upper()}_ENABLED" in found.remedy


async def test_a_run_that_is_overdue_and_not_late_gives_idle_services_away(answers: Answers) -> None:
    answers["/api/flow_runs/filter"] = lambda asked: planned(asked) or [run(datetime.now(UTC) - timedelta(hours=1))]
    (found,) = await told(answers, "services")
    assert found.standing == "wrong"
    assert "good-owl should have begun more than 3 minutes ago and is not marked Late" in found.found
    assert "--no-services" in found.remedy


async def test_a_worker_that_is_called_alive_and_long_silent_is_not_alive(answers: Answers) -> None:
    long_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    answers["/api/work_pools/pool/workers/filter"][0]["last_heartbeat_time"] = long_ago
    (found,) = await told(answers, "services")
    assert "w of the work pool pool count as alive and have long not been heard" in found.found
    (first, *_) = await told(answers, "pool pool")
    assert "no living worker polls it" in first.found


# On a real server


async def deployed(client: PrefectClient, pool: str | None) -> tuple[str, uuid.UUID]:
    """A deployment that is due each minute; what its findings are called, and its id."""
    name = f"d-{uuid.uuid4().hex[:8]}"
    flow = await client.create_flow(small)
    schedule = DeploymentScheduleCreate(schedule=CronSchedule(**EVERY_MINUTE), active=True)
    made = await client.create_deployment(flow_id=flow, name=name, work_pool_name=pool, schedules=[schedule])
    return f"schedule of small/{name}", made


async def said(what: str) -> list[tuple[str, str]]:
    found = await look_at_server(HostNeeds(), None)
    return [(each.standing, each.found) for each in found if each.what == what]


@pytest.mark.server
async def test_what_keeps_a_schedule_from_firing_is_found_on_a_server(client: PrefectClient) -> None:
    pool = f"check-{uuid.uuid4().hex[:8]}"
    await client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    what, made = await deployed(client, pool)
    assert await said(what) == [("wrong", f"no living worker polls the work pool {pool}: runs are planned and wait")]
    await client.send_worker_heartbeat(pool, "elsewhere", heartbeat_interval_seconds=600)
    assert await said(what) == [], "its runs are planned within seconds"
    await client.update_work_pool(pool, WorkPoolUpdate(is_paused=True))
    assert await said(what) == [("note", f"the work pool {pool} is paused: runs are planned and wait")]
    await client.update_work_pool(pool, WorkPoolUpdate(is_paused=False))
    queue = (await client.read_deployment(made)).work_queue_id
    assert queue is not None
    await client.update_work_queue(queue, is_paused=True)
    assert await said(what) == [("note", "the work queue default is paused: runs are planned and wait")]
    await client.update_work_queue(queue, is_paused=False)
    await client.update_deployment(made, DeploymentUpdate(paused=True))
    assert await said(what) == [("note", "the deployment is paused, so its active schedule plans no run")]
    await client.update_deployment(made, DeploymentUpdate(paused=False))
    await client.delete_work_pool(pool)
    (found,) = await said(what)
    assert found[0] == "wrong"
    assert found[1].startswith("the deployment has no work pool (any more)")
    await client.delete_deployment(made)


class WithoutServices(PrefectServer):
    """A server that answers and does nothing by itself."""

    @property
    def command(self) -> list[str]:
        """See `PrefectServer`."""
        return [*super().command, "--no-services"]


@pytest.fixture
def without_services(tmp_path: Path) -> Iterator[PrefectServer]:
    with WithoutServices(migrated_home(tmp_path / "home")) as server:
        yield server


@pytest.mark.server
async def test_a_server_without_services_is_found_out(
    without_services: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for a server with services to plan runs; this one never does.
    monkeypatch.setattr(schedules, "ROUND_S", 3.0)
    with temporary_settings({PREFECT_API_URL: without_services.api_url}):
        async with get_client() as client:
            await client.create_work_pool(WorkPoolCreate(name="pool", type="process"))
            await client.send_worker_heartbeat("pool", "elsewhere", heartbeat_interval_seconds=600)
            what, _ = await deployed(client, "pool")
            ((standing, words),) = await said(what)
            assert standing == "wrong"
            assert "has no scheduled run, though one is due at" in words
            overdue: State[None] = Scheduled(scheduled_time=datetime.now(UTC) - timedelta(hours=1))
            await client.create_flow_run(small, name="good-owl", state=overdue)
            ((standing, words),) = await said("services")
            assert standing == "wrong"
            assert "the flow run good-owl should have begun" in words
