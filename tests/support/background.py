"""Work for each background service of a Prefect server, all of it begun at once and waited for together."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from blocks.automations import BEAT, sick_queues, silent_runs
from blocks.flow_runs import TAG
from blocks.incidents import EVENT, RESOURCE
from tests.support.prefect_server import PrefectServer, ask_server

SETTINGS = {
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_CANCELLING_TIMEOUT_SECONDS": "10",
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "5",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS": "10",
}
"""Waits of minutes and hours made short; everything else is as users have it."""
LEASE_S = 60.0
"""The shortest that the server lends a slot for."""
BEAT_S = 5.0
QUEUE = "default"
SILENT = "falls-silent"
"""In place of the tag of deployed runs: those beat less often than this automation wants."""


class Background:
    """A server with work for its services.

    Args:
        server: The server, started a moment ago.
    """

    def __init__(self, server: PrefectServer) -> None:
        self.server, self.began = server, time.monotonic()
        self._flow = self.post("/flows/", {"name": "background"})["id"]
        for automation in (silent_runs(BEAT_S), sick_queues(threshold=1)):
            told = json.dumps(automation.model_dump(mode="json")).replace(f"prefect.tag.{TAG}", f"prefect.tag.{SILENT}")
            self.post("/automations/", json.loads(told))
        self.late = self.run("SCHEDULED", state_details={"scheduled_time": _iso(-120)})
        self._cancel()
        self.cancelling = self.run("RUNNING")
        self.set_state(self.cancelling, "CANCELLING")
        self.paused = self.run("RUNNING")
        self.set_state(self.paused, "PAUSED", {"pause_timeout": _iso(1)})
        self.silent = self.run("RUNNING", tags=[SILENT])
        self.pool = f"pool-{uuid.uuid4().hex[:8]}"
        self.post("/work_pools/", {"name": self.pool, "type": "process"})
        self.queue = self.get(f"/work_pools/{self.pool}/queues/{QUEUE}")["id"]
        beat = {"name": "gone", "heartbeat_interval_seconds": 1}
        self.post(f"/work_pools/{self.pool}/workers/heartbeat", beat)
        self.post("/v2/concurrency_limits/", {"name": "lent", "limit": 1})
        lease = {"names": ["lent"], "slots": 1, "mode": "concurrency", "lease_duration": LEASE_S}
        self.post("/v2/concurrency_limits/increment-with-lease", lease)

    def _cancel(self) -> None:
        """A cancelled run whose task and whose run of another flow are still under way."""
        parent = self.run("RUNNING")
        self.task = self._task_run(parent)
        self.child = self.run("RUNNING", parent_task_run_id=self._task_run(parent))
        self.set_state(parent, "CANCELLED")

    def _task_run(self, flow_run: str) -> str:
        wanted = {"flow_run_id": flow_run, "task_key": "work", "dynamic_key": uuid.uuid4().hex}
        return str(self.post("/task_runs/", {**wanted, "state": {"type": "RUNNING"}})["id"])

    def run(self, state: str, state_details: Mapping[str, Any] | None = None, **more: Any) -> str:
        """A new flow run in a state; its id."""
        wanted = {"flow_id": self._flow, "state": {"type": state, "state_details": state_details or {}}, **more}
        return str(self.post("/flow_runs/", wanted)["id"])

    def set_state(self, run: str, state: str, state_details: Mapping[str, Any] | None = None) -> None:
        """Put a flow run into a state, as its own client would."""
        wanted = {"type": state, "state_details": state_details or {}}
        self.post(f"/flow_runs/{run}/set_state", {"state": wanted, "force": True})

    def state(self, run: str, kind: str = "flow_runs") -> dict[str, Any]:
        """The state that a run is in."""
        found: dict[str, Any] = self.get(f"/{kind}/{run}")["state"]
        return found

    def emit(self, event: str, resource: str, related: Mapping[str, str] | None = None, age_s: float = 0) -> str:
        """Tell the server of an event, that happened so long ago; its id.

        Args:
            event: Its name.
            resource: What it happened to.
            related: What else it is about: ids by role.
            age_s: How long ago, seconds.
        """
        number = str(uuid.uuid4())
        roles = [{"prefect.resource.id": each, "prefect.resource.role": role} for role, each in (related or {}).items()]
        wanted = {"id": number, "event": event, "occurred": _iso(-age_s), "payload": {}, "related": roles}
        ask_server(f"{self.server.api_url}/events", "POST", [{**wanted, "resource": {"prefect.resource.id": resource}}])
        return number

    def beat(self) -> None:
        """A sign of life of the run that is silent afterwards."""
        self.emit(BEAT, f"prefect.flow-run.{self.silent}", {"tag": f"prefect.tag.{SILENT}"})

    def lose_a_sandbox(self) -> None:
        """An incident in a run of the work queue."""
        self.emit(EVENT, f"{RESOURCE}.host.box", {"work-queue": f"prefect.work-queue.{self.queue}"})

    def recorded(self, event: str, since_s: float = 86_400 * 30) -> bool:
        """Whether an event of this id is kept."""
        between = {"since": _iso(-since_s), "until": _iso(60)}
        found = self.post("/events/filter", {"filter": {"id": {"id": [event]}, "occurred": between}})
        return bool(found["events"])

    def get(self, path: str) -> Any:
        """Ask the server."""
        return ask_server(f"{self.server.api_url}{path}")

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Tell or ask the server."""
        return ask_server(f"{self.server.api_url}{path}", "POST", body)


def _iso(ahead_s: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=ahead_s)).isoformat()
