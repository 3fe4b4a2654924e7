"""Which questions are asked of which datasets, before anything is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blocks.errors import UserError
from flows.samples import SLUGS
from flows.samples.recording import jobs_of
from flows.tables.dataset import read_dataset
from flows.verification.batch import Job, gather_questions, with_slugs
from flows.verification.options import EpisodeOptions


def table(folder: Path, text: str = "a,b\n1,2\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sales.csv"
    path.write_text(text)
    return path


def test_two_files_of_one_name_get_names_of_their_own(tmp_path: Path) -> None:
    north, south = table(tmp_path / "north"), table(tmp_path / "south", "a,b\n3,4\n")
    jobs = with_slugs([Job(str(north), None), Job(str(south), None)])
    slugs = [job.slug for job in jobs]
    assert len(set(slugs)) == 2
    assert all(slug is not None and slug.startswith("sales-") for slug in slugs)


def test_the_same_content_is_worked_on_once(tmp_path: Path) -> None:
    first, copy = table(tmp_path / "one"), table(tmp_path / "two")
    assert [job.dataset for job in with_slugs([Job(str(first), None), Job(str(copy), None)])] == [str(first)]


def test_a_dataset_that_cannot_be_read_is_kept_for_its_turn(tmp_path: Path) -> None:
    jobs = with_slugs([Job(str(tmp_path / "missing.csv"), None), Job(str(table(tmp_path)), None)])
    assert {Path(job.dataset).name for job in jobs} == {"missing.csv", "sales.csv"}


def test_questions_come_from_words_file_or_home(tmp_path: Path) -> None:
    dataset, home = read_dataset(table(tmp_path)), tmp_path / "home"
    file = tmp_path / "q.jsonl"
    file.write_text(json.dumps({"text": "From the file?"}) + "\nbroken\n")
    own = home / "questions" / "sales.jsonl"
    own.parent.mkdir(parents=True)
    own.write_text(json.dumps({"text": "From home?"}) + "\n")

    def texts(file: Path | None, ask: list[str]) -> list[str]:
        return [question.text for question in gather_questions(dataset, file, ask, home).questions]

    assert texts(None, []) == ["From home?"]
    assert texts(None, ["In words?"]) == ["In words?"], "what is asked outright needs no file"
    assert texts(file, ["In words?", "In words?"]) == ["In words?", "From the file?"]
    assert len(gather_questions(dataset, file, [], home).problems) == 1


def test_a_file_that_was_left_without_a_question_asks_nothing(tmp_path: Path) -> None:
    (tmp_path / "questions").mkdir()
    (tmp_path / "questions" / "sales.jsonl").touch()
    assert gather_questions(read_dataset(table(tmp_path)), None, [], tmp_path) == ((), ())


def test_questions_of_another_state_of_the_dataset_are_left_out(tmp_path: Path) -> None:
    dataset = read_dataset(table(tmp_path))
    file = tmp_path / "q.jsonl"
    lines = [
        {"text": "Of this?", "dataset_key": dataset.key},
        {"id": "old", "text": "Of that?", "dataset_key": "f" * 64},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"text": "Of any?"}]))
    asked = gather_questions(dataset, file, [], tmp_path)
    assert [question.text for question in asked.questions] == ["Of this?", "Of any?"]
    assert len(asked.problems) == 1
    assert "old was made for another dataset" in asked.problems[0]


class TestWhatARunIsAbout:
    """Without arguments the bundled datasets, replayed."""

    def test_nothing_named_is_the_replay(self) -> None:
        jobs, options = jobs_of([], None, EpisodeOptions(runtime="process", parallel_questions=7))
        assert len(jobs) == len(SLUGS)
        assert options.offline
        assert options.model
        assert (options.runtime, options.parallel_questions) == ("process", 7), "what changes no call stays the user's"

    def test_a_model_alone_asks_the_bundled_questions_live(self) -> None:
        jobs, options = jobs_of([], None, EpisodeOptions(model="ollama/x"))
        assert len(jobs) == len(SLUGS)
        assert not options.offline

    def test_a_dataset_needs_a_model(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="No model"):
            jobs_of([str(table(tmp_path))], None, EpisodeOptions())
