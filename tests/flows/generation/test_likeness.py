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
