"""The store of this installation: a file in the home, or the database that `TRIGPOINT_STORE_URL` names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.blocks.system import Secret
from pydantic import SecretStr

from blocks.chat.backends import Place
from blocks.chat.journal import Journal
from blocks.errors import UserError
from blocks.saved import SAVED
from blocks.settings import settings


def installed_store() -> Place:
    """Where journal and ledger are; the address of a database is read from its block, in this process's own memory.

    Raises:
        UserError: There is no such block.
    """
    url = settings().store_url.get_secret_value()
    if not url:
        return settings().store_file
    if not url.startswith(SAVED):
        return SecretStr(url)
    name = url.removeprefix(SAVED)
    try:
        block: Secret[str] = Secret.load(name, _sync=True)  # type: ignore[call-arg, assignment]
    except ValueError as error:
        raise UserError(
            f"No Secret block is saved as {name!r}, which TRIGPOINT_STORE_URL names.",
            "Save the store's address in one, on the Blocks page of the server at PREFECT_API_URL.",
        ) from error
    return SecretStr(str(block.get()))


@asynccontextmanager
async def visited_store(place: Place | None = None) -> AsyncIterator[Journal | None]:
    """The store for the length of the body, to look something up; None where there is no such file yet.

    Args:
        place: The store; None: this installation's.

    Raises:
        JournalError: It cannot be opened.
        UserError: Its address is in a block that is not there.
    """
    place = await asyncio.to_thread(installed_store) if place is None else place
    if isinstance(place, Path) and not await asyncio.to_thread(place.exists):
        yield None
        return
    journal = await asyncio.to_thread(Journal, place)
    try:
        yield journal
    finally:
        await asyncio.to_thread(journal.close)
