"""The dataset gate: what passes, and every reason why something does not."""

from __future__ import annotations

import pandas as pd
import pytest

from blocks.sandboxes import ReadingRules
from flows.tables.column_facts import table_facts
from flows.tables.gate import GateRule, refusals
from flows.tables.profiling import DatasetProfile


def profile(table: dict[str, list[object]]) -> DatasetProfile:
    return DatasetProfile.model_validate(table_facts(pd.DataFrame(table)))


GOOD: dict[str, list[object]] = {
    "weight": [n * 1.5 + n % 7 for n in range(60)],
    "kind": ["abc"[n % 3] for n in range(60)],
}


def test_a_table_of_a_measure_and_a_category_passes() -> None:
    assert refusals(profile(GOOD), GateRule()) == ()


@pytest.mark.parametrize(
    ("table", "reasons"),
    [
        ({name: values[:49] for name, values in GOOD.items()}, ["49 rows, fewer than 50"]),
        ({"weight": GOOD["weight"]}, ["no delimiter found, so the whole file is one column: give it with --delimiter"]),
        ({"a": [None] * 60, "b": [1.0, 2.0, 3.0] + [None] * 57}, ["every column is at least 95% missing"]),
        ({"id": list(range(60)), "same": ["x"] * 60}, ["no column to ask about"]),
        ({"weight": GOOD["weight"][:12]}, ["12 rows", "no delimiter found"]),
        ({"a": [], "b": []}, ["0 rows"]),
    ],
)
def test_every_reason_is_told(table: dict[str, list[object]], reasons: list[str]) -> None:
    found = refusals(profile(table), GateRule())
    assert len(found) == len(reasons)
    assert all(told.startswith(reason) for told, reason in zip(found, reasons, strict=True))


def test_a_delimiter_that_was_given_is_not_asked_for() -> None:
    found = refusals(profile({"weight": GOOD["weight"]}), GateRule(), ReadingRules(delimiter=""))
    assert found == ("1 column, fewer than 2",)


@pytest.mark.parametrize("rule", [GateRule(min_rows=61), GateRule(min_columns=3), GateRule()])
def test_the_thresholds_are_those_of_the_rule(rule: GateRule) -> None:
    assert bool(refusals(profile(GOOD), rule)) == (rule != GateRule())


def test_a_column_just_under_the_threshold_is_not_empty() -> None:
    almost: dict[str, list[object]] = {"a": [float(n * n) for n in range(20)] + [None] * 80, "b": ["x"] * 100}
    assert refusals(profile(almost), GateRule(most_missing=0.81)) == ()
    assert refusals(profile(almost), GateRule(most_missing=0.79)) != ()


@pytest.mark.parametrize("long", [61, 199, 200, 301])
def test_names_too_long_for_a_question_are_told_as_the_reason(long: int) -> None:
    table: dict[str, list[object]] = {"h" * (long - 1) + str(at): [n * at % 10 for n in range(60)] for at in (1, 3, 7)}
    assert refusals(profile(table), GateRule()) == (
        "no column to ask about: the column names are too long to be spoken of: shorten them to at most 60 characters",
    )
    assert refusals(profile({name[-60:]: values for name, values in table.items()}), GateRule()) == ()


def test_names_with_hidden_signs_are_told_as_the_reason() -> None:
    table = {f"{name}\u200b": values for name, values in GOOD.items()}
    [reason] = refusals(profile(table), GateRule())
    assert reason.startswith("no column to ask about: the column names are repeated, blank or hold hidden signs")


def test_long_names_are_no_reason_where_the_columns_hold_nothing_to_ask_about() -> None:
    table: dict[str, list[object]] = {"n" * 80 + " id": [7919 * n for n in range(60)], "s" * 80: ["x"] * 60}
    [reason] = refusals(profile(table), GateRule())
    assert reason == "no column to ask about: each is constant, an identifier, nearly empty or free text"
