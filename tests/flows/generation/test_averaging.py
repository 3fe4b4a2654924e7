"""Which columns a program computes with, by its text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.generation.averaging import averaged_columns


@pytest.mark.parametrize(
    ("code", "columns"),
    [
        ('submit(df["PLTID"].mean())', {"PLTID"}),
        ('submit(df.groupby("g")["EmpNo"].sum().max())', {"EmpNo"}),
        ('x = df.loc[df["g"] == 1, "zip"].dropna()\nsubmit(float(x.median()))', {"zip"}),
        ('submit(df["a"].corr(df["b"]))', {"a", "b"}),
        ('submit(stats.pearsonr(df["a"], df["b"])[0])', {"a", "b"}),
        ('submit(np.log(df["id"]).max())', {"id"}),
        ('submit(df.groupby("g").agg({"id": "mean", "x": "count"}))', {"id"}),
        ('submit(df.groupby("g")["id"].agg(["count", "std"]))', {"id"}),
        ('known = df[["id", "x"]].dropna()\nsubmit((known["id"] / known["x"]).mean())', {"id", "x"}),
        ('submit(df["id"].nunique())', set()),
        ('submit(df.loc[df["x"].idxmax(), "id"])', set()),
        ('submit(df.groupby("id").size().max())', set()),
        ('submit((df["id"] == 5).sum())', set()),
        ("not python (", set()),
    ],
)
def test_what_a_program_averages(code: str, columns: set[str]) -> None:
    assert averaged_columns(code) == columns


@given(st.text())
def test_any_text_can_be_looked_at(code: str) -> None:
    averaged_columns(code)
