"""A table that lacks rows and columns of another at once is found; tables that only have the same schema are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from flows.samples import dataset_folder
from flows.tables.excerpts import Excerpt
from flows.tables.neighbours import Sketch, nearest, resemblance
from flows.tables.sketching import table_sketch
from tests.support.properties import PATIENT

ROWS = 1_500
FEW = settings(PATIENT, max_examples=20)
Change = Callable[[pd.DataFrame], pd.DataFrame]


def sketch(frame: pd.DataFrame) -> Sketch:
    return Sketch.model_validate(table_sketch(frame))


def alike(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    there, back = resemblance(sketch(one), sketch(other)), resemblance(sketch(other), sketch(one))
    assert there.alike == back.alike, "which one came first does not matter"
    return there.alike


def stations(seed: int = 0, rows: int = ROWS, first: str = "2020-01-01") -> pd.DataFrame:
    """Readings of a few stations, hour by hour: the date is the only column of distinct values."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "when": pd.date_range(first, periods=rows, freq="h").astype(str),
            "station": rng.choice(["north", "south", "east"], rows),
            "country": "CH",
            "rain": rng.random(rows) < 0.03,
            "temperature": rng.normal(12, 6, rows).round(1),
            "pressure": rng.normal(1013, 8, rows).round(1),
            "wind": rng.gamma(2, 4, rows).round(1),
            "humidity": rng.integers(30, 100, rows),
        }
    )


