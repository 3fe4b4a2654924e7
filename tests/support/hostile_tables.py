"""Tables that break statistics: nearly constant columns, heavy ties, infinities, huge numbers, gaps, strange names."""

from __future__ import annotations

import io
from collections.abc import Callable
from random import Random

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from sandbox_image.zygote.reading.loader import load

NAMES = ('it\'s "5 {x}"', "größe_cm", "温度", "Ä_eur", "b_eur", "$y", "a\\b", "naïve %s", "x y", "total (m²)", "день")
Values = list[str]
Maker = Callable[[Random, int], Values]


def _numbers(draw: Callable[[Random], object]) -> Maker:
    return lambda random, rows: [str(draw(random)) for _ in range(rows)]


def _series(random: Random, rows: int, step: str) -> Values:
    first = pd.Timestamp(f"{random.randint(1950, 2020)}-{random.randint(1, 12):02}-01")
    return [f"{day:%Y-%m-%d}" for day in pd.date_range(first, periods=rows, freq=step)]


def _repeated(step: str) -> Maker:
    return lambda random, rows: [day for day in _series(random, rows // 5 + 1, step) for _ in range(5)][:rows]


MAKERS: dict[str, Maker] = {
    "plain": _numbers(lambda r: round(r.gauss(50, 20), 2)),
    "positive": _numbers(lambda r: round(r.expovariate(0.02) + 1, 1)),
    "mostly one number": _numbers(lambda r: 7 if r.random() < 0.95 else r.randint(1, 400)),
    "heavy ties": _numbers(lambda r: r.choice([1, 1, 1, 2, 2, r.randint(3, 40)])),
    "zeros": _numbers(lambda r: 0 if r.random() < 0.9 else round(r.gauss(0, 5), 3)),
    "infinities": _numbers(lambda r: r.choice(["inf", "-inf"]) if r.random() < 0.05 else round(r.random(), 3)),
    "one infinity": lambda r, rows: ["inf", *(str(round(r.random() * 9, 2)) for _ in range(rows - 1))],
    "huge integers": _numbers(lambda r: r.randint(10**17, 10**18)),
    "beyond integers": _numbers(lambda r: r.randint(10**19, 10**25)),
    "huge floats": _numbers(lambda r: r.random() * 1e300),
    "wide range": _numbers(lambda r: 10.0 ** r.randint(-300, 300)),
    "tiny floats": _numbers(lambda r: r.random() * 1e-300),
    "nearly equal": _numbers(lambda r: 1e9 + r.randint(0, 30) * 1e-6),
    "steps": lambda r, rows: [str(at // 7) for at in range(rows)],
    "codes": _numbers(lambda r: r.randint(1, 4)),
    "one and another": lambda r, rows: [str(int(at > rows - 7)) for at in range(rows)],
    "booleans": _numbers(lambda r: r.choice([True, False])),
    "words": _numbers(lambda r: r.choice(["ja", "nein", "straße", 'a "b"', "x, y"])),
    "mostly one word": _numbers(lambda r: "ja" if r.random() < 0.9 else r.choice(["nein", "weiß nicht"])),
    "case": _numbers(lambda r: r.choice(["Yes", "yes", "YES", "no"])),
    "numbers and words": _numbers(lambda r: r.choice([r.randint(1, 9), "many"])),
    "names": lambda r, rows: [f"Ort {at} é" for at in range(rows)],
    "years": _numbers(lambda r: r.randint(1990, 2020)),
    "two years": _numbers(lambda r: r.choice([1999, 2000])),
    "days": lambda r, rows: _series(r, rows, "D"),
    "months": lambda r, rows: _series(r, rows, "MS"),
    "repeated months": _repeated("MS"),
    "repeated quarters": _repeated("QS"),
    "repeated years": _repeated("YS"),
    "one day": lambda r, rows: ["2020-02-29"] * (rows - 3) + ["2020-03-01"] * 3,
    "old days": _numbers(lambda r: f"{r.choice([1650, 1850, 2500])}-0{r.randint(1, 9)}-15"),
    "wrong days": _numbers(lambda r: f"2021-{r.randint(1, 13):02}-{r.randint(1, 31):02}"),
    "zoned": _numbers(lambda r: f"2021-0{r.randint(1, 9)}-11T{r.randint(0, 23):02}:30:00{r.choice(['Z', '+02:00'])}"),
    "compact days": _numbers(lambda r: f"20{r.randint(10, 20)}0{r.randint(1, 9)}1{r.randint(0, 9)}"),
    "a copy": lambda r, rows: [str(at * at % 97 / 4) for at in range(rows)],
    "a copy, doubled": lambda r, rows: [str(at * at % 97 / 2) for at in range(rows)],
}
"""Columns by what is wrong with them, as a CSV file writes them."""


@st.composite
def hostile_tables(draw: st.DrawFn) -> pd.DataFrame:
    """A table of a few such columns with gaps, as the sandbox loads it."""
    kinds = draw(st.lists(st.sampled_from(sorted(MAKERS)), min_size=2, max_size=9))
    names = draw(st.permutations(NAMES))
    gaps = draw(st.lists(st.sampled_from([0.0, 0.0, 0.1, 0.45, 0.9]), min_size=len(kinds), max_size=len(kinds)))
    rows = draw(st.sampled_from([40, 90, 200, 400]))
    seed = draw(st.integers(0, 2**32))
    return hostile_table(dict(zip(names, zip(kinds, gaps, strict=True), strict=False)), rows, seed)


def hostile_table(columns: dict[str, tuple[str, float]], rows: int, seed: int) -> pd.DataFrame:
    """A table of these columns, each of a kind and with a share of gaps, as the sandbox loads it."""
    random = Random(seed)
    made = {}
    for name, (kind, gap) in columns.items():
        made[name] = ["" if random.random() < gap else value for value in MAKERS[kind](random, rows)]
    file = io.BytesIO(pd.DataFrame(made).to_csv(index=False).encode())
    with np.errstate(all="ignore"):
        return load(file)[0]
