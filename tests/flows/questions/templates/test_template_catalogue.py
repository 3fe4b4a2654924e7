"""The catalogue: what it holds, what it asks of which table, and that the same table is asked the same again."""

from __future__ import annotations

import ast
import builtins
import json
import os
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.answers.answers import parse_answer, parse_reference
from flows.answers.comparator import compare
from flows.questions.candidates import Candidate
from flows.questions.eligible import quoted
from flows.questions.templates import propose_templates
from flows.questions.templates.catalogue import TEMPLATES
from flows.samples import SLUGS, dataset_folder
from flows.tables.column_facts import table_facts
from flows.tables.profiling import DatasetProfile
from sandbox_image.zygote.values import to_tagged

CLASSIC = {
    "easy": {
        "count_high_missing_columns",
        "duplicate_rows_summary",
        "identifier_like_columns",
        "coefficient_of_variation",
        "iqr_outlier_analysis",
        "percentile_ranking",
        "descriptive_summary",
    },
    "medium": {
        "max_variance_mean",
        "min_mean_column_std",
        "strongest_correlation",
        "weakest_correlation",
        "count_outlier_columns",
        "chi_squared_independence",
        "mann_whitney_u_test",
        "spearman_rank_correlation",
        "ks_normality_test",
    },
    "hard": {
        "conditional_normality",
        "category_highest_target_mean",
        "correlation_after_outlier_removal",
        "levene_variance_test",
        "correlation_change_analysis",
        "regression_most_predictive",
        "ttest_discovered_groups",
        "audit_missing_imputation_effect",
        "rank_categories_by_target_mean",
        "quantile_bin_best_mean",
        "segment_then_analyze_outliers",
    },
    "very_hard": {
        "bootstrap_ci_discovered",
        "anova_discovered_groups",
        "multiple_regression_top_predictors",
        "adaptive_two_sample_test",
        "iterative_outlier_removal",
    },
}
JARGON = re.compile(r"groupby|group by|pandas|dataframe|\bdf\b|\bnan\b|value_counts|idxmax|iloc|dtype|lambda", re.I)
DIGESTS = """
import hashlib, pandas as pd
from flows.questions.templates import propose_templates
from flows.samples import SLUGS, dataset_folder
from flows.tables.column_facts import table_facts
from flows.tables.profiling import DatasetProfile
for slug in SLUGS:
    profile = DatasetProfile.model_validate(table_facts(pd.read_csv(dataset_folder(slug) / "data.csv")))
    text = "".join(candidate.model_dump_json() for candidate in propose_templates(profile, seed=11))
    print(slug, hashlib.sha256(text.encode()).hexdigest())
"""


def profile_of(frame: pd.DataFrame) -> DatasetProfile:
    return DatasetProfile.model_validate(table_facts(frame))


@cache
def sample_profile(slug: str) -> DatasetProfile:
    return profile_of(pd.read_csv(dataset_folder(slug) / "data.csv"))


def asked(frame: pd.DataFrame) -> set[str]:
    return {candidate.provenance["template"] for candidate in propose_templates(profile_of(frame), seed=0)}


@cache
def sample_candidates() -> tuple[Candidate, ...]:
    return tuple(c for slug in SLUGS for seed in range(4) for c in propose_templates(sample_profile(slug), seed=seed))


def test_the_catalogue_covers_the_classic_questions_and_adds_its_own() -> None:
    names = Counter(template.name for template in TEMPLATES)
    assert max(names.values()) == 1
    of = {level: {t.name for t in TEMPLATES if t.difficulty == level} for level in CLASSIC}
    assert {level: len(wanted) for level, wanted in CLASSIC.items()} == {
        "easy": 7,
        "medium": 9,
        "hard": 11,
        "very_hard": 5,
    }
    assert {level: wanted - of[level] for level, wanted in CLASSIC.items()} == {level: set() for level in CLASSIC}
    assert len(names) >= 32 + 10


def test_answers_of_every_shape_are_asked_for() -> None:
    shapes = {template.answer.type for template in TEMPLATES}
    assert shapes == {"bool", "int", "float", "percent", "date", "string", "list", "set", "mapping", "table"}