def people(seed: int = 0, rows: int = ROWS) -> pd.DataFrame:
    """One row per person, with an id."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": np.arange(1, rows + 1),
            "age": rng.integers(18, 90, rows),
            "income": rng.lognormal(10, 0.5, rows).round(0),
            "height": rng.normal(172, 9, rows).round(1),
            "sex": rng.choice(["f", "m"], rows),
            "town": rng.choice([f"town {n}" for n in range(40)], rows),
        }
    )


TABLES = {"stations": stations, "people": people}


@given(
    st.sampled_from(sorted(TABLES)),
    st.integers(0, 2**32 - 1),
    st.floats(0.66, 0.97),
    st.integers(1, 5),
    st.booleans(),
)
@FEW
def test_a_table_that_lacks_rows_and_a_column_is_found(
    name: str, seed: int, share: float, dropped: int, renamed: bool
) -> None:
    """Whichever rows and column are gone, in any order of rows and columns, renamed or not."""
    whole = TABLES[name]()
    part = whole.sample(frac=share, random_state=seed).drop(columns=whole.columns[dropped])
    part = part.sample(frac=1, axis=1, random_state=seed)
    assert alike(whole, part.rename(columns=lambda column: f"new {column}") if renamed else part)


PARTS: dict[str, Change] = {
    "the last fifth of the rows, and two columns": lambda frame: frame.iloc[: 4 * len(frame) // 5, :-2],
    "the rows with a value missing somewhere, and the id": lambda frame: frame[frame["age"] > 35].drop(columns="id"),
    "a third of the rows, with a column of row numbers more": lambda frame: (
        frame.iloc[1000:].reset_index(drop=True).reset_index(names="unnamed: 0")
    ),
    "rows and a column, with a few cells corrected": lambda frame: frame.iloc[100:, :-1].assign(
        age=lambda part: part["age"].where(part.index % 50 > 0, 40)
    ),
    "rows and a column, columns renamed and turned round": lambda frame: (
        frame.iloc[::-1].iloc[300:, ::-1].drop(columns="sex").rename(columns=str.upper)
    ),
}


@pytest.mark.parametrize("case", PARTS)
def test_parts(case: str) -> None:
    whole = people(rows=3_000)
    found = resemblance(sketch(whole), sketch(PARTS[case](whole)))
    assert found.alike
    assert max(found.rows, found.columns) < 0.8, "rows and columns alone would not tell"
    assert "a part of the other" in found.sentence()


@pytest.mark.parametrize("slug", ["penguins", "statecrime", "co2"])
def test_parts_of_real_tables(slug: str) -> None:
    whole = pd.read_csv(dataset_folder(slug) / "data.csv")
    assert alike(whole, whole.sample(frac=0.85, random_state=1).iloc[:, : max(2, whole.shape[1] - 1)])


def test_real_tables_are_told_apart() -> None:
    sketches = [(slug, sketch(pd.read_csv(dataset_folder(slug) / "data.csv"))) for slug in ("penguins", "co2")]
    assert nearest(sketch(pd.read_csv(dataset_folder("statecrime") / "data.csv")), sketches) is None


def sparse(seed: int) -> pd.DataFrame:
    """Numbered texts with twenty tags that hardly any of them has."""
    rng = np.random.default_rng(seed)
    tags = {f"tag {n}": (rng.random(ROWS) < 0.002).astype(int) for n in range(20)}
    return pd.DataFrame({"id": np.arange(ROWS), "text": [f"t{n}" for n in rng.integers(0, 10**9, ROWS)], **tags})


def indicator(name: str, seed: int) -> pd.DataFrame:
    """Every country, every year, one number: the keys are the same in each such table."""
    rng = np.random.default_rng(seed)
    keys = pd.MultiIndex.from_product([[f"country {n}" for n in range(60)], range(1990, 2020)]).to_frame(index=False)
    return pd.DataFrame(
        {"country": keys[0], "code": keys[0].str[-3:], "year": keys[1], name: rng.normal(size=len(keys))}
    )


APART: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {
    "disjoint years of one series": (stations(), stations(seed=1, first="2021-01-01")),
    "disjoint parts of one table": (stations().iloc[: ROWS // 2], stations().iloc[ROWS // 2 :]),
    "years that overlap by half": (stations(rows=1_000), stations(rows=1_500).iloc[500:]),
    "other people with the same numbers": (people(), people(seed=1)),
    "other people, fewer, and fewer columns": (people(), people(seed=1, rows=1_200).iloc[:, :-1]),
    "half of the rows, and a column less": (people(), people().iloc[: ROWS // 2, :-1]),
    "half of the columns": (stations().iloc[:, ::2], stations()),
    "the same hours, other readings": (stations(), stations(seed=1)),
    "two indicators of the same countries": (indicator("income", 1), indicator("births", 2).iloc[100:]),
    "sparse tags of other texts": (sparse(1), sparse(2).iloc[:, :-1].iloc[100:]),
    "each column shuffled": (
        people(),
        people().apply(lambda column: column.sample(frac=1, random_state=len(column.name)).to_numpy()).iloc[150:, :-1],
    ),
    "the same row numbers only": (
        people()[["id", "age"]],
        people(seed=1).iloc[100:, :3].rename(columns={"age": "years"}),
    ),
}


@pytest.mark.parametrize("case", APART)
def test_tables_that_are_not_a_part_of_each_other_are_told_apart(case: str) -> None:
    assert not alike(*APART[case])


@given(st.integers(0, 2**32 - 2), st.floats(0.6, 1.0), st.integers(0, 3))
@FEW
def test_tables_of_the_same_schema_are_told_apart(seed: int, share: float, dropped: int) -> None:
    for make in TABLES.values():
        other = make(seed=seed + 1).sample(frac=share, random_state=seed)
        assert not alike(make(), other.iloc[:, : other.shape[1] - dropped])


@given(st.lists(st.integers(2, 4), min_size=2, max_size=5), st.integers(0, 1_000))
@FEW
def test_tables_of_a_few_codes_are_told_apart(widths: list[int], seed: int) -> None:
    """Their rows are in each other by chance."""
    one, other = (
        pd.DataFrame({n: np.random.default_rng(seed + of).integers(0, width, 600) for n, width in enumerate(widths)})
        for of in (0, 1)
    )
    assert not alike(one, other.iloc[50:, :-1])


def test_a_sketch_is_small_and_ones_from_before_are_read() -> None:
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(2_000, 200)))
    text = sketch(wide).model_dump_json()
    assert len(text) < 150_000
    assert sketch(wide).telling == 200
    old = {"rows": 3, "distinct": 3, "row_hashes": [1], "column_hashes": [2]}
    assert resemblance(Sketch.model_validate(old), sketch(people())).part == 0
    with pytest.raises(ValidationError, match="one width"):
        Excerpt(anchor=0, limit=9, keys=(1, 2), cells="0" * 6 * 3)
