"""Each template answers its question: what its program submits in a sandbox is what was worked out by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from blocks.sandboxes import ProcessRuntime, Sandbox
from flows.answers.answers import parse_answer, parse_reference
from flows.answers.comparator import compare
from flows.questions.templates.catalogue import TEMPLATES
from tests.flows.questions.templates.hand_cases import CASES, TABLES, Case

BY_NAME = {template.name: template for template in TEMPLATES}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def any_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("any") / "data.csv"
    path.write_text("a\n1\n", encoding="utf-8")
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(any_file: Path) -> AsyncIterator[Sandbox]:
    """One sandbox for all tables; each case's session reads its own into `df`."""
    async with await Sandbox.open(ProcessRuntime(), any_file) as opened:
        yield opened


async def test_every_template_has_a_case_and_every_table_is_used() -> None:
    assert {case.template for case in CASES} == set(BY_NAME)
    assert {case.table for case in CASES} == set(TABLES)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.template}-{case.table}" for case in CASES])
async def test_the_program_submits_the_answer_worked_out_by_hand(case: Case, sandbox: Sandbox) -> None:
    candidate = BY_NAME[case.template].fill(case.binding(), number=1, version=1)
    async with await sandbox.session() as session:
        await session.run(f"import io\ndf = pd.read_csv(io.StringIO({TABLES[case.table]!r}))")
        cell = await session.run(candidate.program)
    assert cell.status == "ok", cell.error
    assert cell.submission is not None
    answer = parse_answer(cell.submission.value, candidate.answer)
    expected = parse_reference(case.expected, candidate.answer)
    # The program submits its number unrounded: either rounding of a tie is right.
    found = compare(answer, expected, candidate.answer, accept="rounded")
    assert found.equal, found.reason
    assert answer.coercions == ()
