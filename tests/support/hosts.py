"""Work pools, deployments and a docker worker on a real Prefect server, with a home that flow containers share."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import docker

from blocks.containers import PREFECT_RUN
from blocks.sandboxes.container import LABEL_CONTAINER, LABEL_OWNER
from tests.support.machine import FLOW_IMAGE
from tests.support.prefect_server import PrefectServer, ask_server

ROOT = Path(__file__).resolve().parents[2]
VOLUME = "trigpoint-home:/data"
END_S = 500.0
"""How long a run's end is waited for."""


class Hosts:
    """A server that was told of pools and deployments, and the worker of some of the pools; a context manager.

    Args:
        server: The server.
        folder: For the home (`home`, empty when the first container starts) and the users' files (`tables`).
        cap: Sandboxes at once.
        environment: Variables more for the commands and the worker.
        pools: Pools a worker is started for.
    """

    def __init__(
        self, server: PrefectServer, folder: Path, cap: int, environment: Mapping[str, str], pools: Sequence[str]
    ) -> None:
        self.home, self.tables = folder / "home", folder / "tables"
        self.home.mkdir()
        self.tables.mkdir()
        self._folder, self._server, self._pools = folder, server, pools
        self._workers: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **os.environ,
            **environment,
            "PREFECT_API_URL": server.api_url,
            "TRIGPOINT_MAX_CONTAINERS": str(cap),
            "TRIGPOINT_HOME": str(folder / "deployer"),
        }
        self.client = docker.APIClient()

    def __enter__(self) -> Self:
        self.command("-m", "blocks.work_pools")
        self.command("-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(self._deployments()))
        for pool in self._pools:
            log = (self._folder / f"{pool}.log").open("wb")
            command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool]
            self._workers.append(
                subprocess.Popen(
                    command, env=self._environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            os.killpg(worker.pid, signal.SIGTERM)
        for worker in self._workers:
            try:
                worker.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()
        for container in self.flow_containers():
            with contextlib.suppress(docker.errors.APIError):  # It is about to remove itself.
                self.client.remove_container(container, force=True)
        self.client.close()

    def _deployments(self) -> Path:
        """`prefect.yaml` as it is, but for this test's own folders in place of the volume, and the image under test."""
        text = (ROOT / "prefect.yaml").read_text()
        assert text.count(VOLUME) >= 2
        mounts = f"{self.home}:/data\n      - {self.tables}:/tables:ro"
        file = self._folder / "prefect.yaml"
        file.write_text(text.replace(VOLUME, mounts).replace("trigpoint-flow:latest", FLOW_IMAGE))
        return file

    def command(self, *arguments: str) -> str:
        """Run a Python command that must succeed; what it said."""
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self, deployment: str, **parameters: Any) -> subprocess.Popen[str]:
        """`prefect deployment run … --watch`, not waited for."""
        given = [word for name, value in parameters.items() for word in ("-p", f"{name}={json.dumps(value)}")]
        command = [sys.executable, "-m", "prefect", "deployment", "run", deployment, *given, "--watch"]
        return subprocess.Popen(
            command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def begin(self, deployment: str, parameters: Mapping[str, Any]) -> str:
        """Start a run as the UI does; its id."""
        found = self.ask("GET", f"/deployments/name/{deployment}")
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}, "idempotency_key": uuid.uuid4().hex}
        return str(self.ask("POST", f"/deployments/{found['id']}/create_flow_run", body)["id"])

    def state(self, run: str) -> dict[str, Any]:
        """The state a run is in."""
        found: dict[str, Any] = self.ask("GET", f"/flow_runs/{run}")["state"]
        return found

    def slots(self) -> int:
        """Slots taken of the cap on sandboxes."""
        return int(self.ask("GET", "/v2/concurrency_limits/sandbox-containers")["active_slots"])

    def finish(self, run: str) -> dict[str, Any]:
        """Wait for the end of a run; its state."""
        deadline = time.monotonic() + END_S
        while time.monotonic() < deadline:
            state = self.state(run)
            if state["type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}:
                return state
            time.sleep(0.5)
        raise TimeoutError(f"the flow run did not end within {END_S:g} s:\n{self.logs()}")

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask the server's API."""
        return ask_server(f"{self._server.api_url}{path}", method, body)

    def flow_runs(self, name: str) -> list[dict[str, Any]]:
        """The runs of a flow, oldest first."""
        found = self.ask("POST", "/flow_runs/filter", {"flows": {"name": {"any_": [name]}}, "sort": "START_TIME_ASC"})
        return [run for run in found if run["deployment_id"]]

    def flow_containers(self) -> list[str]:
        """Ids of the containers in which this server's flow runs are."""
        ours = {run["id"] for run in self.ask("POST", "/flow_runs/filter", {})}
        found = self.client.containers(all=True, filters={"label": PREFECT_RUN})
        return [each["Id"] for each in found if each["Labels"][PREFECT_RUN] in ours]

    def logs(self) -> str:
        """What the workers said, with the output of the flows' containers; to be shown when a test fails."""
        return "\n".join(path.read_text(errors="replace")[-6000:] for path in self._folder.glob("trigpoint-*.log"))


class Sampler:
    """Counts the sandboxes of flow containers in the engine's own list, ten times a second; a context manager.

    Sandboxes that another test run on this machine owns are told apart by the flow container they name.
    """

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._client = docker.APIClient()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.samples: list[tuple[float, frozenset[str]]] = []
        """When, and the ids of the sandboxes there were, those that wait for a next run included."""
        self.flow_containers: dict[str, dict[str, Any]] = {}
        """Every flow container made meanwhile, as the engine described it."""
        self._earlier = {each["Id"] for each in self._client.containers(all=True)}

    @property
    def peak(self) -> int:
        """The most sandboxes there ever were at once."""
        return max((len(boxes) for _, boxes in self.samples), default=0)

    @property
    def sandboxes(self) -> set[str]:
        """All there have been."""
        return {box for _, boxes in self.samples for box in boxes}

    @property
    def rate(self) -> float:
        """Samples a second."""
        return (len(self.samples) - 1) / (self.samples[-1][0] - self.samples[0][0])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(20)
        self._client.close()

    def _sample(self) -> None:
        tick = time.monotonic()
        while not self._over.wait(max(0.0, tick - time.monotonic())):
            tick += 0.1
            found = self._client.containers(all=True)
            for each in found:
                if PREFECT_RUN in each["Labels"] and each["Id"] not in self.flow_containers.keys() | self._earlier:
                    self._describe(each["Id"])
            homes = self.flow_containers.keys()
            boxes = frozenset(
                each["Id"] for each in found
                if LABEL_OWNER in each["Labels"] and each["Labels"].get(LABEL_CONTAINER) in homes
            )  # fmt: skip
            self.samples.append((time.monotonic(), boxes))

    def _describe(self, container: str) -> None:
        try:
            described = self._client.inspect_container(container)
        except docker.errors.NotFound:
            return
        if any(mount["Source"] == str(self._hosts.home) for mount in described["Mounts"]):
            self.flow_containers[container] = described
