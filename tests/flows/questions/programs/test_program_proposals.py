"""Proposing: the same list everywhere, varied, without dead code, and true to its words."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows.questions.candidates import Candidate, Facts
from flows.questions.eligible import quoted
from flows.questions.programs import propose_programs
from flows.questions.programs.emission import Program
from flows.questions.programs.enumeration import CATALOGUE
from flows.questions.rounding import places_words
from flows.tables.profiling import DatasetProfile
from tests.support.programs import profile_of, run

HOSTILE = 'it\'s "5 {x}" \\ %s é'
ROWS = 600


def rich_table() -> pd.DataFrame:
    """Something of everything: measures, categories, gaps, dates, years, names, and a hostile column name."""
    random = np.random.default_rng(7)
    group = random.choice(["north", "south", "east", "west"], ROWS, p=[0.4, 0.3, 0.2, 0.1])
    size = random.gamma(4.0, 20.0, ROWS) + (group == "north") * 25
    days = pd.to_datetime("2001-03-01") + pd.to_timedelta(random.integers(0, 4000, ROWS), unit="D")
    return pd.DataFrame(
        {
            HOSTILE: size.round(1),
            "price_eur": (size * 3 + random.normal(0, 30, ROWS) + 200).round(2),
            "cost_eur": (random.gamma(9.0, 20.0, ROWS) + 20).round(2),
            "score": np.where(random.random(ROWS) < 0.1, np.nan, random.normal(0, 1, ROWS).round(3)),
            "region": group,
            "paid": pd.Series(random.choice(["yes", "no"], ROWS), dtype="str").mask(random.random(ROWS) < 0.08),
            "stars": random.integers(1, 6, ROWS),
            "day": days.strftime("%Y-%m-%d"),
            "year": random.integers(1995, 2015, ROWS),
            "place": [f"Place {at}" for at in range(ROWS)],
            "remark": [f"remark {at % 300}" for at in range(ROWS)],
        }
    )


@cache
def rich_profile() -> DatasetProfile:
    return profile_of(rich_table())


@cache
def proposals(seed: int = 5, budget: int = 60) -> tuple[Candidate, ...]:
    return tuple(propose_programs(rich_profile(), seed=seed, budget=budget))


def test_the_list_is_the_same_in_every_process(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    file.write_text(rich_profile().model_dump_json())
    code = (
        "import sys\nfrom pathlib import Path\nfrom flows.questions.programs import propose_programs\n"
        "from flows.tables.profiling import DatasetProfile\n"
        "profile = DatasetProfile.model_validate_json(Path(sys.argv[1]).read_text())\n"
        "for each in propose_programs(profile, seed=5, budget=12):\n    print(each.model_dump_json())\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, str(file)],
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "4711")
    }
    here = "".join(each.model_dump_json() + "\n" for each in propose_programs(rich_profile(), seed=5, budget=12))
    assert outputs == {here.encode()}


def test_another_seed_gives_other_programs() -> None:
    first, second = proposals(), proposals(seed=6)
    assert len({each.program for each in first} & {each.program for each in second}) < len(first) / 2


def test_a_budget_is_kept_and_spread_over_the_difficulties() -> None:
    found = Counter(each.difficulty for each in proposals())
    assert found.total() == 60
    assert found == {"easy": 12, "medium": 18, "hard": 18, "very_hard": 12}


def test_no_shape_fills_the_list() -> None:
    tops = Counter(str(each.provenance["tree"]).partition("[")[0] for each in proposals())
    assert len(tops) >= 25
    assert max(tops.values()) <= 6
    operators = {name for each in proposals() for name in each.provenance["operators"]}
    assert len(operators) >= 55
    columns = {name for each in proposals() for name in each.provenance["columns"]}
    assert columns >= {HOSTILE, "price_eur", "cost_eur", "score", "region", "paid", "stars", "day", "year", "place"}


def test_three_lists_use_nearly_every_operator() -> None:
    reached: set[str] = {"all_rows", "column"}
    for seed in range(5, 8):
        for each in proposals(seed, 150):
            reached.update(each.provenance["operators"])
    assert len({operator.name for operator in CATALOGUE} - reached) <= len(CATALOGUE) / 20


def test_names_texts_and_programs_are_unique() -> None:
    for field in ("name", "text", "program"):
        assert len({getattr(each, field) for each in proposals()}) == 60


def test_every_assigned_variable_is_used_and_nothing_else_happens() -> None:
    for each in proposals():
        tree = ast.parse(each.program)
        loaded = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        assigned = [ast.unparse(node.targets[0]) for node in tree.body if isinstance(node, ast.Assign)]
        assert set(assigned) <= loaded - {"df"}, each.program
        assert len(set(assigned)) == len(assigned)
        last = tree.body[-1]
        assert len(assigned) == len(tree.body) - 1
        assert isinstance(last, ast.Expr)
        assert ast.unparse(last).startswith("submit(")
        assert "inplace" not in each.program


def test_every_program_runs_changes_nothing_and_forgets_the_order_of_rows() -> None:
    frame = rich_table()
    shuffled = frame.sample(frac=1, random_state=3)
    for each in proposals():
        program = Program(each.program, each.probe, each.n_steps)
        answer, facts = run(program, frame)
        again, facts_again = run(program, shuffled)
        assert facts.keys() == facts_again.keys()
        checked = Facts.model_validate(facts)
        if checked.margin is None or checked.margin >= 0.02:
            assert again == (pytest.approx(answer, rel=1e-9) if isinstance(answer, float | dict) else answer)
    pd.testing.assert_frame_equal(frame, rich_table())


def test_most_proposals_pass_the_bars() -> None:
    frame = rich_table()
    passed = 0
    for each in proposals():
        facts = Facts.model_validate(run(Program(each.program, each.probe, 1), frame)[1])
        passed += (
            (facts.rows is None or facts.rows >= 30)
            and (facts.smallest_group is None or facts.smallest_group >= 5)
            and (facts.margin is None or facts.margin >= 0.02)
            and (facts.p_value is None or facts.p_value <= 0.05)
            and not facts.trivial
        )
    assert passed >= 60 * 0.6


def test_a_text_names_every_column_and_constant_and_says_how_to_answer() -> None:
    for each in proposals():
        for name in each.provenance["columns"]:
            assert quoted(name) in each.text, each.text
            assert quoted(name) in (each.hint or "")
        if each.answer.type in ("float", "percent"):
            assert f"rounded to {places_words(each.answer.decimals or 0)}" in each.text
        assert "Answer with" in each.text
        for jargon in ("groupby", "dataframe", "df[", "NaN", "dropna", "{", "idxmax", "  "):
            assert jargon not in each.text.replace(HOSTILE, ""), each.text


def test_a_column_that_is_dropped_where_missing_is_named_as_such() -> None:
    told = 0
    for each in proposals():
        if "dropna(subset=" in each.program:
            assert "Leave out the rows where" in each.text
            told += 1
    assert told > 5


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": []}),
        pd.DataFrame({"a": [1.5]}),
        pd.DataFrame({"a": [None] * 50, "b": ["x"] * 50}),
        pd.DataFrame({"id": range(50), "uuid": [f"u{at}" for at in range(50)]}),
    ],
)
def test_a_table_with_nothing_to_ask_about_gives_nothing(frame: pd.DataFrame) -> None:
    assert propose_programs(profile_of(frame), seed=1, budget=20) == []


def test_no_budget_gives_nothing() -> None:
    assert propose_programs(rich_profile(), seed=1, budget=0) == []
