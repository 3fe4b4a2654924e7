"""Who a sandbox's container is with: its labels say who made it, its name who has it since it was first handed on.

Labels cannot be changed once a container is made, names can, and the engine keeps them unique.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from blocks.sandboxes.container import LABEL_CONTAINER, LABEL_FLOW_RUN, LABEL_OWNER

PARKED = "trigpoint-warm"
"""First part of the name of a container that waits for its next owner."""
LENT = "trigpoint-lent"
"""The same of one that another than its maker has."""
_NOBODY = "0"
_SHORT = 12


class Holder(NamedTuple):
    """Who has a container.

    Attributes:
        owner: The process, as `owner_tag` names it; empty when nobody has it.
        run: The flow run it serves, where that is known.
        home: Id of the container of the same engine that the owner runs in, where it does.
        until: When it ends unless somebody takes it, seconds since 1970; None when somebody has it.
    """

    owner: str
    run: str = ""
    home: str = ""
    until: float | None = None


def holder_of(found: Mapping[str, Any]) -> Holder:
    """Who has it, from an entry of the engine's list of containers."""
    labels = found.get("Labels") or {}
    made = Holder(labels.get(LABEL_OWNER, ""), labels.get(LABEL_FLOW_RUN, ""), labels.get(LABEL_CONTAINER, ""))
    kind, _, rest = name_of(found).partition("_")
    if kind == PARKED:
        return Holder("", until=_until(rest))
    return _lent(rest) or made if kind == LENT else made


def name_of(found: Mapping[str, Any]) -> str:
    """The container's name, or the beginning of its id."""
    names = found.get("Names") or [found["Id"][:_SHORT]]
    return str(names[0]).lstrip("/")


def fingerprint(realm: str, made_of: Any) -> str:
    """What a waiting container must be found by: whose it is, and what is in it.

    Args:
        realm: Whose cap on sandboxes it counts against.
        made_of: Everything that makes it differ from another, as JSON takes it.
    """
    return realm_print(realm) + hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:24]


def realm_print(realm: str) -> str:
    """What all fingerprints of a realm begin with."""
    return hashlib.sha256(realm.encode()).hexdigest()[:8]


def parked_prefix(beginning: str) -> str:
    """What the names of containers begin with that wait and whose fingerprint begins like this."""
    return f"{PARKED}_{beginning}"


def parked_name(fingerprint: str, until: float, container_id: str) -> str:
    """Name of a container that waits until then, seconds since 1970."""
    return f"{parked_prefix(fingerprint)}_{math.ceil(until)}_{container_id[:_SHORT]}"


def fingerprint_of(name: str) -> str:
    """The fingerprint in a waiting container's name."""
    return name.split("_")[1]


def lent_name(container_id: str, holder: Holder) -> str:
    """Name of a container that the holder has taken."""
    host, pid, started = holder.owner.split("/")
    # The host's name comes last: it alone may hold an underscore.
    parts = (container_id[:_SHORT], holder.run or _NOBODY, holder.home or _NOBODY, pid, started, host)
    return "_".join((LENT, *parts))


def _until(rest: str) -> float:
    parts = rest.split("_")
    return float(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else 0.0


def _lent(rest: str) -> Holder | None:
    parts = rest.split("_", 5)
    if len(parts) != 6:
        return None
    _, run, home, pid, started, host = parts
    return Holder(f"{host}/{pid}/{started}", "" if run == _NOBODY else run, "" if home == _NOBODY else home)
