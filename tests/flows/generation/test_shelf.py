"""The question file: generated questions are replaced as a whole, the user's own stay, nothing is half-written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from blocks.errors import UserError
from flows.generation.recipes import Batch, Source
from flows.generation.shelf import Shelf
from flows.questions.files import read_questions
from flows.questions.proving import Refusal
from flows.questions.records import AnswerSpec, Question

KEY = "a" * 64


def made(name: str, source: Source = "template") -> Question:
    return Question(
        id=f"{source}-{name}", source=source, text=f"What is {name}?", reference_program="submit(1)", ground_truth=1,
        dataset_key=KEY, answer=AnswerSpec(type="int"), provenance={"name": name, "interest": 0.0},
    )  # fmt: skip


def batch(key: str, *names: str, source: Source = "template") -> Batch:
    refused = (Refusal(name="z", source=source, reason="facts", detail="too few rows"),)
    questions = tuple(made(name, source) for name in names)
    return Batch(key=key, source=source, proposed=len(names) + 1, questions=questions, refused=refused)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "questions", "cities", KEY)


def ids(shelf: Shelf) -> list[str]:
    return [question.id for question in shelf.questions()]


def test_a_batch_is_readable_as_a_question_file(shelf: Shelf) -> None:
    shelf.put(batch("k1", "a", "b"))
    read = read_questions(shelf.path)
    assert not read.problems
    assert read.questions == (made("a"), made("b"))
    report = json.loads(shelf.report_path.read_text())
    assert report["sources"][0]["refused"] == [
        {"name": "z", "source": "template", "reason": "facts", "detail": "too few rows"}
    ]


def test_a_source_replaces_its_own_and_leaves_the_others(shelf: Shelf) -> None:
    shelf.path.parent.mkdir(parents=True)
    shelf.path.write_text('{"id": "mine", "text": "Why?"}\n{"id": "t", "source": "template", "text": "Mine too?"}\n')
    shelf.put(batch("k1", "a", "b"))
    shelf.put(batch("k2", "p", source="program"))
    shelf.put(batch("k3", "c"))
    assert ids(shelf) == ["mine", "t", "program-p", "template-c"]
    assert shelf.done("k1") is None
    assert shelf.done("k2") is not None
    found = shelf.done("k3")
    assert found is not None
    assert (found.proposed, found.questions) == (2, ("template-c",))


def test_what_is_no_longer_in_the_file_is_not_done(shelf: Shelf) -> None:
    shelf.put(batch("k1", "a", "b"))
    lines = shelf.path.read_text().splitlines(keepends=True)
    shelf.path.write_text(lines[0])
    assert shelf.done("k1") is None
    shelf.path.unlink()
    assert shelf.done("k1") is None


def test_a_report_of_another_state_of_the_dataset_counts_for_nothing(shelf: Shelf, tmp_path: Path) -> None:
    shelf.put(batch("k1", "a"))
    assert Shelf(tmp_path / "questions", "cities", "b" * 64).done("k1") is None


def test_a_file_with_foreign_lines_is_left_alone(shelf: Shelf) -> None:
    shelf.path.parent.mkdir(parents=True)
    shelf.path.write_text('{"id": "mine", "text": "Why?"}\nnot a question\n')
    with pytest.raises(UserError, match="lines that are no questions"):
        shelf.put(batch("k1", "a"))
    assert shelf.path.read_text().endswith("not a question\n")
    assert os.listdir(shelf.path.parent) == ["cities-aaaaaaaa.jsonl"], "no half-written file is left"


def test_a_damaged_report_is_made_anew(shelf: Shelf) -> None:
    shelf.put(batch("k1", "a"))
    shelf.report_path.write_text("{")
    assert shelf.done("k1") is None
    shelf.put(batch("k1", "a"))
    assert shelf.done("k1") is not None
