"""Which containers nobody will ever end, by what labels and names say of their owners."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import docker

from blocks.sandboxes import owner
from blocks.sandboxes.attached import is_running
from blocks.sandboxes.holders import holder_of

UNCLAIMED_S = 120.0
"""How long past its time a container that waits for an owner is left to end itself; clocks of hosts may differ."""


def is_orphan(client: docker.APIClient, found: Mapping[str, Any]) -> bool:
    """Whether nobody will ever end a container: its owner is gone, or it has waited for one beyond its time.

    Args:
        client: The engine's.
        found: The container, as in the engine's list.
    """
    holder = holder_of(found)
    if holder.until is not None:
        return time.time() > holder.until + UNCLAIMED_S
    return owner.owner_is_gone(holder.owner) or bool(holder.home and not is_running(client, holder.home))
