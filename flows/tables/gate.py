"""The dataset gate: whether a table can carry questions at all, and every reason why not."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from blocks.frozen import Frozen
from blocks.plurals import several
from blocks.sandboxes.reading import NO_RULES, ReadingRules
from flows.questions.eligible import LONGEST_NAME, TEMPLATE_MISSING, eligible, is_long_named
from flows.tables.profiling import ColumnProfile, DatasetProfile


class GateRule(Frozen):
    """What a dataset must have."""

    min_rows: Annotated[int, Field(ge=1, description="fewest rows of a dataset")] = 50
    min_columns: Annotated[int, Field(ge=1, description="fewest columns of a dataset")] = 2
    most_missing: Annotated[
        float, Field(gt=0, le=1, description="share of missing values from which a column counts as empty")
    ] = TEMPLATE_MISSING


def refusals(profile: DatasetProfile, rule: GateRule, reading: ReadingRules = NO_RULES) -> tuple[str, ...]:
    """Every reason not to take the dataset, one clause each; none: it passes.

    Args:
        profile: The table's profile, computed in the sandbox.
        rule: The thresholds.
        reading: The rules for reading the file that were given.
    """
    reasons = []
    if profile.rows < rule.min_rows:
        reasons.append(f"{several(profile.rows, 'row')}, fewer than {rule.min_rows:,}")
    if profile.columns == 1 < rule.min_columns and reading.delimiter is None:
        reasons.append(
            "no delimiter found, so the whole file is one column: give it with --delimiter, or take one column with"
            " --min-columns 1"
        )
    elif profile.columns < rule.min_columns:
        reasons.append(f"{several(profile.columns, 'column')}, fewer than {rule.min_columns:,}")
    if profile.rows and all(column.missing >= rule.most_missing * profile.rows for column in profile.facts):
        reasons.append(f"every column is at least {rule.most_missing:.0%} missing")
    elif profile.rows and not _askable(profile, rule):
        reasons.append(f"no column to ask about: {_why_none(profile, rule)}")
    return tuple(reasons)


def _askable(profile: DatasetProfile, rule: GateRule, *, any_name: bool = False) -> tuple[ColumnProfile, ...]:
    """The columns a question may be about, or might be if their names were others; one of several roles comes again."""
    found = eligible(profile, most_missing=rule.most_missing, any_name=any_name)
    return (*found.measures, *found.categories, *found.years, *found.dates, *found.labels)


def _why_none(profile: DatasetProfile, rule: GateRule) -> str:
    """What keeps every column from a question: what is in it, or its name alone."""
    unnamed = _askable(profile, rule, any_name=True)
    if any(is_long_named(column) for column in unnamed):
        return f"the column names are too long to be spoken of: shorten them to at most {LONGEST_NAME} characters"
    if unnamed:
        return "the column names are repeated, blank or hold hidden signs: give each column a name of its own"
    return "each is constant, an identifier, nearly empty or free text"
