"""Templates about texts, and about rows that are named by a text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from random import Random

from flows.questions.records import AnswerSpec
from flows.questions.templates.columns import Columns, present
from flows.questions.templates.facts import gap_at_top, probe
from flows.questions.templates.template import Binding, Slot, Template, column, decimals, labels


def _one_text(table: Columns, _: Random) -> Iterator[Binding]:
    return ({"s": column(s)} for s in table.texts)


def _repeated_texts(table: Columns, _: Random) -> Iterator[Binding]:
    return ({"s": column(s)} for s in table.texts if (s.unique or 0) < present(s, table.profile))


def _label_and_measure(table: Columns, rng: Random) -> Iterator[Binding]:
    for s, x in product(table.labels, table.measures):
        k = rng.choice((3, 5))
        yield {"s": column(s), "x": column(x), "k": Slot(str(k), str(k))}


def _label_and_ratio(table: Columns, _: Random) -> Iterator[Binding]:
    positive = table.positive()
    for s, (x, y) in product(table.labels, table.pairs()):
        if x in positive and y in positive:
            yield {"s": column(s), "x": column(x), "y": column(y), "d": decimals(3)}


_WORD, _WORD_GAP = gap_at_top("counts")
_LENGTH, _LENGTH_GAP = gap_at_top("lengths")
_RATIO, _RATIO_GAP = gap_at_top("ratios")

TEMPLATES = (
    Template(
        name="longest_text",
        difficulty="easy",
        n_steps=2,
        tags=("text",),
        bind=_one_text,
        text="Which value of $s is the longest, counted in characters? Leave out missing values.",
        hint="Take the different values of $s, measure the length of each, pick the longest.",
        program="""
texts = df[$s].dropna().drop_duplicates()
lengths = texts.str.len()
submit(texts[lengths.idxmax()])
""",
        probe=probe("df[$s].count()", margin=_LENGTH_GAP, setup=_LENGTH),
        answer=AnswerSpec(type="string"),
    ),
    Template(
        name="repeated_values",
        difficulty="easy",
        n_steps=2,
        tags=("duplicates", "keys"),
        bind=_repeated_texts,
        text="How many different values of $s occur in more than one row? Leave out missing values.",
        hint="Count the rows of each value of $s, then count the values with more than one.",
        program="""
counts = df[$s].value_counts()
submit(int((counts > 1).sum()))
""",
        probe=probe("counts.sum()", trivial="(counts > 1).all() or not (counts > 1).any()"),
        answer=AnswerSpec(type="int"),
    ),
    Template(
        name="leading_labels",
        difficulty="easy",
        n_steps=2,
        tags=("ranking", "selection"),
        bind=_label_and_measure,
        text="Which $k values of $s have the highest $x? List them, the highest first. Leave out missing values.",
        hint="Sort the rows by $x from high to low, take the first $k, name their $s.",
        program="""
leading = df.nlargest($k, $x)
submit(leading[$s].tolist())
""",
        probe=probe(
            "df[$x].count()",
            margin="steps.min()",
            setup="""
ranked = df[$x].nlargest($k + 1)
steps = (ranked - ranked.shift(-1)).dropna() / (ranked.abs().max() or 1)
""",
        ),
        answer=AnswerSpec(type="list", items="string", case_sensitive=True),
    ),
    Template(
        name="label_of_highest_ratio",
        difficulty="medium",
        n_steps=3,
        tags=("ratio", "selection"),
        bind=_label_and_ratio,
        text="""For which $s is the ratio of $x to $y highest, and what is that ratio? Use the rows in which both
        are known. Give the value of $s under "value" and the ratio, rounded to $d, under "ratio".""",
        hint="Divide $x by $y in every row, find the row with the largest result, name its $s.",
        program="""
ratios = (df[$x] / df[$y]).set_axis(df[$s])
submit({"value": ratios.idxmax(), "ratio": ratios.max()})
""",
        probe=probe("ratios.count()", margin=_RATIO_GAP, setup=_RATIO),
        answer=AnswerSpec(type="mapping", by_key=labels("value"), case_sensitive=True),
    ),
    Template(
        name="frequent_first_word",
        difficulty="medium",
        n_steps=4,
        tags=("text", "counts"),
        bind=_one_text,
        text="""Take the first word of every value of $s, up to the first white space and without regard to upper
        and lower case. Which first word is the most frequent, and in how many rows is it found? Leave out
        missing values. Give the word in lower case under "word" and the number of rows under "rows".""",
        hint="Split the values of $s at white space, take the first piece in lower case, count, and pick the top.",
        program="""
first_words = df[$s].str.lower().str.split().str[0]
counts = first_words.value_counts()
submit({"word": counts.idxmax(), "rows": int(counts.max())})
""",
        probe=probe("counts.sum()", margin=_WORD_GAP, trivial="counts.max() == 1", setup=_WORD),
        answer=AnswerSpec(type="mapping"),
    ),
)
