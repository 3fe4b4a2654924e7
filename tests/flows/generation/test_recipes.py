"""Recipes: what decides which questions a batch holds is in its key; the quotas of the difficulties; what it took."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.generation import recipes
from flows.generation.recipes import SHARES, Asking, Batch, Recipe, quotas
from flows.generation.records import Rewording
from flows.questions.contamination import Benchmarks
from flows.questions.proving import Bars
from flows.questions.records import Difficulty, Question
from flows.verification.attempts import PromptId, TraceConfig, UsageTotals
from tests.support.properties import PATIENT

DATASET = "ab" * 32
TRACE = TraceConfig(model="vendor/m-1")
ASKING = Asking(trace=TRACE, endpoint="http://127.0.0.1/v1")
PLAIN, ASKED = Recipe(source="template"), Recipe(source="llm", asking=ASKING)
LEVELS: list[Difficulty] = ["easy", "medium", "hard", "very_hard"]


def benchmarks(*texts: str) -> Benchmarks:
    found = Benchmarks()
    for text in texts:
        found.add(text, "somewhere")
    return found


def asked(*texts: str) -> tuple[Question, ...]:
    return tuple(Question(id=f"q{place}", text=text) for place, text in enumerate(texts))


def key(recipe: Recipe = PLAIN, **changes: Any) -> str:
    given_ones: dict[str, Any] = {"dataset_key": DATASET, "image_digest": "image", "benchmarks": None}
    return recipe.key(**{**given_ones, **changes})


def asking(**changes: Any) -> Recipe:
    return ASKED.model_copy(update={"asking": ASKING.model_copy(update=changes)})


def test_everything_that_decides_the_questions_is_in_the_key() -> None:
    keys = [
        key(),
        key(dataset_key="cd" * 32),
        key(image_digest="another"),
        key(benchmarks=benchmarks("How many rows are there?")),
        key(benchmarks=benchmarks("How many columns are there?")),
        key(PLAIN.model_copy(update={"source": "program"})),
        key(PLAIN.model_copy(update={"seed": 1})),
        key(PLAIN.model_copy(update={"most": 7})),
        key(PLAIN.model_copy(update={"bars": Bars(min_rows=3)})),
        key(ASKED),
        key(asking(trace=TRACE.model_copy(update={"model": "vendor/m-2"}))),
        key(asking(endpoint="http://elsewhere/v1")),
        key(asking(turns=9)),
        key(asking(at_once=3)),
        key(asking(naming="never")),
        key(asking(wordings=1)),
        key(ASKED, others=asked("How many rows are there?")),
        key(ASKED, others=asked("How many columns are there?")),
    ]
    assert len(set(keys)) == len(keys)


def test_the_order_of_other_questions_and_what_only_describes_them_is_no_part_of_the_key() -> None:
    one, other = "How many rows are there?", "How many columns are there?"
    assert key(ASKED, others=asked(one, other)) == key(ASKED, others=asked(other, one))
    assert key(others=asked(one)) == key(), "only a model is told what else there is"


@pytest.mark.parametrize("source", ["template", "program", "llm"])
def test_what_is_made_in_another_way_has_another_key(source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = ASKED if source == "llm" else Recipe(source=source)
    before, others = key(recipe), [key(each) for each in (PLAIN, Recipe(source="program"), ASKED) if each != recipe]
    monkeypatch.setitem(recipes._VERSIONS, source, "next")
    assert key(recipe) != before
    assert [key(each) for each in (PLAIN, Recipe(source="program"), ASKED) if each != recipe] == others


def test_another_comparator_makes_another_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    monkeypatch.setattr(recipes, "COMPARATOR_VERSION", "next")
    assert key() != before


# Quotas


@pytest.mark.parametrize(
    ("available", "most", "found"),
    [
        ((99, 99, 99, 99), 40, (12, 12, 8, 8)),
        ((99, 99, 99, 99), 10, (3, 3, 2, 2)),
        ((99, 99, 99, 99), 1, (1, 0, 0, 0)),
        ((99, 99, 99, 99), 2, (1, 1, 0, 0)),
        ((99, 99, 99, 99), 4, (1, 1, 1, 1)),
        ((99, 99, 99, 99), 5, (2, 1, 1, 1)),
        ((5, 99, 99, 99), 40, (5, 15, 10, 10)),
        ((0, 0, 0, 99), 40, (0, 0, 0, 40)),
        ((1, 2, 0, 3), 40, (1, 2, 0, 3)),
        ((0, 0, 0, 0), 40, (0, 0, 0, 0)),
    ],
)
def test_difficulties_have_their_shares_and_what_one_lacks_goes_round(
    available: tuple[int, ...], most: int, found: tuple[int, ...]
) -> None:
    assert tuple(quotas(dict(zip(LEVELS, available, strict=True)), most).values()) == found


@PATIENT
@given(st.lists(st.integers(0, 30), min_size=4, max_size=4), st.integers(1, 60))
def test_as_many_are_chosen_as_there_are_or_as_are_wanted(available: list[int], most: int) -> None:
    found = quotas(dict(zip(LEVELS, available, strict=True)), most)
    assert sum(found.values()) == min(most, sum(available))
    assert all(0 <= found[level] <= count for level, count in zip(LEVELS, available, strict=True))
    for level, count in zip(LEVELS, available, strict=True):
        assert found[level] >= min(count, int(most * SHARES[level]))


# What it took


def reworded(calls: int) -> Rewording:
    prompt = PromptId(style="full", version="1", sha256="0" * 64)
    return Rewording(question="q", model="m", prompt=prompt, tried=(), usage=UsageTotals(calls=calls))


def test_what_a_batch_took_is_the_sum_of_its_conversations_and_nothing_without_a_model() -> None:
    bare = Batch(key="k", source="template", proposed=0, questions=(), refused=())
    assert bare.usage is None
    some = bare.model_copy(update={"rewordings": (reworded(2), reworded(3))})
    assert some.usage is not None
    assert some.usage.calls == 5
