"""Which columns a program averages, adds up or correlates, as far as its text tells without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_MEASURES = frozenset(
    """mean median std var sem sum skew kurt kurtosis quantile corr cov cumsum prod average nanmean nanmedian nanstd
    nansum pearsonr spearmanr kendalltau linregress zscore gmean log log10 log1p sqrt ttest_ind f_oneway mannwhitneyu
    kruskal levene rolling pct_change diff describe""".split()  # noqa: SIM905
)
"""Calls whose result says something of numbers only where these measure; counting and ranking are none of them."""
_SAME_VALUES = frozenset({"dropna", "astype", "fillna", "reset_index", "to_numpy", "groupby", "copy", "abs", "round"})


def averaged_columns(code: str) -> frozenset[str]:
    """The names of columns that a program computes means, sums, correlations and the like of.

    What it finds is there; what hides behind functions and loops is not found. Nothing where the code does not parse.
    """
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    held: dict[str, frozenset[str]] = {}
    found: set[str] = set()
    for statement in tree.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call):
                found.update(_measured(node, held))
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if isinstance(target, ast.Name):
                held[target.id] = frozenset(_columns(statement.value, held))
    return frozenset(found)


def _measured(call: ast.Call, held: dict[str, frozenset[str]]) -> Iterator[str]:
    function = call.func
    if not isinstance(function, ast.Attribute):
        return
    if function.attr in _MEASURES:
        yield from _columns(function.value, held)
        for argument in call.args:
            yield from _columns(argument, held)
    elif function.attr in ("agg", "aggregate", "transform") and call.args:
        given = call.args[0]
        if isinstance(given, ast.Dict):
            for key, value in zip(given.keys, given.values, strict=True):
                if isinstance(key, ast.Constant) and _names_measure(value):
                    yield str(key.value)
        elif _names_measure(given):
            yield from _columns(function.value, held)


def _names_measure(node: ast.expr) -> bool:
    names = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    return any(isinstance(each, ast.Constant) and each.value in _MEASURES for each in names)


def _columns(node: ast.expr, held: dict[str, frozenset[str]]) -> Iterator[str]:
    """The columns an expression stands for: df["x"], df.loc[rows, "x"], grouped[["x", "y"]], a variable of them."""
    if isinstance(node, ast.Name):
        yield from held.get(node.id, ())
    elif isinstance(node, ast.Subscript):
        names = list(_named(node.slice))
        yield from names or _columns(node.value, held)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _SAME_VALUES:
        yield from _columns(node.func.value, held)
    elif isinstance(node, ast.BinOp):
        yield from _columns(node.left, held)
        yield from _columns(node.right, held)


def _named(index: ast.expr) -> Iterator[str]:
    if isinstance(index, ast.Constant) and isinstance(index.value, str):
        yield index.value
    elif isinstance(index, ast.List):
        yield from (each.value for each in index.elts if isinstance(each, ast.Constant) and isinstance(each.value, str))
    elif isinstance(index, ast.Tuple) and index.elts:
        yield from _named(index.elts[-1])
