"""The cap on sandboxes: a Prefect global concurrency limit, taken strictly, whose slots survive no dead holder.

Prefect leases a slot and takes it back a minute after its holder stopped renewing it, if a full server is running; the
temporary server of a local run never does. So each holder also keeps a locked file under TRIGPOINT_HOME/slots: the
kernel drops the lock with the process, and the next run on this host gives back what the dead still hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError, concurrency
from prefect.concurrency.context import ConcurrencyContext
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_API_URL

from blocks.errors import UserError
from blocks.held import locked
from blocks.local_server import server_is_temporary
from blocks.settings import settings

LIMIT_NAME = "sandbox-containers"
LEASE_S = 60
"""The shortest lease Prefect grants, seconds."""

TOLD_AFTER_S = 10.0
"""A longer wait for a slot is told."""
_WAITS = "All slots of the concurrency limit %s are taken by other sandboxes; this run goes on when one is free."

log = logging.getLogger(__name__)


async def ensure_limit(limit: int, *, name: str = LIMIT_NAME) -> None:
    """Create the limit unless it exists, and give back slots whose holders on this host are dead.

    An existing limit keeps its size: it is the user's, to be changed on the Concurrency page or with `prefect gcl`.
    """
    async with get_client() as client:
        try:
            await client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            with contextlib.suppress(ObjectAlreadyExists):  # Another run was faster.
                await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=limit))
    await reclaim_slots(name=name)


async def reclaim_slots(*, name: str = LIMIT_NAME) -> int:
    """Give back the slots of holders on this host that are no longer alive; return how many.

    With a temporary server (this host only, leases gone with each server) the count of slots taken is corrected to
    the number of live holders; otherwise each dead holder's own lease is released.
    """
    dead = [lease for lease, alive in _holders() if not alive]
    async with get_client() as client:
        if not server_is_temporary():
            for lease in dead:
                if lease is not None:
                    await client.release_concurrency_slots_with_lease(lease_id=lease)
            return len(dead)
        live = sum(alive for _, alive in _holders())
        current = await client.read_global_concurrency_limit_by_name(name)
        if (leaked := current.active_slots - live) > 0:
            await client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(active_slots=live))
            log.info("Gave back %d sandbox slots that dead processes had held.", leaked)
        return max(leaked, 0)


def realm() -> str:
    """Whose limit it is: the server's that PREFECT_API_URL names; a temporary server's is this home's."""
    return str(settings().home.absolute()) if server_is_temporary() else str(PREFECT_API_URL.value())


async def free_slots(*, name: str = LIMIT_NAME) -> int:
    """How many slots of the limit nobody holds at the moment.

    Raises:
        ObjectNotFound: The limit does not exist (`ensure_limit` creates it).
    """
    async with get_client() as client:
        current = await client.read_global_concurrency_limit_by_name(name)
    return max(0, current.limit - current.active_slots)


def dead_holders() -> int:
    """How many processes of this host died with a slot, or waiting for one; nothing is changed."""
    return sum(not alive for _, alive in _holders(keep=True))


@asynccontextmanager
async def container_slot(*, name: str = LIMIT_NAME) -> AsyncIterator[None]:
    """Hold one slot of the limit for the body.

    Raises:
        UserError: The limit does not exist (`ensure_limit` creates it).
    """
    with _holder_file() as record, ConcurrencyContext() as context:
        waits = asyncio.get_running_loop().call_later(TOLD_AFTER_S, log.warning, _WAITS, name)
        try:
            async with concurrency(name, strict=True, lease_duration=LEASE_S):
                waits.cancel()
                record(context.cleanup_lease_ids[-1])
                yield
        except ConcurrencySlotAcquisitionError as error:
            raise UserError(
                f"No slot of the concurrency limit {name} could be taken: {error}.",
                f"Create it with `prefect gcl create {name} --limit N`, and look at the server's log.",
            ) from error
        finally:
            waits.cancel()


class _Record:
    def __init__(self, handle: int) -> None:
        self._handle = handle

    def __call__(self, lease: uuid.UUID) -> None:
        os.pwrite(self._handle, str(lease).encode(), 0)


@contextmanager
def _holder_file() -> Iterator[_Record]:
    """A locked file that says this process holds, or waits for, a slot."""
    folder = settings().home / "slots"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4().hex}.lock"
    hidden = path.with_suffix(".new")
    handle = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        hidden.rename(path)
        yield _Record(handle)
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _holders(*, keep: bool = False) -> list[tuple[uuid.UUID | None, bool]]:
    """(lease, alive) of every holder file; the files of dead holders are removed, unless they are to be kept."""
    found: list[tuple[uuid.UUID | None, bool]] = []
    for path in sorted((settings().home / "slots").glob("*.lock")):
        found.append(_inspect(path, keep=keep))
    return found


def _inspect(path: Path, *, keep: bool) -> tuple[uuid.UUID | None, bool]:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, False
    try:
        if not locked(handle):
            return None, True
        text = os.read(handle, 64).decode()
        if not keep:
            path.unlink(missing_ok=True)
        return (uuid.UUID(text) if text else None), False
    finally:
        os.close(handle)
