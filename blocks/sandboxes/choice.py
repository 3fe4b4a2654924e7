"""Which runtime to use when nobody has said so."""

from __future__ import annotations

import logging
from typing import Literal

from blocks.errors import SandboxUnavailable
from blocks.sandboxes.process import ProcessRuntime
from blocks.sandboxes.runtime import Runtime
from blocks.settings import settings

logger = logging.getLogger(__name__)

RuntimeChoice = Literal["auto", "docker", "process"]


async def default_runtime(
    choice: RuntimeChoice = "auto",
    *,
    docker_host: str | None = None,
    allow_weak: bool = False,
    image: str | None = None,
    oci_runtime: str | None = None,
) -> Runtime:
    """The runtime asked for, checked; "auto" takes docker where an engine answers and has the image, else process.

    Args:
        choice: Which one; for "auto" TRIGPOINT_RUNTIME has the first word.
        docker_host: Address of the engine; DOCKER_HOST, else the local socket, when not given.
        allow_weak: Accept a kernel without Landlock.
        image: Image of the docker runtime; that of the settings when not given.
        oci_runtime: Runtime of the engine, e.g. "runsc", when not its default.

    Raises:
        SandboxUnavailable: The one asked for, or for "auto" each of them, cannot be used here.
    """
    if choice == "auto":
        choice = settings().runtime
    if choice == "process":
        return await _checked(ProcessRuntime(allow_weak))
    # The engine's client takes a third of a second to import; who runs without it need not wait.
    from blocks.sandboxes.docker import DockerRuntime

    docker = DockerRuntime(docker_host, image, oci_runtime, allow_weak=allow_weak)
    if choice == "docker":
        return await _checked(docker)
    try:
        return await _checked(docker)
    except SandboxUnavailable as error:
        logger.info("no docker runtime: %s The process runtime is used: its inner wall stands alone.", error)
    return await _checked(ProcessRuntime(allow_weak))


async def _checked(runtime: Runtime) -> Runtime:
    await runtime.check()
    return runtime
