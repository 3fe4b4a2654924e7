"""The first questions about a table of which nothing is asked."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blocks.errors import UserError
from blocks.sandboxes import ProcessRuntime, SandboxLimits, SandboxPool
from flows.generation.first import make_first_questions
from flows.tables.dataset import read_dataset
from flows.tables.opening import table_of


class Opened:
    """A limit shared with nobody that counts who entered it."""

    def __init__(self) -> None:
        self.times = 0

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        self.times += 1
        yield


async def test_one_sandbox_reads_the_file_makes_its_questions_and_has_them_answered(
    trees: Path, tmp_path: Path
) -> None:
    opened = Opened()
    limits = SandboxLimits(max_sessions=9, preload="tables")
    pool = SandboxPool(ProcessRuntime(), limits=limits, max_sandboxes=1, slot=opened.slot)
    try:
        async with table_of(pool, read_dataset(trees), tmp_path) as table:
            asked = await make_first_questions(table, tmp_path, lambda line: None)
            await table.sandbox()
        assert asked.questions
        assert opened.times == 1
        async with table_of(pool, read_dataset(trees), tmp_path) as table:
            again = await make_first_questions(table, tmp_path, lambda line: None)
        assert again == asked
        assert opened.times == 1, "what was made is not made again"
    finally:
        await pool.close()


async def test_a_table_that_no_template_fits_is_a_sentence(tmp_path: Path) -> None:
    table_file = tmp_path / "pair.csv"
    table_file.write_text("a,b\nx,y\nx,z\n")
    pool = SandboxPool(ProcessRuntime())
    try:
        async with table_of(pool, read_dataset(table_file), tmp_path) as table:
            with pytest.raises(UserError, match="no template fits it"):
                await make_first_questions(table, tmp_path, lambda line: None)
    finally:
        await pool.close()
