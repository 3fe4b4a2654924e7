"""The profile: facts are right, bounded whatever the table, and told within the budget."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.errors import DatasetError
from blocks.sandboxes.models import CellError, Submission
from flows.tables.column_facts import DETAILED_COLUMNS, table_facts
from flows.tables.profiling import (
    ColumnProfile,
    DatasetProfile,
    describe,
    parse_profile,
    profile_dataset,
    quote,
)
from tests.support.attempts import LocalSession, cell


def profile(frame: pd.DataFrame) -> DatasetProfile:
    return DatasetProfile.model_validate(json.loads(json.dumps(table_facts(frame), allow_nan=False)))


def column(values: list[object], name: str = "c", dtype: str | None = None) -> ColumnProfile:
    return profile(pd.DataFrame({name: pd.Series(values, dtype=dtype)})).facts[0]


def test_numbers() -> None:
    facts = column([1.5, None, 3.0, 3.0])
    assert (facts.kind, facts.missing, facts.unique) == ("number", 1, 2)
    assert (facts.min, facts.max, facts.mean) == (1.5, 3.0, 2.5)
    assert facts.quantiles == (2.25, 3.0, 3.0)
    assert facts.top == (("3.0", 2), ("1.5", 1))


@pytest.mark.parametrize(
    ("values", "dtype", "kind"),
    [
        ([1, 2, 2], "int64", "integer"),
        ([1, None, 2], "Int64", "integer"),
        ([1.5, 2.5], "float64", "number"),
        ([True, False], "bool", "boolean"),
        ([True, None], "boolean", "boolean"),
        (["a", None], "str", "text"),
        (["2020-01-01", "2021-01-01"], "datetime64[ns]", "datetime"),
        ([None, None], "float64", "number"),
        ([float("inf"), 1.0], "float64", "number"),
        ([], "float64", "number"),
        ([1, "a", None], "object", "text"),
    ],
)
def test_kinds(values: list[object], dtype: str, kind: str) -> None:
    facts = column(values, dtype=dtype)
    assert facts.kind == kind
    assert facts.missing == sum(value is None for value in values)


def test_infinity_is_left_out_rather_than_breaking_the_profile() -> None:
    assert column([float("inf"), 1.0]).max is None


def test_text_that_is_dates_is_noticed_and_told_with_its_range() -> None:
    facts = column(["2020-05-01", "2019-12-31", None])
    assert facts.date_like
    assert (facts.first, facts.last) == ("2019-12-31", "2020-05-01")
    assert not column(["2020-05-01", "soon"]).date_like


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("user_id", ["a", "b", "c"], True),
        ("n", [4, 5, 6], True),
        ("n", [4, 6, 5], False),
        ("name", ["a", "b", "c"], False),
        ("user_id", ["a", "a", "b"], False),
        ("width", [1, 2, 2], False),
    ],
)
def test_id_like_columns(name: str, values: list[object], expected: bool) -> None:
    assert column(values, name).id_like is expected


@given(st.permutations(["a"] * 3 + ["b"] * 3 + list("cdefghijkl")))
@settings(max_examples=30, deadline=None)
def test_top_values_do_not_depend_on_row_order(values: list[str]) -> None:
    top = column(list(values)).top
    assert top == (("a", 3), ("b", 3), *((letter, 1) for letter in "cdefgh"))


def test_columns_of_one_name_are_profiled_apart() -> None:
    frame = pd.DataFrame([[1, "x"], [2, "y"]], columns=["a", "a"])
    assert [facts.kind for facts in profile(frame).facts] == ["integer", "text"]


def test_a_very_wide_table_stays_small() -> None:
    wide = pd.DataFrame([range(5_000)], columns=[f"column number {i}" for i in range(5_000)])
    facts = table_facts(wide)
    assert len(json.dumps(facts)) < 1_000_000
    parsed = DatasetProfile.model_validate(facts)
    assert (parsed.columns, len(parsed.facts)) == (5_000, 5_000)
    assert parsed.facts[DETAILED_COLUMNS - 1].unique == 1
    assert parsed.facts[DETAILED_COLUMNS].unique is None
    text = describe(parsed, 2_000)
    assert len(text) < 2_100
    assert "more columns; list(df.columns) names them all" in text
    shown = text.count("\n- ")
    assert f"and {5_000 - shown:,} more" in text


def test_long_values_and_names_are_cut_and_said_to_be() -> None:
    frame = pd.DataFrame({"n" * 300: ["v" * 10_000, "w"]})
    parsed = profile(frame)
    assert parsed.facts[0].name_cut
    text = describe(parsed)
    assert len(text) < 400
    assert "df.columns[0]" in text
    assert "…" in text


def test_the_description_gives_what_is_needed_but_not_the_answers() -> None:
    frame = pd.DataFrame({"kind": ["b", "a", "a"], "size": [1.0, 2.5, None], "day": ["2020-01-01"] * 3})
    text = describe(profile(frame), notes={"size": "in cm"})
    assert text.splitlines() == [
        "3 rows, 3 columns:",
        '- "kind": text, values "a", "b"',
        '- "size": number, 1 to 2.5, 1 missing (in cm)',
        '- "day": text date, "2020-01-01" to "2020-01-01"',
    ]
    assert "1.75" not in text


names = st.text(st.characters(), max_size=80)


@given(st.lists(names, min_size=1, max_size=30), st.integers(200, 3_000))
@settings(max_examples=40, deadline=None)
def test_any_names_are_told_within_the_budget_one_line_each(columns: list[str], budget: int) -> None:
    text = describe(profile(pd.DataFrame([[1] * len(columns)], columns=columns)), budget)
    assert len(text) <= budget + 80
    text.encode("utf-8")
    lines = text.split("\n")
    assert all(line.startswith(('- "', "… and ")) for line in lines[1:])
    assert all(sign.isprintable() for line in lines for sign in line)


@given(st.text(max_size=100))
def test_quoted_text_is_the_python_literal_of_itself(text: str) -> None:
    quoted = quote(text, 100)
    assert eval(quoted) == text


def test_a_cut_quote_shows_that_it_is_cut() -> None:
    assert quote("abcdef", 3) == '"abc…"'


async def test_the_program_runs_as_a_cell() -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    session = LocalSession(frame)
    await session.reset()
    assert await profile_dataset(session) == profile(frame)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (cell("timeout", reason="over 60 s"), "over 60 s"),
        (cell("error", error=CellError(name="MemoryError", message="no", traceback="")), "MemoryError"),
        (cell("ok"), "ok"),
        (cell("ok", submission=Submission(value={"t": "str", "v": "{}"})), "malformed"),
        (cell("ok", submission=Submission(value={"t": "str", "v": "["})), "malformed"),
        (cell("ok", submission=Submission(value={"t": "int", "v": 1})), "malformed"),
    ],
)
def test_a_profile_that_did_not_come_is_one_sentence(result: object, words: str) -> None:
    with pytest.raises(DatasetError) as caught:
        parse_profile(result)  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
