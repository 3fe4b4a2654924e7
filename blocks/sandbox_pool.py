"""The SandboxPoolBlock: where untrusted code runs, how much at once, and within which limits."""

from __future__ import annotations

from typing import Annotated, ClassVar

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.blocks.core import Block
from prefect_docker import DockerHost
from pydantic import Field

from blocks.incidents import event_observer
from blocks.sandboxes import RuntimeChoice, SandboxLimits, SandboxPool, default_runtime
from blocks.sandboxes.pool import Slot
from blocks.settings import settings
from blocks.slots import container_slot, free_slots, realm

__all__ = ["SandboxPoolBlock"]


class SandboxPoolBlock(Block):
    """A pool of sandboxes for code a model wrote.

    Attributes:
        runtime: `docker`, `process`, or `auto`: docker where an engine answers and has the image, else process.
        docker_host: The engine; empty: DOCKER_HOST, else the local socket.
        image: Image of the sandbox; empty: that of the settings.
        oci_runtime: Runtime of the engine when not its default.
        limits: What a sandbox and each of its sessions may use.
        max_sandboxes: Sandboxes alive at once in one process.
        allow_weak: Run also where the kernel has no Landlock.
        warm_s: How long a sandbox of the docker runtime waits for a next run on the same dataset.

    Example:
        ```python
        from blocks.sandbox_pool import SandboxPoolBlock

        pool = await SandboxPoolBlock.load("default").get_pool()
        async with pool.open(Path("data.csv")) as sandbox, await sandbox.session() as session:
            result = await session.run("df.describe()")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Sandbox Pool"
    _block_type_slug: ClassVar[str | None] = "trigpoint-sandbox-pool"
    _description: ClassVar[str | None] = "Where untrusted code runs, how much at once, and within which limits."

    runtime: Annotated[
        RuntimeChoice,
        Field(title="Runtime", description="auto: docker where an engine answers and has the image, else process"),
    ] = "auto"
    docker_host: Annotated[
        DockerHost | None,
        Field(title="Docker host", description="empty: DOCKER_HOST, else the local socket; its base_url is used"),
    ] = None
    image: Annotated[str | None, Field(title="Image", description="empty: TRIGPOINT_SANDBOX_IMAGE", min_length=1)] = (
        None
    )
    oci_runtime: Annotated[
        str | None, Field(title="OCI runtime", description="e.g. runsc; empty: the engine's default", min_length=1)
    ] = None
    limits: Annotated[SandboxLimits, Field(title="Limits", description="of a sandbox and each of its sessions")] = (
        SandboxLimits()
    )
    max_sandboxes: Annotated[
        int | None,
        Field(title="Sandboxes at once", description="in one process; empty: TRIGPOINT_MAX_CONTAINERS", ge=1),
    ] = None
    allow_weak: Annotated[
        bool,
        Field(title="Allow weak walls", description="run also without Landlock: only for code you would run yourself"),
    ] = False

    warm_s: Annotated[
        float | None,
        Field(
            title="Kept warm for",
            description="seconds a sandbox waits for a next run on the same dataset; empty: TRIGPOINT_WARM_S",
            ge=0,
        ),
    ] = None

    async def get_pool(self, *, slot: Slot | None = container_slot) -> SandboxPool:
        """A pool with these settings, its runtime checked and left-overs of dead owners removed.

        Args:
            slot: Entered for the life of each sandbox: the limit all processes share, which `blocks.slots.ensure_limit`
                creates. None: this process alone counts.

        Raises:
            SandboxUnavailable: The runtime cannot be used here.
        """
        runtime = await default_runtime(
            self.runtime,
            docker_host=self.docker_host.base_url if self.docker_host else None,
            allow_weak=self.allow_weak,
            image=self.image,
            oci_runtime=self.oci_runtime,
        )
        runtime.realm = realm()
        await runtime.reap()
        max_sandboxes = self.max_sandboxes or settings().max_containers
        return SandboxPool(
            runtime,
            limits=self.limits,
            max_sandboxes=max_sandboxes,
            slot=slot,
            free_slots=free_slots if slot is container_slot else None,
            observer=event_observer(),
            warm_s=settings().warm_s if self.warm_s is None else self.warm_s,
        )
