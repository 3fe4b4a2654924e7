"""The sketch program: runs inside the sandbox, where `df` is the untrusted table, and returns hashes of its content.

This file's text is sent to a session as a cell, so it stands alone: numpy and pandas only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

KEPT = 256


def table_sketch(df: pd.DataFrame) -> dict[str, Any]:
    """What two copies of a table share: {rows, distinct, row_hashes, column_hashes}, blind to both orders.

    A row's hash is a sum over its cells, so the order of columns is lost; equal rows are told apart by a count. Of all
    row hashes the smallest are kept, the same ones in whichever order they come. A column's hash is a sum over its
    values, without its name, so it survives being renamed.
    """
    total = np.zeros(len(df), dtype=np.uint64)
    columns = []
    for at in range(df.shape[1]):
        values = _cells(df.iloc[:, at])
        name = _text_hash(pd.Series([str(df.columns[at]).strip().casefold()]))[0]
        total += _mix(values ^ name)
        if len(values) and (values != values[0]).any():
            columns.append(int(_mix(values).sum(dtype=np.uint64)))
    rows = pd.Series(total)
    numbered = _mix(total ^ _mix(rows.groupby(rows).cumcount().to_numpy().astype(np.uint64)))
    return {
        "rows": len(df),
        "distinct": int(rows.nunique()),
        "row_hashes": [int(value) for value in np.unique(numbered)[:KEPT]],
        "column_hashes": sorted(set(columns))[:KEPT],
    }


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
    return np.where(missing, np.uint64(0x9E3779B97F4A7C15), hashes).astype(np.uint64)


def _text_hash(texts: pd.Series[Any]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    hashes: np.ndarray[Any, np.dtype[np.uint64]] = pd.util.hash_array(texts.to_numpy(dtype=object))
    return hashes


def _mix(values: np.ndarray[Any, np.dtype[np.uint64]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Scatter the bits (the finaliser of SplitMix64), so that sums of few small numbers do not meet."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
