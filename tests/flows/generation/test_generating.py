"""Which of the proven questions are kept, and what a batch's identity is made of."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.generation import recipes
from flows.generation.generating import choose
from flows.generation.recipes import SHARES, Asking, Recipe, Source
from flows.questions.contamination import Benchmarks
from flows.questions.proving import Bars
from flows.questions.records import AnswerSpec, Difficulty, Question

LEVELS: list[Difficulty] = list(SHARES)


def proven(family: str, at: int, level: Difficulty, interest: float = 0.0) -> Question:
    name = f"{family}-{at}"
    return Question(
        id=name, source="program", text=f"{name}?", ground_truth=1, difficulty=level,
        provenance={"name": name, "interest": interest},
    )  # fmt: skip


questions = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(LEVELS), st.floats(0, 9)), max_size=60).map(
    lambda rows: [proven(family, at, level, interest) for at, (family, level, interest) in enumerate(rows)]
)


@given(questions, st.integers(1, 70))
def test_as_many_as_there_are_up_to_the_limit_in_the_order_given(given_: list[Question], most: int) -> None:
    kept = choose(given_, most)
    assert len(kept) == min(most, len(given_))
    assert [each for each in given_ if each in kept] == kept


@given(questions, st.integers(1, 70))
def test_no_family_repeats_within_a_difficulty_before_each_had_its_turn(given_: list[Question], most: int) -> None:
    for level in LEVELS:
        there = Counter(each.id[0] for each in given_ if each.difficulty == level)
        kept = Counter(each.id[0] for each in choose(given_, most) if each.difficulty == level)
        for family, count in there.items():
            least = min(count, max(kept.values(), default=0) - 1)
            assert kept[family] >= least, "another family was repeated first"


def test_difficulties_share_as_told_where_each_has_enough() -> None:
    many = [proven(f"{level}{at}", at, level) for level in LEVELS for at in range(40)]
    assert Counter(each.difficulty for each in choose(many, 40)) == {
        "easy": 12,
        "medium": 12,
        "hard": 8,
        "very_hard": 8,
    }


def test_what_one_difficulty_lacks_goes_to_the_others() -> None:
    few = [proven("a", at, "easy") for at in range(2)] + [proven("b", at, "hard") for at in range(40)]
    assert Counter(each.difficulty for each in choose(few, 10)) == {"easy": 2, "hard": 8}


def test_the_most_interesting_of_a_family_is_kept() -> None:
    kept = choose([proven("a", 1, "easy", 0.1), proven("a", 2, "easy", 0.9), proven("a", 3, "easy", 0.5)], 1)
    assert [each.id for each in kept] == ["a-2"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(LEVELS), st.booleans()), max_size=40))
def test_as_many_flags_of_a_family_are_true_as_false(rows: list[tuple[str, Difficulty, bool]]) -> None:
    flags = [
        proven(family, at, level).model_copy(update={"ground_truth": truth, "answer": AnswerSpec(type="bool")})
        for at, (family, level, truth) in enumerate(rows)
    ]
    others = [proven("z", at, "easy") for at in range(100, 110)]
    for most in (1, 5, 20, 60):
        kept = choose([*flags, *others], most)
        answers = Counter((each.id[0], each.ground_truth) for each in kept if each.answer.type == "bool")
        assert all(answers[family, True] == answers[family, False] for family in "abc")
        assert len(kept) >= min(most, len(others)), "other questions take their places"


def test_true_or_false_questions_survive_where_there_are_many_families() -> None:
    flags = [
        proven(f"{family}{level}", at, level, interest=at / 100).model_copy(
            update={"ground_truth": at % 2 == 0, "answer": AnswerSpec(type="bool")}
        )
        for at, (level, family, _) in enumerate(product(LEVELS, "abcdefghijkl", range(2)))
    ]
    others = [proven(f"{family}{level}", 0, level) for level, family in product(LEVELS, "mnopqr")]
    kept = choose([*flags, *others], 40)
    answers = Counter((each.difficulty, each.ground_truth) for each in kept if each.answer.type == "bool")
    assert len(kept) == 40
    for level in LEVELS:
        assert answers[level, True] == answers[level, False] >= 2, f"{level}: the pool has twelve of each"


def test_true_and_false_are_paired_over_difficulties_where_one_has_too_few() -> None:
    rows: list[tuple[Difficulty, bool]] = [
        ("easy", True), ("easy", True), ("hard", False), ("easy", False), ("hard", False),
    ]  # fmt: skip
    flags = [
        proven("a", at, level).model_copy(update={"ground_truth": truth, "answer": AnswerSpec(type="bool")})
        for at, (level, truth) in enumerate(rows)
    ]
    others = [proven(f"b{level}", at, level) for level in LEVELS for at in range(100, 110)]
    kept = choose([*flags, *others], 30)
    assert Counter(each.ground_truth for each in kept if each.answer.type == "bool") == {True: 2, False: 2}


def test_a_place_too_small_for_a_pair_goes_to_another_question() -> None:
    flags = [
        proven("a", at, "easy", interest=9).model_copy(
            update={"ground_truth": at % 2 == 0, "answer": AnswerSpec(type="bool")}
        )
        for at in range(20)
    ]
    others = [proven("b", at, "very_hard") for at in range(100, 103)]
    kept = choose([*flags, *others], 11)
    assert Counter(each.answer.type for each in kept) == {"bool": 8, "any": 3}
    assert Counter(each.ground_truth for each in kept if each.answer.type == "bool") == {True: 4, False: 4}


def test_everything_that_decides_is_in_the_key() -> None:
    recipe = Recipe(source="program")
    benchmarks = Benchmarks()
    benchmarks.add("What is the mean of x?", "b")
    keys = [
        recipe.key("d" * 64, "image", None),
        recipe.key("e" * 64, "image", None),
        recipe.key("d" * 64, "other", None),
        recipe.key("d" * 64, "image", benchmarks),
        Recipe(source="template").key("d" * 64, "image", None),
        Recipe(source="program", seed=1).key("d" * 64, "image", None),
        Recipe(source="program", most=9).key("d" * 64, "image", None),
        Recipe(source="program", bars=Bars(min_rows=9)).key("d" * 64, "image", None),
    ]
    assert len(set(keys)) == len(keys)
    assert recipe.key("d" * 64, "image", None) == keys[0]


@pytest.mark.parametrize("source", get_args(Source))
def test_a_new_version_of_a_source_makes_its_questions_anew(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code is not in the key; its version stands for it, and for no other source's."""
    before = {each: Recipe(source=each).key("d" * 64, "image", None) for each in get_args(Source)}
    monkeypatch.setitem(recipes._VERSIONS, source, "another")
    after = {each: Recipe(source=each).key("d" * 64, "image", None) for each in get_args(Source)}
    assert [each for each in before if before[each] != after[each]] == [source]


def test_the_key_of_a_models_questions_holds_what_decides(asking: Asking) -> None:
    base = _by_model(asking)
    other_model = asking.model_copy(update={"trace": asking.trace.model_copy(update={"model": "other"})})
    other = Question(id="q", text="How many rows are there?")
    keys = {
        base.key("d", "i", None),
        _by_model(asking, 3).key("d", "i", None),
        _by_model(other_model).key("d", "i", None),
        base.key("d", "i", None, (other,)),
        base.key("d", "i2", None),
    }
    assert len(keys) == 5


def _by_model(asking: Asking, most: int = 2) -> Recipe:
    return Recipe(source="llm", most=most, asking=asking)
