"""Question files: what is read, and one sentence with file and line for what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.questions.files import QuestionFileError, question_from_text, read_questions
from flows.questions.records import AnswerSpec


def write(tmp_path: Path, content: str | bytes, name: str = "q.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_good_lines_are_read_in_order_and_blank_lines_are_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, '{"id": "a", "text": "One?"}\r\n\n{"text": "Two?", "answer": {"type": "int"}}\n')
    found = read_questions(path)
    assert [question.text for question in found.questions] == ["One?", "Two?"]
    assert found.questions[1].answer.type == "int"
    assert found.questions[1].id.startswith("q-")
    assert found.problems == ()


BAD = [
    ("not json", "not JSON"),
    ('{"text": "A?"', "not JSON"),
    ("[1, 2]", "a question is a JSON object, this is a list"),
    ('"just text"', "this is a text"),
    ("{}", "`text` is missing"),
    ('{"text": ""}', "`text`"),
    ('{"text": "A?", "dificulty": "easy"}', "`dificulty` is no field"),
    ('{"text": "A?", "difficulty": "EASY"}', "'easy', 'medium', 'hard' or 'very_hard', got \"EASY\""),
    ('{"text": "A?", "answer": {"type": "float", "decimals": -1}}', "`answer.decimals`"),
    ('{"text": "A?", "text": "B?"}', '"text" is there twice'),
    ('{"text": "A?", "ground_truth": NaN}', "NaN is no JSON value"),
    ('{"text": "\\ud800"}', "`text`"),
    ("[" * 100_000, "not JSON"),
    ('{"text": "' + "x" * 2**20 + '"}', "bytes long"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_a_bad_line_is_one_sentence_with_its_place_and_the_rest_goes_on(
    tmp_path: Path, line: str, message: str
) -> None:
    path = write(tmp_path, f'{{"id": "a", "text": "One?"}}\n{line}\n{{"id": "b", "text": "Two?"}}\n')
    found = read_questions(path)
    assert [question.id for question in found.questions] == ["a", "b"]
    (problem,) = found.problems
    assert str(problem).startswith(f"{path}:2: ")
    assert message in problem.message
    assert "\n" not in str(problem)
    assert len(problem.message) < 300
    str(problem).encode()


def test_a_line_that_is_no_utf8_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    found = read_questions(write(tmp_path, b'{"text": "Gr\xf6\xdfe?"}\n{"text": "Size?"}\n'))
    assert [question.text for question in found.questions] == ["Size?"]
    assert found.problems[0].line == 1


def test_an_id_and_a_question_are_taken_once(tmp_path: Path) -> None:
    lines = ['{"id": "a", "text": "One?"}', '{"id": "a", "text": "Two?"}', '{"id": "b", "text": "One?"}']
    found = read_questions(write(tmp_path, "\n".join(lines)))
    assert [question.id for question in found.questions] == ["a"]
    assert 'the id "a" is already taken by line 1' in found.problems[0].message
    assert "exactly what line 1 asks" in found.problems[1].message


def test_equal_words_with_another_answer_type_are_another_question(tmp_path: Path) -> None:
    lines = ['{"text": "One?"}', '{"text": "One?", "answer": {"type": "float"}}']
    assert len(read_questions(write(tmp_path, "\n".join(lines))).questions) == 2


def test_an_array_is_read_with_the_line_of_each_element(tmp_path: Path) -> None:
    text = '\ufeff[\n  {"id": "a", "text": "One?"},\n  {"id": "b"},\n  5, {"id": "c",\n "text": "Three?"}\n]\n'
    found = read_questions(write(tmp_path, text, "q.json"))
    assert [question.id for question in found.questions] == ["a", "c"]
    assert [(problem.line, problem.message) for problem in found.problems] == [
        (3, "`text` is missing."),
        (4, "a question is a JSON object, this is a number."),
    ]


def test_what_stands_before_a_fault_in_an_array_is_kept(tmp_path: Path) -> None:
    found = read_questions(write(tmp_path, '[{"text": "One?"}\n{"text": "Two?"}]', "q.json"))
    assert len(found.questions) == 1
    assert found.problems[0].line == 2
    found = read_questions(write(tmp_path, '[{"text": "One?"},\n{"text": "Two', "q.json"))
    assert len(found.questions) == 1
    assert found.problems[0].line == 2


@pytest.mark.parametrize("content", ["", "\n\n", "[]", "not json", '{"id": "x"}'])
def test_a_file_without_one_question_is_an_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(QuestionFileError) as caught:
        read_questions(write(tmp_path, content))
    assert str(caught.value).count("\n") == 0
    assert "holds no question" in str(caught.value)


def test_missing_and_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(QuestionFileError, match="does not exist"):
        read_questions(tmp_path / "none.jsonl")
    with pytest.raises(QuestionFileError, match="is a folder"):
        read_questions(tmp_path)


def test_plain_words_become_a_question_with_a_stable_id() -> None:
    first, again = question_from_text("  How many rows?\n"), question_from_text("How many rows?")
    assert first == again
    assert first.text == "How many rows?"
    assert question_from_text("How many rows").id != first.id
    assert question_from_text("How many rows?", AnswerSpec(type="int")).id != first.id
    with pytest.raises(QuestionFileError, match="empty"):
        question_from_text(" \n")
    with pytest.raises(QuestionFileError, match="cannot be used"):
        question_from_text("x" * 30_000)


@settings(max_examples=80, deadline=None)
@given(noise=st.binary(max_size=200), array=st.booleans())
def test_no_noise_costs_the_good_question_before_it(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, array: bool
) -> None:
    good = json.dumps({"id": "good", "text": "One?"}).encode()
    path = tmp_path_factory.mktemp("noise") / "q.jsonl"
    path.write_bytes(b"[" + good + b"," + noise if array else good + b"\n" + noise)
    assert read_questions(path).questions[0].id == "good"


def test_an_element_of_an_array_that_is_no_utf8_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, b'[{"text": "Gr\xf6\xdfe?"}, {"text": "Size?"}]', "q.json")
    found = read_questions(path)
    assert [question.text for question in found.questions] == ["Size?"]
    assert "unicode" in found.problems[0].message
