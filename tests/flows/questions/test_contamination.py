"""Which questions share words with a benchmark, and what is said about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blocks.errors import UserError
from flows.questions.contamination import Benchmarks, read_benchmarks, shared_benchmarks

KNOWN = "What is the average fare paid by passengers who survived in third class?"


def test_words_in_a_row_are_found_whatever_surrounds_them() -> None:
    benchmarks = Benchmarks(words=6)
    benchmarks.add(KNOWN, "titanic, question 1")
    found = benchmarks.overlap("Round it: the AVERAGE fare, paid by passengers -- who lived?")
    assert found is not None
    assert (found.where, found.words) == ("titanic, question 1", "the average fare paid by passengers")
    assert benchmarks.overlap("What is the average fare of all passengers?") is None


def test_numbers_keep_their_points() -> None:
    benchmarks = Benchmarks(words=4)
    benchmarks.add("how many exceed 1.5 metres", "b")
    assert benchmarks.overlap("So how many exceed 1.5 metres?") is not None
    assert benchmarks.overlap("So how many exceed 15 metres?") is None


def test_a_question_shorter_than_the_run_counts_whole() -> None:
    benchmarks = Benchmarks(words=8)
    benchmarks.add("How many rows?", "b")
    assert benchmarks.overlap("how many rows") is not None
    assert benchmarks.overlap("how many rows have a gap") is None


def test_the_key_is_of_what_decides() -> None:
    def made(words: int, *texts: str) -> str:
        benchmarks = Benchmarks(words)
        for at, text in enumerate(texts):
            benchmarks.add(text, f"file {at}")
        return benchmarks.key

    assert made(5, KNOWN, "How many?") == made(5, "How many?", KNOWN), "the order of files decides nothing"
    assert made(5, KNOWN) != made(6, KNOWN)
    assert made(5, KNOWN) != made(5, "How many?")


def test_every_kind_of_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.txt").write_text("first one here today\n\n", encoding="utf-8")
    (tmp_path / "deep" / "b.jsonl").write_text(json.dumps({"Question": "second one here today"}) + "\n")
    (tmp_path / "c.json").write_text(json.dumps(["third one here today", {"answer": "no question"}]))
    (tmp_path / "d.csv").write_text('id,prompt\n1,"fourth one, here today"\n')
    (tmp_path / "notes.md").write_text("fifth one here today")
    benchmarks = read_benchmarks(tmp_path, words=4)
    found = {name: benchmarks.overlap(f"{name} one here today") for name in ("first", "second", "third", "fourth")}
    assert {name: overlap.where for name, overlap in found.items() if overlap} == {
        "first": "a.txt, question 1",
        "second": "deep/b.jsonl, question 1",
        "third": "c.json, question 1",
        "fourth": "d.csv, question 1",
    }
    assert benchmarks.overlap("fifth one here today") is None
    assert benchmarks.count == 4


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", "{not json", "not what its name says"),
        ("a.txt", "", "holds no benchmark question"),
        ("a.json", '[{"answer": 1}]', "holds no benchmark question"),
    ],
)
def test_an_unusable_folder_is_one_sentence(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=said):
        read_benchmarks(tmp_path)


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no folder"):
        read_benchmarks(tmp_path / "none")


def test_a_run_reads_its_folder_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(KNOWN)
    with shared_benchmarks(str(tmp_path), 5) as outer:
        (tmp_path / "a.txt").unlink()
        with shared_benchmarks(str(tmp_path), 5) as inner:
            assert outer is not None
            assert inner is outer
    with pytest.raises(UserError, match="holds no benchmark question"), shared_benchmarks(str(tmp_path), 5):
        pass
    with shared_benchmarks(None) as none:
        assert none is None
