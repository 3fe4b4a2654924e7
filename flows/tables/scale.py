"""The scale of a table: how large its smallest measure is, which says what of an answer is the noise of floats."""

from __future__ import annotations

from flows.questions.records import AnswerSpec
from flows.tables.profiling import DatasetProfile


def table_scale(profile: DatasetProfile) -> float | None:
    """The largest size of a value in the numeric column where that is least; None where no column has numbers.

    The least, as it is not known which columns an answer is computed from: in a table with a column of 1e-9 no
    difference of that size is noise.
    """
    sizes = (
        max(abs(column.min), abs(column.max))
        for column in profile.facts
        if column.kind in ("integer", "number") and column.min is not None and column.max is not None
    )
    return min((size for size in sizes if size > 0), default=None)


def scaled(spec: AnswerSpec, profile: DatasetProfile) -> AnswerSpec:
    """What an answer must look like, with the table's scale wherever the question says none."""
    scale = table_scale(profile)
    if scale is None:
        return spec
    by_key = {key: own if own.scale else own.model_copy(update={"scale": scale}) for key, own in spec.by_key.items()}
    return spec.model_copy(update={"scale": spec.scale or scale, "by_key": by_key})
