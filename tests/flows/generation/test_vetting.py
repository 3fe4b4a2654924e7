"""Words that decide an answer, and words that leave it open, name a column's spelling or give the answer away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.generation.vetting import Naming, decimals_asked, faults, gives_away, with_decimals
from flows.questions.records import AnswerSpec

COLUMNS = ("species", "bill_length_mm", "bodyMass", "year", "sex", "total.amount")
FLOAT2 = AnswerSpec(type="float", decimals=2)
INT = AnswerSpec(type="int")
TEXT = AnswerSpec(type="string")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (
            "What is the mean bill length in millimetres, rounded to 2 decimals?",
            AnswerSpec(type="float", decimals=2, unit="mm"),
        ),
        ("What is the mean bill length (mm), to two decimal places?", AnswerSpec(type="float", decimals=2, unit="mm")),
        (
            "What share of the birds are female, as a percentage rounded to the nearest tenth?",
            AnswerSpec(type="percent", decimals=1),
        ),
        (
            "What share of the birds are female, as a ratio between 0 and 1 with 3 decimals?",
            AnswerSpec(type="percent", decimals=3, unit="ratio"),
        ),
        ("How much was spent in dollars, to the nearest cent?", AnswerSpec(type="float", decimals=2, unit="USD")),
        ("How many birds of each species are there?", AnswerSpec(type="mapping", items="int")),
        ("Which species are there, in alphabetical order?", AnswerSpec(type="list", items="string")),
        (
            "Which three species are heaviest on average, from heaviest to lightest?",
            AnswerSpec(type="list", items="string"),
        ),
        ("What is the sample standard deviation of the masses, rounded to 2 decimals?", FLOAT2),
        ("What is Pearson's correlation of mass and length, rounded to 2 decimals?", FLOAT2),
        ("How many masses are outliers, more than 1.5 interquartile ranges beyond the quartiles?", INT),
        ("Do the masses differ significantly by sex in Welch's t-test at the 5 % level?", AnswerSpec(type="bool")),
        ("What is the mean mass to 3 significant figures?", AnswerSpec(type="float")),
        ("Which species has the heaviest bird in the year 2008?", TEXT),
        (
            "How many values lie more than 2 standard deviations above the mean, using the sample standard deviation?",
            INT,
        ),
    ],
)
def test_complete_words_have_no_fault(text: str, answer: AnswerSpec) -> None:
    assert faults(text, answer, COLUMNS, "plain") == []


@pytest.mark.parametrize(
    ("text", "answer", "told"),
    [
        ("What is the mean bill length of all birds?", FLOAT2, "rounded"),
        ("What is the mean bill length, rounded to 3 decimals?", FLOAT2, "ask for 3 decimals"),
        (
            "What is the mean mass, rounded to 1 decimal, and the share with 2 decimals?",
            AnswerSpec(type="float"),
            "different",
        ),
        (
            "What is the mean bill length, rounded to 2 decimals?",
            AnswerSpec(type="float", decimals=2, unit="mm"),
            "unit",
        ),
        (
            "What share of the birds are female, rounded to 2 decimals?",
            AnswerSpec(type="percent", decimals=2),
            "percentage",
        ),
        ("Which species are found there?", AnswerSpec(type="list", items="string"), "order"),
        ("What is the standard deviation of the masses, rounded to 2 decimals?", FLOAT2, "sample"),
        ("How strongly are mass and length correlated, rounded to 2 decimals?", FLOAT2, "Pearson"),
        ("How many birds have an unusual mass for a bird?", INT, "outlier"),
        ("Does the mass differ significantly between the sexes?", AnswerSpec(type="bool"), "level"),
        ("How many birds were seen in recent years of the study?", INT, "differently"),
        ("Using df, how many birds have a mass at all?", INT, "code"),
        ("After a groupby on the sex, which group is larger?", TEXT, "code"),
        ("What does `species` hold most often, of all values?", TEXT, "code"),
        ("How many birds have a bill_length_mm on record?", INT, "bill_length_mm"),
        ("How many birds have a bodyMass on record?", INT, "bodyMass"),
        ("How many have a total.amount on record?", INT, "total.amount"),
        ("How many?", INT, "characters"),
    ],
)
def test_each_gap_is_named(text: str, answer: AnswerSpec, told: str) -> None:
    (fault,) = faults(text, answer, COLUMNS, "plain")
    assert told in fault


@pytest.mark.parametrize(("naming", "count"), [("plain", 1), ("never", 2), ("any", 0)])
def test_how_columns_may_be_named(naming: Naming, count: int) -> None:
    text = "Which species has the highest mean bill_length_mm of all birds?"
    assert len(faults(text, TEXT, COLUMNS, naming)) == count
    assert faults("Which sex is more frequent among the birds?", TEXT, COLUMNS, "never") == []


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("rounded to 2 decimals", {2}),
        ("to one decimal place", {1}),
        ("with no decimals", {0}),
        ("to 3-decimal precision", {3}),
        ("as a whole number", {0}),
        ("to the nearest integer", {0}),
        ("to the nearest hundredth", {2}),
        ("p to 4 decimals, mean to 2 decimals", {2, 4}),
        ("above 2.5 decibels", set()),
    ],
)
def test_decimals_in_words(text: str, asked: set[int]) -> None:
    assert decimals_asked(text) == asked


@given(st.integers(0, 15))
def test_decimals_said_in_the_question_reach_the_answers_form(places: int) -> None:
    text = f"What is the mean, rounded to {places} decimals?"
    assert with_decimals(text, AnswerSpec(type="float")).decimals == places
    assert with_decimals(text, AnswerSpec(type="float", decimals=1)).decimals == 1
    assert with_decimals(text, AnswerSpec(type="string")).decimals is None


@pytest.mark.parametrize(
    ("text", "answer", "given_away"),
    [
        ("it should come to 1,234", "1234", True),
        ("it should come to 12.34.", "12.34", True),
        ("it should come to 112.34", "12.34", False),
        ("above 12.345", "12.34", False),
        ("take the 2 groups", "2", False),
        ("the 100 largest", "100", False),
        ("then it is Gentoo", '"Gentoo"', True),
        ("Gentoos are birds", '"Gentoo"', False),
        ("compare the means", '"me"', False),
    ],
)
def test_giving_the_answer_away(text: str, answer: str, given_away: bool) -> None:
    assert gives_away(text, answer) is given_away