def test_another_process_with_another_hash_seed_asks_the_same() -> None:
    printed = {
        subprocess.run(
            [sys.executable, "-c", DIGESTS],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
    assert len(set(printed.pop().split())) == 2 * len(SLUGS)


def test_seeds_choose_differently_and_names_are_unique() -> None:
    profile = sample_profile("penguins")
    texts = [{candidate.text for candidate in propose_templates(profile, seed=seed)} for seed in (0, 1)]
    assert texts[0] != texts[1]
    names = Counter(candidate.name for candidate in propose_templates(profile, seed=0))
    assert max(names.values()) == 1


def test_a_template_asks_at_most_three_times_and_about_different_columns() -> None:
    by_template: dict[tuple[str, int], list[frozenset[str]]] = {}
    for seed in range(5):
        for candidate in propose_templates(sample_profile("statecrime"), seed=seed):
            key = candidate.provenance["template"], seed
            by_template.setdefault(key, []).append(frozenset(candidate.provenance["columns"]))
    for chosen in by_template.values():
        assert len(chosen) == len(set(chosen)) <= 3
    # Seven measures make three pairs that share no column.
    pairs = by_template["spearman_rank_correlation", 0]
    assert len(pairs) == 3
    assert len(frozenset.union(*pairs)) == 6


def test_the_text_is_complete_and_plain() -> None:
    for candidate in sample_candidates():
        assert "$" not in candidate.text + str(candidate.hint), candidate.name
        assert JARGON.search(candidate.text) is None, candidate.text
        assert all(quoted(name) in candidate.text for name in candidate.provenance["columns"]), candidate.name
        if candidate.answer.decimals is not None:
            assert f"{candidate.answer.decimals} decimal place" in candidate.text, candidate.name
        else:
            assert "round" not in candidate.text, candidate.name
        # Rounding is the comparison's: either rounding of a tie is right.
        assert "round(" not in candidate.program, candidate.name


@pytest.mark.parametrize("label", [1, 1.0, "1", "1.0"])
def test_a_category_of_whole_numbers_is_answered_in_any_spelling(label: object) -> None:
    frame = pd.DataFrame({"stars": [1.0] * 40 + [2.0] * 20 + [None] * 5, "x": range(65)})
    profile = DatasetProfile.model_validate(json.loads(json.dumps(table_facts(frame), allow_nan=False)))
    asked = next(
        each for each in propose_templates(profile, seed=0) if each.provenance["template"] == "top_value_share"
    )
    submitted: list[Any] = []
    exec(asked.program, {"df": frame, "pd": pd, "submit": submitted.append})
    truth = parse_answer(to_tagged(submitted[0], 10_000), asked.answer)
    answer = parse_reference({"value": label, "percentage": 66.7}, asked.answer)
    assert compare(truth, answer, asked.answer).equal


def test_programs_have_no_dead_code_and_submit_once_at_the_end() -> None:
    known = {"df", "pd", "np", "stats", "sm", "submit"} | set(dir(builtins))
    for candidate in sample_candidates():
        tree = ast.parse(candidate.program)
        stored, loaded = Counter[str](), set[str]()
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                if isinstance(node.ctx, ast.Store):
                    stored[node.id] += 1
                else:
                    loaded.add(node.id)
            elif isinstance(node, ast.FunctionDef):
                stored.update([node.name, *(argument.arg for argument in node.args.args)])
            elif isinstance(node, ast.ImportFrom):
                stored.update(alias.name for alias in node.names)
        assert set(stored) - {"_"} <= loaded, candidate.name
        assert loaded <= set(stored) | known, candidate.name
        assert candidate.program.count("submit(") == 1, candidate.name
        last = tree.body[-1]
        assert isinstance(last, ast.Expr), candidate.name
        assert isinstance(last.value, ast.Call), candidate.name
        assert ast.unparse(last.value.func) == "submit", candidate.name


def numbers() -> dict[str, list[Any]]:
    return {
        name: [(at * step) % 53 + at / 7 for at in range(60)]
        for name, step in (("w", 3), ("x", 5), ("y", 11), ("z", 17))
    }


def test_numbers_alone_are_asked_nothing_about_groups_dates_or_texts() -> None:
    names = asked(pd.DataFrame(numbers()))
    assert {"strongest_correlation", "descriptive_summary", "multiple_regression_top_predictors"} <= names
    wanted = {t.name for t in TEMPLATES if {"groups", "dates", "text", "imputation", "counts"} & set(t.tags)}
    assert names & wanted == {"range_to_category"}


def test_texts_alone_are_asked_nothing_about_numbers() -> None:
    frame = pd.DataFrame({"title": [f"the {at} of them" for at in range(40)] * 2})
    assert asked(frame) == {"duplicate_rows_summary", "longest_text", "repeated_values", "frequent_first_word"}


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1.0] * 50, "b": ["same"] * 50}),
        pd.DataFrame({"a": [float("nan")] * 50, "b": [None] * 50}),
    ],
    ids=["constant", "all missing"],
)
def test_columns_that_say_nothing_are_not_asked_about(frame: pd.DataFrame) -> None:
    assert asked(frame) <= {"duplicate_rows_summary"}


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame({"a": []})], ids=["no columns", "no rows"])
def test_an_empty_table_is_asked_nothing(frame: pd.DataFrame) -> None:
    assert asked(frame) == set()


