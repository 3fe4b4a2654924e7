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
import threading
import time
import uuid
from collections.abc import Mapping
from math import ceil
from typing import Any, NamedTuple

import docker
import requests
from docker.errors import APIError, ImageNotFound, NotFound

from blocks.errors import SandboxError, SandboxUnavailable
from blocks.sandboxes import container, owner
from blocks.sandboxes.engine import Engine, explain
from blocks.sandboxes.models import SandboxLimits
from blocks.sandboxes.runtime import Diagnostics, Runtime, Transport
from blocks.sandboxes.streams import Demultiplexer, byte_stream
from blocks.settings import settings
from sandbox_image.zygote.protocol import PROTOCOL_VERSION

logger = logging.getLogger(__name__)

END_PATIENCE_S = 3.0
"""Seconds a zygote that was asked to end gets before its stream is cut."""
CUT_PATIENCE_S = 2.0
"""Seconds a container whose stream was cut gets before it is removed by force."""
REMOVAL_DEADLINE_S = 20.0
RUN_ID = uuid.uuid4().hex[:12]
_numbers = itertools.count(1)
_GONE = (requests.exceptions.RequestException, APIError)


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

    async def check(self) -> None:
        """Find out whether the engine answers and has a fitting image.

        Raises:
            SandboxUnavailable: It does not, or may not be used, or the image is missing or speaks another protocol.
        """
        await asyncio.to_thread(self._check)

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
        """Remove containers of owners of this host that no longer live."""
        return await asyncio.to_thread(self._reap)

    def close(self) -> None:
        """Let go of the engine: ends the tunnel to one behind ssh. May be called again."""
        self._engine.close()

    def _check(self) -> None:
        client = self._engine.client()
        try:
            self._look(client)
        finally:
            client.close()

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
            except _GONE as error:
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
            answer = self._create(client, image, sizes)
            created = answer["Id"]
            # Attached before it starts, so that the first byte is not missed and none is buffered elsewhere.
            params = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            attached = client.attach_socket(created, params=params)
            client.start(created)
        except BaseException as error:
            if created:
                with contextlib.suppress(*_GONE):
                    client.remove_container(created, force=True)
            client.close()
            if isinstance(error, _GONE):
                raise self._refusal(error) from error
            raise
        warnings = list(answer.get("Warnings") or ())
        walls = container.outer_walls(facts, sizes, self.runtime, warnings)
        return DockerTransport(client, created, image.id, attached, walls)

    def _create(self, client: docker.APIClient, image: Image, sizes: container.Sizes) -> dict[str, Any]:
        tag = owner.owner_tag()
        answer: dict[str, Any] = client.create_container(
            image.id,
            command=["--allow-weak"] if self.allow_weak else None,
            hostname="sandbox",
            user=container.USER,
            stdin_open=True,
            network_disabled=True,
            name=f"trigpoint-{RUN_ID}-{next(_numbers)}",
            host_config=client.create_host_config(**container.host_options(sizes, self.runtime)),
            labels=container.labels_of(image.labels, RUN_ID, tag, self._labels),
            # The client's proxy settings, with their passwords, are not the sandbox's business.
            use_config_proxy=False,
        )
        return answer

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

    def _reap(self) -> int:
        client = self._engine.client()
        count = 0
        try:
            for found in client.containers(all=True, filters={"label": container.LABEL_OWNER}):
                tag = found["Labels"].get(container.LABEL_OWNER, "")
                if owner.owner_is_gone(tag):
                    logger.info("removing container %s, left by %s", found["Id"][:12], tag)
                    _remove(client, found["Id"])
                    count += 1
        except _GONE as error:
            raise explain(self._engine.url, error) from error
        finally:
            client.close()
        return count


