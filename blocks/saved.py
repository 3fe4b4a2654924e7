"""Blocks that are saved on a Prefect server, found by the names that users give them."""

from __future__ import annotations

from typing import TypeVar

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.blocks.core import Block

from blocks.errors import UserError

SAVED = "block:"
"""Before a block's name, where something else may be named as well."""

_B = TypeVar("_B", bound=Block)


async def saved(kind: type[_B], name: str) -> _B:
    """A saved block, with its secrets.

    Args:
        kind: Its type.
        name: Its name, with `SAVED` before it or without.

    Raises:
        UserError: No block of that name is saved.
    """
    name = name.removeprefix(SAVED)
    try:
        return await kind.aload(name)
    except ValueError as error:
        raise UserError(
            f"No {kind.get_block_type_name()} block is saved as {name!r}.",
            "Make one on the Blocks page, or name one of `prefect block ls`.",
        ) from error
