"""Program questions on the bundled datasets, in real sessions: they run, answer in their type, and harm nothing."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.sandboxes import ProcessRuntime, Sandbox
from flows.answers.answers import Answer, parse_answer
from flows.answers.comparator import compare, matches_itself
from flows.questions.candidates import Candidate, Facts
from flows.questions.programs import propose_programs
from flows.samples import SLUGS, dataset_folder
from flows.tables.profiling import CellRunner, profile_dataset

BUDGET = 14


async def answer_and_facts(candidate: Candidate, session: CellRunner) -> tuple[Answer, Facts]:
    ran = await session.run(candidate.program)
    assert ran.status == "ok", (candidate.program, ran.error)
    assert ran.submission is not None
    probed = await session.run(candidate.probe)
    assert probed.status == "ok", (candidate.probe, probed.error)
    assert probed.submission is not None
    answer = parse_answer(ran.submission.value, candidate.answer)
    facts = Facts.model_validate({key["v"]: value["v"] for key, value in probed.submission.value["v"]})
    assert refused(facts) or ran.stderr == "", candidate.program
    return answer, facts


def refused(facts: Facts) -> bool:
    return (
        facts.trivial
        or (facts.rows is not None and facts.rows < 30)
        or (facts.smallest_group is not None and facts.smallest_group < 5)
        or (facts.margin is not None and facts.margin < 0.02)
        or (facts.p_value is not None and facts.p_value > 0.05)
    )


@pytest.mark.parametrize("slug", SLUGS)
async def test_programs_of_a_bundled_dataset(slug: str) -> None:
    passed = 0
    async with (
        await Sandbox.open(ProcessRuntime(), dataset_folder(slug) / "data.csv") as box,
        await box.session() as shared,
        await box.session() as other,
    ):
        assert (await shared.run("original = df.copy()")).status == "ok"
        assert (await other.run("df = df.sample(frac=1, random_state=1).reset_index(drop=True)")).status == "ok"
        candidates = propose_programs(await profile_dataset(shared), seed=3, budget=BUDGET)
        assert len(candidates) == BUDGET
        for candidate in candidates:
            # One session for all is what a program must not mind: nobody changes `df` under the next one.
            answer, facts = await answer_and_facts(candidate, shared)
            async with await box.session() as fresh:
                again, facts_again = await answer_and_facts(candidate, fresh)
            assert facts == facts_again
            if refused(facts):
                continue
            passed += 1
            elsewhere, _ = await answer_and_facts(candidate, other)
            assert answer.usable, (candidate.program, answer.problem)
            assert answer.coercions == ()
            assert matches_itself(answer, candidate.answer).equal
            assert compare(answer, again, candidate.answer).equal, candidate.program
            assert compare(answer, elsewhere, candidate.answer).equal, candidate.program
        untouched: Any = (await shared.run("submit(original.equals(df))")).submission
        assert untouched.value == {"t": "bool", "v": True}
    assert passed >= BUDGET / 2
