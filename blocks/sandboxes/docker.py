"""The docker runtime: a zygote in a container without network, rights or mounts, reached over its attached stream.

Everything travels over the stream the engine attaches to the container, so the same code serves a local engine and one
behind tcp or ssh. When the owner dies, the stream ends, the zygote reads the end of its input and goes, and the engine
removes the container.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import uuid
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any, NamedTuple

import docker
from docker.errors import APIError, ImageNotFound

from blocks.errors import SandboxError, SandboxUnavailable
from blocks.sandboxes import container, owner, warm
from blocks.sandboxes.attached import DockerTransport, is_running, remove
from blocks.sandboxes.engine import GONE, Engine, explain
from blocks.sandboxes.holders import Holder, fingerprint, holder_of, name_of
from blocks.sandboxes.models import SandboxLimits
from blocks.sandboxes.orphans import is_orphan
from blocks.sandboxes.runtime import Runtime, program_options
from blocks.settings import settings
from sandbox_image.zygote.protocol import PROTOCOL_VERSION

logger = logging.getLogger(__name__)

RUN_ID = uuid.uuid4().hex[:12]
_numbers = itertools.count(1)


class Image(NamedTuple):
    """The image sandboxes are made of, pinned by its id."""

    id: str
    labels: Mapping[str, str]


class DockerRuntime(Runtime):
    """Zygotes in containers.

    Args:
        base_url: The engine: unix://, tcp:// or ssh://. DOCKER_HOST, else the local socket, when not given.
        image: Image built by sandbox_image/build.sh; that of the settings when not given.
        runtime: OCI runtime, e.g. "runsc", when not the engine's default.
        labels: Labels more for the containers.
        allow_weak: Also run where the container's kernel has no Landlock (gVisor has none): sessions of one sandbox are
            then kept apart by seccomp and resource limits only.
    """

    name = "docker"
    keeps = True

    def __init__(
        self,
        base_url: str | None = None,
        image: str | None = None,
        runtime: str | None = None,
        labels: Mapping[str, str] | None = None,
        *,
        allow_weak: bool = False,
    ) -> None:
        self.image = image or settings().sandbox_image
        self.runtime = runtime
        self.allow_weak = allow_weak
        self._engine = Engine(base_url)
        self._labels = dict(labels or {})
        self._pinned: Image | None = None
        self._facts: container.Facts | None = None
        self._home: Mapping[str, str] | None = None

    async def check(self) -> None:
        """Find out whether the engine answers and has a fitting image.

        Raises:
            SandboxUnavailable: It does not, or may not be used, or the image is missing or speaks another protocol.
        """
        await asyncio.to_thread(self._engine.ask, self._look)

    async def identity(self) -> str:
        """The id of the image.

        Raises:
            SandboxUnavailable: See `check`.
        """
        await self.check()
        if self._pinned is None:
            raise AssertionError("a checked runtime has an image")
        return self._pinned.id

    async def start(self, limits: SandboxLimits) -> DockerTransport:
        """Create a container, attach to it, start it.

        Raises:
            SandboxUnavailable: See `check`.
            SandboxError: The engine refused this container.
        """
        starting = asyncio.ensure_future(asyncio.to_thread(self._start, limits))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread goes on; what it brings up is not wanted any more.
            starting.add_done_callback(_abandon)
            raise

    async def reap(self) -> int:
        """Remove containers of owners that no longer live: processes of this host, or of containers that are gone."""
        return await asyncio.to_thread(self._engine.ask, _reap)

    async def fingerprint(self, limits: SandboxLimits, sha256: str) -> str:
        """By which a warm sandbox of this realm, image, limits and dataset is found.

        Raises:
            SandboxUnavailable: See `check`.
        """
        await self.check()
        if self._facts is None or self._pinned is None:
            raise AssertionError("a checked runtime has an image")
        # A session's limits are told when it is opened; these are the container's own.
        sizes = (*astuple(container.Sizes.of(limits, self._facts)), limits.max_columns, limits.preload)
        made_of = [PROTOCOL_VERSION, self._pinned.id, self.runtime, self.allow_weak, sizes, sha256]
        return fingerprint(self.realm, made_of)

    async def revive(self, fingerprint: str, limits: SandboxLimits) -> DockerTransport | None:
        """Take a container that waits with this fingerprint."""
        return await asyncio.to_thread(self._revive, fingerprint, limits)

    async def parked(self) -> list[str]:
        """Fingerprints of the containers of this realm that wait."""
        return await asyncio.to_thread(self._engine.ask, lambda client: warm.parked(client, self.realm))

    async def trim(self, keep: int) -> int:
        """Remove waiting containers until no more than `keep` are left, those that end soonest first."""
        return await asyncio.to_thread(self._engine.ask, lambda client: warm.trim(client, self.realm, keep))

    def close(self) -> None:
        """Let go of the engine: ends the tunnel to one behind ssh. May be called again."""
        self._engine.close()

    def _look(self, client: docker.APIClient) -> tuple[container.Facts, Image]:
        """The engine's facts and the image, asked once: a rebuilt sandbox must be made of the same image."""
        if self._facts is None or self._pinned is None:
            try:
                info = client.info()
                found = client.inspect_image(self.image)  # type: ignore[no-untyped-call]
            except ImageNotFound as error:
                raise SandboxUnavailable(
                    f"The Docker engine at {self._engine.url} has no image {self.image}.",
                    "Build it with `make sandbox-image`.",
                ) from error
            except GONE as error:
                raise explain(self._engine.url, error) from error
            labels = (found.get("Config") or {}).get("Labels") or {}
            _check_protocol(self.image, labels)
            self._facts, self._pinned = container.Facts.of(info), Image(found["Id"], labels)
            for warning in self._facts.warnings:
                logger.info("the Docker engine warns: %s", warning)
        return self._facts, self._pinned

    def _start(self, limits: SandboxLimits) -> DockerTransport:
        client = self._engine.client()
        created = ""
        try:
            facts, image = self._look(client)
            sizes = container.Sizes.of(limits, facts)
            answer = self._create(client, image, sizes, program_options(limits, allow_weak=self.allow_weak))
            created = answer["Id"]
            # Attached before it starts, so that the first byte is not missed and none is buffered elsewhere.
            params = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            attached = client.attach_socket(created, params=params)
            client.start(created)
        except BaseException as error:
            if created:
                with contextlib.suppress(*GONE):
                    client.remove_container(created, force=True)
            client.close()
            if isinstance(error, GONE):
                raise self._refusal(error) from error
            raise
        warnings = list(answer.get("Warnings") or ())
        walls = container.outer_walls(facts, sizes, self.runtime, warnings)
        return DockerTransport(client, created, image.id, attached, walls, facts.name)

    def _revive(self, wanted: str, limits: SandboxLimits) -> DockerTransport | None:
        client = self._engine.client()
        taken = None
        try:
            facts, image = self._look(client)
            home = self._home_label(client).get(container.LABEL_CONTAINER, "")
            holder = Holder(owner.owner_tag(), self._served(), home)
            walls = container.outer_walls(facts, container.Sizes.of(limits, facts), self.runtime, [])
            for container_id, attached in warm.claim(client, wanted, holder):
                transport = DockerTransport(client, container_id, image.id, attached, walls, facts.name)
                if transport.is_welcome(warm.WELCOME_S):
                    taken = transport
                    warm.sign(client, container_id, holder)
                    return taken
                transport.let_go(close_client=False)
        except GONE as error:
            logger.warning("no warm sandbox could be taken: %s", explain(self._engine.url, error))
        finally:
            if taken is None:
                client.close()
        return None

    def _create(
        self, client: docker.APIClient, image: Image, sizes: container.Sizes, options: list[str]
    ) -> dict[str, Any]:
        tag = owner.owner_tag()
        answer: dict[str, Any] = client.create_container(
            image.id,
            command=["--keepable", *options],
            hostname="sandbox",
            user=container.USER,
            stdin_open=True,
            network_disabled=True,
            name=f"trigpoint-{RUN_ID}-{next(_numbers)}",
            host_config=client.create_host_config(**container.host_options(sizes, self.runtime)),
            labels=container.labels_of(image.labels, RUN_ID, tag, self._more_labels(client)),
            # The client's proxy settings, with their passwords, are not the sandbox's business.
            use_config_proxy=False,
        )
        return answer

    def _more_labels(self, client: docker.APIClient) -> dict[str, str]:
        serves = self._served()
        run = {container.LABEL_FLOW_RUN: serves} if serves else {}
        return {**self._labels, **self._home_label(client), **run}

    def _served(self) -> str:
        # In a flow run's container Prefect names the run before any of our code is loaded.
        return self.serves or os.environ.get("PREFECT__FLOW_RUN_ID", "")

    def _home_label(self, client: docker.APIClient) -> Mapping[str, str]:
        """Names the container this process runs in, if it is one of this engine's.

        Nobody else sees the processes in a container, so nobody could tell that an owner in there is dead: a process
        number of another container means nothing. The engine can tell it of the container.
        """
        if self._home is None:
            own = owner.container_id()
            known = own is not None and is_running(client, own)
            self._home = {container.LABEL_CONTAINER: own} if own is not None and known else {}
        return self._home

    def _refusal(self, error: Exception) -> SandboxUnavailable | SandboxError:
        if isinstance(error, ImageNotFound):
            self._facts = self._pinned = None
            return SandboxUnavailable(
                f"The image {self.image} is gone from the Docker engine at {self._engine.url}.",
                "Build it with `make sandbox-image`.",
            )
        if isinstance(error, APIError):
            words = str(error.explanation or error)
            if self.runtime and "untime" in words:
                return SandboxUnavailable(
                    f"The Docker engine at {self._engine.url} has no runtime {self.runtime}.",
                    "Install it there, or leave the runtime out.",
                )
            return SandboxError(f"The Docker engine refused the sandbox: {words}")
        return explain(self._engine.url, error)


def _reap(client: docker.APIClient) -> int:
    count = 0
    for found in client.containers(all=True, filters={"label": container.LABEL_OWNER}):
        if is_orphan(client, found):
            logger.info("removing container %s, left by %s", name_of(found), holder_of(found).owner or "nobody")
            remove(client, found["Id"])
            count += 1
    return count


def _check_protocol(image: str, labels: Mapping[str, str]) -> None:
    version = labels.get(container.LABEL_PROTOCOL)
    if version != str(PROTOCOL_VERSION):
        raise SandboxUnavailable(
            f"The image {image} speaks protocol {version or 'unknown'}, this Trigpoint speaks {PROTOCOL_VERSION}.",
            "Build it again with `make sandbox-image`.",
        )


def _abandon(starting: asyncio.Future[DockerTransport]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().abandon()
