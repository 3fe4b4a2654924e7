"""The scale of a table: the size of its smallest measure, and what is asked for with it."""

from __future__ import annotations

import pandas as pd
import pytest

from flows.questions.records import AnswerSpec, ValueSpec
from flows.tables.column_facts import table_facts
from flows.tables.profiling import DatasetProfile
from flows.tables.scale import scaled, table_scale


def profile(**columns: list[object]) -> DatasetProfile:
    return DatasetProfile.model_validate(table_facts(pd.DataFrame(columns)))


@pytest.mark.parametrize(
    ("columns", "scale"),
    [
        ({"mass": [3000.0, -6000.0], "name": ["a", "b"]}, 6000.0),
        ({"mass": [3000.0, 6000.0], "charge": [1.6e-19, -3.2e-19]}, 3.2e-19),
        ({"mass": [3000.0, 6000.0], "nothing": [0.0, 0.0]}, 6000.0),
        ({"count": [1, 7]}, 7.0),
        ({"name": ["a", "b"]}, None),
    ],
)
def test_the_least_column_gives_the_scale(columns: dict[str, list[object]], scale: float | None) -> None:
    assert table_scale(profile(**columns)) == scale


def test_what_a_question_says_itself_holds() -> None:
    spec = AnswerSpec(type="mapping", by_key={"a": ValueSpec(scale=5.0), "b": ValueSpec(type="float")})
    done = scaled(spec, profile(mass=[3000.0, 6000.0]))
    assert (done.scale, done.by_key["a"].scale, done.by_key["b"].scale) == (6000.0, 5.0, 6000.0)
    assert scaled(AnswerSpec(scale=2.0), profile(mass=[1.0])).scale == 2.0
    assert scaled(spec, profile(name=["a"])) == spec
