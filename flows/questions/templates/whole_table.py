"""Templates about the table as a whole: missing values, repeated rows, columns that could serve as keys."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from flows.questions.records import AnswerSpec
from flows.questions.templates.columns import Columns
from flows.questions.templates.facts import gap_at_top, probe
from flows.questions.templates.template import Binding, Slot, Template

_SHARES = (5, 10, 20, 30, 50)
"""Per cent of missing values that a question may ask about."""


def _missing_share(table: Columns, rng: Random) -> Iterator[Binding]:
    rows = table.profile.rows
    fitting = []
    for percent in _SHARES if table.whole() and rows else ():
        missing = [100 * fact.missing for fact in table.profile.facts]
        over = sum(part > percent * rows for part in missing)
        # A share that some column meets exactly would turn on the last bit of a division.
        if 0 < over < len(missing) and percent * rows not in missing:
            fitting.append(percent)
    if fitting:
        percent = rng.choice(fitting)
        yield {"share": Slot(repr(percent / 100), f"{percent}%")}


def _may_repeat(table: Columns, _: Random) -> Iterator[Binding]:
    facts = table.profile.facts
    if table.profile.rows and all(fact.unique is None or fact.unique < table.profile.rows for fact in facts):
        yield {}


def _some_are_keys(table: Columns, _: Random) -> Iterator[Binding]:
    facts = table.profile.facts
    if table.whole() and 0 < sum(fact.unique == table.profile.rows for fact in facts) < len(facts):
        yield {}


def _gaps_in_several(table: Columns, _: Random) -> Iterator[Binding]:
    if table.whole() and sum(0 < fact.missing < table.profile.rows for fact in table.profile.facts) >= 2:
        yield {}


_TOP_PATTERN, _PATTERN_GAP = gap_at_top("patterns")

TEMPLATES = (
    Template(
        name="count_high_missing_columns",
        difficulty="easy",
        n_steps=2,
        tags=("missing values", "columns"),
        bind=_missing_share,
        text="In how many columns of the table are more than $share of the values missing?",
        hint="Compute the share of missing values of every column, then count the columns where it is over $share.",
        program="""
missing_share = df.isna().mean()
submit(int((missing_share > $share).sum()))
""",
        probe=probe("len(df)", trivial="not 0 < (missing_share > $share).sum() < len(missing_share)"),
        answer=AnswerSpec(type="int"),
    ),
    Template(
        name="duplicate_rows_summary",
        difficulty="easy",
        n_steps=2,
        tags=("duplicates", "rows"),
        bind=_may_repeat,
        text="""How many rows repeat another row in every column, counting all but one of each set of equal rows,
        and how many different rows are there? Two missing values count as equal. Give the counts under the names
        "repeated" and "distinct".""",
        hint="Mark every row that equals an earlier one, count the marked rows, and count the others.",
        program="""
is_repeat = df.duplicated()
submit({"repeated": int(is_repeat.sum()), "distinct": int((~is_repeat).sum())})
""",
        probe=probe("len(df)", trivial="not is_repeat.any()"),
        answer=AnswerSpec(type="mapping", items="int"),
    ),
    Template(
        name="identifier_like_columns",
        difficulty="easy",
        n_steps=2,
        tags=("keys", "columns"),
        bind=_some_are_keys,
        text="""Which columns could identify a row on their own, because no value in them is missing and no two
        rows hold the same value? Give the set of their names.""",
        hint="Count the different values of every column and keep the columns with as many as there are rows.",
        program="""
distinct = df.nunique()
submit(set(distinct.index[distinct == len(df)]))
""",
        probe=probe("len(df)", trivial="not 0 < (distinct == len(df)).sum() < len(distinct)"),
        answer=AnswerSpec(type="set", items="string", case_sensitive=True),
    ),
    Template(
        name="missing_together",
        difficulty="medium",
        n_steps=4,
        tags=("missing values", "rows"),
        bind=_gaps_in_several,
        text="""Take the rows in which at least one value is missing and, for each of them, the set of all columns
        in which its value is missing. Which of these sets occurs in the most rows? Only rows with exactly the
        same set count together. Give the set of the columns' names.""",
        hint="""Mark what is missing, keep the rows with a mark, count how often each pattern of marks occurs,
        and name the marked columns of the most frequent pattern.""",
        program="""
missing = df.isna()
patterns = missing[missing.any(axis=1)].value_counts()
most_common = patterns.idxmax()
submit({name for name, is_missing in zip(df.columns, most_common) if is_missing})
""",
        probe=probe("len(df)", margin=_PATTERN_GAP, setup=_TOP_PATTERN),
        answer=AnswerSpec(type="set", items="string", case_sensitive=True),
    ),
)
