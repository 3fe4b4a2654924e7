"""What a question run reports: counts that add up, and the exit code."""

from __future__ import annotations

from flows.generation.shelf import SourceReport
from flows.questions.proving import Refusal
from flows.questions.records import Question
from flows.runs.generation import DatasetQuestions, GenerationReport, SourceRow


def row(kept: int = 2) -> SourceRow:
    questions = tuple(
        Question(id=f"q{at}", text=f"{at}?", difficulty="very_hard" if at else "easy", ground_truth=1)
        for at in range(3)
    )
    refused = tuple(
        Refusal(name=f"n{at}", source="template", reason="no_answer" if at else "facts", detail="x") for at in range(3)
    )
    entry = SourceReport(
        key="k", source="template", proposed=kept + 3, questions=tuple(f"q{at}" for at in range(kept)), refused=refused
    )
    return SourceRow.of("cities", entry, questions, cached=False)


def test_a_row_counts_what_was_kept_and_why_the_rest_was_not() -> None:
    made = row()
    assert (made.proposed, made.kept) == (5, 2)
    assert made.difficulties == {"easy": 1, "very_hard": 1}
    assert made.refused == {"facts": 1, "no_answer": 2}
    said = made.sentence()
    assert "cities: 2 template questions of 5 proposed (1 easy, 1 very hard)" in said
    assert "left out: 1 facts, 2 no answer" in said


def test_the_table_has_a_column_for_each_difficulty() -> None:
    report = GenerationReport(run="r", datasets=(DatasetQuestions(dataset="cities", rows=(row(),)),))
    (line,) = report.table()
    assert {name: line[name] for name in ("easy", "medium", "hard", "very hard")} == {
        "easy": 1, "medium": 0, "hard": 0, "very hard": 1,
    }  # fmt: skip


def test_exit_codes() -> None:
    good, none = DatasetQuestions(dataset="a", rows=(row(),)), DatasetQuestions(dataset="b", rows=(row(0),))
    bad = DatasetQuestions(dataset="c", error="It is empty.")
    codes = {
        name: GenerationReport(run="r", datasets=datasets).exit_code
        for name, datasets in {"all": (good, good), "some": (good, bad), "few": (good, none), "no": (none, bad)}.items()
    }
    assert codes == {"all": 0, "some": 1, "few": 1, "no": 2}
    assert GenerationReport(run="r", datasets=(good, bad)).sentence() == "2 questions about 1 dataset, 1 failed"