class DockerTransport(Transport):
    """The attached stream of a container.

    Args:
        client: A client of its own.
        container_id: The started container.
        image_id: Id of its image.
        attached: What `attach_socket` returned.
        walls: The outer walls in force.
    """

    runtime = "docker"

    def __init__(
        self, client: docker.APIClient, container_id: str, image_id: str, attached: Any, walls: dict[str, Any]
    ) -> None:
        self.container_id = container_id
        self.image_digest = image_id
        self._client = client
        self._stream = byte_stream(attached)
        self._walls = {"outer": walls}
        self._log = Diagnostics()
        self._demultiplexer = Demultiplexer(self._log.add)
        self._born = int(time.time())
        self._ended = False
        self._reading, self._writing = threading.Lock(), threading.Lock()
        self._removal = threading.Lock()
        self._removed = False

    @property
    def walls(self) -> Mapping[str, Any]:
        """The outer wall's limits."""
        return self._walls

    @property
    def started(self) -> bool:
        """Whether the stream is still there; asked of the engine only when somebody reads."""
        return not self._ended and self._running()

    def read(self) -> bytes:
        """The next bytes the zygote wrote; empty when the stream has ended."""
        with self._reading:
            while not self._ended:
                data = self._stream.recv()
                if not data:
                    break
                try:
                    out = self._demultiplexer.feed(data)
                except ValueError as error:
                    self._log.add(f"\nthe attached stream broke: {error}\n".encode())
                    break
                if out:
                    return out
            self._ended = True
            return b""

    def write(self, data: bytes) -> None:
        """Hand all bytes to the zygote.

        Raises:
            OSError: The stream has ended.
        """
        with self._writing:
            if self._ended:
                raise BrokenPipeError("the stream has ended")
            self._stream.sendall(data)

    def abandon(self) -> None:
        """Cut the stream: the zygote reads the end of its input and goes, and the engine removes the container."""
        self._ended = True
        self._stream.cut()

    async def close(self) -> None:
        """Wait until the container is gone; remove it by force when it does not go by itself."""
        await asyncio.to_thread(self._close)

    def diagnostics(self) -> str:
        """The end of the zygote's log."""
        return self._log.text()

    async def post_mortem(self) -> str:
        """How the container ended, from the engine's events."""
        return await asyncio.to_thread(self._post_mortem)

    def _running(self) -> bool:
        try:
            return bool(self._client.inspect_container(self.container_id)["State"]["Running"])
        except _GONE:
            return False

    def _close(self) -> None:
        with self._removal:
            if self._removed:
                return
            self._removed = True
            # A zygote told to end closes the stream by itself; one that is stuck does not.
            if self._ended or not self._wait_removed(END_PATIENCE_S):
                self.abandon()
                if not self._wait_removed(CUT_PATIENCE_S):
                    _remove(self._client, self.container_id)
            self.abandon()
            for in_use in (self._reading, self._writing):
                if in_use.acquire(timeout=REMOVAL_DEADLINE_S):
                    in_use.release()
            self._stream.close()
            self._client.close()

    def _wait_removed(self, patience_s: float) -> bool:
        try:
            self._client.wait(self.container_id, timeout=ceil(patience_s), condition="removed")
        except NotFound:
            return True
        except (requests.exceptions.Timeout, requests.exceptions.ConnectionError):
            return False
        except APIError as error:
            logger.warning("container %s: %s", self.container_id[:12], error)
            return False
        return True

    def _post_mortem(self) -> str:
        filters = {"container": self.container_id, "type": "container"}
        try:
            until = int(time.time()) + 1
            found = list(self._client.events(since=self._born - 1, until=until, filters=filters, decode=True))
        except _GONE:
            return ""
        words = ["out of memory"] if any(event.get("status") == "oom" for event in found) else []
        for event in found:
            if event.get("status") == "die":
                code = event.get("Actor", {}).get("Attributes", {}).get("exitCode", "?")
                words.append(f"the container ended with exit code {code}")
        return ", ".join(words)


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


def _remove(client: docker.APIClient, container_id: str) -> None:
    """Remove a container by force and wait until it is gone."""
    deadline = time.monotonic() + REMOVAL_DEADLINE_S
    while time.monotonic() < deadline:
        try:
            client.remove_container(container_id, force=True)
        except NotFound:
            return
        except _GONE as error:
            # "removal is already in progress" among others: the next look tells.
            logger.debug("container %s: %s", container_id[:12], error)
        time.sleep(0.1)
    logger.warning("container %s could not be removed within %g s", container_id[:12], REMOVAL_DEADLINE_S)
