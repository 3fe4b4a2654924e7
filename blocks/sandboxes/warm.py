"""Warm sandboxes on an engine: containers that wait, with their dataset, for the next run that wants the same.

A container that its owner lets go is renamed: its new name says what it is made of and when it ends. Whoever wants one
like it renames it back and asks its zygote in; the zygote takes one host at a time, so of two that come only one is let
in, whatever the names say. A zygote that nobody visits in time ends itself, and its container with it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import docker
from docker.errors import APIError

from blocks.sandboxes.attached import remove
from blocks.sandboxes.container import LABEL_OWNER
from blocks.sandboxes.holders import (
    Holder,
    fingerprint_of,
    holder_of,
    lent_name,
    name_of,
    parked_name,
    parked_prefix,
    realm_print,
)
from sandbox_image.zygote.visit import PROGRAM

WELCOME_S = 10.0
"""Seconds a waiting zygote has to answer; one that is well does in a few hundredths."""

_ENDED = "ended"
_ROUNDS = 3

logger = logging.getLogger(__name__)


def parked(client: docker.APIClient, realm: str) -> list[str]:
    """Fingerprints of all that wait in a realm."""
    return [fingerprint_of(name_of(found)) for found in _waiting(client, realm_print(realm))]


def claim(client: docker.APIClient, fingerprint: str, holder: Holder) -> Iterator[tuple[str, Any]]:
    """Containers with the fingerprint, each renamed to its new holder and with a visitor at its door.

    Yields:
        The container's id and the attached streams of the visitor. The zygote may still turn it away.
    """
    for found in _waiting(client, fingerprint):
        try:
            # By its old name: whoever comes second finds nothing of that name.
            client.rename(name_of(found), lent_name(found["Id"], holder))
            visit = client.exec_create(found["Id"], list(PROGRAM), stdin=True)
        except APIError as error:
            logger.debug("warm sandbox %s: %s", name_of(found), error)
            continue
        yield found["Id"], client.exec_start(visit["Id"], socket=True)


def sign(client: docker.APIClient, container_id: str, holder: Holder) -> None:
    """Make sure that the name says who was let in: somebody who was turned away may have renamed it last."""
    wanted = lent_name(container_id, holder)
    if client.inspect_container(container_id)["Name"].lstrip("/") != wanted:
        client.rename(container_id, wanted)


def trim(client: docker.APIClient, realm: str, keep: int) -> int:
    """Remove what waits in a realm until no more than `keep` are left, the next to end first; how many that were.

    Args:
        client: The engine's.
        realm: Whose cap it is for; what waits for others is left alone.
        keep: How many may stay.
    """
    gone = 0
    for _ in range(_ROUNDS):
        waiting = sorted(_waiting(client, realm_print(realm)), key=lambda found: holder_of(found).until or 0.0)
        if len(waiting) <= keep:
            break
        for found in waiting[: len(waiting) - keep]:
            # By its old name: whoever has taken or removed it in the meantime has the better right.
            with contextlib.suppress(APIError):
                # Its new name makes it an orphan should this process die here.
                client.rename(name_of(found), parked_name(_ENDED, 0, found["Id"]))
                remove(client, found["Id"])
                gone += 1
    return gone


def _waiting(client: docker.APIClient, beginning: str) -> list[dict[str, Any]]:
    prefix = parked_prefix(beginning)
    found = client.containers(filters={"label": LABEL_OWNER, "name": prefix})
    return [each for each in found if name_of(each).startswith(prefix)]
