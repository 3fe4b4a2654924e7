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
