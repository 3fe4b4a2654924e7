"""The question key: what is asked and what counts as right are in it, names and notes are not."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.questions.records import AnswerSpec, Question, ValueSpec
from tests.support.properties import PATIENT

DATASET = "ab" * 32
BASE: dict[str, Any] = {"id": "q", "text": "How many?"}
VOTED: dict[str, Any] = {**BASE, "hint": "Count."}
KNOWN: dict[str, Any] = {**BASE, "reference_program": "submit(len(df))", "ground_truth": 4}
CHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (BASE, {"hint": "Count."}),
    (BASE, {"hint": ""}),
    (VOTED, {"hint": "Count them."}),
    (VOTED, {"hint": None}),
    (BASE, {"text": "How many?  "}),
    (BASE, {"source": "template"}),
    (BASE, {"ground_truth": 0}),
    (BASE, {"ground_truth": False}),
    (BASE, {"reference_program": "submit(4)"}),
    (KNOWN, {"reference_program": "submit(df.shape[0])"}),
    (KNOWN, {"ground_truth": 5}),
    (KNOWN, {"ground_truth": None}),
    (KNOWN, {"alternatives": (5,)}),
    ({**KNOWN, "alternatives": (5,)}, {"alternatives": (6,)}),
    ({**KNOWN, "alternatives": (5,)}, {"alternatives": (5, 6)}),
    *(
        (VOTED, {"answer": AnswerSpec(**changed)})
        for changed in (
            {"type": "float"}, {"decimals": 0}, {"unit": "mm"}, {"items": "int"}, {"case_sensitive": True},
            {"columns": ("a",)}, {"ordered_rows": True}, {"scale": 2.0}, {"by_key": {"n": ValueSpec()}},
            {"by_key": {"n": ValueSpec(decimals=0)}},
        )
    ),
]  # fmt: skip


def key(facts: dict[str, Any], dataset: str = DATASET) -> str:
    return Question(**facts).key(dataset)


@pytest.mark.parametrize(("base", "change"), CHANGES)
def test_what_is_asked_and_what_counts_as_right_is_in_the_key(base: dict[str, Any], change: dict[str, Any]) -> None:
    assert key({**base, **change}) != key(base)


def test_all_of_these_are_different_questions() -> None:
    keys = {key({**base, **change}) for base, change in CHANGES} | {key(BASE), key(VOTED), key(KNOWN)}
    again = 2  # VOTED without its hint is BASE, BASE with a hint is VOTED.
    assert len(keys) == len(CHANGES) + 3 - again


@pytest.mark.parametrize(
    "change",
    [{"id": "r"}, {"difficulty": "hard"}, {"n_steps": 9}, {"tags": ("x",)}, {"provenance": {"a": 1}}],
)
def test_names_and_notes_are_not(change: dict[str, Any]) -> None:
    for base in (BASE, VOTED, KNOWN):
        assert key({**base, **change}) == key(base)
    assert key(BASE) != key(BASE, "cd" * 32)


@PATIENT
@given(st.lists(st.tuples(*[st.none() | st.text(max_size=3)] * 2), min_size=2, max_size=6, unique=True))
def test_no_two_parts_run_together(parts: list[tuple[str | None, str | None]]) -> None:
    """Text and hint are told apart wherever one ends, and none from an empty one."""
    keys = [key({**BASE, "text": f"T{text}", "hint": hint}) for text, hint in parts]
    for (one, left), (other, right) in itertools.combinations(zip(parts, keys, strict=True), 2):
        assert (f"T{one[0]}", one[1]) == (f"T{other[0]}", other[1]) or left != right


def test_a_question_that_says_nothing_new_keeps_its_key_and_its_line() -> None:
    """As they were before answers had forms by key: what was asked then is found now."""
    spec = AnswerSpec(type="float", decimals=2, unit="mm")
    hinted = Question(id="q", text="How many?", hint="Count.", answer=spec)
    assert hinted.key(DATASET) == "ddfb6c54930c6dd9ecba5d8d30137eb17d89e7cca5817645bc49f8434f7b76fa"
    assert key(BASE) == "48428a4efb9cd9aeddd4b1b9fb68e091b030c9fb03a94ebec465e23e09ef8e52"
    assert set(hinted.model_dump()["answer"]) == {
        "type", "decimals", "unit", "items", "case_sensitive", "columns", "ordered_rows",
    }  # fmt: skip


def test_a_form_by_key_reads_back_equal() -> None:
    spec = AnswerSpec(type="mapping", by_key={"n": ValueSpec(type="int")}, scale=2.5)
    question = Question(id="q", text="How many?", answer=spec)
    assert Question.model_validate_json(question.model_dump_json()) == question
