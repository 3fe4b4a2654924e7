"""Questions about real tables: how many, whether every answer comes again in a new sandbox, how long they take.

Tables come from packages that are installed anyway, and from the folder REAL_TABLES names, if it does.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from blocks.sandboxes import ProcessRuntime, Sandbox, SandboxLimits, SandboxPool, Session
from flows.answers.answers import parse_answer, parse_reference
from flows.answers.comparator import compare
from flows.generation.generating import generate
from flows.generation.recipes import Recipe, Source
from flows.generation.workplace import workplace_at
from flows.questions.proving import SHUFFLE
from flows.questions.records import Question
from flows.samples import SLUGS, dataset_folder
from flows.tables.dataset import read_dataset
from flows.tables.opening import table_of
from tests.benchmarks.report import Row, print_table
from tests.benchmarks.sizes import size

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

PARALLEL = 4
LEAST = 30
BAR_S = 60.0
SOURCES: tuple[Source, ...] = ("template", "program")
INSTALLED = ("star98", "anes96", "fair", "modechoice", "randhie")[: size(5, 0)]
"""Tables of statsmodels."""


class Outcome(NamedTuple):
    """One table."""

    name: str
    shape: str
    made: dict[str, int]
    proposed: int
    reproduced: int
    unmoved: int
    seconds: float

    @property
    def questions(self) -> int:
        return sum(self.made.values())


def tables() -> list[Path]:
    """Real CSV files on this machine."""
    found = [dataset_folder(slug) / "data.csv" for slug in SLUGS[: size(len(SLUGS), 1)]]
    spec = find_spec("statsmodels")
    assert spec is not None
    assert spec.origin is not None
    found += [Path(spec.origin).parent / "datasets" / name / f"{name}.csv" for name in INSTALLED]
    if "REAL_TABLES" in os.environ:
        found += sorted(Path(os.environ["REAL_TABLES"]).glob("*.csv"))
    return found


async def made_of(path: Path, home: Path) -> Outcome:
    """Generate from both sources, then check every answer in a sandbox of its own."""
    record = read_dataset(path)
    limits = SandboxLimits(max_sessions=PARALLEL + 1)
    pool = SandboxPool(ProcessRuntime(), limits=limits)
    questions: list[Question] = []
    made: dict[str, int] = {}
    proposed = 0
    async with table_of(pool, record, home) as table:
        place = await workplace_at(table, parallel=PARALLEL)
        shape = f"{place.profile.rows:,} x {place.profile.columns:,}"
        started = time.perf_counter()
        for source in SOURCES:
            batch = await generate(Recipe(source=source), place, "key")
            made[source] = len(batch.questions)
            proposed += batch.proposed
            questions += batch.questions
        seconds = time.perf_counter() - started
    await pool.close()
    async with await Sandbox.open(ProcessRuntime(), path, limits=limits, rules=record.reading) as sandbox:
        again = await answers(sandbox, questions, shuffled=False)
        moved = await answers(sandbox, questions, shuffled=True)
    ordered = [question.provenance.get("row_order_matters", False) for question in questions]
    name = path.stem if path.name != "data.csv" else path.parent.name
    return Outcome(name, shape, made, proposed, sum(again), sum(moved) + sum(ordered), seconds)


async def answers(sandbox: Sandbox, questions: list[Question], *, shuffled: bool) -> list[bool]:
    """Whether each program gives the answer that is written down, each in a fresh session."""
    free = asyncio.Semaphore(PARALLEL)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Session]:
        async with free, await sandbox.session() as session:
            yield session

    async def one(question: Question) -> bool:
        async with opened() as session:
            if shuffled:
                await session.run(SHUFFLE.replace("20_011", "7"))
            cell = await session.run(question.reference_program or "")
        if cell.submission is None:
            return False
        found = parse_answer(cell.submission.value, question.answer)
        return compare(parse_reference(question.ground_truth, question.answer), found, question.answer).equal

    return list(await asyncio.gather(*map(one, questions)))


async def test_real_tables(tmp_path: Path) -> None:
    outcomes = [await made_of(path, tmp_path) for path in tables()]
    rows = [
        Row(
            f"{each.name}, {each.shape}",
            f"{each.made['template']} + {each.made['program']} of {each.proposed}; again {each.reproduced}, "
            f"rows shuffled {each.unmoved}; {each.seconds:.1f} s",
            f">= {LEAST}, all again, < {BAR_S:g} s",
            each.questions >= LEAST and each.reproduced == each.unmoved == each.questions and each.seconds < BAR_S,
        )
        for each in outcomes
    ]
    print_table("Template and program questions about real tables", rows)
    assert all(each.reproduced == each.questions for each in outcomes), "a written answer did not come again"
    assert all(each.unmoved == each.questions for each in outcomes), "an answer depends on the order of rows"
