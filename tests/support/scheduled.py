"""A deployment of `prefect.yaml` with a schedule of every minute, on a server, and a process worker that runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.support.prefect_server import PrefectServer, ask_server

ROOT = Path(__file__).resolve().parents[2]
POOL = "by-the-minute"
FLOW = "report"
"""It asks no model and opens no sandbox."""


class Scheduled:
    """`prefect deploy` and a worker; a context manager.

    Args:
        server: Where it is deployed.
        folder: For the deployment's file, the home of its runs and the worker's log.
    """

    def __init__(self, server: PrefectServer, folder: Path) -> None:
        self._server, self._folder = server, folder
        self._environment = {
            **os.environ,
            "PREFECT_API_URL": server.api_url,
            "PREFECT_HOME": str(folder / "prefect"),
            "TRIGPOINT_HOME": str(folder / "home"),
        }

    def __enter__(self) -> Self:
        self._prefect("work-pool", "create", POOL, "--type", "process")
        self._prefect("--no-prompt", "deploy", "--all", "--prefect-file", str(self._file()))
        with (self._folder / "worker.log").open("wb") as log:
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL],
                cwd=ROOT, env=self._environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A run that it has just begun ends with it.
        os.killpg(self._worker.pid, signal.SIGTERM)
        try:
            self._worker.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(self._worker.pid, signal.SIGKILL)
            self._worker.wait()

    def _file(self) -> Path:
        """`prefect.yaml`, but for the deployment alone, its pool, and its schedule, which is awake each minute."""
        written: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
        (deployment,) = [each for each in written["deployments"] if each["entrypoint"] == f"flows.{FLOW}.{FLOW}"]
        (schedule,) = deployment["schedules"]
        schedule.update(cron="* * * * *", active=True)
        deployment["work_pool"] = {"name": POOL}
        written["deployments"] = [deployment]
        del written["definitions"]
        file = self._folder / "prefect.yaml"
        file.write_text(yaml.safe_dump(written))
        return file

    def _prefect(self, *words: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *words], cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def runs(self) -> list[dict[str, Any]]:
        """Its runs that the schedule began, whatever state they are in, the soonest first."""
        asked = {"flows": {"name": {"any_": [FLOW]}}, "sort": "EXPECTED_START_TIME_ASC"}
        found: list[dict[str, Any]] = ask_server(f"{self._server.api_url}/flow_runs/filter", "POST", asked)
        return [run for run in found if run["auto_scheduled"]]

    def log(self) -> str:
        """What the worker and its runs said last."""
        return (self._folder / "worker.log").read_text(errors="replace")[-6000:]
