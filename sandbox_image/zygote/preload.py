"""Imports the libraries once, before any session exists, and uses each a little: no session pays for first use.

A sandbox for our own code, which wants tables alone, need not wait for the rest; there it is imported by who wants it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import os
from typing import Any, Final

_TABLES: Final = """
numpy numpy.linalg numpy.random numpy.fft pandas pandas.api.types
asyncio base64 calendar collections concurrent.futures contextlib copy csv dataclasses datetime decimal enum fractions
functools glob hashlib heapq itertools json linecache logging math operator pathlib pickle pprint random re shutil
statistics string tempfile textwrap threading time tokenize traceback types typing unicodedata uuid warnings zoneinfo
"""
_ANALYSIS: Final = """
scipy scipy.stats scipy.optimize scipy.interpolate scipy.linalg scipy.spatial scipy.signal scipy.sparse
scipy.cluster.hierarchy
statsmodels.api statsmodels.formula.api statsmodels.stats.api statsmodels.stats.multicomp
statsmodels.stats.outliers_influence statsmodels.tsa.api
sklearn sklearn.cluster sklearn.compose sklearn.decomposition sklearn.ensemble sklearn.impute sklearn.linear_model
sklearn.metrics sklearn.model_selection sklearn.naive_bayes sklearn.neighbors sklearn.pipeline sklearn.preprocessing
sklearn.svm sklearn.tree
matplotlib matplotlib.pyplot matplotlib.dates
"""
SETS: Final = ("all", "tables")
"""What can be asked for."""

LIBRARIES: Final = ("pandas", "numpy", "scipy", "statsmodels", "scikit-learn", "matplotlib")

ENVIRONMENT: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "LOKY_MAX_CPU_COUNT": "1",
    # No processes may be made in a session: joblib then works in threads, and need not try semaphores first.
    "JOBLIB_MULTIPROCESSING": "0",
    "MPLBACKEND": "Agg",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
}
"""Set before the libraries load: they read these once. Threads must not exist before a fork, and one thread per library
keeps sums in the same order on every machine."""


def preload(wanted: str = "all") -> None:
    """Import and warm up. Takes a few seconds, most of it reading shared libraries.

    Args:
        wanted: One of `SETS`; tables: pandas, numpy and the standard library only, in a quarter of the time.
    """
    _import(_TABLES)
    set_display()
    _use_tables()
    if wanted == "all":
        _import(_ANALYSIS)
        _find_thread_pools()
        _use_statistics()
        _use_figures()


def _import(names: str) -> None:
    for name in names.split():
        importlib.import_module(name)


def library_versions() -> dict[str, str]:
    """Name and version of every library a cell may count on."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def threads() -> int:
    """Threads of this process. More than one makes a fork unsafe."""
    return len(os.listdir("/proc/self/task"))


def set_display() -> None:
    """Fix how tables are shown, so that the same cell prints the same text everywhere."""
    import pandas as pd

    pd.set_option("display.width", 120)
    pd.set_option("display.max_columns", 20)
    pd.set_option("display.max_rows", 30)
    pd.set_option("display.max_colwidth", 60)


def _find_thread_pools() -> None:
    """scikit-learn looks its thread pools up once; in a session there is no /proc to look in."""
    from sklearn.utils.parallel import _get_threadpool_controller

    # Later look-ups, by user code, ask the dynamic linker instead.
    pools: Any = importlib.import_module("threadpoolctl")
    pools._HAS_PROCFS = False
    _get_threadpool_controller()


def _table() -> Any:
    import pandas as pd

    return pd.read_csv(io.StringIO("a,b,c\n" + "".join(f"{i},{i * i % 7},{'xy'[i % 2]}\n" for i in range(12))))


def _use_tables() -> None:
    table = _table()
    repr(table)
    repr(table.groupby("c").agg({"a": "mean", "b": ["min", "max"]}))
    table.describe(include="all").to_string()
    table.merge(table, on="a").pivot_table(index="a", values="b_x", aggfunc="sum")
    table["c"].value_counts()


def _use_statistics() -> None:
    import statsmodels.formula.api as smf
    from scipy import stats

    table = _table()
    stats.ttest_ind(table["a"], table["b"])
    str(smf.ols("a ~ b", data=table).fit().params)


def _use_figures() -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.plot([0, 1], [1, 0], label="a")
    axes.set_title("a")
    axes.legend()
    figure.savefig(io.BytesIO(), format="png")
    plt.close("all")
