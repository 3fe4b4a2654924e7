"""Near-duplicates by content: blind to order, awake to values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.sandboxes import ProcessRuntime, Sandbox, SandboxLimits
from flows.tables.neighbours import Sketch, nearest, resemblance, sketch_dataset
from flows.tables.sketching import KEPT, table_sketch

ROWS = 2_000


def sketch(frame: pd.DataFrame) -> Sketch:
    return Sketch.model_validate(table_sketch(frame))


def table(seed: int = 0, rows: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "weight": rng.normal(size=rows).round(3),
            "age": rng.integers(0, 90, rows),
            "kind": rng.choice(list("abc"), rows),
            "when": pd.date_range("2020-01-01", periods=rows, freq="h").astype(str),
            "note": [f"n{value}" for value in rng.integers(0, 10**6, rows)],
        }
    )


@given(st.integers(0, 2**32 - 1), st.permutations(range(5)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_and_columns_does_not_matter(seed: int, columns: list[int]) -> None:
    frame = table()
    shuffled = frame.sample(frac=1, random_state=seed).iloc[:, columns]
    assert sketch(shuffled) == sketch(frame)


def test_equal_values_of_another_width_are_equal() -> None:
    frame = table()
    wider = frame.assign(age=frame["age"].astype("float64"), weight=frame["weight"] * 1.0)
    assert sketch(wider) == sketch(frame)


Change = Callable[[pd.DataFrame], pd.DataFrame]
ALIKE: dict[str, Change] = {
    "a tenth of the rows more": lambda frame: pd.concat([frame, table(seed=9, rows=ROWS // 10)]),
    "a tenth of the rows fewer": lambda frame: frame.iloc[ROWS // 10 :],
    "columns renamed": lambda frame: frame.rename(columns=str.upper).rename(columns={"WEIGHT": "mass"}),
    "an index column more": lambda frame: frame.reset_index(names="unnamed: 0"),
    "a few cells corrected": lambda frame: frame.assign(age=frame["age"].where(frame.index > 20, 1)),
}
DIFFERENT: dict[str, Change] = {
    "other values": lambda frame: table(seed=1),
    "half of the rows": lambda frame: frame.iloc[: ROWS // 2],
    "two columns exchanged for others": lambda frame: frame.assign(
        weight=table(seed=2)["weight"], note=table(seed=2)["note"]
    ),
    "each column shuffled, one by one, and one changed": lambda frame: frame.apply(
        lambda column: column.sample(frac=1, random_state=len(column.name)).to_numpy()
    ).assign(weight=table(seed=3)["weight"], age=table(seed=3)["age"]),
}


@pytest.mark.parametrize("case", ALIKE)
def test_what_is_nearly_the_same_is_alike(case: str) -> None:
    assert resemblance(sketch(table()), sketch(ALIKE[case](table()))).alike


@pytest.mark.parametrize("case", DIFFERENT)
def test_what_only_looks_the_same_is_not(case: str) -> None:
    assert not resemblance(sketch(table()), sketch(DIFFERENT[case](table()))).alike


def test_the_share_of_common_rows_is_estimated_well() -> None:
    whole = table(rows=10_000)
    for share in (0.2, 0.5, 0.9):
        part = whole.iloc[: int(10_000 * share)]
        assert resemblance(sketch(whole), sketch(part)).rows == pytest.approx(share, abs=0.12)


def test_tables_of_a_few_codes_are_told_apart() -> None:
    """Any two of them have nearly the same rows, by chance."""
    one, other = (pd.DataFrame(np.random.default_rng(n).integers(0, 2, (500, 4)), columns=list("abcd")) for n in (1, 2))
    assert not resemblance(sketch(one), sketch(other)).alike
    assert resemblance(sketch(one), sketch(one.sample(frac=1, random_state=1))).alike


def test_rows_that_occur_twice_count_twice() -> None:
    once = table(rows=100)
    assert resemblance(sketch(once), sketch(pd.concat([once, once]))).rows == pytest.approx(0.5)


def test_missing_values_and_zeros() -> None:
    plus = pd.DataFrame({"a": [0.0, 1.0, None], "b": ["x", None, "y"]})
    minus = pd.DataFrame({"a": [-0.0, 1.0, None], "b": ["x", None, "y"]})
    assert sketch(plus) == sketch(minus)
    assert sketch(plus) != sketch(plus.fillna({"a": 2.0}))


def test_the_most_alike_is_found() -> None:
    frame = table()
    others = [("far", sketch(table(seed=1))), ("near", sketch(frame.iloc[100:])), ("same", sketch(frame))]
    found = nearest(sketch(frame), others)
    assert found is not None
    assert found[0] == "same"
    assert nearest(sketch(frame), others[:1]) is None


async def test_the_sketch_of_the_sandbox_is_small_and_the_same(tmp_path: Path) -> None:
    frame = table()
    frame.to_csv(tmp_path / "one.csv", index=False)
    frame.sample(frac=1, random_state=3)[frame.columns[::-1]].to_csv(tmp_path / "two.csv", sep=";", index=False)
    sketches, limits = [], SandboxLimits(preload="tables")
    for name in ("one.csv", "two.csv"):
        opened = await Sandbox.open(ProcessRuntime(), tmp_path / name, limits=limits)
        async with opened as box, await box.session() as session:
            sketches.append(await sketch_dataset(session))
    assert sketches[0] == sketches[1]
    assert len(sketches[0].row_hashes) == KEPT
