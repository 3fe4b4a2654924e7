"""Templates on whole tables: every proposal runs, answers in its type, reproducibly, and leaves the table as it was."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from blocks.sandboxes import ProcessRuntime, Sandbox
from blocks.sandboxes.session import Session
from flows.answers.answers import Answer, parse_answer
from flows.answers.comparator import compare, matches_itself
from flows.questions.candidates import Candidate, Facts
from flows.questions.templates import propose_templates
from flows.samples import SLUGS, dataset_folder
from flows.tables.column_facts import table_facts
from flows.tables.profiling import DatasetProfile, profile_dataset

KEEP = "untouched = df.copy()"
IS_UNTOUCHED = "submit(bool(df.equals(untouched) and list(df.columns) == list(untouched.columns)))"
SHUFFLE = "df = df.sample(frac=1, random_state=5).reset_index(drop=True)"

HOSTILE = ('it\'s "so"', "$x", "a\\b", "{y}", "size (cm)", "día")
LEVELS = ('say "no"', "it's", "back\\slash")


def hostile_rows() -> list[list[Any]]:
    """Sixty rows under names that would break text, format strings and quotes."""
    rows: list[list[Any]] = []
    for at in range(60):
        gap = at % 13 == 0
        size = at * at % 47 + (500 if at == 31 else 0)
        rows.append(
            [
                LEVELS[at % 3],
                "" if gap else 1.5 * at + at % 7,
                at % 11 + at / 4,
                "ja" if at % 4 else "nein",
                size,
                f"{2019 + at // 24}-{at // 2 % 12 + 1:02d}-{1 + at % 2 * 14:02d}",
            ]
        )
    return rows


async def answer_of(session: Session, candidate: Candidate) -> Answer:
    cell = await session.run(candidate.program)
    assert cell.status == "ok", (candidate.name, cell.error)
    assert cell.submission is not None, candidate.name
    return parse_answer(cell.submission.value, candidate.answer)


async def submitted(session: Session, code: str) -> Any:
    cell = await session.run(code)
    assert cell.status == "ok", (code, cell.error)
    assert cell.submission is not None
    return cell.submission.value


async def check(sandbox: Sandbox, candidates: Sequence[Candidate]) -> None:
    """Every promise about a candidate that holds whatever its template."""
    async with await sandbox.session() as session:
        for candidate in candidates:
            await session.reset()
            await session.run(KEEP)
            first = await answer_of(session, candidate)
            tagged = await submitted(session, candidate.probe)
            facts = Facts.model_validate({key["v"]: value["v"] for key, value in tagged["v"]})
            assert await submitted(session, IS_UNTOUCHED) == {"t": "bool", "v": True}, candidate.name
            assert matches_itself(first, candidate.answer).equal, candidate.name
            # The values of a category may be numbers, which a list of names holds as text.
            assert set(first.coercions) <= {"an int as text"}, candidate.name
            await session.reset()
            again = await answer_of(session, candidate)
            assert again.canonical == first.canonical, candidate.name
            await session.run(SHUFFLE)
            shuffled = await answer_of(session, candidate)
            if facts.margin is None or facts.margin > 0:
                assert compare(first, shuffled, candidate.answer).equal, (candidate.name, first, shuffled)


@pytest.mark.parametrize(("slug", "at_least"), [("penguins", 75), ("statecrime", 55), ("co2", 18)])
async def test_every_proposal_about_a_sample_holds(slug: str, at_least: int) -> None:
    async with await Sandbox.open(ProcessRuntime(), dataset_folder(slug) / "data.csv") as sandbox:
        async with await sandbox.session() as session:
            profile = await profile_dataset(session)
        candidates = propose_templates(profile, seed=1)
        assert len(candidates) >= at_least
        await check(sandbox, candidates)


async def test_names_that_break_quotes_and_blanks_are_only_names(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HOSTILE, *hostile_rows()])
    profile = DatasetProfile.model_validate(table_facts(pd.read_csv(path)))
    candidates = propose_templates(profile, seed=3)
    asked = {name for candidate in candidates for name in candidate.provenance["columns"]}
    assert asked == set(HOSTILE)
    assert all(name in candidate.text for candidate in candidates for name in candidate.provenance["columns"])
    async with await Sandbox.open(ProcessRuntime(), path) as sandbox:
        await check(sandbox, candidates)


def test_the_samples_are_all_tried() -> None:
    assert set(SLUGS) == {"penguins", "statecrime", "co2"}
