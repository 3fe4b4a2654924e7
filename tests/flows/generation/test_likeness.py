"""Which questions ask the same again, and which only look alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.generation.likeness import Asked, Likeness, normal_program

BASE = Asked(
    "first",
    'What is the mean mass of birds above 1.5 kg on "Dream", rounded to 2 decimals?',
    "x = df[df.m > 1.5]\nsubmit(round(x.m.mean(), 2))",
    "2.5",
)


def repeated(text: str, program: str = "", answer: str = "") -> str:
    return Likeness([BASE]).repeated(Asked("new", text, program, answer))


@pytest.mark.parametrize(
    ("text", "program", "answer"),
    [
        (BASE.text, "", ""),
        ('Rounded to 2 decimals, what is the mean mass of the birds above 1.5 kg on "Dream"?', "", ""),
        (
            "Something quite different?",
            "birds = df[df.m > 1.5]  # heavy\nprint(birds)\nsubmit(round(birds.m.mean(), 2))",
            "",
        ),
        (
            'How much do birds above 1.5 kg on "Dream" weigh on average (the mean mass, rounded to 2 decimals)?',
            "",
            "2.5",
        ),
    ],
)
def test_the_same_question_is_found(text: str, program: str, answer: str) -> None:
    assert repeated(text, program, answer).startswith("asks again what first asks")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('What is the mean mass of birds above 15 kg on "Dream", rounded to 2 decimals?', "2.5"),
        ('What is the mean mass of birds above 1.5 kg on "Biscoe", rounded to 2 decimals?', "2.5"),
        ('What is the median mass of birds above 1.5 kg on "Dream", rounded to 2 decimals?', "2.6"),
        ("How many birds are there above 1.5 kg?", "2.5"),
    ],
)
def test_another_question_is_not(text: str, answer: str) -> None:
    assert repeated(text, "submit(1)", answer) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the ratio of a to b?", "What is the ratio of b to a?"),
        ("What is the ratio of flipper length to body mass?", "What is the ratio of body mass to flipper length?"),
        ("What is the mean of price minus cost?", "What is the mean of cost minus price?"),
        ("What is the difference between price and cost?", "What is the difference between cost and price?"),
        ("What is the slope of mass on length?", "What is the slope of length on mass?"),
        ("Predict mass from length: what is the intercept?", "Predict length from mass: what is the intercept?"),
        ("What is the mean of mass where length is above 5?", "What is the mean of length where mass is above 5?"),
        ("How many rows have x above 5 and y above 10?", "How many rows have x above 10 and y above 5?"),
        ('Rows where "g" is "a" and "h" is "b": how many?', 'Rows where "g" is "b" and "h" is "a": how many?'),
        ("Which region has the highest mean of sales?", "Which region has the lowest mean of sales?"),
        ("How many values of x are above 5?", "How many values of x are below 5?"),
        ("How many rows are not in the north?", "How many rows are in the north?"),
        ("Are all values of x above 5?", "Is any value of x above 5?"),
        ("How many rows have a or b missing?", "How many rows have a and b missing?"),
        ("What is the mean of x per region?", "What is the median of x per region?"),
        ("In which year did the mean rise most?", "In which year did the mean fall most?"),
        ("How many rows lie before 1990?", "How many rows lie after 1990?"),
        ("How many values of x are at least 5?", "How many values of x are at most 5?"),
    ],
)
def test_what_is_turned_round_is_another_question(one: str, other: str) -> None:
    for first, second in ((one, other), (other, one)):
        asked = Likeness([Asked("first", first, "submit(1)", "7")])
        assert asked.repeated(Asked("second", second, "submit(2)", "7")) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("On Dream, what is the ratio of a to b?", "What is the ratio of a to b on Dream?"),
        ("What is the correlation of a and b?", "What is the correlation of b and a?"),
        ("Among the rows where y is above 5, what is the mean of x?", "What is the mean of x where y is above 5?"),
    ],
)
def test_a_sentence_turned_round_is_the_same_question(one: str, other: str) -> None:
    asked = Likeness([Asked("first", one, "submit(1)", "7")])
    assert asked.repeated(Asked("second", other, "submit(2)", "7"))


@given(st.text(min_size=1), st.text())
def test_every_question_repeats_itself(text: str, program: str) -> None:
    asked = Asked("a", text, program, "")
    assert Likeness([asked]).repeated(asked)


@given(st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta", "7", "8"]), min_size=1, unique=True))
def test_the_order_of_words_does_not_matter(words: list[str]) -> None:
    assert Likeness([Asked("a", " ".join(words), "", "")]).repeated(Asked("b", " ".join(words[::-1]), "", ""))


def test_a_program_is_its_computation() -> None:
    assert normal_program("a = 1\nsubmit(a)") == normal_program("'note'\nb  =  1  # one\nprint(b)\nsubmit(b)")
    assert normal_program("a = 1\nsubmit(a)") != normal_program("a = 2\nsubmit(a)")
    assert normal_program("submit(df.a)") != normal_program("submit(df.b)")
    assert normal_program("not python (") == ""
