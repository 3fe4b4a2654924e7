"""Images and containers of the host side's tests, on the engine that the machine has."""

from __future__ import annotations

import contextlib
import io
import tarfile
import time

import docker
from docker.errors import APIError

from blocks.sandboxes import Sandbox


def build(tag: str, dockerfile: str, **files: bytes) -> None:
    """Build an image on top of the sandbox image, with the classic builder every engine has."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name, data in {"Dockerfile": dockerfile.encode(), **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(data))
    context.seek(0)
    client = docker.APIClient()
    for line in client.build(fileobj=context, custom_context=True, tag=tag, rm=True, decode=True):
        assert "error" not in line, line
    client.close()


def remove_image(tag: str) -> None:
    client = docker.APIClient()
    with contextlib.suppress(APIError):
        client.remove_image(tag, force=True)
    client.close()


async def container_of(box: Sandbox) -> str:
    transport = (await box.ready_link()).transport
    return transport.container_id  # type: ignore[attr-defined, no-any-return]


def exists(client: docker.APIClient, container_id: str) -> bool:
    return bool(client.containers(all=True, filters={"id": container_id}))


def gone(client: docker.APIClient, container_id: str, seconds: float = 200.0) -> bool:
    deadline = time.monotonic() + seconds
    while exists(client, container_id) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not exists(client, container_id)
