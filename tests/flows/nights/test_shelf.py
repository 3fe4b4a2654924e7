"""What the home knows of a dataset: new ones first, what is open, and what counts as finished."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blocks.errors import DatasetError
from flows.nights.shelf import Bench, dataset_names


def put(home: Path, slug: str, text: str = "a,b\n1,2\n") -> None:
    folder = home / "datasets" / slug
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.csv").write_text(text)


def ask(home: Path, slug: str, *texts: str) -> None:
    (home / "questions").mkdir(exist_ok=True)
    lines = [json.dumps({"id": f"q{n}", "text": text}) + "\n" for n, text in enumerate(texts)]
    (home / "questions" / f"{slug}.jsonl").write_text("".join(lines))


def test_datasets_without_an_episode_come_first(tmp_path: Path) -> None:
    for slug in ("Alpha", "beta", "gamma"):
        put(tmp_path, slug)
    (tmp_path / "datasets" / "no-table").mkdir()
    (tmp_path / "episodes").mkdir()
    (tmp_path / "episodes" / "alpha.jsonl").write_text("")
    assert dataset_names(tmp_path) == ["beta", "gamma", "Alpha"]
    (tmp_path / "episodes" / "beta-0123abcd.jsonl").write_text("")
    (tmp_path / "episodes" / "gamma-delta.jsonl").write_text("")
    assert dataset_names(tmp_path) == ["gamma", "Alpha", "beta"]
    put(tmp_path, "b" * 80)
    assert dataset_names(tmp_path)[0] == "b" * 80
    (tmp_path / "episodes" / f"{'b' * 71}-0123abcd.jsonl").write_text("")
    assert dataset_names(tmp_path) == ["gamma", "Alpha", "b" * 80, "beta"]
    assert dataset_names(tmp_path / "nowhere") == []


def test_questions_without_an_episode_are_open(tmp_path: Path) -> None:
    put(tmp_path, "alpha")
    ask(tmp_path, "alpha", "How many?", "How few?", "How few?")
    standing = Bench(tmp_path, "alpha", "").standing()
    assert (standing.questions, standing.unanswered) == (2, 2)
    assert standing.asked_since(standing) == []


def test_questions_of_another_state_of_the_dataset_are_not_open(tmp_path: Path) -> None:
    put(tmp_path, "alpha")
    ask(tmp_path, "alpha", "How many?")
    with (tmp_path / "questions" / "alpha.jsonl").open("a") as file:
        file.write(json.dumps({"id": "old", "text": "How few?", "dataset_key": "f" * 64}) + "\n")
    standing = Bench(tmp_path, "alpha", "").standing()
    assert (standing.questions, standing.unanswered) == (1, 1)


def test_a_dataset_nothing_could_be_asked_of_has_nothing_open(tmp_path: Path) -> None:
    put(tmp_path, "alpha")
    ask(tmp_path, "alpha")
    assert Bench(tmp_path, "alpha", "").standing().questions == 0


def test_what_is_finished_stays_so_until_data_options_questions_or_code_change(tmp_path: Path) -> None:
    put(tmp_path, "alpha")
    ask(tmp_path, "alpha", "How many?")
    bench = Bench(tmp_path, "alpha", "build 1")
    digest = bench.digest({"model": "m"}, with_questions=True)
    bench.note(questions="made")
    bench.note(episodes=digest)

    again = Bench(tmp_path, "alpha", "build 1")
    assert again.done().questions == "made"
    assert again.done().episodes == again.digest({"model": "m"}, with_questions=True)
    others = [
        again.digest({"model": "n"}, with_questions=True),
        Bench(tmp_path, "alpha", "build 2").digest({"model": "m"}, with_questions=True),
    ]
    ask(tmp_path, "alpha", "How many?", "And how few?")
    others.append(again.digest({"model": "m"}, with_questions=True))
    put(tmp_path, "alpha", "a,b\n1,3\n")
    others.append(Bench(tmp_path, "alpha", "build 1").digest({"model": "m"}, with_questions=True))
    assert digest not in others


def test_where_the_code_is_not_known_nothing_counts_as_finished(tmp_path: Path) -> None:
    put(tmp_path, "alpha")
    bench = Bench(tmp_path, "alpha", "")
    assert bench.digest({}, with_questions=False) == ""
    bench.note(episodes="x")
    assert bench.done().episodes == ""


def test_a_damaged_note_is_no_note(tmp_path: Path) -> None:
    put(tmp_path, "alpha")
    bench = Bench(tmp_path, "alpha", "build")
    bench.note(episodes="x")
    next((tmp_path / "nights").iterdir()).write_text("{")
    assert bench.done().episodes == ""


def test_a_dataset_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        Bench(tmp_path, "missing", "")
