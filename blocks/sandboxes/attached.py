"""The attached stream of a container as a transport, and the container's end."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from math import ceil
from typing import Any, NamedTuple

import docker
import requests
from docker.errors import APIError, NotFound

from blocks.errors import SandboxError
from blocks.sandboxes.engine import GONE
from blocks.sandboxes.holders import parked_name
from blocks.sandboxes.runtime import OUT_OF_MEMORY, Diagnostics, Transport
from blocks.sandboxes.streams import Demultiplexer, byte_stream

logger = logging.getLogger(__name__)

END_PATIENCE_S = 3.0
"""Seconds a zygote that was asked to end gets before its stream is cut."""
DEATH_PATIENCE_S = 10.0
"""Seconds the engine gets to notice that a container has ended, once its stream has."""
CUT_PATIENCE_S = 2.0
"""Seconds a container whose stream was cut gets before it is removed by force."""
REMOVAL_DEADLINE_S = 20.0


class DockerTransport(Transport):
    """The attached stream of a container.

    Args:
        client: A client of its own.
        container_id: The started container.
        image_id: Id of its image.
        attached: What `attach_socket` returned.
        walls: The outer walls in force.
        host: Name of the engine's machine.
    """

    runtime = "docker"

    def __init__(
        self,
        client: docker.APIClient,
        container_id: str,
        image_id: str,
        attached: Any,
        walls: dict[str, Any],
        host: str = "",
    ) -> None:
        self.container_id = self.place = container_id
        self.host = host
        self.image_digest = image_id
        self._client = client
        self._stream = byte_stream(attached)
        self._walls = {"outer": walls}
        self._log = Diagnostics()
        self._demultiplexer = Demultiplexer(self._log.add)
        self._born = int(time.time())
        self._ended = False
        self._died = False
        """Whether the stream has ended by itself."""
        self._unread = b""
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
            unread, self._unread = self._unread, b""
            if unread:
                return unread
            while not self._ended:
                data = self._stream.recv()
                if not data:
                    self._died = not self._ended
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

    def is_welcome(self, patience_s: float) -> bool:
        """Whether a kept zygote has answered; blocks. What it said is not lost."""
        impatience = threading.Timer(patience_s, self._stream.cut)
        impatience.start()
        self._unread = self.read()
        impatience.cancel()
        return bool(self._unread)

    async def park(self, fingerprint: str, idle_s: float) -> None:
        """Leave the container, whose zygote has let this host go, to whoever asks for its fingerprint.

        Raises:
            SandboxError: The engine would not have it.
        """
        await asyncio.to_thread(self._park, fingerprint, idle_s)

    def let_go(self, *, close_client: bool = True) -> None:
        """Give the stream back and leave the container alone; blocks."""
        with self._removal:
            self._removed = True
            self._free(close_client=close_client)

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
            return is_running(self._client, self.container_id)
        except GONE:
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
                    remove(self._client, self.container_id)
            self._free()

    def _park(self, fingerprint: str, idle_s: float) -> None:
        name = parked_name(fingerprint, time.time() + idle_s, self.container_id)
        try:
            self._client.rename(self.container_id, name)
        except GONE as error:
            raise SandboxError(f"The sandbox could not be kept: {error}.") from error
        self.let_go()

    def _free(self, *, close_client: bool = True) -> None:
        self.abandon()
        for in_use in (self._reading, self._writing):
            if in_use.acquire(timeout=REMOVAL_DEADLINE_S):
                in_use.release()
        self._stream.close()
        if close_client:
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
        try:
            if self._died:
                # The engine logs the end of a container before it removes it, but later than the stream ends.
                self._wait_removed(DEATH_PATIENCE_S)
            end = last_end(self._client, self._born - 1, {"container": self.container_id})
        except GONE:
            return ""
        words = [OUT_OF_MEMORY] if end.out_of_memory else []
        if end.exit_code is not None:
            words.append(f"the container ended with exit code {end.exit_code}")
        return ", ".join(words)


class End(NamedTuple):
    """How a container ended, as far as the engine remembers."""

    exit_code: int | None
    """None where it remembers no end."""
    out_of_memory: bool


def last_end(client: docker.APIClient, since: int, where: Mapping[str, str]) -> End:
    """What the engine's log tells of the end of a container that it may have removed since.

    Args:
        client: Of its engine.
        since: Unix time in seconds; what happened before is not asked for.
        where: Filters that hold for the container's events.
    """
    exit_code, out_of_memory = None, False
    filters = {"type": "container", **where}
    for event in client.events(since=since, until=int(time.time()) + 1, filters=filters, decode=True):
        # An engine tells an event in two words, "status" being the one that new engines leave out.
        action = event.get("Action") or event.get("status")
        out_of_memory = out_of_memory or action == "oom"
        if action == "die":
            exit_code = int(event["Actor"]["Attributes"]["exitCode"])
    return End(exit_code, out_of_memory)


def is_running(client: docker.APIClient, container_id: str) -> bool:
    """Whether the engine has it and it runs."""
    try:
        return bool(client.inspect_container(container_id)["State"]["Running"])
    except NotFound:
        return False


def remove(client: docker.APIClient, container_id: str) -> None:
    """Remove a container by force and wait until it is gone."""
    deadline = time.monotonic() + REMOVAL_DEADLINE_S
    while time.monotonic() < deadline:
        try:
            client.remove_container(container_id, force=True)
        except NotFound:
            return
        except GONE as error:
            # "removal is already in progress" among others: the next look tells.
            logger.debug("container %s: %s", container_id[:12], error)
        time.sleep(0.1)
    logger.warning("container %s could not be removed within %g s", container_id[:12], REMOVAL_DEADLINE_S)
