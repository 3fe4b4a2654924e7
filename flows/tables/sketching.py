"""The sketch program: runs inside the sandbox, where `df` is the untrusted table, and returns hashes of its content.

This file's text is sent to a session as a cell, so it stands alone: numpy and pandas only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

KEPT = 256
MOST_COLUMNS = 64
"""Columns an excerpt has cells of."""
MOST_EXCERPTS = 4
LONGEST_EXCERPT = 64
"""Rows."""
MOST_ROWS_A_VALUE = 8
"""Rows that a value of the anchor column may have on average: fewer values would choose too few sorts of rows."""
MOST_MISSING = 0.2
"""Share of missing values an anchor column may have."""
ORDINARY = 0.9
"""Share of rows with one and the same value from which a column tells next to nothing about its table."""
MISSING = np.uint64(0x9E3779B97F4A7C15)


def table_sketch(df: pd.DataFrame) -> dict[str, Any]:
    """What two copies of a table share: {rows, distinct, row_hashes, column_hashes, telling, excerpts}, in any order.

    A row's hash is a sum over its cells, so the order of columns is lost; equal rows are told apart by a count. Of all
    row hashes the smallest are kept, the same ones in whichever order they come. A column's hash is a sum over its
    values, without its name, so it survives being renamed.
    """
    total = np.zeros(len(df), dtype=np.uint64)
    columns = []
    telling = []
    for at in range(df.shape[1]):
        values = _cells(df.iloc[:, at])
        name = _text_hash(pd.Series([str(df.columns[at]).strip().casefold()]))[0]
        total += _mix(values ^ name)
        if len(values) and (values != values[0]).any():
            columns.append(int(_mix(values).sum(dtype=np.uint64)))
        if _tells(values):
            telling.append(_mix(values))
    rows = pd.Series(total)
    numbered = _mix(total ^ _mix(rows.groupby(rows).cumcount().to_numpy().astype(np.uint64)))
    return {
        "rows": len(df),
        "distinct": int(rows.nunique()),
        "row_hashes": [int(value) for value in np.unique(numbered)[:KEPT]],
        "column_hashes": sorted(set(columns))[:KEPT],
        "telling": len(telling),
        "excerpts": _excerpts(sorted(telling, key=_place)[:MOST_COLUMNS]),
    }


def _tells(values: np.ndarray[Any, np.dtype[np.uint64]]) -> bool:
    return bool(len(values)) and int(np.unique(values, return_counts=True)[1].max()) < ORDINARY * len(values)


def _place(values: np.ndarray[Any, np.dtype[np.uint64]]) -> tuple[int, int]:
    return int(values.min()), int(values.sum(dtype=np.uint64))


def _excerpts(columns: list[np.ndarray[Any, np.dtype[np.uint64]]]) -> list[dict[str, Any]]:
    """Rows that another table with the same rows chooses too, whatever else is in it: those with certain values.

    Each excerpt has an anchor, a column of many values, and the rows whose values there have the smallest hashes. The
    columns come by their own smallest hash: neither names nor places decide, and few rows less change little.
    """
    found = []
    for anchor, values in enumerate(columns):
        known = values != _mix(np.array([MISSING]))[0]
        hashes, counts = np.unique(values[known], return_counts=True)
        if len(hashes) * MOST_ROWS_A_VALUE < len(values) or known.sum() < (1 - MOST_MISSING) * len(values):
            continue
        fitting = int((np.cumsum(counts) <= LONGEST_EXCERPT).sum())
        if fitting == 0:
            continue
        limit = hashes[fitting - 1] if fitting < len(hashes) else np.uint64(2**64 - 1)
        rows = np.flatnonzero(known & (values <= limit))
        cells = np.stack([column[rows] for column in columns], axis=1) >> np.uint64(40)
        order = np.lexsort((*cells.T, values[rows]))
        found.append(
            (-min(counts.size / len(values) // 0.25, 3), anchor, int(limit), values[rows][order], cells[order])
        )
    found.sort(key=lambda each: each[:2])
    return [
        {
            "anchor": anchor,
            "limit": limit,
            "keys": [int(key) for key in keys],
            "cells": "".join(f"{cell:06x}" for cell in cells.ravel().tolist()),
        }
        for _, anchor, limit, keys, cells in found[:MOST_EXCERPTS]
    ]


def _cells(column: pd.Series[Any]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """A hash per cell: of the number, whatever its width, or of the text; one and the same for what is missing."""
    missing = column.isna().to_numpy()
    is_number = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    if is_number:
        # Adding zero makes one number of 0.0 and -0.0.
        numbers = column.astype("float64").to_numpy(na_value=np.nan) + 0.0
        hashes = pd.util.hash_array(numbers)
    else:
        hashes = _text_hash(column.astype(str).str.strip())
    return np.where(missing, MISSING, hashes).astype(np.uint64)


def _text_hash(texts: pd.Series[Any]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    hashes: np.ndarray[Any, np.dtype[np.uint64]] = pd.util.hash_array(texts.to_numpy(dtype=object))
    return hashes


def _mix(values: np.ndarray[Any, np.dtype[np.uint64]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Scatter the bits (the finaliser of SplitMix64), so that sums of few small numbers do not meet."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
