"""Question keys: what changes the question changes its key, and no upgrade changes the keys of finished work."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.questions.records import AnswerSpec, Question, content_key
from tests.support.properties import PATIENT

DATASET = "ab" * 32
PLAIN: dict[str, Any] = {"id": "q", "text": "How many rows are there?"}
HINTED = {**PLAIN, "hint": "Count them."}
KNOWN = {**PLAIN, "reference_program": "submit(len(df))", "ground_truth": 4}


def key(fields: dict[str, Any], **changes: Any) -> str:
    return Question(**{**fields, **changes}).key(DATASET)


CHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (PLAIN, {"text": "How many rows are there? "}),
    (PLAIN, {"source": "template"}),
    (PLAIN, {"hint": "Count them."}),
    (HINTED, {"hint": "Count them, please."}),
    (HINTED, {"hint": None}),
    (KNOWN, {"reference_program": "submit(df.shape[0])"}),
    (KNOWN, {"reference_program": None}),
    (KNOWN, {"ground_truth": 5}),
    (KNOWN, {"ground_truth": None}),
    (KNOWN, {"alternatives": [5]}),
    (KNOWN, {"alternatives": [5, 6]}),
    (PLAIN, {"answer": AnswerSpec(type="int")}),
    (PLAIN, {"answer": AnswerSpec(decimals=2)}),
    (PLAIN, {"answer": AnswerSpec(unit="mm")}),
    (PLAIN, {"answer": AnswerSpec(items="int")}),
    (PLAIN, {"answer": AnswerSpec(case_sensitive=True)}),
    (PLAIN, {"answer": AnswerSpec(columns=("a",))}),
    (PLAIN, {"answer": AnswerSpec(ordered_rows=True)}),
]


@pytest.mark.parametrize(("fields", "changes"), CHANGES)
def test_what_changes_the_question_changes_its_key(fields: dict[str, Any], changes: dict[str, Any]) -> None:
    assert key(fields, **changes) != key(fields)


def test_no_two_of_these_questions_share_a_key() -> None:
    keys = {key(fields, **changes) for fields, changes in CHANGES} | {key(PLAIN), key(HINTED), key(KNOWN)}
    # Without its hint the hinted question is the plain one, and a new hint makes the plain one the hinted one.
    assert len(keys) == len(CHANGES) + 3 - 2


def test_the_dataset_is_part_of_the_key() -> None:
    assert Question(**PLAIN).key("cd" * 32) != key(PLAIN)


@pytest.mark.parametrize(
    "changes", [{"id": "other"}, {"difficulty": "hard"}, {"n_steps": 9}, {"tags": ["x"]}, {"provenance": {"by": "me"}}]
)
def test_what_only_describes_the_question_leaves_its_key(changes: dict[str, Any]) -> None:
    assert key(PLAIN, **changes) == key(PLAIN)


def test_a_program_makes_the_hint_idle() -> None:
    assert key(KNOWN, hint="Count them.") == key(KNOWN)


def test_the_keys_of_finished_questions_stay_what_they_were() -> None:
    """Should this fail, an upgrade asks a model again for every episode that a home already has."""
    odd = {**PLAIN, "text": "Où?\u2028", "answer": AnswerSpec(type="float", decimals=2, unit="€")}
    assert [key(fields)[:16] for fields in (PLAIN, HINTED, KNOWN, {**KNOWN, "alternatives": [5, "é"]}, odd)] == [
        "d6494e6b65979b78",
        "31294129dc4024ac",
        "6a746a9cfb8e9ff7",
        "cae100fa3a2cc9c3",
        "4038eb299c884906",
    ]


# Content keys


@PATIENT
@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5), st.randoms())
def test_the_order_of_names_is_no_content(data: dict[str, Any], shuffle: Any) -> None:
    mixed = dict(shuffle.sample(list(data.items()), len(data)))
    assert content_key("v", mixed) == content_key("v", data)


def test_parts_are_kept_apart() -> None:
    keys = [content_key(*parts) for parts in (["ab", "c"], ["a", "bc"], ["abc"], [["ab", "c"]], ["ab", "c", None], [])]
    assert len(set(keys)) == len(keys)
    assert content_key(1) != content_key("1")
    assert content_key(True) != content_key(1)


def test_a_lone_surrogate_has_a_key_and_nan_has_none() -> None:
    assert content_key("\ud800") != content_key("\ufffd")
    with pytest.raises(ValueError, match="JSON"):
        content_key(float("nan"))


# What is known of a question


def test_a_known_answer_and_a_hint_are_told_apart_from_none() -> None:
    assert not Question(**PLAIN).has_ground_truth
    assert Question(**PLAIN, ground_truth=0).has_ground_truth
    assert Question(**PLAIN, reference_program="submit(1)").has_ground_truth
    assert not Question(**PLAIN).hinted
    assert not Question(**PLAIN, hint=" \n").hinted
    assert Question(**HINTED).hinted
