"""What the test run looks up on the machine: the Docker engine, and whatever a test has left behind."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.errors
import psutil
import requests.exceptions

from blocks.sandboxes.holders import holder_of
from blocks.sandboxes.orphans import UNCLAIMED_S
from blocks.sandboxes.owner import owner_is_gone, owner_tag

LABEL_OWNER = "trigpoint.owner"
FLOW_IMAGE = os.environ.get("TRIGPOINT_FLOW_IMAGE", "trigpoint-flow:latest")


@dataclass(frozen=True)
class EngineState:
    """Whether engine tests can run, and the sentence that says so."""

    usable: bool
    sentence: str


def look_for_engine(image: str) -> EngineState:
    """Asks the engine named by DOCKER_HOST (or the local one) for its version and the sandbox image."""
    try:
        client = docker.from_env(timeout=60)
    except docker.errors.DockerException as error:
        return EngineState(False, f"no Docker engine answers ({_short(error)})")
    try:
        version = client.version()["Version"]
        image_id = client.images.get(image).short_id
    except docker.errors.ImageNotFound:
        return EngineState(False, f"the engine has no image {image}; `make images` builds it")
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        return EngineState(False, f"the Docker engine refused ({_short(error)})")
    finally:
        client.close()
    return EngineState(True, f"Docker Engine {version}, {image} ({image_id})")


def leftover_processes(mark: str) -> list[str]:
    """Processes that carry `mark` (a path only this test run knows) in their environment or command line.

    A zygote gets its scratch folder, a Prefect server its home and a model server its journal inside the run's own
    temporary folder, so the mark finds them whoever their parent is by now, and no other run's processes.
    """
    found = []
    for process in psutil.process_iter():
        if process.pid != os.getpid() and _carries(process, mark):
            found.append(f"process {process.pid}: {' '.join(_command(process))[:200]}")
    return found


def leftover_containers() -> list[str]:
    """Sandbox containers whose owner, a process of this host, no longer lives or is this test run."""
    try:
        client = docker.from_env(timeout=60)
    except docker.errors.DockerException:
        return []
    try:
        containers: list[Any] = client.containers.list(all=True, filters={"label": LABEL_OWNER}, ignore_removed=True)
        return [f"container {c.name}: owner {c.labels[LABEL_OWNER]}" for c in containers if _orphaned(c)]
    finally:
        client.close()


def _carries(process: psutil.Process, mark: str) -> bool:
    command = " ".join(_command(process))
    if "multiprocessing.resource_tracker" in command:  # Python's own helper, ends with the run
        return False
    if mark in command:
        return True
    try:
        return mark.encode() in Path(f"/proc/{process.pid}/environ").read_bytes()
    except OSError:
        return False


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _orphaned(container: Any) -> bool:
    holder = holder_of({"Id": container.id, "Names": [container.name], "Labels": container.labels})
    if holder.until is not None:
        return time.time() > holder.until + UNCLAIMED_S
    return holder.owner == owner_tag() or owner_is_gone(holder.owner)


def _short(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
