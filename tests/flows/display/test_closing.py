"""What a run says at its end: sums that add up, each trouble once, the way on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from blocks.settings import Settings
from flows.display.board import Board
from flows.display.closing import print_closing, totals
from flows.display.markdown import artifact_key, dataset_page, table_rows
from flows.display.rows import QuestionRow
from flows.runs.reports import DatasetReport, RunReport


def row(question: str, **facts: Any) -> QuestionRow:
    base: dict[str, Any] = {
        "dataset": "cities", "question": question, "verdict": "verified", "state": "verified", "votes": "2/2",
        "turns": 3, "cells": 3, "calls": 3, "replayed": 1, "traces_saved": 1, "seconds": 1.25, "cached": False,
        "explanation": "They agree.",
    }  # fmt: skip
    return QuestionRow.model_validate({**base, **facts})


UNFINISHED = {"verdict": "unreachable", "state": "unfinished", "explanation": "Nobody answers.", "traces_saved": 0}


def closing(report: RunReport, storage: str = "") -> str:
    console = Console(file=io.StringIO(), width=100)
    print_closing(report, settings=Settings(home=Path("/srv/trigpoint"), storage=storage), console=console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_totals_count_only_what_this_run_did() -> None:
    said = totals([row("a", calls_saved=2), row("b", cached=True, calls_saved=9), row("c", **UNFINISHED)])
    assert "2 of 3 verified" in said
    assert "1 unfinished" in said
    assert "1 done by earlier runs" in said
    assert "6 model calls (2 from the journal)" in said
    assert "1 trace never launched" in said
    assert "about 2 calls saved" in said


def test_one_of_a_thing_is_told_as_one() -> None:
    console = Console(file=io.StringIO(), width=200)
    Board(console).finished(row("a", turns=1, cells=1))
    assert isinstance(console.file, io.StringIO)
    assert "1 turn, 1 cell," in console.file.getvalue()
    dataset = DatasetReport(dataset="cities", problems=("no question",), incidents=("lost",))
    said = closing(RunReport(run="r", datasets=(dataset,)))
    assert "1 line of question or episode files was left out" in said
    assert "rebuilt once (lost)" in said


def test_answers_that_max_tokens_cut_are_told_with_the_remedy() -> None:
    cut = row("a", verdict="too_hard", state="other", cut_by_length=3)
    said = " ".join(closing(RunReport(run="r", datasets=(DatasetReport(dataset="d", rows=(cut, row("b"))),))).split())
    assert "1 question had attempts without an answer as max_tokens cut every reply off; raise --max-tokens" in said


def test_each_trouble_is_told_once_with_its_count() -> None:
    rows = tuple(row(f"q{n}", **UNFINISHED) for n in range(5))
    said = closing(RunReport(run="r", datasets=(DatasetReport(dataset="cities", rows=rows),)))
    assert said.count("Nobody answers.") == 1
    assert "5 unfinished" in said
    assert "Run the same command again" in said


def test_it_says_where_results_are() -> None:
    assert "/srv/trigpoint/results" in closing(RunReport(run="r", datasets=()))
    shared = closing(RunReport(run="r", datasets=()), storage="remote-file-system/bucket")
    assert "remote-file-system/bucket" in shared
    assert "/srv/trigpoint/episodes" in shared
    assert "/srv/trigpoint/results" not in shared, "no result is written there"


def test_a_long_verdict_is_not_broken() -> None:
    rows = (row("a-question-with-a-rather-long-name-indeed", verdict="execution_failed", state="other"),)
    said = closing(RunReport(run="r", datasets=(DatasetReport(dataset="a-dataset-with-a-long-name", rows=rows),)))
    assert "execution_failed" in said


def test_exit_codes() -> None:
    done, open_ = row("a"), row("b", **UNFINISHED)

    def code(*rows: QuestionRow, **facts: Any) -> int:
        return RunReport(run="r", datasets=(DatasetReport(dataset="d", rows=rows, **facts),)).exit_code

    assert code(done) == 0
    assert code(done, open_) == 1
    assert code(done, problems=("q.jsonl:3: no JSON",)) == 1
    assert code(open_) == 2
    assert code(error="missing.csv does not exist.") == 2
    assert code(row("a", state="other", verdict="ambiguous")) == 0, "a verdict that says no is an answer"


def test_a_board_without_a_terminal_prints_a_line_for_each_fresh_question() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    board = Board(console)
    with board.live():
        board.dataset("cities", total=2, phase="reading")
        board.step("cities", "a", "gold, turn 1")
        board.finished(row("a"))
        board.finished(row("b", cached=True))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 1
    assert "cities/a" in lines[0]


def test_artifacts_take_hostile_text_as_text() -> None:
    page = dataset_page("cities", [row("a|b", explanation="<b>`|x")], ["file.jsonl:1: |"], ["read <b>"], ["/x"])
    cells = next(line for line in page.splitlines() if "a\\|b" in line)
    assert "\\<b\\>\\`\\|x" in cells
    assert artifact_key("dataset", "Straße_1.csv") == "dataset-stra-e-1-csv"
    assert len(table_rows([row("q")] * 1500)) == 1000