def test_what_the_profile_shows_to_be_empty_is_not_asked() -> None:
    flat = {"x": list(range(60)), "y": [at * 2 for at in range(60)], "z": [60.5 - at for at in range(60)]}
    hollow = {
        "iqr_outlier_analysis",
        "iterative_outlier_removal",
        "count_outlier_columns",
        "correlation_after_outlier_removal",
        "audit_missing_imputation_effect",
        "count_high_missing_columns",
        "missing_together",
        "duplicate_rows_summary",
    }
    assert asked(pd.DataFrame(flat)) & hollow == set()
    spiked = pd.DataFrame({**flat, "y": [*range(57), 9_999, None, None], "z": [*range(58), None, None]})
    assert asked(pd.concat([spiked, spiked.tail(5)])) >= hollow


def test_a_very_wide_table_stays_cheap() -> None:
    wide = pd.DataFrame({f"m{at}": [(row * (at + 3)) % 97 + row / 9 for row in range(40)] for at in range(300)})
    candidates = propose_templates(profile_of(wide), seed=0)
    assert len(candidates) <= 3 * len(TEMPLATES)
    assert max(len(candidate.provenance["columns"]) for candidate in candidates) <= 7


CELLS = st.one_of(
    st.none(),
    st.integers(-5, 5),
    st.floats(allow_nan=True, allow_infinity=True, width=32),
    st.sampled_from(["a", "b", "A", "", " ", "2020-01-31", "x y", "$x", '"', "…"]),
    st.booleans(),
)


@given(
    names=st.lists(st.sampled_from(["x", "$d", "year", "id", 'a"b', "date", " ", "x.1", "é"]), max_size=5, unique=True),
    kinds=st.data(),
    seed=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_any_table_gets_proposals_that_can_be_read(names: list[str], kinds: st.DataObject, seed: int) -> None:
    frame = pd.DataFrame({name: kinds.draw(st.lists(CELLS, min_size=4, max_size=4)) * 5 for name in names})
    for candidate in propose_templates(profile_of(frame), seed=seed):
        ast.parse(candidate.program)
        ast.parse(candidate.probe)
        assert candidate.text


_DAYS = pd.date_range("2019-01-01", periods=120, freq="3D")
_AFTERNOONS = _DAYS + pd.to_timedelta([61 * at % 1440 for at in range(len(_DAYS))], unit="min")


@pytest.mark.parametrize(
    ("written", "timed"),
    [
        (_DAYS, False),
        (_DAYS.strftime("%Y-%m-%d"), False),
        (_DAYS.strftime("%Y%m%d").astype("int64"), False),
        (_AFTERNOONS, True),
        (_AFTERNOONS.tz_localize("UTC"), True),
        (_AFTERNOONS.strftime("%Y-%m-%d %H:%M"), True),
        ([*_DAYS[:-1], _AFTERNOONS[-1]], True),
    ],
)
def test_the_time_of_day_is_spoken_of_only_where_dates_have_one(written: Any, timed: bool) -> None:
    frame = pd.DataFrame({"Datum": written, "Marge": [(at * at) % 97 / 4 for at in range(len(_DAYS))]})
    about_days = {"longest_date_gap", "date_span", "correlation_with_previous_date", "longest_rise"}
    found = [
        each
        for seed in range(6)
        for each in propose_templates(profile_of(frame), seed=seed)
        if each.provenance["template"] in about_days
    ]
    assert {each.provenance["template"] for each in found} == about_days
    assert {"time of day" in each.text for each in found} == {timed}
    assert all("  " not in each.text and " ." not in each.text for each in found)
