"""A night's report: the exit code, the sentence, and a page that no dataset's name can break."""

from __future__ import annotations

import pytest

from flows.nights.report import NightReport, NightRow, State


def report(*states: State, download: State | None = None) -> NightReport:
    rows = tuple(NightRow(dataset=f"d{n}", state=state, asked=2, verified=1) for n, state in enumerate(states))
    fetched = NightRow(dataset="download", state=download) if download else None
    return NightReport(run="r", download=fetched, rows=rows)


@pytest.mark.parametrize(
    ("night", "code"),
    [
        (report("worked on", "done before"), 0),
        (report("worked on", "not begun"), 0),
        (report("worked on", "failed"), 1),
        (report("worked on", download="failed"), 1),
        (report("failed", "failed", "not begun"), 2),
        (report("not begun"), 0),
        (report(), 2),
    ],
)
def test_the_exit_code_tells_all_some_or_nothing(night: NightReport, code: int) -> None:
    assert night.exit_code == code


def test_the_sentence_counts_what_happened() -> None:
    said = report("worked on", "failed", "not begun", download="failed").sentence()
    assert said == "3 of 6 questions verified; datasets: 1 worked on, 1 not begun, 1 failed; the download failed"


def test_a_name_or_reason_cannot_break_the_table() -> None:
    row = NightRow(dataset="a|b", state="failed", detail="no\n| such <b> file")
    line = NightReport(run="r", rows=(row,)).page().splitlines()[-1]
    assert r"a\|b" in line
    assert r"no \| such \<b\> file" in line
