"""The Docker engine of a host: version, what it can enforce, its images, its room, and whether it gives out GPUs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound
from docker.types import DeviceRequest

from blocks.errors import SandboxUnavailable
from blocks.host.findings import Finding, HostNeeds, note, ok, wrong
from blocks.host.gpu import look_at_driver
from blocks.host.machine import free_space
from blocks.sandboxes.attached import remove
from blocks.sandboxes.container import LABEL_OWNER, LABEL_PROTOCOL, Facts
from blocks.sandboxes.engine import Engine
from blocks.sandboxes.owner import owner_tag
from blocks.settings import settings
from sandbox_image.zygote.protocol import PROTOCOL_VERSION

OLDEST = (20, 10)
"""The oldest engine that Trigpoint is tested with."""
LABEL_SOURCE = "trigpoint.source"
"""Digest of the files an image was built from; see .ci/sandbox-image and .ci/flow-image."""
LABEL_PROBE = "trigpoint.probe"
_SCRIPTS = Path(__file__).resolve().parents[2] / ".ci"
_LOCAL = "unix://"
_TOOLKIT = "Install the NVIDIA container toolkit, `nvidia-ctk runtime configure --runtime=docker`, restart the engine."


def look_at_engine(needs: HostNeeds) -> tuple[list[Finding], Facts | None]:
    """What there is to say of the engine; its facts, where it answers."""
    engine = Engine(needs.docker_host)
    try:
        return engine.ask(lambda client: _look(client, engine.url, needs))
    except SandboxUnavailable as error:
        return [wrong("engine", error.message, error.remedy), *look_at_driver(needs.gpu)], None
    finally:
        engine.close()


def _look(client: docker.APIClient, url: str, needs: HostNeeds) -> tuple[list[Finding], Facts]:
    info = client.info()
    facts = Facts.of(info)
    images = [
        _image(client, "sandbox image", settings().sandbox_image, "sandbox-image"),
        _image(client, "flow image", settings().flow_image, "flow-image"),
    ]
    found = [_version(url, facts), *_limits(facts), *_room(url, info, needs.free_gib), *images]
    return [*found, *_gpu(client, url, info, needs.gpu)], facts


def _version(url: str, facts: Facts) -> Finding:
    found = f"Docker Engine {facts.version} at {url}"
    numbers = [int(part) for part in facts.version.split("+")[0].split("-")[0].split(".")[:2] if part.isdecimal()]
    if tuple(numbers) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return note("engine", f"{found}, older than any this was tested with", f"Install {oldest} or later.")
    return ok("engine", found)


def _limits(facts: Facts) -> list[Finding]:
    """Which limits of a sandbox would not be in force."""
    boot = "Boot with cgroup_enable=memory swapaccount=1, or use an engine on cgroup 2."
    wanted: tuple[tuple[str, Callable[[str, str, str], Finding], str], ...] = (
        ("memory", wrong, boot),
        ("pids", wrong, "Boot a kernel with CONFIG_CGROUP_PIDS."),
        ("seccomp", wrong, "Use an engine built with seccomp, on a kernel that has it."),
        ("swap", note, f"{boot} Until then a sandbox may swap."),
        ("cpus", note, "Boot a kernel with CONFIG_CFS_BANDWIDTH."),
    )
    missing = [
        judge("limits", f"the engine cannot limit {name} (cgroup {facts.cgroup})", remedy)
        if name != "seccomp"
        else judge("limits", "the engine has no seccomp", remedy)
        for name, judge, remedy in wanted
        if not facts.enforces[name]
    ]
    return missing or [ok("limits", f"memory, pids, swap, CPUs and seccomp (cgroup {facts.cgroup})")]


def _room(url: str, info: Mapping[str, Any], wanted_gib: float) -> list[Finding]:
    """Only a local engine's folder can be looked at."""
    root = Path(str(info.get("DockerRootDir") or ""))
    if not url.startswith(_LOCAL) or not root.is_absolute() or not root.exists():
        return [note("engine's disk", f"the engine's folder {root} is not seen from here", "Look on its own machine.")]
    return [free_space("engine's disk", root, wanted_gib, "Make room: `docker system df`, `docker image prune`.")]


def _image(client: docker.APIClient, what: str, name: str, script: str) -> Finding:
    build = "Build it: `make images`."
    try:
        found = client.inspect_image(name)  # type: ignore[no-untyped-call]
    except ImageNotFound:
        return wrong(what, f"the engine has no image {name}", build)
    labels = (found.get("Config") or {}).get("Labels") or {}
    protocol = labels.get(LABEL_PROTOCOL, "unknown")
    if script == "sandbox-image" and protocol != str(PROTOCOL_VERSION):
        return wrong(what, f"{name} speaks protocol {protocol}, this Trigpoint speaks {PROTOCOL_VERSION}", build)
    sources = _digest(script)
    shown = f"{name}, {found['Id'].removeprefix('sha256:')[:12]}"
    if not sources:
        return ok(what, f"{shown}; without a checkout nobody can tell whether it is stale")
    if labels.get(LABEL_SOURCE) != sources:
        return wrong(what, f"{shown} is stale: not built from the sources here", build)
    return ok(what, f"{shown}, built from the sources here")


def _digest(script: str) -> str:
    """Of the sources an image is built from, as its build script reckons it; empty where there is no checkout."""
    path = _SCRIPTS / script
    if not path.exists():
        return ""
    done = subprocess.run([path, "--digest"], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def _gpu(client: docker.APIClient, url: str, info: Mapping[str, Any], asked: bool) -> list[Finding]:
    """The driver of this machine, and whether a container that asks for a GPU gets one: tried, where one is meant."""
    driver = look_at_driver(asked) if url.startswith(_LOCAL) else []
    meant = asked or driver or "nvidia" in (info.get("Runtimes") or {})
    return [*driver, _handed_out(client)] if meant else []


def _handed_out(client: docker.APIClient) -> Finding:
    what = "GPU in containers"
    request = DeviceRequest(count=-1, capabilities=[["gpu"]])
    created = ""
    try:
        host = client.create_host_config(network_mode="none", device_requests=[request])
        labels = {LABEL_PROBE: "gpu", LABEL_OWNER: owner_tag()}
        created = client.create_container(
            settings().sandbox_image, entrypoint=["true"], host_config=host, network_disabled=True, labels=labels
        )["Id"]
        client.start(created)
    except ImageNotFound:
        return note(what, "not tried: there is no sandbox image to try it with", "Build it: `make images`.")
    except APIError as error:
        return wrong(what, f"the engine hands out none: {error.explanation or error}", _TOOLKIT)
    finally:
        if created:
            remove(client, created)
    return ok(what, "the engine hands out GPUs")
