"""What each background service of a Prefect server does, as tests: a file for each database takes them over."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

import prefect.server.api.server  # noqa: F401  (all services are known once it is imported)
from prefect.events.clients import PrefectEventSubscriber
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.server.services.base import Service
from prefect.server.services.perpetual_services import get_perpetual_services

from tests.support.background import Background
from tests.support.scheduled import Scheduled
from tests.support.shipped_server import completed, run_tasks
from tests.support.waiting import SECONDS, wait_until

TASKS = 5
WATCHED_S = 120.0
"""How long the server has worked before its log is read."""
RECORD = re.compile(r"^(?=\d\d:\d\d:\d\d\.\d{3} \| )", re.MULTILINE)
TROUBLE = re.compile(r"\b(ERROR|CRITICAL|Traceback|[A-Z]\w*Error)\b")
BUSY = "database is locked"
"""SQLite lets one write at a time; who came second writes in the next round, as the tests of the effects show."""
KEPT_S = {"sqlite": 7 * 86_400.0, "postgres": 2 * 86_400.0}
"""How long events are kept: by default, and with server/server.env."""

LOG_ALONE = "its log alone: it has nothing to do here"
SWITCHED_OFF = "switched off"
TESTED = {
    "schedule_deployments": "test_a_schedule_of_every_minute_yields_a_finished_run",
    "schedule_recent_deployments": "test_a_schedule_of_every_minute_yields_a_finished_run",
    "monitor_late_runs": "test_a_run_that_nobody_begins_is_late",
    "monitor_cancelled_flow_runs": "test_a_cancelled_run_cancels_its_task",
    "monitor_subflow_runs": "test_a_cancelled_run_cancels_the_run_that_it_has_begun",
    "ensure_cancelling_timeout_checks": "test_a_run_that_does_not_end_when_cancelled_is_called_cancelled",
    "monitor_expired_pauses": "test_a_pause_that_nobody_ends_fails",
    "monitor_worker_health": "test_a_worker_that_is_gone_is_offline_and_its_pool_not_ready",
    "monitor_expired_leases": "test_a_slot_whose_holder_is_gone_comes_back",
    "EventPersister": "test_an_event_is_recorded",
    "schedule_event_vacuum_tasks": "test_an_event_that_is_too_old_goes",
    "schedule_vacuum_tasks": LOG_ALONE,  # Where it is on, runs go after 30 days.
    "schedule_orphan_vacuum_tasks": LOG_ALONE,  # The same, once a day.
    "reconcile_cleanup_delivery": LOG_ALONE,  # For workers that this version has no use for.
    "TaskRunRecorder": "test_task_runs_are_recorded",
    "ReactiveTriggers": "test_an_automation_answers_to_an_event",
    "Actions": "test_an_automation_answers_to_an_event",
    "evaluate_proactive_triggers_periodic": "test_an_automation_answers_to_silence",
    "Distributor": "test_an_event_reaches_who_listens",
    "send_telemetry_heartbeat": "test_nothing_is_told_to_anybody",
    "EventLogger": SWITCHED_OFF,
    "LogDistributor": SWITCHED_OFF,
}
"""Every service of this version of Prefect: the test that shows its effect."""


class ServiceTests:
    """Tests of one server; `background` and `scheduled` are fixtures of the file, `database` its name."""

    database = ""

    def test_a_schedule_of_every_minute_yields_a_finished_run(self, scheduled: Scheduled) -> None:
        def finished() -> bool:
            return any(run["state_type"] in {"COMPLETED", "FAILED", "CRASHED"} for run in scheduled.runs())

        try:
            wait_until(finished)
        finally:
            runs = scheduled.runs()
            told = f"{[(run['expected_start_time'], run['state_name']) for run in runs]}\n{scheduled.log()}"
        assert {run["state_type"] for run in runs} & {"COMPLETED", "FAILED", "CRASHED"} == {"COMPLETED"}, told

    def test_a_run_that_nobody_begins_is_late(self, background: Background) -> None:
        wait_until(lambda: background.state(background.late)["name"] == "Late")

    def test_a_cancelled_run_cancels_its_task(self, background: Background) -> None:
        wait_until(lambda: background.state(background.task, "task_runs")["type"] == "CANCELLED")

    def test_a_cancelled_run_cancels_the_run_that_it_has_begun(self, background: Background) -> None:
        wait_until(lambda: background.state(background.child)["type"] == "CANCELLED")

    def test_a_run_that_does_not_end_when_cancelled_is_called_cancelled(self, background: Background) -> None:
        wait_until(lambda: background.state(background.cancelling)["type"] == "CANCELLED")

    def test_a_pause_that_nobody_ends_fails(self, background: Background) -> None:
        wait_until(lambda: background.state(background.paused)["type"] == "FAILED")
        assert "never resumed" in background.state(background.paused)["message"]

    def test_a_worker_that_is_gone_is_offline_and_its_pool_not_ready(self, background: Background) -> None:
        def seen() -> tuple[str, str]:
            pool = background.get(f"/work_pools/{background.pool}")
            (worker,) = background.post(f"/work_pools/{background.pool}/workers/filter", {})
            return worker["status"], pool["status"]

        wait_until(lambda: seen() == ("OFFLINE", "NOT_READY"))

    def test_a_slot_whose_holder_is_gone_comes_back(self, background: Background) -> None:
        wait_until(lambda: background.get("/v2/concurrency_limits/lent")["active_slots"] == 0)

    def test_an_event_is_recorded(self, background: Background) -> None:
        event = background.emit("trigpoint.test.kept", "trigpoint.test")
        wait_until(lambda: background.recorded(event))

    def test_an_event_that_is_too_old_goes(self, background: Background) -> None:
        """It is sent shortly before its time is over, so that it is seen first."""
        seen = background.emit("trigpoint.test.old", "trigpoint.test", age_s=KEPT_S[self.database] - 30)
        until = time.monotonic() + SECONDS
        while not background.recorded(seen) and time.monotonic() < until:
            # The machine stood still meanwhile, or the server has not recorded it yet.
            time.sleep(5)
            if not background.recorded(seen):
                seen = background.emit("trigpoint.test.old", "trigpoint.test", age_s=KEPT_S[self.database] - 30)
        wait_until(lambda: not background.recorded(seen))

    def test_task_runs_are_recorded(self, background: Background) -> None:
        run = run_tasks(background.server.api_url, TASKS)
        wait_until(lambda: completed(background.server.api_url, run) == TASKS)

    def test_an_automation_answers_to_an_event(self, background: Background) -> None:
        path = f"/work_pools/{background.pool}/queues/default"
        _repeat(background.lose_a_sandbox, lambda: bool(background.get(path)["is_paused"]))

    def test_an_automation_answers_to_silence(self, background: Background) -> None:
        _repeat(background.beat, lambda: background.state(background.silent)["type"] == "CRASHED", every_s=60)

    async def test_an_event_reaches_who_listens(self, background: Background) -> None:
        name = "trigpoint.test.heard"
        wanted = EventFilter(event=EventNameFilter(name=[name]))
        async with asyncio.timeout(SECONDS), PrefectEventSubscriber(background.server.api_url, wanted) as heard:
            await asyncio.to_thread(background.emit, name, "trigpoint.test")
            assert (await anext(heard)).event == name

    def test_nothing_is_told_to_anybody(self, background: Background) -> None:
        assert background.get("/admin/settings")["server"]["analytics_enabled"] is False

    def test_every_service_has_a_test(self) -> None:
        services = {each.function.__name__ for each in get_perpetual_services()}
        services |= {each.__name__ for each in Service.all_services()}
        assert services == set(TESTED)
        assert all(hasattr(self, test) for test in set(TESTED.values()) - {LOG_ALONE, SWITCHED_OFF})

    def test_the_servers_log_has_no_error_after_two_minutes(self, background: Background) -> None:
        time.sleep(max(0.0, background.began + WATCHED_S - time.monotonic()))
        found = troubles(background.server.log.read_text(errors="replace"), self.database)
        assert not found, f"{len(found)} errors, the first of them:\n{found[0]}"


def troubles(log: str, database: str) -> list[str]:
    """The records of a server's log that tell of an error, each with its traceback."""
    found = [record for record in RECORD.split(log) if TROUBLE.search(record)]
    return [record for record in found if database != "sqlite" or BUSY not in record]


def _repeat(act: Callable[[], None], happened: Callable[[], bool], every_s: float = 3.0) -> None:
    """Acts again and again until it has happened: the server reads its automations a moment after they were made."""
    until, again = time.monotonic() + SECONDS, 0.0
    while not happened():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {SECONDS:g} s")
        if time.monotonic() >= again:
            act()
            again = time.monotonic() + every_s
        time.sleep(0.5)
